//! Python callables and classes of a user's own, where an answer would need them: refused at
//! load, with the attribute and the place that hold them. `tests/golden/sklearn/callables.py`
//! makes the files.

use crate::sklearn_goldens::{from_base64, golden_file, open};

#[test]
fn what_would_have_to_be_called_is_refused_by_name_and_place() {
    let golden = golden_file("callables.json");
    let mut wrong = Vec::new();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let error = open("model.pkl", from_base64(case["file"].as_str().unwrap())).err();
        let error = error.map_or_else(|| "(loaded)".to_owned(), |error| error.to_string());
        let said = error.strip_prefix("memory:/m/1/model.pkl: ").unwrap_or(&error);
        let want = REFUSALS.iter().find(|(known, _)| *known == name).map_or("", |(_, message)| *message);
        if said != want {
            wrong.push(format!("    ({name:?}, {said:?}),"));
        }
    }
    assert!(wrong.is_empty(), "said otherwise:\n{}", wrong.join("\n"));
    assert_eq!(cases.len(), REFUSALS.len());
}

const REFUSALS: &[(&str, &str)] = &[
    (
        "SVC.kernel",
        "SVC: attribute kernel is the name __main__.own_gram; expected one of linear, poly, rbf, sigmoid, precomputed; functions are not called",
    ),
    (
        "SVR.kernel",
        "SVR: attribute kernel is the name __main__.own_gram; expected one of linear, poly, rbf, sigmoid, precomputed; functions are not called",
    ),
    (
        "OneClassSVM.kernel",
        "OneClassSVM: attribute kernel is the name __main__.own_gram; expected one of linear, poly, rbf, sigmoid, precomputed; functions are not called",
    ),
    (
        "KernelRidge.kernel",
        "KernelRidge: attribute kernel is the name __main__.own_kernel; expected one of linear, rbf, poly, polynomial, sigmoid, laplacian, cosine, chi2, additive_chi2, precomputed; functions are not called",
    ),
    ("KernelPCA.kernel", "KernelPCA: attribute kernel is the name __main__.own_kernel; expected text"),
    ("Nystroem.kernel", "Nystroem: attribute kernel is the name __main__.own_kernel; expected text"),
    (
        "LabelPropagation.kernel",
        "LabelPropagation: attribute kernel is the name __main__.own_graph; expected one of rbf, knn; functions are not called",
    ),
    (
        "GaussianProcessRegressor.kernel_",
        "GaussianProcessRegressor: attribute kernel_ is __main__.OwnKernel object; expected a kernel of scikit-learn's: one of ConstantKernel, DotProduct, ExpSineSquared, Exponentiation, Matern, PairwiseKernel, Product, RBF, RationalQuadratic, Sum, WhiteKernel",
    ),
    (
        "GaussianProcessClassifier.kernel_",
        "_BinaryGaussianProcessClassifierLaplace at base_estimator_: attribute kernel_ is __main__.OwnKernel object; expected a kernel of scikit-learn's: one of ConstantKernel, DotProduct, ExpSineSquared, Exponentiation, Matern, PairwiseKernel, Product, RBF, RationalQuadratic, Sum, WhiteKernel",
    ),
    (
        "PairwiseKernel.metric",
        "PairwiseKernel at kernel_: attribute metric is the name __main__.own_pair; expected one of linear, rbf, poly, polynomial, sigmoid, laplacian, cosine, chi2, additive_chi2; functions are not called",
    ),
    (
        "KNeighborsClassifier.metric",
        "KNeighborsClassifier: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    (
        "KNeighborsClassifier.weights",
        "KNeighborsClassifier: attribute weights is the name __main__.own_weights; expected one of uniform, distance; functions are not called",
    ),
    (
        "KNeighborsRegressor.metric",
        "KNeighborsRegressor: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    (
        "RadiusNeighborsClassifier.weights",
        "RadiusNeighborsClassifier: attribute weights is the name __main__.own_weights; expected one of uniform, distance; functions are not called",
    ),
    (
        "NearestNeighbors.metric",
        "NearestNeighbors: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    (
        "KNeighborsTransformer.metric",
        "KNeighborsTransformer: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    (
        "LocalOutlierFactor.metric",
        "LocalOutlierFactor: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    ("KernelDensity.metric", "KernelDensity: attribute metric is 'pyfunc', a metric that is not served"),
    (
        "KNNImputer.metric",
        "KNNImputer: attribute metric is the name __main__.own_metric; expected one of nan_euclidean; functions are not called",
    ),
    (
        "KNNImputer.weights",
        "KNNImputer: attribute weights is the name __main__.own_weights; expected one of uniform, distance; functions are not called",
    ),
    (
        "Isomap.metric",
        "NearestNeighbors at nbrs_: attribute effective_metric_ is the name __main__.own_metric; expected the name of a metric; functions are not called",
    ),
    (
        "CountVectorizer.analyzer",
        "CountVectorizer: attribute analyzer is the name __main__.own_words; expected one of word, char, char_wb; functions are not called",
    ),
    (
        "CountVectorizer.tokenizer",
        "CountVectorizer: attribute tokenizer is the name __main__.own_words; expected None; functions are not called",
    ),
    (
        "CountVectorizer.preprocessor",
        "CountVectorizer: attribute preprocessor is the name __main__.own_letters; expected None; functions are not called",
    ),
    (
        "CountVectorizer.strip_accents",
        "CountVectorizer: attribute strip_accents is the name __main__.own_letters; expected one of ascii, unicode; functions are not called",
    ),
    (
        "a type's method",
        "byte 216 of the zlib-compressed pickle: the pickle calls builtins.getattr, which no model needs: it was refused, and nothing in it was executed; do not load this file in Python",
    ),
    (
        "TfidfVectorizer.tokenizer",
        "TfidfVectorizer: attribute tokenizer is the name __main__.own_words; expected None; functions are not called",
    ),
    (
        "HashingVectorizer.analyzer",
        "HashingVectorizer: attribute analyzer is the name __main__.own_words; expected one of word, char, char_wb; functions are not called",
    ),
    (
        "FeatureAgglomeration.pooling_func",
        "FeatureAgglomeration: attribute pooling_func is the name __main__.own_mean; expected numpy's mean, median, max, min or sum; other functions are not called",
    ),
    (
        "FunctionTransformer.func",
        "FunctionTransformer: attribute func is the name __main__.own_function; expected None or one of numpy's functions of one number; others are not called",
    ),
    (
        "FunctionTransformer.inverse_func",
        "FunctionTransformer: attribute inverse_func is the name __main__.own_function; expected None or one of numpy's functions of one number; others are not called",
    ),
    (
        "FunctionTransformer.func within columns",
        "FunctionTransformer at transformers_[0] ('f'): attribute func is the name __main__.own_function; expected None or one of numpy's functions of one number; others are not called",
    ),
    (
        "SelectFromModel.importance_getter",
        "SelectFromModel: attribute importance_getter is the name __main__.own_importances; expected one of auto, coef_, feature_importances_; functions are not called",
    ),
    (
        "TransformedTargetRegressor.inverse_func",
        "FunctionTransformer at transformer_: attribute inverse_func is the name __main__.own_function; expected None or one of numpy's functions of one number; others are not called",
    ),
    (
        "a class within a pipeline",
        "class __main__.OwnScaler at steps[0] ('ownscaler') is not supported; the nearest supported class is sklearn.preprocessing.MinMaxScaler",
    ),
    (
        "a class within a union",
        "class __main__.OwnScaler at transformer_list[0] ('own') is not supported; the nearest supported class is sklearn.preprocessing.MinMaxScaler",
    ),
    (
        "a class within columns",
        "class __main__.OwnScaler at transformers_[0] ('own') is not supported; the nearest supported class is sklearn.preprocessing.MinMaxScaler",
    ),
    (
        "a class within a vote",
        "class __main__.OwnClassifier at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class within a stack",
        "class __main__.OwnClassifier at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class at the end of a stack",
        "class __main__.OwnClassifier at final_estimator_ is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class within bags",
        "class __main__.OwnClassifier at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class within one against the rest",
        "class __main__.OwnClassifier at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class within one against one",
        "class __main__.OwnClassifier at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class that is calibrated",
        "class __main__.OwnClassifier at calibrated_classifiers_[0].estimator is not supported; the nearest supported class is sklearn.linear_model.SGDClassifier",
    ),
    (
        "a class of several outputs",
        "class __main__.OwnRegressor at estimators_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDRegressor",
    ),
    (
        "a class within an imputer",
        "class __main__.OwnRegressor at imputation_sequence_[0] is not supported; the nearest supported class is sklearn.linear_model.SGDRegressor",
    ),
    (
        "a class within a consensus",
        "class __main__.OwnRegressor at estimator_ is not supported; the nearest supported class is sklearn.linear_model.SGDRegressor",
    ),
    (
        "a class that boosting starts from",
        "class __main__.OwnRegressor at init_ is not supported; the nearest supported class is sklearn.linear_model.SGDRegressor",
    ),
];
