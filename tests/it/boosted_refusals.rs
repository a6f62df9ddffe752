//! Boosted models that are refused when they are loaded, and input that is when it is asked.

use longshore::servable::{Call, Servable};
use longshore::tensor::{Elements, Tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fuzz_corpus::drive;
use crate::sklearn_goldens::open;

/// A booster of two trees over two features, the first of which splits on categories too.
fn xgboost() -> Value {
    let tree = |left: &[i32], right: &[i32]| {
        let nodes = left.len();
        let mut tree = json!({
            "left_children": left, "right_children": right, "split_indices": vec![0; nodes],
            "split_conditions": vec![0.5; nodes], "default_left": vec![0; nodes],
            "sum_hessian": vec![1.0; nodes], "split_type": vec![0; nodes], "categories": [],
            "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
            "tree_param": {"num_nodes": nodes.to_string(), "size_leaf_vector": "1"},
        });
        if nodes > 3 {
            tree["split_type"][2] = json!(1);
            tree["categories"] = json!([1, 4]);
            tree["categories_nodes"] = json!([2]);
            tree["categories_segments"] = json!([0]);
            tree["categories_sizes"] = json!([2]);
        }
        tree
    };
    json!({
        "learner": {
            "attributes": {}, "feature_names": ["a", "b"],
            "gradient_booster": {
                "model": {
                    "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "2"},
                    "tree_info": [0, 0],
                    "trees": [tree(&[1, -1, 3, -1, -1], &[2, -1, 4, -1, -1]), tree(&[1, -1, -1], &[2, -1, -1])],
                },
                "name": "gbtree",
            },
            "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
            "objective": {"name": "reg:squarederror"},
        },
        "version": [2, 1, 0],
    })
}

/// Opens the model with one value replaced: a pointer, and what is put there.
fn with(pointer: &str, value: Value) -> Result<std::sync::Arc<dyn Servable>, String> {
    let mut model = xgboost();
    *model.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    let file = model.to_string().replace("\"NAN\"", "NaN").into_bytes();
    open("model.json", file).map_err(|error| error.to_string())
}

const TREES: &str = "/learner/gradient_booster/model/trees";

#[test]
fn what_is_no_xgboost_model_is_refused_with_its_place() {
    let model = with("/version", json!([1])).unwrap();
    let rows = Tensor::new([2, 2], Elements::from(vec![0.0, 0.0, f64::NAN, 1.0])).unwrap();
    let call = Call { signature: 0, inputs: vec![rows].into(), outputs: &[0] };
    assert_eq!(model.run(call).unwrap()[0].elements(), &Elements::from(vec![1.5f32, 1.5]));

    for (pointer, value, why) in [
        ("/0/left_children/0", json!(7), "trees[0] has child 7 at node 0, but only 5 nodes"),
        ("/0/left_children/0", json!(-2), "trees[0] has child -2 at node 0, but only 5 nodes"),
        ("/0/right_children/2", json!(0), "trees[0] reaches node 0 more than once, so it is no tree"),
        ("/0/right_children/2", json!(1), "trees[0] reaches node 1 more than once, so it is no tree"),
        ("/1/split_indices/0", json!(2), "trees[1] splits on feature 2 at node 0, but there are 2 features"),
        (
            "/1/split_indices/0",
            json!(-1),
            "trees[1] splits on feature -1 at node 0, but there are 2 features",
        ),
        ("/1/split_conditions/0", json!("NAN"), "trees[1] has a threshold of NaN at node 0"),
        ("/1/split_conditions/1", json!("NAN"), "trees[1] holds NaN at leaf 1"),
        ("/1/sum_hessian/1", json!(-1.0), "trees[1] has -1 as the weight of the data at node 1"),
        ("/1/default_left", json!([0]), "trees[1].default_left has 1 numbers for 3 nodes"),
        ("/1/split_type", json!([0]), "trees[1].split_type has 1 numbers for 3 nodes"),
        ("/1/left_children", json!([]), "trees[1].left_children is empty"),
        (
            "/0/categories_sizes/0",
            json!(3),
            "trees[0].categories_segments names 3 categories from 0 on, of 2",
        ),
        (
            "/0/categories_segments/0",
            json!(u64::MAX),
            "trees[0].categories_segments names 2 categories from 18446744073709551615 on, of 2",
        ),
        (
            "/0/categories_nodes/0",
            json!(1),
            "trees[0].categories_nodes names node 1, which is no split on categories",
        ),
        (
            "/0/split_type/0",
            json!(1),
            "trees[0].split_type has 2 splits on categories, but there are the categories of 1",
        ),
        (
            "/1/tree_param/size_leaf_vector",
            json!("2"),
            "trees[1].base_weights has 0 numbers for 3 nodes of 2",
        ),
    ] {
        let error = with(&format!("{TREES}{pointer}"), value).unwrap_err();
        assert_eq!(error, format!("memory:/m/1/model.json: {why}"));
    }
    for (pointer, value, why) in [
        ("gradient_booster/model/tree_info/1", json!(1), "tree_info names output 1 at 1, of 1"),
        (
            "gradient_booster/model/tree_info",
            json!([0]),
            "gradient_booster.model.tree_info has 1 numbers for 2 trees",
        ),
        (
            "gradient_booster/name",
            json!("gbx"),
            "gradient_booster.name is \"gbx\"; expected \"gbtree\", \"dart\" or \"gblinear\"",
        ),
        ("gradient_booster/name", json!("gblinear"), "gradient_booster is gblinear without its model"),
        (
            "learner_model_param/base_score",
            json!("x"),
            "base_score is \"x\"; expected a number, or a list of them",
        ),
        ("learner_model_param/base_score", json!("[1,2]"), "base_score has 2 numbers for 1 outputs"),
        ("learner_model_param/num_feature", json!("0"), "num_feature is 0; expected 1 to 4294967295"),
        (
            "learner_model_param/num_class",
            json!("1000000000000"),
            "num_class is 1000000000000, but the model has no more than 2 parts",
        ),
        (
            "objective/name",
            json!("mine"),
            "objective is \"mine\", which is none of XGBoost's that are known here",
        ),
        ("objective/name", json!("multi:softprob"), "num_class is 0, but the objective is multi:softprob"),
        ("feature_names", json!(["a"]), "feature_names has 1 names for 2 features"),
    ] {
        let error = with(&format!("/learner/{pointer}"), value).unwrap_err();
        assert_eq!(error, format!("memory:/m/1/model.json: {why}"));
    }
    for (file, why) in [
        (
            &b"binf\0\0"[..],
            "is no XGBoost model: it begins with \"binf\", the old binary format; save it again with save_model(\"model.json\")",
        ),
        (b"", "is no XGBoost model: it begins with \"\", and `{` is expected"),
        (b"{}", "learner is not there"),
        (b"{U\x07", "is no XGBoost model in UBJSON: expected 7 more bytes, found 0 at byte 3"),
    ] {
        let error = open("model.ubj", file.to_vec()).unwrap_err().to_string();
        assert_eq!(error, format!("memory:/m/1/model.ubj: {why}"));
    }
}

const LIGHTGBM: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\nobjective=regression\n\
    feature_names=a b\n\nTree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nthreshold=0.5 0\ndecision_type=2 1\n\
    left_child=-1 -2\nright_child=1 -3\nleaf_value=1 2 3\nleaf_count=3 4 5\ninternal_count=12 9\ncat_boundaries=0 1\n\
    cat_threshold=6\nis_linear=0\nshrinkage=1\n\n\nend of trees\n";

#[test]
fn what_is_no_lightgbm_model_is_refused_with_its_place() {
    let opened = |from: &str, to: &str| {
        assert!(LIGHTGBM.contains(from), "{from}");
        open("model.txt", LIGHTGBM.replacen(from, to, 1).into_bytes()).map_err(|error| error.to_string())
    };
    let model = opened("tree", "tree").unwrap();
    let rows = Tensor::new([3, 2], Elements::from(vec![0.0, 0.0, 1.0, 2.9, 1.0, f64::NAN])).unwrap();
    let call = Call { signature: 0, inputs: vec![rows].into(), outputs: &[0] };
    assert_eq!(model.run(call).unwrap()[0].elements(), &Elements::from(vec![1.0, 2.0, 3.0]));

    for (from, to, why) in [
        ("right_child=1 -3", "right_child=1 -4", "tree 0 has child -4 at split 1, but only 3 leaves"),
        ("right_child=1 -3", "right_child=1 -2", "tree 0 reaches node 3 more than once, so it is no tree"),
        ("right_child=1 -3", "right_child=1 0", "tree 0 reaches node 0 more than once, so it is no tree"),
        ("right_child=1 -3", "right_child=2 -3", "tree 0 has child 2 at split 0, but only 2 splits"),
        (
            "left_child=-1 -2",
            "left_child=-9223372036854775808 -2",
            "tree 0 has child -9223372036854775808 at split 0, but only 3 leaves",
        ),
        (
            "split_feature=0 1",
            "split_feature=0 2",
            "tree 0 splits on feature 2 at node 1, but there are 2 features",
        ),
        ("threshold=0.5 0", "threshold=nan 0", "tree 0 has a threshold of NaN at node 0"),
        ("threshold=0.5 0", "threshold=0.5 1", "tree 0 names categories 1 at split 1, of 1"),
        ("threshold=0.5 0", "threshold=0.5 nan", "tree 0 names categories NaN at split 1, of 1"),
        ("decision_type=2 1", "decision_type=14 1", "tree 0 has decision_type 14 at split 0"),
        ("cat_boundaries=0 1", "cat_boundaries=2 1", "tree 0 has cat_boundaries that fall"),
        ("cat_boundaries=0 1", "cat_boundaries=0 9", "tree 0 has 1 numbers in cat_threshold; expected 9"),
        ("leaf_value=1 2", "leaf_value=1 inf", "tree 0 holds inf at leaf 1"),
        ("leaf_count=3 4", "leaf_count=3 -4", "tree 0 has -4 as the weight of the data at node 3"),
        (
            "num_leaves=3",
            "num_leaves=18446744073709551615",
            "tree 0 has 3 numbers in leaf_value; expected 18446744073709551615",
        ),
        (
            "objective=regression",
            "objective=mine",
            "objective is \"mine\", which is none of LightGBM's that are known here",
        ),
        ("feature_names=a b", "feature_names=a", "feature_names has 1 names for 2 features"),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=0",
            "num_tree_per_iteration is 0, but there are 1 trees",
        ),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=2",
            "num_tree_per_iteration is 2, but there are 1 trees",
        ),
        (
            "is_linear=0",
            "is_linear=1\nleaf_const=0 0 0\nnum_features=0 1 0\nleaf_features=2\nleaf_coeff=1",
            "tree 0 has a linear function at leaf 1 of a column that is not there, or of what is no number",
        ),
        (
            "is_linear=0",
            "is_linear=1\nleaf_const=0 0 0\nnum_features=18446744073709551615 1 0\nleaf_features=\nleaf_coeff=",
            "tree 0 has too many num_features",
        ),
        ("end of trees", "", "the file ends after 1 trees without \"end of trees\""),
    ] {
        assert_eq!(opened(from, to).unwrap_err(), format!("memory:/m/1/model.txt: {why}"));
    }
}

