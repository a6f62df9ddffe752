//! Where the nodes of a forest lie: in half the room where they fit.

use std::mem::size_of;

use super::node::{FEATURE, Kept, MISSING_LEFT, Packed, Real, SPECIAL, Special};

/// The nodes of all trees, by their places.
#[derive(Debug)]
pub(super) enum Table<T: Real> {
    /// Comparisons only, of features and children whose numbers are small.
    Narrow(Narrow<T>),
    Wide(Vec<Packed<T>>),
}

/// Nodes of 8 bytes for `f32`, 16 for `f64`.
#[derive(Debug)]
pub(super) struct Narrow<T: Real> {
    nodes: Vec<Short<T>>,
    /// Of each place that is a leaf its number: it is looked at once a walk.
    leaves: Vec<u32>,
}

/// A node as [`Packed`] says. A leaf is its own left child here, too: its step is 0.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Short<T: Real> {
    threshold: T,
    /// The highest bit tells that missing values go left.
    feature: T::Short,
    /// How far behind its left child lies.
    step: T::Short,
}

/// How a walk goes on.
pub(super) trait Walked<T: Real> {
    /// The node after this one, and 0 if that is the same. `value` is that of a feature.
    fn step<const MISSING: bool>(&self, at: u32, value: impl Fn(usize) -> T) -> (u32, u32);

    /// The number of the leaf at this place.
    fn leaf(&self, place: u32) -> u32;
}

impl<T: Real> Table<T> {
    pub(super) fn new() -> Self {
        Self::Narrow(Narrow { nodes: Vec::new(), leaves: Vec::new() })
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(narrow) => narrow.nodes.len(),
            Self::Wide(nodes) => nodes.len(),
        }
    }

    /// Room for two more nodes, which are leaves until they are set.
    pub(super) fn push_pair(&mut self, place: u32) {
        let leaf = Packed { threshold: T::INFINITY, feature: MISSING_LEFT, left: place, payload: 0 };
        match self {
            Self::Narrow(narrow) => {
                // The node 0 steps ahead of itself with the feature 0 fits always.
                let short = Narrow::short(place, leaf);
                debug_assert!(short.is_some());
                narrow.nodes.extend(short.iter().chain(&short));
                narrow.leaves.extend([0, 0]);
            }
            Self::Wide(nodes) => nodes.extend([leaf, leaf]),
        }
    }

    /// Sets the node at a place. One that does not fit widens them all.
    pub(super) fn set(&mut self, place: u32, node: Packed<T>) {
        if let Self::Narrow(narrow) = self {
            if let Some(short) = Narrow::short(place, node) {
                narrow.nodes[place as usize] = short;
                narrow.leaves[place as usize] = node.payload;
                return;
            }
            *self = Self::Wide(narrow.packed());
        }
        if let Self::Wide(nodes) = self {
            nodes[place as usize] = node;
        }
    }

    /// The feature that a split looks at and its left child, which the right one follows;
    /// or the number of a leaf.
    pub(super) fn children(&self, place: u32) -> Result<(usize, u32), usize> {
        let node = match self {
            Self::Narrow(narrow) => narrow.packed_at(place),
            Self::Wide(nodes) => nodes[place as usize],
        };
        if node.left == place {
            Err(node.payload as usize)
        } else {
            Ok(((node.feature & FEATURE) as usize, node.left))
        }
    }
}

impl<T: Real> Narrow<T> {
    /// The highest bit of what a feature is kept in.
    const FLAG: u32 = 1 << (8 * size_of::<T::Short>() - 1);

    /// The node in half the room, if it fits.
    fn short(place: u32, node: Packed<T>) -> Option<Short<T>> {
        let feature = node.feature & FEATURE;
        if node.feature & SPECIAL != 0 || feature >= Self::FLAG {
            return None;
        }
        let flag = if node.feature & MISSING_LEFT == 0 { 0 } else { Self::FLAG };
        let short = |n: u32| T::Short::try_from(n).ok();
        let step = node.left.checked_sub(place)?;
        Some(Short { threshold: node.threshold, feature: short(feature | flag)?, step: short(step)? })
    }

    fn packed_at(&self, place: u32) -> Packed<T> {
        let Short { threshold, feature, step } = self.nodes[place as usize];
        let feature: u32 = feature.into();
        let missing = if feature & Self::FLAG == 0 { 0 } else { MISSING_LEFT };
        let left = place + Into::<u32>::into(step);
        Packed {
            threshold,
            feature: feature & !Self::FLAG | missing,
            left,
            payload: self.leaves[place as usize],
        }
    }

    fn packed(&self) -> Vec<Packed<T>> {
        (0..).take(self.nodes.len()).map(|place| self.packed_at(place)).collect()
    }
}

impl<T: Real> Walked<T> for Narrow<T> {
    #[inline]
    fn step<const MISSING: bool>(&self, at: u32, value: impl Fn(usize) -> T) -> (u32, u32) {
        let node = &self.nodes[at as usize];
        let (feature, step): (u32, u32) = (node.feature.into(), node.step.into());
        let value = value((feature & !Self::FLAG) as usize);
        let mut left = value <= node.threshold;
        if MISSING {
            left |= value.is_nan() & (feature & Self::FLAG != 0);
        }
        (at + step + u32::from(!left), step)
    }

    #[inline]
    fn leaf(&self, place: u32) -> u32 {
        self.leaves[place as usize]
    }
}

impl<T: Real> Walked<T> for [Packed<T>] {
    #[inline]
    fn step<const MISSING: bool>(&self, at: u32, value: impl Fn(usize) -> T) -> (u32, u32) {
        let node = &self[at as usize];
        // Without specials the mask is needed for the leaves only, which are marked.
        let value = value((node.feature & !MISSING_LEFT) as usize);
        let mut left = value <= node.threshold;
        if MISSING {
            left |= value.is_nan() & (node.feature & MISSING_LEFT != 0);
        }
        let next = node.left + u32::from(!left);
        (next, next ^ at)
    }

    #[inline]
    fn leaf(&self, place: u32) -> u32 {
        self[place as usize].payload
    }
}

/// Nodes of which some ask what is no comparison.
#[derive(Debug)]
pub(super) struct Asking<'f, T> {
    pub(super) nodes: &'f [Packed<T>],
    /// What they ask.
    pub(super) specials: &'f [Special],
    /// The categories and numbers that these name.
    pub(super) kept: &'f Kept,
}

impl<T: Real> Walked<T> for Asking<'_, T> {
    #[inline]
    fn step<const MISSING: bool>(&self, at: u32, value: impl Fn(usize) -> T) -> (u32, u32) {
        let node = &self.nodes[at as usize];
        let value = value((node.feature & FEATURE) as usize);
        let missing_left = node.feature & MISSING_LEFT != 0;
        let left = if node.feature & SPECIAL != 0 {
            self.specials[node.payload as usize].left(value, self.kept).unwrap_or(missing_left)
        } else {
            (value <= node.threshold) | (value.is_nan() & missing_left)
        };
        let next = node.left + u32::from(!left);
        (next, next ^ at)
    }

    #[inline]
    fn leaf(&self, place: u32) -> u32 {
        self.nodes[place as usize].payload
    }
}
