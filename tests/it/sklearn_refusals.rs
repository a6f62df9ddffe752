//! What the sklearn engine does not take: files that must not load, inputs that do not fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore::servable::{RunError, Servable};
use longshore::tensor::Tensor;

use crate::sklearn_goldens::{ask, case, doubles, from_base64, golden_file, open};

#[track_caller]
fn refuses(model: &dyn Servable, signature: &str, inputs: Vec<Tensor>, message: &str) {
    let error = ask(model, signature, inputs, &[0]).unwrap_err();
    let RunError::InvalidInput(said) = &error else { panic!("{error:?}") };
    assert!(said.starts_with(message), "{said:?} is not {message:?}");
}

#[test]
fn wrong_inputs_are_refused_in_scikit_learns_words() {
    let line = case("1.9.1", "LinearRegression").open();
    let pipe = case("1.9.1", "Pipeline of scaler and regression").open();
    let scaler = case("1.9.1", "StandardScaler").open();
    let ransac = case("1.9.1", "RANSACRegressor").open();
    let one = |values: [f64; 3]| vec![doubles(1, 3, values.to_vec())];

    let narrow = || vec![doubles(1, 2, vec![1.0, 2.0])];
    for (model, class) in [
        (&line, "LinearRegression"),
        (&pipe, "StandardScaler"),
        (&scaler, "StandardScaler"),
        (&ransac, "RANSACRegressor"),
    ] {
        refuses(
            &**model,
            "",
            narrow(),
            &format!("X has 2 features, but {class} is expecting 3 features as input."),
        );
    }
    refuses(&*scaler, "inverse_transform", narrow(), "X has 2 features, but StandardScaler is expecting 3");

    let nan =
        "Input X contains NaN.\nLinearRegression does not accept missing values encoded as NaN natively. For";
    let infinity = "Input X contains infinity or a value too large for dtype('float64').";
    for model in [&line, &pipe, &ransac] {
        refuses(
            &**model,
            "",
            one([1.0, f64::NAN, f64::INFINITY]),
            match Arc::ptr_eq(model, &pipe) {
                // The scaler lets NaN through, but not infinity, and comes first.
                true => infinity,
                false => nan,
            },
        );
        refuses(&**model, "", one([1.0, f64::NAN, 0.0]), nan);
        refuses(&**model, "", one([f64::NEG_INFINITY, 0.0, 0.0]), infinity);
    }
    assert!(ask(&*scaler, "", one([1.0, f64::NAN, 0.0]), &[0]).is_ok());
    refuses(&*scaler, "", one([f64::INFINITY, 0.0, 0.0]), infinity);

    // Trees compare in single precision, and are given what that holds.
    let tree = case("1.2.2", "DecisionTreeRegressor").open();
    refuses(&*tree, "apply", narrow(), "X has 2 features, but DecisionTreeRegressor is expecting 3 features");
    let large = "Input X contains infinity or a value too large for dtype('float32').";
    for value in [1e39, -3.402_823_6e38, f64::INFINITY] {
        refuses(&*tree, "", one([value, 0.0, 0.0]), large);
    }
    assert!(ask(&*tree, "", one([3.402_823_4e38, 0.0, 0.0]), &[0]).is_ok());
    refuses(
        &*tree,
        "",
        one([f64::NAN, 0.0, 0.0]),
        "Input X contains NaN.\nDecisionTreeRegressor does not accept",
    );
    let young = case("1.9.1", "DecisionTreeRegressor").open();
    assert!(ask(&*young, "", one([f64::NAN, 0.0, 0.0]), &[0]).is_ok());
    refuses(&*young, "", one([f64::NAN, 1e39, 0.0]), large);

    let vector = Tensor::vector(vec![1.0, 2.0, 3.0].into());
    refuses(
        &*line,
        "",
        vec![vector],
        "Expected 2D array, got 1D array instead: input `inputs` has shape [3]. Reshape",
    );
    let scalar = Tensor::new(longshore::tensor::Shape::scalar(), vec![1.0].into()).unwrap();
    refuses(&*line, "", vec![scalar], "Expected 2D array, got scalar array instead: ");
    let cube = Tensor::new([1, 1, 3], vec![1.0, 2.0, 3.0].into()).unwrap();
    refuses(
        &*line,
        "",
        vec![cube],
        "Found array with dim 3, while dim <= 2 is required: input `inputs` has shape [1,1,3]",
    );
    let text = Tensor::new([1, 1], vec![bytes::Bytes::from_static(b"1")].into()).unwrap();
    refuses(&*line, "", vec![text], "input `inputs` is string; expected real numbers");

    let frame = case("1.9.1", "LinearRegression on a frame").open();
    let column = |values: &[f64]| Tensor::vector(values.to_vec().into());
    let uneven = vec![column(&[1.0, 2.0]), column(&[1.0]), column(&[1.0, 2.0])];
    refuses(&*frame, "columns", uneven, "column `beta two` has 1 rows, but column `alpha` has 2");
    let standing = vec![column(&[1.0]), doubles(1, 1, vec![1.0]), column(&[1.0])];
    refuses(
        &*frame,
        "columns",
        standing,
        "column `beta two` has shape [1,1]; [-1] is expected, one value per row",
    );
}

