//! Clusters of rows, by their centres, and clusters of features.

mod bisecting;
mod centres;
mod features;

use super::registry::Row;

const CLUSTER: &str = "sklearn.cluster";
const K_MEANS: &[&str] = &["_kmeans", "k_means_"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(
        CLUSTER,
        "AffinityPropagation",
        &["_affinity_propagation", "affinity_propagation_"],
        centres::build_affinity,
    ),
    Row::new(CLUSTER, "Birch", &["_birch", "birch"], centres::build_birch),
    Row::new(CLUSTER, "BisectingKMeans", &["_bisect_k_means"], bisecting::build),
    Row::new(CLUSTER, "FeatureAgglomeration", &["_agglomerative", "hierarchical"], features::build),
    Row::new(CLUSTER, "KMeans", K_MEANS, centres::build_k_means),
    Row::new(CLUSTER, "MeanShift", &["_mean_shift", "mean_shift_"], centres::build_mean_shift),
    Row::new(CLUSTER, "MiniBatchKMeans", K_MEANS, centres::build_k_means),
];
