//! One node, as a file describes it and as it is walked.

use std::fmt::Debug;

/// What values and thresholds are compared as: `f32` where the library converts its
/// input to single precision first, else `f64`.
pub trait Real: Copy + Debug + PartialOrd + Send + Sync + 'static {
    /// What a feature, or the way to a child, is kept in where it fits: half of what is left of
    /// a node.
    type Short: Copy + Debug + Into<u32> + TryFrom<u32> + Send + Sync + 'static;

    /// Not below any value.
    const INFINITY: Self;

    /// The largest `t` that is not above `threshold`: for every `x` of this type,
    /// `x <= t` exactly when `x <= threshold`.
    fn threshold(threshold: f64) -> Self;

    /// For every `x` of this type, `x <= t` exactly when `x < threshold`. NaN, which
    /// nothing is at most, when there is no such number.
    fn below(threshold: f64) -> Self;

    /// Whether it is a missing value.
    fn is_nan(self) -> bool;

    /// The same number.
    fn double(self) -> f64;

    /// The category that it is: its integral part, if that is 0 to 255.
    fn category(self) -> Option<u8>;
}

impl Real for f32 {
    type Short = u16;

    const INFINITY: Self = Self::INFINITY;

    #[allow(clippy::cast_possible_truncation, reason = "rounded down, as documented")]
    fn threshold(threshold: f64) -> Self {
        let nearest = threshold as Self;
        if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
    }

    fn below(threshold: f64) -> Self {
        let at_most = Self::threshold(threshold);
        let reaches = f64::from(at_most) >= threshold;
        match (reaches, at_most) {
            (true, Self::NEG_INFINITY) => Self::NAN,
            (true, _) => at_most.next_down(),
            (false, _) => at_most,
        }
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn double(self) -> f64 {
        f64::from(self)
    }

    fn category(self) -> Option<u8> {
        f64::from(self).category()
    }
}

impl Real for f64 {
    type Short = u32;

    const INFINITY: Self = Self::INFINITY;

    fn threshold(threshold: f64) -> Self {
        threshold
    }