#[test]
fn rows_that_do_not_fit_are_refused_in_the_librarys_words() {
    let refused = |model: &dyn Servable, values: Vec<f64>, shape: [usize; 2]| {
        let rows = Tensor::new(shape, values.into()).unwrap();
        let call = Call { signature: 0, inputs: vec![rows].into(), outputs: &[0] };
        model.run(call).unwrap_err().to_string()
    };
    let xgboost = with("/version", json!([1])).unwrap();
    assert_eq!(refused(&*xgboost, vec![0.0; 6], [2, 3]), "Feature shape mismatch, expected: 2, got 3");
    let infinite = "Input data contains `inf` or a value too large, while `missing` is not set to `inf`";
    assert_eq!(refused(&*xgboost, vec![0.0, 1e39], [1, 2]), infinite);
    let lightgbm = open("model.txt", LIGHTGBM.as_bytes().to_vec()).unwrap();
    assert_eq!(
        refused(&*lightgbm, vec![0.0; 3], [1, 3]),
        "The number of features in data (3) is not the same as it was in training data (2)."
    );
    for model in [&xgboost, &lightgbm] {
        let call =
            Call { signature: 0, inputs: vec![Tensor::vector(vec![1.0, 2.0].into())].into(), outputs: &[0] };
        let error = model.run(call).unwrap_err().to_string();
        assert!(
            error.starts_with("Expected 2D array, got 1D array instead: input `inputs` has shape [2]."),
            "{error}"
        );
    }
}

/// A file, and what opens and asks it.
type Seed = (fn(&[u8]), &'static [u8]);

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged file is refused, or answers something; it never panics, at load or later.
    #[test]
    fn a_damaged_model_is_refused_or_answers(
        seed in any::<prop::sample::Index>(),
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let seeds: [Seed; 5] = [
            (drive::xgboost, include_bytes!("../../fuzz/corpus/xgboost/categories_1-3.4.1.ubj")),
            (drive::xgboost, include_bytes!("../../fuzz/corpus/xgboost/multi_output_tree-3.4.1.json")),
            (drive::xgboost, include_bytes!("../../fuzz/corpus/xgboost/linear-3.4.1.ubj")),
            (drive::lightgbm, include_bytes!("../../fuzz/corpus/lightgbm/categories-4.7.0.txt")),
            (drive::lightgbm, include_bytes!("../../fuzz/corpus/lightgbm/linear_tree-4.7.0.txt")),
        ];
        let (drive, file) = seeds[seed.index(seeds.len())];
        let mut file = file.to_vec();
        for (at, byte, digit) in wounds {
            // In texts another digit damages more than a letter does.
            let at = at.index(file.len());
            file[at] = if digit { b'0' + byte % 10 } else { byte };
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        drive(&file);
    }
}
