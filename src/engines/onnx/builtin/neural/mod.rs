//! Operators of neural networks.

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] = &[];