    fn below(threshold: f64) -> Self {
        if threshold == Self::NEG_INFINITY { Self::NAN } else { threshold.next_down() }
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn double(self) -> f64 {
        self
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, and truncated")]
    fn category(self) -> Option<u8> {
        (0.0..256.0).contains(&self).then_some(self as u8)
    }
}

/// A set of categories 0 to 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CategorySet([u32; 8]);

impl CategorySet {
    /// From 8 words, the lowest bit of the first for category 0.
    #[must_use]
    pub fn from_words(words: [u32; 8]) -> Self {
        Self(words)
    }

    /// Adds one.
    pub fn insert(&mut self, category: u8) {
        self.0[usize::from(category >> 5)] |= 1 << (category & 31);
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(&self, category: u8) -> bool {
        self.0[usize::from(category >> 5)] >> (category & 31) & 1 == 1
    }
}

/// Any categories, however large, in memory that their number justifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// 32 in a word, the lowest bit first.
    Words(Box<[u32]>),
    /// In rising order.
    Sorted(Box<[u32]>),
}

impl Members {
    /// Those of this list.
    #[must_use]
    pub fn from_list(mut list: Vec<u32>) -> Self {
        list.sort_unstable();
        let words = list.last().map_or(0, |&last| last as usize / 32 + 1);
        // As many words as categories and some more are no waste.
        if words > 2 * list.len() + 8 {
            return Self::Sorted(list.into());
        }
        let mut bits = vec![0; words];
        for category in list {
            bits[category as usize / 32] |= 1 << (category % 32);
        }
        Self::Words(bits.into())
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, category: u32) -> bool {
        match self {
            Self::Words(words) => {
                words.get(category as usize / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
            }
            Self::Sorted(list) => list.binary_search(&category).is_ok(),
        }
    }
}

/// [`Members`] that a forest keeps for a split: see `Forest::keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersId(pub(super) u32);

/// Numbers that a forest keeps for a split: see `Forest::keep_numbers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumbersId(pub(super) u32);

/// What counts as 0, and so as missing, where zeros do. Source: LightGBM's `kZeroThreshold`.
const NEARLY_ZERO: f64 = 1e-35f32 as f64;

/// How a split asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// `x <= threshold` goes left.
    AtMost(f64),
    /// `x < threshold` goes left.
    Below(f64),
    /// `x <= threshold` goes left, but 0 counts as missing.
    AtMostButZero(f64),
    /// `x` goes left when it is one of these numbers.
    OneOf(NumbersId),
    /// The integral part is looked for among categories.
    In {
        /// These.
        members: MembersId,
        /// Whether these go left and all others right, or the other way round.
        left: bool,
        /// Whether what lies between -1 and 0 is category 0; otherwise it is none.
        truncated: bool,
    },
    /// Categories in `left` go left, others of `known` right; the rest counts as missing.
    Among {
        /// Those that go left.
        left: CategorySet,
        /// Those that were seen in training.
        known: CategorySet,
    },
}

/// One node as a file describes it. Children and features are as found there, and
/// checked when the tree is added to a forest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// Where a walk ends.
    Leaf,
    /// A question.
    Split {
        /// The column that it looks at.
        feature: i64,
        /// What it asks.
        test: Test,
        /// Whether a missing value goes left.
        missing_left: bool,
        /// The node where the answer is yes.
        left: i64,
        /// The node where it is no.
        right: i64,
    },
}

/// Marks a split that sends missing values left.
pub(super) const MISSING_LEFT: u32 = 1 << 31;
/// Marks a split that is no comparison with its threshold.
pub(super) const SPECIAL: u32 = 1 << 30;
/// What is left of the field for the feature.
pub(super) const FEATURE: u32 = SPECIAL - 1;

/// What a split asks that is no comparison with its threshold.
#[derive(Debug)]
pub(super) enum Special {
    /// [`Test::AtMostButZero`].
    ButZero(f64),
    /// [`Test::Among`].
    Among(CategorySet, CategorySet),
    /// [`Test::In`].
    In(MembersId, bool, bool),
    /// [`Test::OneOf`].
    OneOf(NumbersId),
}

/// What splits look things up in.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) members: Vec<Members>,
    /// Each in rising order, without NaN.
    pub(super) numbers: Vec<Box<[f64]>>,
}

impl Special {
    /// Whether a value goes left; `None` when it is missing.
    pub(super) fn left<T: Real>(&self, value: T, kept: &Kept) -> Option<bool> {
        if value.is_nan() {
            return None;
        }
        match self {
            Self::ButZero(threshold) => {
                let value = value.double();
                (value.abs() > NEARLY_ZERO).then_some(value <= *threshold)
            }
            Self::Among(left, known) => {
                let category = value.category().filter(|&one| known.contains(one) || left.contains(one));
                category.map(|category| left.contains(category))
            }
            Self::OneOf(numbers) => {
                let value = value.double();
                let numbers = &kept.numbers[numbers.0 as usize];
                let at = numbers.partition_point(|number| *number < value);
                Some(numbers.get(at).is_some_and(|number| *number == value))
            }
            Self::In(members, left, truncated) => {
                let value = value.double();
                let from = if *truncated { value > -1.0 } else { value >= 0.0 };
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "in range, and truncated"
                )]
                let category = (from && value < CATEGORIES_END).then_some(value as u32);
                let among =
                    category.is_some_and(|category| kept.members[members.0 as usize].contains(category));
                Some(among == *left)
            }
        }
    }
}

/// No category reaches the end of 31 bits.
const CATEGORIES_END: f64 = 2_147_483_648.0;

