//! Nearest neighbours: what the samples that were fitted say of one that was not.
//!
//! Where scikit-learn fitted a tree it is searched here as well, and finds the same ones
//! of neighbours that are equally far; else each sample is compared with all that were
//! fitted, and of equally far ones the one that was fitted first comes first.

mod centroid;
mod manifold;
pub(super) mod metric;
mod outlier;
mod search;
pub(super) mod tree;
mod unsupervised;
mod vote;

use super::registry::Row;

const NEIGHBORS: &str = "sklearn.neighbors";
const CLASSIFICATION: &[&str] = &["_classification", "classification"];
const REGRESSION: &[&str] = &["_regression", "regression"];
const GRAPH: &[&str] = &["_graph", "graph"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.manifold", "Isomap", &["_isomap", "isomap"], manifold::build_isomap),
    Row::new(
        "sklearn.manifold",
        "LocallyLinearEmbedding",
        &["_locally_linear", "locally_linear"],
        manifold::build_locally_linear,
    ),
    Row::new(NEIGHBORS, "KNeighborsClassifier", CLASSIFICATION, vote::build_classifier),
    Row::new(NEIGHBORS, "KNeighborsRegressor", REGRESSION, vote::build_regressor),
    Row::new(NEIGHBORS, "KNeighborsTransformer", GRAPH, unsupervised::build_graph),
    Row::new(NEIGHBORS, "LocalOutlierFactor", &["_lof", "lof"], outlier::build),
    Row::new(NEIGHBORS, "NearestCentroid", &["_nearest_centroid", "nearest_centroid"], centroid::build),
    Row::new(NEIGHBORS, "NearestNeighbors", &["_unsupervised", "unsupervised"], unsupervised::build),
    Row::new(NEIGHBORS, "RadiusNeighborsClassifier", CLASSIFICATION, vote::build_classifier),
    Row::new(NEIGHBORS, "RadiusNeighborsRegressor", REGRESSION, vote::build_regressor),
    Row::new(NEIGHBORS, "RadiusNeighborsTransformer", GRAPH, unsupervised::build_graph),
];
