//! The dimensions of a tensor.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// The dimensions of a tensor, outermost first. Empty for a scalar. The product
/// always fits `usize`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub(super) SmallVec<[usize; 4]>);

/// The product of the dimensions does not fit memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shape's elements cannot be counted: the product of its dimensions overflows")]
pub struct ShapeTooLarge;

impl Shape {
    /// A shape of these dimensions.
    ///
    /// # Errors
    /// [`ShapeTooLarge`] when their product overflows, zeros left aside, so that
    /// no partial product can either.
    pub fn new(dims: impl IntoIterator<Item = usize>) -> Result<Self, ShapeTooLarge> {
        let dims: SmallVec<[usize; 4]> = dims.into_iter().collect();
        dims.iter()
            .filter(|&&dim| dim != 0)
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
            .map(|_| Self(dims))
            .ok_or(ShapeTooLarge)
    }

    /// The shape of a scalar.
    #[must_use]
    pub fn scalar() -> Self {
        Self::default()
    }

    /// How many dimensions there are.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// How many elements a tensor of this shape has; 1 for a scalar.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Rows (dimension 0) and elements per row; `None` for a scalar.
    #[must_use]
    pub fn rows(&self) -> Option<(usize, usize)> {
        let (rows, inner) = self.0.split_first()?;
        Some((*rows, inner.iter().product()))
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    /// For shapes of tensors that exist.
    ///
    /// # Panics
    /// When the product overflows; use [`Shape::new`] for dimensions from outside.
    fn from(dims: [usize; N]) -> Self {
        Self::new(dims).expect("dimensions of a tensor in memory")
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for Shape {
    /// `[3,4]`, as TensorFlow prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_refuses() {
        assert_eq!(Shape::scalar().elements(), 1);
        assert_eq!(Shape::from([3, 4]).rows(), Some((3, 4)));
        assert_eq!(Shape::from([3]).rows(), Some((3, 1)));
        assert_eq!(Shape::from([0, 4]).elements(), 0);
        assert_eq!(Shape::from([3, 4]).to_string(), "[3,4]");
        assert!(Shape::new([usize::MAX, 2]).is_err());
        // A zero does not hide an overflow in what stands beside it.
        assert!(Shape::new([0, usize::MAX, 2]).is_err());
    }
}
