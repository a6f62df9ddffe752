//! The table of supported classes: one row each.

use super::state::Part;
use super::{Estimator, ModelError};

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
    pub(super) const fn new(
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

/// Every class that is served, by the room that builds it.
static FAMILIES: &[&[Row]] = &[
    super::adaboost::ROWS,
    super::boosters::ROWS,
    super::boosting::ROWS,
    super::calibration::ROWS,
    super::cluster::ROWS,
    super::compose::ROWS,
    super::decomposition::ROWS,
    super::discriminant::ROWS,
    super::dummy::ROWS,
    super::embedding::ROWS,
    super::encoding::ROWS,
    super::forest::ROWS,
    super::gaussian_process::ROWS,
    super::hist::ROWS,
    super::imputing::ROWS,
    super::isolation::ROWS,
    super::isotonic::ROWS,
    super::kernel_machines::ROWS,
    super::linear::ROWS,
    super::mixture::ROWS,
    super::multiclass::ROWS,
    super::multioutput::ROWS,
    super::naive_bayes::ROWS,
    super::neighbors::ROWS,
    super::neural_network::ROWS,
    super::pipeline::ROWS,
    super::preprocessing::ROWS,
    super::selection::ROWS,
    super::svm::ROWS,
    super::text::ROWS,
    super::tree::ROWS,
];

/// Every class that is served.
fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().copied().flatten()
}

/// The row of this class, if it comes from a module that scikit-learn has, or
/// once had, it in.
pub(super) fn find(module: &str, class: &str) -> Option<&'static Row> {
    rows().find(|row| row.class == class && row.lives_in(module))
}

/// What kinds of estimators there are, by the endings of their names.
const KINDS: [&[&str]; 3] = [
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
    let family = |name: &str| KINDS.iter().position(|ends| ends.iter().any(|end| name.ends_with(end)));
    let wanted = family(class);
    let score = |row: &'static Row| {
        let akin = wanted.is_some() && family(row.class) == wanted;
        let edits = edits(&letters, &row.class.chars().collect::<Vec<_>>());
        let alike = akin || 2 * edits <= letters.len();
        // Other libraries' classes are near to what is theirs.
        let near = module.starts_with(row.package);
        let foreign = !near && !row.package.starts_with("sklearn");
        alike.then_some(((!akin, foreign, edits, !near), row))
    };
    rows().filter_map(score).min_by_key(|(score, _)| *score).map(|(_, row)| row)
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
        let names: std::collections::BTreeSet<String> = rows().map(Row::canonical).collect();
        assert_eq!(names.len(), rows().count());
    }

    #[test]
    fn the_nearest_class_is_of_the_same_kind() {
        for (class, like) in [
            ("LinearRegressor", Some("LinearRegression")),
            ("RandomForestsClassifier", Some("RandomForestClassifier")),
            ("FancyPipeline", Some("Pipeline")),
            ("OwnClassifier", Some("SGDClassifier")),
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
