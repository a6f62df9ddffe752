//! The operators of classical machine learning: the domain `ai.onnx.ml`.

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] = &[];
