//! One node, as a file describes it and as it is walked.

use std::fmt::Debug;

/// What values and thresholds are compared as: `f32` where the library converts its
/// input to single precision first, else `f64`.
pub trait Real: Copy + Debug + PartialOrd + Send + Sync + 'static {
    /// Not below any value.
    const INFINITY: Self;

    /// The largest `t` that is not above `threshold`: for every `x` of this type,
    /// `x <= t` exactly when `x <= threshold`.
    fn threshold(threshold: f64) -> Self;

    /// Whether it is a missing value.
    fn is_nan(self) -> bool;

    /// The category that it is: its integral part, if that is 0 to 255.
    fn category(self) -> Option<u8>;
}

impl Real for f32 {
    const INFINITY: Self = Self::INFINITY;

    #[allow(clippy::cast_possible_truncation, reason = "rounded down, as documented")]
    fn threshold(threshold: f64) -> Self {
        let nearest = threshold as Self;
        if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn category(self) -> Option<u8> {
        f64::from(self).category()
    }
}

impl Real for f64 {
    const INFINITY: Self = Self::INFINITY;

    fn threshold(threshold: f64) -> Self {
        threshold
    }

    fn is_nan(self) -> bool {
        self.is_nan()
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

/// How a split asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// `x <= threshold` goes left.
    AtMost(f64),
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
/// Marks a split on categories.
pub(super) const CATEGORIES: u32 = 1 << 30;
/// What is left of the field for the feature.
pub(super) const FEATURE: u32 = CATEGORIES - 1;

/// One node as it is walked, 16 bytes for `f32`, so that none lies across two cache
/// lines. The children of a split lie side by side. A leaf is its own left child,
/// and every value goes left there: walks of different lengths need no test for
/// their ends.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Packed<T> {
    pub(super) threshold: T,
    /// [`FEATURE`], [`CATEGORIES`] and [`MISSING_LEFT`].
    pub(super) feature: u32,
    /// The left child; the right one follows it.
    pub(super) left: u32,
    /// Of a leaf its number, of a split on categories the place of its sets.
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
