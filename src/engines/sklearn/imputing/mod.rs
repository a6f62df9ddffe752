//! Imputers: what is missing is filled in.

mod indicator;
mod iterative;
mod knn;
mod missing;
mod simple;

use super::registry::Row;

const BASE: &[&str] = &["_base"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.impute", "IterativeImputer", &["_iterative"], iterative::build),
    Row::new("sklearn.impute", "KNNImputer", &["_knn"], knn::build),
    Row::new("sklearn.impute", "MissingIndicator", BASE, indicator::build),
    Row::new("sklearn.impute", "SimpleImputer", BASE, simple::build),
];
