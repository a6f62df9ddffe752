//! Decompositions, projections and covariances: what is one matrix, or a few, at run time.

mod approximation;
mod coding;
mod covariance;
mod factorization;
mod kernels;
mod lars;
mod linear_map;
mod pls;
mod projection;
mod topics;

use super::registry::Row;

pub(super) use kernels::KernelComponents;

const DECOMPOSITION: &str = "sklearn.decomposition";
const CROSS: &str = "sklearn.cross_decomposition";
const PLS: &[&str] = &["_pls", "pls_"];
const COVARIANCE: &str = "sklearn.covariance";
const EMPIRICAL: &[&str] = &["_empirical_covariance", "empirical_covariance_"];
const SHRUNK: &[&str] = &["_shrunk_covariance", "shrunk_covariance_"];
const GRAPH: &[&str] = &["_graph_lasso", "graph_lasso_"];
const ROBUST: &[&str] = &["_robust_covariance", "robust_covariance"];
const SPARSE_PCA: &[&str] = &["_sparse_pca", "sparse_pca"];
const DICTIONARY: &[&str] = &["_dict_learning", "dict_learning"];
const KERNELS: &str = "sklearn.kernel_approximation";
const RANDOM: &str = "sklearn.random_projection";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(DECOMPOSITION, "DictionaryLearning", DICTIONARY, coding::build),
    Row::new(DECOMPOSITION, "KernelPCA", &["_kernel_pca", "kernel_pca"], kernels::build_pca),
    Row::new(DECOMPOSITION, "MiniBatchDictionaryLearning", DICTIONARY, coding::build),
    Row::new(DECOMPOSITION, "MiniBatchNMF", &["_nmf"], factorization::build),
    Row::new(DECOMPOSITION, "NMF", &["_nmf", "nmf"], factorization::build),
    Row::new(DECOMPOSITION, "SparseCoder", DICTIONARY, coding::build),
    Row::new(KERNELS, "Nystroem", &[], kernels::build_nystroem),
    Row::new(
        DECOMPOSITION,
        "FactorAnalysis",
        &["_factor_analysis", "factor_analysis"],
        projection::build_factors,
    ),
    Row::new(DECOMPOSITION, "FastICA", &["_fastica", "fastica_"], projection::build_ica),
    Row::new(
        DECOMPOSITION,
        "IncrementalPCA",
        &["_incremental_pca", "incremental_pca"],
        projection::build_pca,
    ),
    Row::new(DECOMPOSITION, "LatentDirichletAllocation", &["_lda", "online_lda"], topics::build),
    Row::new(DECOMPOSITION, "MiniBatchSparsePCA", SPARSE_PCA, projection::build_sparse_pca),
    Row::new(DECOMPOSITION, "PCA", &["_pca", "pca"], projection::build_pca),
    Row::new(DECOMPOSITION, "SparsePCA", SPARSE_PCA, projection::build_sparse_pca),
    Row::new(DECOMPOSITION, "TruncatedSVD", &["_truncated_svd", "truncated_svd"], projection::build_svd),
    Row::new(KERNELS, "AdditiveChi2Sampler", &[], approximation::build_chi2),
    Row::new(KERNELS, "PolynomialCountSketch", &[], approximation::build_sketch),
    Row::new(KERNELS, "RBFSampler", &[], approximation::build_rbf),
    Row::new(KERNELS, "SkewedChi2Sampler", &[], approximation::build_skewed),
    Row::new(RANDOM, "GaussianRandomProjection", &[], projection::build_random),
    Row::new(RANDOM, "SparseRandomProjection", &[], projection::build_random),
    Row::new("sklearn.neighbors", "NeighborhoodComponentsAnalysis", &["_nca", "nca"], projection::build_nca),
    Row::new(CROSS, "CCA", PLS, pls::build),
    Row::new(CROSS, "PLSCanonical", PLS, pls::build),
    Row::new(CROSS, "PLSRegression", PLS, pls::build),
    Row::new(CROSS, "PLSSVD", PLS, pls::build_svd),
    Row::new(
        COVARIANCE,
        "EllipticEnvelope",
        &["_elliptic_envelope", "elliptic_envelope"],
        covariance::build_envelope,
    ),
    Row::new(COVARIANCE, "EmpiricalCovariance", EMPIRICAL, covariance::build),
    Row::new(COVARIANCE, "GraphicalLasso", GRAPH, covariance::build),
    Row::new(COVARIANCE, "GraphicalLassoCV", GRAPH, covariance::build),
    Row::new(COVARIANCE, "LedoitWolf", SHRUNK, covariance::build),
    Row::new(COVARIANCE, "MinCovDet", ROBUST, covariance::build),
    Row::new(COVARIANCE, "OAS", SHRUNK, covariance::build),
    Row::new(COVARIANCE, "ShrunkCovariance", SHRUNK, covariance::build),
];
