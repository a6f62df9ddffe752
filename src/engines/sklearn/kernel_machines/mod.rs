//! Models that are their samples: each fitted one has a say, by how near it is.

mod density;
mod propagation;
mod ridge;

use super::registry::Row;

const SEMI: &str = "sklearn.semi_supervised";
const PROPAGATION: &[&str] = &["_label_propagation", "label_propagation"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.neighbors", "KernelDensity", &["_kde", "kde"], density::build),
    Row::new("sklearn.kernel_ridge", "KernelRidge", &[], ridge::build),
    Row::new(SEMI, "LabelPropagation", PROPAGATION, propagation::build),
    Row::new(SEMI, "LabelSpreading", PROPAGATION, propagation::build),
];