#[test]
fn what_must_not_load_is_refused_by_name_and_place() {
    let golden = golden_file("refused.json");
    let mut said: BTreeMap<&str, String> = BTreeMap::new();
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let error = open("model.pkl", from_base64(case["file"].as_str().unwrap())).err();
        let error = error.unwrap_or_else(|| panic!("{name} was loaded")).to_string();
        let message =
            error.strip_prefix("memory:/m/1/model.pkl: ").unwrap_or_else(|| panic!("{name}: {error}"));
        said.insert(name, message.to_owned());
    }
    let bomb = said.remove("bomb").unwrap();
    let mut wrong = Vec::new();
    for (name, message) in REFUSALS {
        let got = said.remove(name).unwrap_or_else(|| panic!("no case {name}"));
        if got != *message {
            wrong.push(format!("{name}:\n  said {got:?}\n  want {message:?}"));
        }
    }
    wrong.extend(
        said.iter().map(|(name, got)| format!("no message is expected of {name}, which said {got:?}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It is refused for its number, not for what it is; at which place is of no interest.
    assert!(
        bomb.ends_with(
            "is one too many: at most 200000 estimators are built, each counted wherever it stands"
        )
    );
}

const REFUSALS: &[(&str, &str)] = &[
    ("own class", "class __main__.OwnModel is not supported"),
    ("own class in a pipeline", "class __main__.OwnModel at steps[1] ('s1') is not supported"),
    (
        "own class in a pipeline in a pipeline",
        "class __main__.OwnModel at steps[1] ('s1').steps[1] ('s1') is not supported",
    ),
    (
        "a class",
        "the file holds the name sklearn.linear_model._base.LinearRegression, which is no fitted estimator",
    ),
    ("a dict", "the file holds dict of 1, which is no fitted estimator"),
    ("a number", "the file holds float 3.5, which is no fitted estimator"),
    ("an array", "the file holds array of dtype <f8 and shape (3,), which is no fitted estimator"),
    (
        "classes are complex",
        "LogisticRegression: attribute classes_ is array of dtype <c16 and shape (3,); expected labels that are integers, floats, booleans or text",
    ),
    ("classes are few", "LogisticRegression: attribute coef_ has 3 rows, which do not fit 2 classes"),
    ("classes are gone", "LogisticRegression is not fitted yet: it has no attribute classes_"),
    (
        "classes are mixed",
        "LogisticRegression: attribute classes_ mixes kinds of labels; expected all integers, all floats, all booleans or all text",
    ),
    ("coef has nan", "LinearRegression: attribute coef_ holds NaN at element 1"),
    (
        "coef has three dimensions",
        "LinearRegression: attribute coef_ has shape (1, 1, 3); expected one coefficient per feature, in one row or one row per output",
    ),
    (
        "coef is a function",
        "LinearRegression: attribute coef_ is the name builtins.len; expected an array of numbers",
    ),
    (
        "coef is complex",
        "LinearRegression: attribute coef_ is no array of numbers: expected numbers, found an array of dtype <c16 and shape (3,)",
    ),
    (
        "coef is empty",
        "LinearRegression: attribute coef_ has shape (0,); expected one coefficient per feature, in one row or one row per output",
    ),
    (
        "coef is of objects",
        "LinearRegression: attribute coef_ is no array of numbers: expected numbers, found an array of dtype |O and shape (3,)",
    ),
    ("coef is short", "LinearRegression: attribute n_features_in_ is 3, but coef_ is made for 2 features"),
    ("coef is text", "LinearRegression: attribute coef_ is str '1, 2, 3'; expected an array of numbers"),
    (
        "cyclic",
        "StandardScaler at steps[1] ('again').steps[1] ('again').steps[1] ('again').ste…gain').steps[1] ('again').steps[1] ('again').steps[0] ('s0') lies deeper than 32 estimators within each other; does one contain itself?",
    ),
    (
        "cyclic ransac",
        "RANSACRegressor at estimator_.estimator_.estimator_.estimator_.estimator_.estim…ator_.estimator_.estimator_.estimator_.estimator_.estimator_ lies deeper than 32 estimators within each other; does one contain itself?",
    ),
    (
        "deep",
        "Pipeline at steps[0] ('s0').steps[0] ('s0').steps[0] ('s0').steps[0] ('s…ps[0] ('s0').steps[0] ('s0').steps[0] ('s0').steps[0] ('s0') lies deeper than 32 estimators within each other; does one contain itself?",
    ),
    (
        "feature_range is one number",
        "MinMaxScaler: attribute feature_range is int 3; expected a lower and a higher number",
    ),
    ("intercept is gone", "LinearRegression is not fitted yet: it has no attribute intercept_"),
    ("intercept is infinite", "LinearRegression: attribute intercept_ holds inf at element 0"),
    (
        "intercept is long",
        "LinearRegression: attribute intercept_ has shape (2,); expected one number, or one for each of 1 outputs",
    ),
    ("intercept is none", "LinearRegression: attribute intercept_ is None; expected an array of numbers"),
    ("last step cannot answer", "steps[1] ('s1') is list of 2, which is no fitted estimator"),
    (
        "link is unknown",
        "TweedieRegressor: attribute _base_loss is the name builtins.len; expected a link or loss of scikit-learn's Tweedie family",
    ),
    ("loss is a function", "SGDClassifier: attribute loss is the name builtins.len; expected text"),
    ("loss is unknown", "SGDClassifier: attribute loss is 'mine', which is no loss of scikit-learn's"),
    ("mean is none", "StandardScaler: attribute mean_ is None; expected an array of numbers"),
    (
        "multi_class is unknown",
        "LogisticRegression: attribute multi_class is 'other'; expected 'auto', 'ovr' or 'multinomial'",
    ),
    (
        "n_features_in_ is negative",
        "LinearRegression: attribute n_features_in_ is int -3; expected a number of features",
    ),
    (
        "n_features_in_ is text",
        "LinearRegression: attribute n_features_in_ is str 'three'; expected a number of features",
    ),
    ("names are few", "LinearRegression: attribute feature_names_in_ has 1 names for 3 features"),
    (
        "names are numbers",
        "LinearRegression: attribute feature_names_in_ is no array of text: expected strings, found an array of dtype <i8 and shape (3,)",
    ),
    (
        "offset is long",
        "SGDOneClassSVM: attribute offset_ has shape (2,); expected one number, or one for each of 1 outputs",
    ),
    ("overridden method", "LinearRegression: attribute predict replaces the method of its class"),
    ("scale is gone", "StandardScaler is not fitted yet: it has no attribute scale_"),
    ("scale is short", "StandardScaler: attribute scale_ has 2 numbers, but mean_ has 3"),
    (
        "step cannot transform",
        "Pipeline: attribute steps has a LinearRegression at [0], which has no transform",
    ),
    ("step is text", "steps[0] ('s0') is str 'pass', which is no fitted estimator"),
    (
        "steps are empty",
        "Pipeline: attribute steps is list of 0; expected a list of at least one (name, estimator)",
    ),
    (
        "steps are no pairs",
        "Pipeline: attribute steps has sklearn.preprocessing._data.StandardScaler object at [0]; expected a (name, estimator)",
    ),
    (
        "steps are only passthrough",
        "Pipeline: attribute steps has only steps that pass their input through; expected an estimator",
    ),
    (
        "steps is a number",
        "Pipeline: attribute steps is int 3; expected a list of at least one (name, estimator)",
    ),
    (
        "forest has a classifier",
        "RandomForestRegressor: attribute estimators_ has DecisionTreeClassifier at [0]; expected DecisionTreeRegressor or ExtraTreeRegressor",
    ),
    (
        "forest has a narrow tree",
        "Tree at estimators_[1].tree_: attribute __args__ are for 2 features and [1] classes; expected 3 features and [1] classes",
    ),
    (
        "forest has a stranger",
        "RandomForestRegressor: attribute estimators_ has LinearRegression at [1]; expected DecisionTreeRegressor or ExtraTreeRegressor",
    ),
    (
        "forest has a tree of two",
        "Tree at estimators_[1].tree_: attribute __args__ are for 3 features and [1, 1] classes; expected 3 features and [1] classes",
    ),
    (
        "forest has an unfitted tree",
        "DecisionTreeRegressor at estimators_[1] is not fitted yet: it has no attribute tree_",
    ),
    (
        "forest has no trees",
        "RandomForestRegressor: attribute estimators_ is list of 0; expected a list of at least one tree",
    ),
    (
        "forest is a number",
        "RandomForestRegressor: attribute estimators_ is int 7; expected a list of at least one tree",
    ),
    ("forest is not fitted", "RandomForestRegressor is not fitted yet: it has no attribute estimators_"),
    (
        "tree classes are negative",
        "Tree at tree_: attribute __args__ are not a number of features, the classes of each output and their number",
    ),
    ("tree classes lie", "Tree at tree_: attribute values has shape (7, 1, 3); expected (7, 1, 2)"),
    (
        "tree features are none",
        "Tree at tree_: attribute __args__ are not a number of features, the classes of each output and their number",
    ),
    (
        "tree features are others",
        "DecisionTreeClassifier: attribute n_features_in_ is 3, but tree_ is made for 4 features",
    ),
    (
        "tree has a child below zero",
        "Tree at tree_: attribute nodes has child -2 at node 0, but only 7 nodes",
    ),
    ("tree has a child too high", "Tree at tree_: attribute nodes has child 7 at node 0, but only 7 nodes"),
    (
        "tree has a feature below zero",
        "Tree at tree_: attribute nodes splits on feature -2 at node 0, but there are 3 features",
    ),
    (
        "tree has a feature too high",
        "Tree at tree_: attribute nodes splits on feature 3 at node 1, but there are 3 features",
    ),
    ("tree has a leaf of infinity", "Tree at tree_: attribute values holds inf at leaf 2"),
    ("tree has a leaf of nan", "Tree at tree_: attribute values holds NaN at leaf 2"),
    ("tree has a threshold of nan", "Tree at tree_: attribute nodes has a threshold of NaN at node 0"),
    (
        "tree has fewer labels",
        "DecisionTreeClassifier: attribute classes_ has 2 labels, but the trees have 3 classes",
    ),
    (
        "tree has one leaf twice",
        "Tree at tree_: attribute nodes reaches node 2 more than once, so it is no tree",
    ),
    ("tree is a cycle", "Tree at tree_: attribute nodes reaches node 0 more than once, so it is no tree"),
    ("tree is a number", "DecisionTreeClassifier: attribute tree_ is int 3; expected a Tree"),
    (
        "tree is its own child",
        "Tree at tree_: attribute nodes reaches node 0 more than once, so it is no tree",
    ),
    ("tree is not fitted", "DecisionTreeClassifier is not fitted yet: it has no attribute tree_"),
    ("tree nodes are none", "Tree at tree_: attribute nodes has no nodes"),
    (
        "tree nodes are numbers",
        "Tree at tree_: attribute nodes has no field left_child: it is array of dtype <f8 and shape (7,)",
    ),
    (
        "tree nodes are text",
        "Tree at tree_: attribute nodes has a wrong field feature: expected integers, found an array of dtype <U2 and shape (7,)",
    ),
    (
        "tree nodes lack a field",
        "Tree at tree_: attribute nodes has no field feature: it is array of dtype |V16 (left_child, right_child) and shape (7,)",
    ),
    (
        "tree of numbers has classes",
        "DecisionTreeRegressor: attribute tree_ has 3 classes, but predicts numbers",
    ),
    ("tree outputs are many", "Tree at tree_: attribute values has shape (7, 1, 3); expected (7, 2, 3)"),
    (
        "tree outputs are none",
        "Tree at tree_: attribute __args__ are not a number of features, the classes of each output and their number",
    ),
    (
        "tree outputs lie",
        "Tree at tree_: attribute __args__ are not a number of features, the classes of each output and their number",
    ),
    ("tree values are few", "Tree at tree_: attribute values has shape (6, 1, 3); expected (7, 1, 3)"),
    ("tree values are many", "Tree at tree_: attribute values has shape (7, 2, 3); expected (7, 1, 3)"),
    ("tree values are narrow", "Tree at tree_: attribute values has shape (7, 1, 2); expected (7, 1, 3)"),
    ("tree values are text", "Tree at tree_: attribute values is str 'values'; expected an array of numbers"),
    (
        "boosting has a function for a loss",
        "GradientBoostingRegressor: attribute loss is the name builtins.len; expected text",
    ),
    (
        "boosting has a list of trees",
        "GradientBoostingRegressor: attribute estimators_ is list of 2; expected an array of trees, 1 for each stage",
    ),
    (
        "boosting has a strange loss",
        "GradientBoostingRegressor: attribute loss is 'mine', which is no loss of scikit-learn's",
    ),
    (
        "boosting has an infinite rate",
        "GradientBoostingRegressor: attribute learning_rate is float inf; expected a number",
    ),
    ("boosting has no rate", "GradientBoostingRegressor: attribute learning_rate is None; expected a number"),
    (
        "boosting has one class",
        "GradientBoostingClassifier: attribute classes_ has 1 labels, which one tree for each stage does not tell apart",
    ),
    (
        "boosting has too few classes",
        "GradientBoostingClassifier: attribute estimators_ is array of dtype |O and shape (2, 3); expected an array of trees, 1 for each stage",
    ),
    (
        "boosting has trees of two",
        "GradientBoostingRegressor: attribute estimators_ has trees of several outputs; expected one",
    ),
    (
        "boosting is not fitted",
        "GradientBoostingRegressor is not fitted yet: it has no attribute estimators_",
    ),
    (
        "boosting starts from a guess",
        "DummyClassifier at init_: attribute strategy is 'stratified'; expected 'prior'",
    ),
    (
        "boosting starts from a scaler",
        "GradientBoostingRegressor: attribute init_ is a StandardScaler; expected one that gives one number for 3 features",
    ),
    ("boosting starts from text", "init_ is str 'one', which is no fitted estimator"),
    (
        "boosting starts from two classes",
        "DummyClassifier at init_: attribute class_prior_ has 2 numbers for 3 classes",
    ),
    (
        "boosting starts from two features",
        "GradientBoostingRegressor: attribute init_ is a LinearRegression; expected one that gives one number for 3 features",
    ),
    (
        "boosting starts from two numbers",
        "DummyRegressor at init_: attribute constant_ has several numbers; expected one",
    ),
    (
        "hist has a child too high",
        "TreePredictor at _predictors[0][0]: attribute nodes has child 4294967295 at node 0, but only 5 nodes",
    ),
    (
        "hist has a feature too high",
        "TreePredictor at _predictors[0][0]: attribute nodes splits on feature 3 at node 0, but there are 3 features",
    ),
    (
        "hist has a large category",
        "_BinMapper at _bin_mapper: attribute bin_thresholds_ holds category 256; expected 0 to 255",
    ),
    ("hist has a leaf of nan", "TreePredictor at _predictors[0][0]: attribute nodes holds NaN at leaf 4"),
    (
        "hist has a number for trees",
        "HistGradientBoostingRegressor: attribute _predictors is int 5; expected a list of the trees of each stage",
    ),
    (
        "hist has a strange loss",
        "HistGradientBoostingRegressor: attribute loss is 'mine', which is no loss of scikit-learn's",
    ),
    (
        "hist has a stranger for a tree",
        "HistGradientBoostingRegressor: attribute _predictors is sklearn.tree._classes.DecisionTreeRegressor object; expected a TreePredictor",
    ),
    (
        "hist has a threshold of nan",
        "TreePredictor at _predictors[0][0]: attribute nodes has a threshold of NaN at node 0",
    ),
    (
        "hist has categories too high",
        "TreePredictor at _predictors[0][0]: attribute nodes names categories 9 at node 0, of 0",
    ),
    (
        "hist has few encoded columns",
        "OrdinalEncoder at _preprocessor.transformers_[0]: attribute categories_ is list of 0; expected a list of 1 arrays",
    ),
    ("hist has few flags", "_BinMapper at _bin_mapper: attribute is_categorical_ has 1 flags for 3 features"),
    (
        "hist has few flags of its own",
        "HistGradientBoostingRegressor: attribute is_categorical_ has 2 flags for 3 features",
    ),
    (
        "hist has few thresholds",
        "_BinMapper at _bin_mapper: attribute bin_thresholds_ is list of 1; expected a list of 3 arrays",
    ),
    (
        "hist has many categories",
        "OrdinalEncoder at _preprocessor.transformers_[0]: attribute categories_ has 300 categories; expected at most 256",
    ),
    (
        "hist has narrow sets",
        "TreePredictor at _predictors[0][0]: attribute raw_left_cat_bitsets is array of dtype <u4 and shape (1, 7); expected 8 words for each split",
    ),
    (
        "hist has no features",
        "HistGradientBoostingRegressor: attribute _n_features is int 0; expected a number of features",
    ),
    ("hist has no nodes", "TreePredictor at _predictors[0][0]: attribute nodes is None; expected an array"),
    (
        "hist has signed sets",
        "TreePredictor at _predictors[0][0]: attribute raw_left_cat_bitsets holds more than 32 bits in a word",
    ),
    (
        "hist has two trees a stage",
        "HistGradientBoostingRegressor: attribute _predictors has list of 2 at [0]; expected 1 trees",
    ),
    (
        "hist is a cycle",
        "TreePredictor at _predictors[0][0]: attribute nodes reaches node 0 more than once, so it is no tree",
    ),
    (
        "hist is not fitted",
        "HistGradientBoostingRegressor is not fitted yet: it has no attribute _predictors",
    ),
    (
        "hist starts from nan",
        "HistGradientBoostingRegressor: attribute _baseline_prediction holds NaN at element 0",
    ),
    (
        "hist starts from two",
        "HistGradientBoostingRegressor: attribute _baseline_prediction has 2 numbers; expected 1",
    ),
    (
        "isolation has nodes without samples",
        "IsolationForest: attribute estimators_ has DecisionTreeRegressor at [0]; expected ExtraTreeRegressor",
    ),
    ("isolation has two offsets", "IsolationForest: attribute offset_ has 2 numbers; expected one"),
    ("isolation is not fitted", "IsolationForest is not fitted yet: it has no attribute estimators_"),
    (
        "isolation is of no samples",
        "IsolationForest: attribute max_samples_ is int 0; expected a number of samples",
    ),
    (
        "isolation names columns below zero",
        "IsolationForest: attribute estimators_features_ holds the index -1",
    ),
    (
        "isolation names columns of fewer trees",
        "IsolationForest: attribute estimators_features_ is list of 1; expected a list of the columns of 2 trees",
    ),
    (
        "isolation names columns too high",
        "IsolationForest: attribute estimators_features_ names [0, 3] of 3 features for a tree of 2",
    ),
    (
        "isolation names few columns",
        "IsolationForest: attribute estimators_features_ names [0] of 3 features for a tree of 2",
    ),
    (
        "adaboost has a scaler",
        "AdaBoostClassifier: attribute estimators_ has a StandardScaler at [0]; expected one with predict of 3 features that gives one value of int64",
    ),
    (
        "adaboost has a strange algorithm",
        "AdaBoostClassifier: attribute algorithm is 'mine'; expected 'SAMME' or 'SAMME.R'",
    ),
    (
        "adaboost has estimators of other widths",
        "AdaBoostClassifier: attribute estimators_ has a LogisticRegression at [1]; expected one with predict of 3 features that gives one value of int64",
    ),
    (
        "adaboost has few weights",
        "AdaBoostClassifier: attribute estimator_weights_ has 1 numbers for 2 estimators",
    ),
    (
        "adaboost has no estimators",
        "AdaBoostClassifier: attribute estimators_ is list of 0; expected a list of at least one estimator",
    ),
    ("adaboost has one class", "AdaBoostClassifier: attribute classes_ has 1 labels; expected at least 2"),
    (
        "adaboost has other classes",
        "AdaBoostClassifier: attribute estimators_ has a LogisticRegression at [0]; expected one with predict of 3 features that gives one value of double",
    ),
    (
        "adaboost has weights of nan",
        "AdaBoostClassifier: attribute estimator_weights_ holds NaN at element 0",
    ),
    ("adaboost is not fitted", "AdaBoostClassifier is not fitted yet: it has no attribute estimators_"),
    ("unfitted", "LinearRegression is not fitted yet: it has no attribute coef_"),
    (
        "unfitted in a pipeline",
        "StandardScaler at steps[0] ('s0') is not fitted yet: it has no attribute scale_",
    ),
    ("unfitted ransac", "RANSACRegressor is not fitted yet: it has no attribute estimator_"),
    (
        "widths differ",
        "Pipeline: attribute steps has a LinearRegression at [1] that takes 2 features and is given 3",
    ),
    (
        "bag names columns too high",
        "BaggingRegressor: attribute estimators_features_ names 3 columns up to 3 at [0], of 3 features, for a LinearRegression of 3",
    ),
    (
        "chain has a wide estimator",
        "RegressorChain: attribute estimators_ has a LinearRegression of 3 features at [1]; expected one that gives one number for 3 features and what 1 others said",
    ),
    ("chain has no order", "RegressorChain: attribute order_ is no order of 2 outputs"),
    ("code book is narrow", "OutputCodeClassifier: attribute code_book_ has 1 columns; expected 4"),
    (
        "columns are few",
        "ColumnTransformer: attribute transformers_ has a StandardScaler at [0] that takes 3 features and is given 1",
    ),
    (
        "columns are too high",
        "ColumnTransformer: attribute _transformer_to_input_indices names the columns of 's' by list of 2; expected names, places, a slice or a mask of 3 columns",
    ),
    (
        "columns go to a regressor",
        "ColumnTransformer: attribute transformers_ has a LinearRegression, which has no transform",
    ),
    (
        "columns have unknown names",
        "ColumnTransformer: attribute transformers_ names the columns of 's' by list of 1; expected names, places, a slice or a mask of 3 columns",
    ),
    (
        "columns have weights of text",
        "ColumnTransformer: attribute transformer_weights is str 'heavy'; expected a number for each name",
    ),
    (
        "dummy answers at random",
        "DummyClassifier: attribute strategy is 'stratified', which answers at random; expected most_frequent, prior or constant",
    ),
    ("elimination keeps others", "RFE: attribute estimator_ takes 2 features; support_ keeps 3"),
    (
        "function has arguments",
        "FunctionTransformer: attribute kw_args holds arguments of a function; expected none",
    ),
    (
        "function is Python's",
        "FunctionTransformer: attribute func is the name numpy.nan_to_num; expected None or one of numpy's functions of one number; others are not called",
    ),
    (
        "hist has categories of lists",
        "OrdinalEncoder at _preprocessor.transformers_[0]: attribute categories_ is no array of numbers: expected numbers, found an array of dtype |O and shape (2,)",
    ),
    (
        "isotonic falls back",
        "IsotonicRegression: attribute X_thresholds_ has 3 points and y_thresholds_ 3; expected as many, rising",
    ),
    (
        "one-vs-one has few",
        "OneVsOneClassifier: attribute estimators_ has a LogisticRegression at [0], which does not tell two classes apart",
    ),
    (
        "search is not refitted",
        "GridSearchCV: attribute refit is False, so that no estimator was fitted on all data; expected True",
    ),
    ("stack ends narrow", "StackingRegressor: attribute final_estimator_ takes 3 features and is given 1"),
    ("stack has few methods", "StackingRegressor: attribute stack_method_ has 0 methods for 1 estimators"),
    (
        "union of different widths",
        "FeatureUnion: attribute transformer_list has a StandardScaler of 2 features and a StandardScaler of 3, or they take different samples",
    ),
    (
        "vote has few weights",
        "VotingRegressor: attribute weights is list of 2; expected a number for each of 1 estimators, not 0 in all",
    ),
    ("with_mean is text", "StandardScaler: attribute with_mean is str 'yes'; expected True or False"),
];

#[test]
fn other_platforms_are_known_by_name() {
    for (file, message) in [
        ("model.tflite", "memory:/m/1/model.tflite: platform tflite is not served by this build yet"),
        (
            "saved_model.pb",
            "memory:/m/1/saved_model.pb: it is not a SavedModel: failed to decode Protobuf message: invalid tag value: 0",
        ),
        (
            "model.skops",
            "memory:/m/1/model.skops: the zip archive is none: the file begins otherwise; expected what skops.io.dump writes",
        ),
    ] {
        assert_eq!(open(file, vec![0]).unwrap_err().to_string(), message);
    }
    let nothing = open("weights.bin", vec![]).unwrap_err().to_string();
    assert!(
        nothing.starts_with("memory:/m/1: no model file: the folder holds weights.bin; expected one of "),
        "{nothing}"
    );
    let broken = open("model.pkl", b"not a pickle".to_vec()).unwrap_err().to_string();
    assert!(broken.starts_with("memory:/m/1/model.pkl: "), "{broken}");
}
