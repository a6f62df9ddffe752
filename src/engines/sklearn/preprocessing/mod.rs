//! Preprocessing of numbers: scalers, and what else looks at one row at a time.

mod kernel;
mod rows;
mod scalers;

use super::registry::Row;

pub(super) use rows::Norm;

const PREPROCESSING: &str = "sklearn.preprocessing";
const DATA: &[&str] = &["_data", "data"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(PREPROCESSING, "Binarizer", DATA, rows::build_binarizer),
    Row::new(PREPROCESSING, "KernelCenterer", DATA, kernel::build),
    Row::new(PREPROCESSING, "MaxAbsScaler", DATA, scalers::build_max_abs),
    Row::new(PREPROCESSING, "MinMaxScaler", DATA, scalers::build_min_max),
    Row::new(PREPROCESSING, "Normalizer", DATA, rows::build_normalizer),
    Row::new(PREPROCESSING, "RobustScaler", DATA, scalers::build_robust),
    Row::new(PREPROCESSING, "StandardScaler", DATA, scalers::build_standard),
];