/// One node with room for everything, 16 bytes for `f32`, so that none lies across two cache
/// lines. The children of a split lie side by side. A leaf is its own left child,
/// and every value goes left there: walks of different lengths need no test for
/// their ends.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Packed<T> {
    pub(super) threshold: T,
    /// [`FEATURE`], [`SPECIAL`] and [`MISSING_LEFT`].
    pub(super) feature: u32,
    /// The left child; the right one follows it.
    pub(super) left: u32,
    /// Of a leaf its number, of a special split the place of what it asks.
    pub(super) payload: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_threshold_rounded_down_decides_as_the_exact_one(bits: u32, near in -3i32..4, any: f64, close: bool) {
            let x = f32::from_bits(bits);
            // Thresholds next to the value are where rounding would show.
            let exact = f64::from_bits(f64::from(x).to_bits().wrapping_add_signed(i64::from(near)));
            let threshold = if close { exact } else { any };
            prop_assume!(!x.is_nan() && !threshold.is_nan());
            prop_assert_eq!(x <= <f32 as Real>::threshold(threshold), f64::from(x) <= threshold);
            prop_assert_eq!(x <= <f32 as Real>::below(threshold), f64::from(x) < threshold);
            prop_assert_eq!(exact <= <f64 as Real>::below(threshold), exact < threshold);
        }

        #[test]
        fn a_set_holds_what_was_inserted(categories: Vec<u8>, other: u8) {
            let mut set = CategorySet::default();
            categories.iter().for_each(|&category| set.insert(category));
            prop_assert_eq!(set.contains(other), categories.contains(&other));
            prop_assert!(categories.iter().all(|&category| set.contains(category)));
        }
    }

    #[test]
    fn members_are_found_however_far_apart() {
        for list in [vec![], vec![0], vec![31, 32, 5], vec![7, u32::MAX, 0]] {
            let members = Members::from_list(list.clone());
            for category in [0, 1, 5, 7, 31, 32, 33, 1 << 20, u32::MAX] {
                assert_eq!(members.contains(category), list.contains(&category), "{list:?}");
            }
        }
        assert!(matches!(Members::from_list(vec![1 << 24]), Members::Sorted(_)));
    }

    #[test]
    fn a_value_is_among_members_as_its_integral_part() {
        let kept = Kept { members: vec![Members::from_list(vec![0, 3, 40])], numbers: Vec::new() };
        let ask = |value: f64, left, truncated| Special::In(MembersId(0), left, truncated).left(value, &kept);
        for (value, among) in
            [(0.0, true), (3.9, true), (40.0, true), (1.0, false), (-1.0, false), (1e300, false)]
        {
            for left in [true, false] {
                assert_eq!(ask(value, left, true), Some(among == left), "{value}");
            }
        }
        assert_eq!([ask(-0.5, true, true), ask(-0.5, true, false)], [Some(true), Some(false)]);
        assert_eq!(ask(f64::NAN, true, true), None);
    }

    #[test]
    fn a_number_is_one_of_those_it_equals() {
        let kept = Kept { members: Vec::new(), numbers: vec![[-1.5, 0.0, 7.0].into()] };
        let ask = |value: f64| Special::OneOf(NumbersId(0)).left(value, &kept);
        assert_eq!([ask(-1.5), ask(-0.0), ask(7.0)], [Some(true); 3]);
        assert_eq!([ask(-2.0), ask(1.0), ask(8.0)], [Some(false); 3]);
        assert_eq!(ask(f64::NAN), None);
    }

    #[test]
    fn zero_is_missing_where_it_counts_as_such() {
        let ask = |value: f64| Special::ButZero(-1.0).left(value, &Kept::default());
        assert_eq!([ask(0.0), ask(-1e-36), ask(f64::NAN)], [None; 3]);
        assert_eq!([ask(-1.0), ask(1e-30)], [Some(true), Some(false)]);
    }

    #[test]
    fn thresholds_beyond_single_precision_stay_on_their_side() {
        assert_eq!(<f32 as Real>::threshold(1e300), f32::MAX);
        assert_eq!(<f32 as Real>::threshold(f64::INFINITY), f32::INFINITY);
        assert_eq!(<f32 as Real>::threshold(-1e300), f32::NEG_INFINITY);
        assert_eq!(std::mem::size_of::<Packed<f32>>(), 16);
    }

    #[test]
    fn only_bytes_are_categories() {
        let of = |x: f64| x.category();
        assert_eq!([of(0.0), of(3.7), of(255.9)], [Some(0), Some(3), Some(255)]);
        assert_eq!([of(-1.0), of(256.0), of(f64::NAN), of(f64::INFINITY)], [None; 4]);
    }
}
