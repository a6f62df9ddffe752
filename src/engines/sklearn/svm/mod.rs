//! Support vector machines that libsvm has fitted: weighted kernels of the support vectors.

mod classifier;
mod machine;
mod single;

use super::registry::Row;

const SVM: &str = "sklearn.svm";
const CLASSES: &[&str] = &["_classes", "classes"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(SVM, "NuSVC", CLASSES, classifier::build),
    Row::new(SVM, "NuSVR", CLASSES, single::build_regressor),
    Row::new(SVM, "OneClassSVM", CLASSES, single::build_one_class),
    Row::new(SVM, "SVC", CLASSES, classifier::build),
    Row::new(SVM, "SVR", CLASSES, single::build_regressor),
];
