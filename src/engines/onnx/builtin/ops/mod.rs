//! The plain operators: a file per family.

mod basic;
pub(super) mod cast;

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] = &[basic::ROWS, cast::ROWS];
