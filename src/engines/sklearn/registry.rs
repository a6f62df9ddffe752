//! The table of supported classes: one row each.

use super::linear::{classifier, glm, one_class, ransac, regression};
use super::state::Part;
use super::{
    Estimator, ModelError, adaboost, boosting, forest, hist, isolation, pipeline, preprocessing, tree,
};

/// Reads one estimator's attributes; refuses what it does not understand.
pub(super) type Builder = fn(&Part<'_>) -> Result<Box<dyn Estimator>, ModelError>;

/// One supported class.
pub(super) struct Row {
    /// The public package that it is imported from: `sklearn.linear_model`.
    package: &'static str,
    /// Its name.
    pub(super) class: &'static str,
    /// The modules below the package that it has lived in, the present one first.
    modules: &'static [&'static str],
    /// How it is built.
    pub(super) build: Builder,
}

impl Row {
    const fn new(
        package: &'static str,
        class: &'static str,
        modules: &'static [&'static str],
        build: Builder,
    ) -> Self {
        Self { package, class, modules, build }
    }

    /// The name that users import: `sklearn.linear_model.Ridge`.
    pub(super) fn canonical(&self) -> String {
        format!("{}.{}", self.package, self.class)
    }

    fn lives_in(&self, module: &str) -> bool {
        match module.strip_prefix(self.package) {
            Some("") => true,
            Some(below) => below.strip_prefix('.').is_some_and(|below| self.modules.contains(&below)),
            None => false,
        }
    }
}

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
const SCALERS: &[&str] = &["_data", "data"];
const TREE: &[&str] = &["_classes", "tree"];
const FOREST: &[&str] = &["_forest", "forest"];
const ADABOOST: &[&str] = &["_weight_boosting", "weight_boosting"];
const BOOSTING: &[&str] = &["_gb", "gradient_boosting"];
const HIST: &[&str] = &["_hist_gradient_boosting.gradient_boosting"];
const ENSEMBLE: &str = "sklearn.ensemble";

/// Every class that is served.
pub(super) static TABLE: &[Row] = &[
    Row::new(LINEAR, "ARDRegression", BAYES, regression::build),
    Row::new(LINEAR, "BayesianRidge", BAYES, regression::build),
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
    Row::new("sklearn.preprocessing", "MinMaxScaler", SCALERS, preprocessing::build_min_max),
    Row::new("sklearn.preprocessing", "StandardScaler", SCALERS, preprocessing::build_standard),
    Row::new("sklearn.pipeline", "Pipeline", &[], pipeline::build),
    Row::new("sklearn.tree", "DecisionTreeClassifier", TREE, tree::build_classifier),
    Row::new("sklearn.tree", "DecisionTreeRegressor", TREE, tree::build_regressor),
    Row::new("sklearn.tree", "ExtraTreeClassifier", TREE, tree::build_classifier),
    Row::new("sklearn.tree", "ExtraTreeRegressor", TREE, tree::build_regressor),
    Row::new(ENSEMBLE, "AdaBoostClassifier", ADABOOST, adaboost::build_classifier),
    Row::new(ENSEMBLE, "AdaBoostRegressor", ADABOOST, adaboost::build_regressor),
    Row::new(ENSEMBLE, "ExtraTreesClassifier", FOREST, forest::build_classifier),
    Row::new(ENSEMBLE, "ExtraTreesRegressor", FOREST, forest::build_regressor),
    Row::new(ENSEMBLE, "GradientBoostingClassifier", BOOSTING, boosting::build_classifier),
    Row::new(ENSEMBLE, "GradientBoostingRegressor", BOOSTING, boosting::build_regressor),
    Row::new(ENSEMBLE, "HistGradientBoostingClassifier", HIST, hist::build_classifier),
    Row::new(ENSEMBLE, "HistGradientBoostingRegressor", HIST, hist::build_regressor),
    Row::new(ENSEMBLE, "IsolationForest", &["_iforest", "iforest"], isolation::build),
    Row::new(ENSEMBLE, "RandomForestClassifier", FOREST, forest::build_classifier),
    Row::new(ENSEMBLE, "RandomForestRegressor", FOREST, forest::build_regressor),
];

