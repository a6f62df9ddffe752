//! How much of the training data came by each place of a forest.

/// One weight for each place. Most are counts, which single precision holds exactly: then
/// they take half the memory.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Covers {
    /// Each is exactly what it was.
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Covers {
    pub(super) fn new() -> Self {
        Self::Single(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Single(covers) => covers.len(),
            Self::Double(covers) => covers.len(),
        }
    }

    pub(super) fn get(&self, place: usize) -> f64 {
        match self {
            Self::Single(covers) => f64::from(covers[place]),
            Self::Double(covers) => covers[place],
        }
    }

    /// Makes room for so many places, whose weight is 0.
    pub(super) fn resize(&mut self, places: usize) {
        match self {
            Self::Single(covers) => covers.resize(places, 0.0),
            Self::Double(covers) => covers.resize(places, 0.0),
        }
    }

    pub(super) fn set(&mut self, place: usize, cover: f64) {
        #[allow(clippy::cast_possible_truncation, reason = "kept only if it is the same number")]
        let single = cover as f32;
        match self {
            Self::Single(covers) if f64::from(single) == cover => covers[place] = single,
            Self::Single(covers) => {
                let mut doubles: Vec<f64> = covers.iter().copied().map(f64::from).collect();
                doubles[place] = cover;
                *self = Self::Double(doubles);
            }
            Self::Double(covers) => covers[place] = cover,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_are_what_they_were_and_small_where_they_can_be() {
        let mut covers = Covers::new();
        covers.resize(2);
        covers.set(1, 16_777_216.0);
        assert_eq!(covers, Covers::Single(vec![0.0, 16_777_216.0]));
        covers.resize(3);
        covers.set(2, 16_777_217.0);
        covers.resize(4);
        covers.set(3, 0.1);
        assert_eq!(covers, Covers::Double(vec![0.0, 16_777_216.0, 16_777_217.0, 0.1]));
        assert_eq!((covers.len(), covers.get(3)), (4, 0.1));
    }
}
