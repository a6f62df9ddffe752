//! The operators of classical machine learning: the domain `ai.onnx.ml`.

mod ensemble;
mod features;
mod labels;
mod linear;
mod maps;
mod svm;
mod tables;
mod transform;
mod trees;

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] =
    &[features::ROWS, linear::ROWS, maps::ROWS, svm::ROWS, tables::ROWS, trees::ROWS];