/// The row of this class, if it comes from a module that scikit-learn has, or
/// once had, it in.
pub(super) fn find(module: &str, class: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.class == class && row.lives_in(module))
}

/// What kinds of estimators there are, by the endings of their names.
const FAMILIES: [&[&str]; 3] = [
    &["Classifier", "ClassifierCV", "SVC", "NB", "DiscriminantAnalysis"],
    &["Regressor", "RegressorCV", "Regression", "SVR"],
    &[
        "Scaler",
        "Transformer",
        "Encoder",
        "Imputer",
        "Normalizer",
        "Binarizer",
        "Vectorizer",
        "PCA",
        "Features",
    ],
];

/// The row that comes closest to a class that is not in the table: by its name,
/// with its family and its package to choose among the like. `None` when nothing
/// is like it.
pub(super) fn nearest(module: &str, class: &str) -> Option<&'static Row> {
    // A class's name has a few dozen letters; of a longer one no more are looked at.
    let letters: Vec<char> = class.chars().take(64).collect();
    let family = |name: &str| FAMILIES.iter().position(|ends| ends.iter().any(|end| name.ends_with(end)));
    let wanted = family(class);
    let score = |row: &'static Row| {
        let akin = wanted.is_some() && family(row.class) == wanted;
        let edits = edits(&letters, &row.class.chars().collect::<Vec<_>>());
        let alike = akin || 2 * edits <= letters.len();
        alike.then_some(((!akin, edits, !module.starts_with(row.package)), row))
    };
    TABLE.iter().filter_map(score).min_by_key(|(score, _)| *score).map(|(_, row)| row)
}

/// Levenshtein's distance.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in (1..).zip(a) {
        let mut diagonal = std::mem::replace(&mut row[0], i);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_where_any_version_had_it_and_nowhere_else() {
        for module in ["sklearn.linear_model", "sklearn.linear_model._ridge", "sklearn.linear_model.ridge"] {
            assert_eq!(
                find(module, "Ridge").map(Row::canonical).as_deref(),
                Some("sklearn.linear_model.Ridge")
            );
        }
        assert!(find("sklearn.pipeline", "Pipeline").is_some());
        for (module, class) in [
            ("sklearn.linear_model._ridge", "Lasso"),
            ("sklearn.linear_model_ridge", "Ridge"),
            ("sklearn.linear_model.", "Ridge"),
            ("cuml.linear_model", "Ridge"),
            ("__main__", "Ridge"),
            ("imblearn.pipeline", "Pipeline"),
        ] {
            assert!(find(module, class).is_none(), "{module}.{class}");
        }
    }

    #[test]
    fn no_two_rows_are_of_one_class() {
        let names: std::collections::BTreeSet<String> = TABLE.iter().map(Row::canonical).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_nearest_class_is_of_the_same_kind() {
        for (class, like) in [
            ("LinearRegressor", Some("LinearRegression")),
            ("MLPClassifier", Some("SGDClassifier")),
            ("RandomForestsClassifier", Some("RandomForestClassifier")),
            ("SVC", Some("LinearSVC")),
            ("RobustScaler", Some("MinMaxScaler")),
            ("FunctionTransformer", Some("MinMaxScaler")),
            ("FancyPipeline", Some("Pipeline")),
            ("Rigde", Some("Ridge")),
            ("OwnModel", None),
            ("", None),
        ] {
            assert_eq!(nearest("sklearn.somewhere", class).map(|row| row.class), like, "{class}");
        }
    }

    #[test]
    fn edits_are_counted() {
        let count = |a: &str, b: &str| edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("same", "same"), 0);
    }
}
