//! Encoders: categories, as text or numbers, become numbers.

mod categories;
mod one_hot;
mod ordinal;
mod target;
mod targets;

use super::registry::Row;

const ENCODERS: &[&str] = &["_encoders"];
const LABEL: &[&str] = &["_label", "label"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.preprocessing", "LabelBinarizer", LABEL, targets::build_binarizer),
    Row::new("sklearn.preprocessing", "LabelEncoder", LABEL, targets::build_encoder),
    Row::new("sklearn.preprocessing", "MultiLabelBinarizer", LABEL, targets::build_lists),
    Row::new("sklearn.preprocessing", "OneHotEncoder", ENCODERS, one_hot::build),
    Row::new("sklearn.preprocessing", "OrdinalEncoder", ENCODERS, ordinal::build),
    Row::new("sklearn.preprocessing", "TargetEncoder", &["_target_encoder"], target::build),
];
