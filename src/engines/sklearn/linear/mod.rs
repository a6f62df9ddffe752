//! Linear models: a weighted sum of the features, and what each makes of it.

pub(super) mod bayesian;
pub(super) mod classifier;
pub(super) mod glm;
pub(super) mod one_class;
pub(super) mod ransac;
pub(super) mod regression;

use super::ModelError;
use super::attributes::is_sparse;
use super::math::Affine;
use super::registry::Row;
use super::state::{Numbers, Part};

const LINEAR: &str = "sklearn.linear_model";
const BASE: &[&str] = &["_base", "base"];
const BAYES: &[&str] = &["_bayes", "bayes"];
const DESCENT: &[&str] = &["_coordinate_descent", "coordinate_descent"];
const GLM: &[&str] = &["_glm.glm", "_glm"];
const LARS: &[&str] = &["_least_angle", "least_angle"];
const LOGISTIC: &[&str] = &["_logistic", "logistic"];
const OMP: &[&str] = &["_omp", "omp"];
const PASSIVE: &[&str] = &["_passive_aggressive", "passive_aggressive"];
const RIDGE: &[&str] = &["_ridge", "ridge"];
const SGD: &[&str] = &["_stochastic_gradient", "stochastic_gradient"];
const SVM: &[&str] = &["_classes", "classes"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(LINEAR, "ARDRegression", BAYES, bayesian::build),
    Row::new(LINEAR, "BayesianRidge", BAYES, bayesian::build),
    Row::new(LINEAR, "ElasticNet", DESCENT, regression::build),
    Row::new(LINEAR, "ElasticNetCV", DESCENT, regression::build),
    Row::new(LINEAR, "GammaRegressor", GLM, glm::build_log),
    Row::new(LINEAR, "HuberRegressor", &["_huber", "huber"], regression::build),
    Row::new(LINEAR, "Lars", LARS, regression::build),
    Row::new(LINEAR, "LarsCV", LARS, regression::build),
    Row::new(LINEAR, "Lasso", DESCENT, regression::build),
    Row::new(LINEAR, "LassoCV", DESCENT, regression::build),
    Row::new(LINEAR, "LassoLars", LARS, regression::build),
    Row::new(LINEAR, "LassoLarsCV", LARS, regression::build),
    Row::new(LINEAR, "LassoLarsIC", LARS, regression::build),
    Row::new(LINEAR, "LinearRegression", BASE, regression::build),
    Row::new(LINEAR, "LogisticRegression", LOGISTIC, classifier::build_logistic),
    Row::new(LINEAR, "LogisticRegressionCV", LOGISTIC, classifier::build_logistic),
    Row::new(LINEAR, "MultiTaskElasticNet", DESCENT, regression::build),
    Row::new(LINEAR, "MultiTaskElasticNetCV", DESCENT, regression::build),
    Row::new(LINEAR, "MultiTaskLasso", DESCENT, regression::build),
    Row::new(LINEAR, "MultiTaskLassoCV", DESCENT, regression::build),
    Row::new(LINEAR, "OrthogonalMatchingPursuit", OMP, regression::build),
    Row::new(LINEAR, "OrthogonalMatchingPursuitCV", OMP, regression::build),
    Row::new(LINEAR, "PassiveAggressiveClassifier", PASSIVE, classifier::build_plain),
    Row::new(LINEAR, "PassiveAggressiveRegressor", PASSIVE, regression::build),
    Row::new(LINEAR, "Perceptron", &["_perceptron", "perceptron"], classifier::build_plain),
    Row::new(LINEAR, "PoissonRegressor", GLM, glm::build_log),
    Row::new(LINEAR, "QuantileRegressor", &["_quantile"], regression::build),
    Row::new(LINEAR, "RANSACRegressor", &["_ransac", "ransac"], ransac::build),
    Row::new(LINEAR, "Ridge", RIDGE, regression::build),
    Row::new(LINEAR, "RidgeCV", RIDGE, regression::build),
    Row::new(LINEAR, "RidgeClassifier", RIDGE, classifier::build_ridge),
    Row::new(LINEAR, "RidgeClassifierCV", RIDGE, classifier::build_ridge),
    Row::new(LINEAR, "SGDClassifier", SGD, classifier::build_sgd),
    Row::new(LINEAR, "SGDOneClassSVM", SGD, one_class::build),
    Row::new(LINEAR, "SGDRegressor", SGD, regression::build),
    Row::new(LINEAR, "TheilSenRegressor", &["_theil_sen", "theil_sen"], regression::build),
    Row::new(LINEAR, "TweedieRegressor", GLM, glm::build_tweedie),
    Row::new("sklearn.svm", "LinearSVC", SVM, classifier::build_plain),
    Row::new("sklearn.svm", "LinearSVR", SVM, regression::build),
];

/// `coef_` and `intercept_`, found to fit each other and `n_features_in_`.
struct Fitted {
    affine: Affine,
    n_features: usize,
    /// Whether `coef_` has a row per output, rather than being one row itself.
    has_rows: bool,
}

/// Reads `coef_` (`[n_features]` or `[n_outputs, n_features]`) and the intercept,
/// which is one number for all outputs or one per output.
fn read(part: &Part<'_>) -> Result<Fitted, ModelError> {
    let Numbers { values: coef, mut shape } = part.finite_numbers("coef_")?;
    // A regressor of one target that was sparsified has a row of them; its answers are the same.
    if part.attr("coef_").is_some_and(is_sparse)
        && part.class.ends_with("Regressor")
        && shape.first() == Some(&1)
    {
        shape.remove(0);
    }
    let (outputs, n_features, has_rows) = match shape[..] {
        [features] => (1, features, false),
        [outputs, features] => (outputs, features, true),
        _ => (0, 0, false),
    };
    if outputs == 0 || n_features == 0 {
        let shown = Numbers { values: coef, shape }.shown_shape();
        return Err(part.refuse(
            "coef_",
            format!(
                "has shape {shown}; expected one coefficient per feature, in one row or one row per output"
            ),
        ));
    }
    let intercept = part.one_or_each("intercept_", outputs)?;
    let n_features = part.n_features(n_features, "coef_")?;
    Ok(Fitted { affine: Affine::new(coef, intercept, n_features), n_features, has_rows })
}
