//! Encoders: categories, as text or numbers, become numbers.

mod categories;
mod one_hot;
mod ordinal;

use super::registry::Row;

const ENCODERS: &[&str] = &["_encoders"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.preprocessing", "OneHotEncoder", ENCODERS, one_hot::build),
    Row::new("sklearn.preprocessing", "OrdinalEncoder", ENCODERS, ordinal::build),
];
