//! The methods that estimators have, and what each takes and gives.

use std::borrow::Cow;

use crate::tensor::DType;

/// One answer of a method that takes samples. Most methods give one; those that give
/// several stand here once for each, and are one signature with several outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Predict,
    /// The standard deviation beside the mean: `predict(X, return_std=True)[1]`.
    PredictStd,
    PredictProba,
    /// Of an estimator with several outputs, this one's.
    PredictProbaOf(u16),
    PredictLogProba,
    /// Of an estimator with several outputs, this one's.
    PredictLogProbaOf(u16),
    PredictJointLogProba,
    DecisionFunction,
    /// `latent_mean_and_variance(X)[0]`.
    LatentMean,
    /// `latent_mean_and_variance(X)[1]`.
    LatentVariance,
    ScoreSamples,
    Mahalanobis,
    Apply,
    /// Which nodes a sample comes by: `decision_path(X)`, of a forest its first part.
    DecisionPath,
    /// Where the nodes of each tree start among them: `decision_path(X)[1]`, again for each row.
    PathStarts,
    Transform,
    InverseTransform,
    /// `kneighbors(X)[0]`.
    NeighborDistances,
    /// `kneighbors(X)[1]`.
    NeighborIndices,
    /// `radius_neighbors(X)[0]`.
    RadiusDistances,
    /// `radius_neighbors(X)[1]`.
    RadiusIndices,
    /// What each feature contributed, and the mean: no method of scikit-learn's.
    Contributions,
}

impl Method {
    /// scikit-learn's names of all of them.
    pub(super) const NAMES: [&'static str; 16] = [
        "predict",
        "predict_proba",
        "predict_log_proba",
        "predict_joint_log_proba",
        "decision_function",
        "latent_mean_and_variance",
        "score_samples",
        "mahalanobis",
        "apply",
        "transform",
        "inverse_transform",
        "kneighbors",
        "kneighbors_graph",
        "radius_neighbors",
        "radius_neighbors_graph",
        "decision_path",
    ];

    /// The signature that it belongs to: scikit-learn's name of the method, where it has one.
    pub(super) fn signature(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictStd => "predict_std",
            Self::PredictProba | Self::PredictProbaOf(_) => "predict_proba",
            Self::PredictLogProba | Self::PredictLogProbaOf(_) => "predict_log_proba",
            Self::PredictJointLogProba => "predict_joint_log_proba",
            Self::DecisionFunction => "decision_function",
            Self::LatentMean | Self::LatentVariance => "latent_mean_and_variance",
            Self::ScoreSamples => "score_samples",
            Self::Mahalanobis => "mahalanobis",
            Self::Apply => "apply",
            Self::DecisionPath | Self::PathStarts => "decision_path",
            Self::Transform => "transform",
            Self::InverseTransform => "inverse_transform",
            Self::NeighborDistances | Self::NeighborIndices => "kneighbors",
            Self::RadiusDistances | Self::RadiusIndices => "radius_neighbors",
            Self::Contributions => "contributions",
        }
    }

    /// Its name among the outputs of that signature.
    pub(super) fn output(self) -> Cow<'static, str> {
        match self {
            Self::PredictProbaOf(i) | Self::PredictLogProbaOf(i) => format!("outputs_{i}").into(),
            Self::LatentMean => "latent_mean".into(),
            Self::PathStarts => "n_nodes_ptr".into(),
            Self::LatentVariance => "latent_variance".into(),
            Self::NeighborDistances | Self::RadiusDistances => "distances".into(),
            Self::NeighborIndices | Self::RadiusIndices => "indices".into(),
            _ => "outputs".into(),
        }
    }

    /// Its name among the outputs of `serving_default`, where it is one of them.
    pub(super) fn default_output(self) -> Cow<'static, str> {
        match self {
            Self::Predict => "predictions".into(),
            Self::PredictProba => "probabilities".into(),
            Self::PredictProbaOf(i) => format!("probabilities_{i}").into(),
            Self::Transform => "transformed".into(),
            _ => self.output(),
        }
    }
}

/// What a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// The samples that the estimator was made for: [`Facts::input`].
    Samples,
    /// `[rows, width]` numbers, whatever the samples are: the inverse of a transform.
    Matrix(usize),
    /// `[rows]` numbers, likewise.
    Vector,
}

/// The shape of an answer without its first dimension, which is one per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// `[rows]`.
    One,
    /// `[rows, columns]`.
    Columns(usize),
    /// `[rows, columns, layers]`.
    Layers(usize, usize),
    /// `[rows, columns]`, as many as were given, of an estimator that takes any number.
    AsTaken,
}

/// `None` is one value per row.
impl From<Option<usize>> for Gives {
    fn from(columns: Option<usize>) -> Self {
        columns.map_or(Self::One, Self::Columns)
    }
}

impl Gives {
    /// Values for each row; `None` when there are more than can be counted.
    pub(super) fn values(self) -> Option<usize> {
        match self {
            // No more than what was given, which is bounded.
            Self::One | Self::AsTaken => Some(1),
            Self::Columns(columns) => Some(columns),
            Self::Layers(columns, layers) => columns.checked_mul(layers),
        }
    }

    /// Columns of the answer, when it is a matrix.
    pub(super) fn columns(self) -> Option<usize> {
        if let Self::Columns(columns) = self { Some(columns) } else { None }
    }
}

/// What a method takes and gives, per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) method: Method,
    pub(super) takes: Takes,
    /// What its answer holds.
    pub(super) dtype: DType,
    pub(super) gives: Gives,
}

impl Spec {
    /// A method of the estimator's own samples.
    pub(super) fn new(method: Method, dtype: DType, gives: impl Into<Gives>) -> Self {
        Self { method, takes: Takes::Samples, dtype, gives: gives.into() }
    }

    /// `transform` into so many columns.
    pub(super) fn transform(columns: usize) -> Self {
        Self::new(Method::Transform, DType::Double, Gives::Columns(columns))
    }

    /// `inverse_transform` of so many columns into one JSON text a row.
    pub(super) fn inverse_into_json(takes: usize) -> Self {
        let takes = Takes::Matrix(takes);
        Self { takes, ..Self::new(Method::InverseTransform, DType::String, Gives::One) }
    }

    /// `inverse_transform` of so many columns into `columns`.
    pub(super) fn inverse_transform(takes: usize, columns: usize) -> Self {
        Self {
            takes: Takes::Matrix(takes),
            ..Self::new(Method::InverseTransform, DType::Double, Gives::Columns(columns))
        }
    }
}
