use half::f16;

use super::super::made::{Made, Said, floats};
use super::*;
use crate::tensor::Elements;

const F: DataType = DataType::Float;

fn ran(graph: &Graph, inputs: Vec<Tensor>, outputs: &[usize]) -> Vec<Tensor> {
    let values = graph.run(inputs, outputs).unwrap();
    let tensor = |value| match value {
        Value::Tensor(tensor) => tensor,
        other => panic!("expected a tensor, found {other:?}"),
    };
    values.into_iter().map(tensor).collect()
}

fn close(found: &Tensor, dims: &[usize], expected: &[f32]) {
    let Elements::F32(values) = found.elements() else { panic!("found {found:?}") };
    assert_eq!(&found.shape()[..], dims);
    for (found, expected) in values.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{values:?}, expected {expected}"
        );
    }
}

/// relu(x · w + b), and its sum along each row.
fn mlp(rows: &str) -> Made {
    Made::new(17)
        .input("x", F, &[rows, "2"])
        .constant("w", &floats([2, 3], [1.0, -1.0, 0.5, 2.0, 1.0, -2.0]))
        .constant("b", &floats([3], [0.0, 1.0, 0.25]))
        .node("Gemm", &["x", "w", "b"], &["h"], &[])
        .node("Relu", &["h"], &["y"], &[])
        .node("ReduceSum", &["y"], &["s"], &[("keepdims", Said::Int(0))])
        .node("Shape", &["x"], &["size"], &[])
        .output("y", F, &[rows, "3"])
        .output("s", F, &[])
        .output("size", DataType::Int64, &["2"])
}

#[test]
fn any_number_of_rows_is_taken_whatever_the_dimension_is_called() {
    for rows in ["N", "?", "batch_size + 1"] {
        let graph = open(&mlp(rows).model()).unwrap();
        for n in [1usize, 2, 5] {
            let x: Vec<f32> = (0..n).flat_map(|i| [i as f32, 1.0]).collect();
            let found = ran(&graph, vec![Tensor::new([n, 2], x.into()).unwrap()], &[2, 0]);
            let expected: Vec<f32> = (0..n)
                .flat_map(|i| [i as f32 + 2.0, (2.0 - i as f32).max(0.0), 0.0f32.max(i as f32 * 0.5 - 1.75)])
                .collect();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].elements(), &vec![n as i64, 2].into());
            close(&found[1], &[n, 3], &expected);
        }
    }
}

#[test]
fn a_convolution_with_pooling_and_batch_normalisation_gives_what_is_computed_by_hand() {
    let model = Made::new(13)
        .input("x", F, &["N", "1", "4", "4"])
        .constant("w", &floats([1, 1, 3, 3], [1.0; 9]))
        .constant("scale", &floats([1], [2.0]))
        .constant("bias", &floats([1], [1.0]))
        .constant("mean", &floats([1], [5.0]))
        .constant("var", &floats([1], [4.0]))
        .node(
            "Conv",
            &["x", "w"],
            &["c"],
            &[("pads", Said::Ints(&[1, 1, 1, 1])), ("kernel_shape", Said::Ints(&[3, 3]))],
        )
        .node(
            "BatchNormalization",
            &["c", "scale", "bias", "mean", "var"],
            &["n"],
            &[("epsilon", Said::Float(0.0))],
        )
        .node(
            "MaxPool",
            &["n"],
            &["p"],
            &[("kernel_shape", Said::Ints(&[2, 2])), ("strides", Said::Ints(&[2, 2]))],
        )
        .node("GlobalAveragePool", &["p"], &["y"], &[])
        .output("p", F, &["N", "1", "2", "2"])
        .output("y", F, &["N", "1", "1", "1"])
        .model();
    let graph = open(&model).unwrap();
    // Sums of 3 x 3 windows of ones are 4 in the corners, 6 at the edges, 9 within.
    let found = ran(&graph, vec![floats([2, 1, 4, 4], [1.0; 32])], &[0, 1]);
    close(&found[0], &[2, 1, 2, 2], &[5.0; 8]);
    close(&found[1], &[2, 1, 1, 1], &[5.0; 2]);
}

#[test]
fn attention_of_any_batch_and_length_is_what_its_formula_says() {
    let model = Made::new(17)
        .input("x", F, &["batch", "length", "2"])
        .constant("perm", &floats([2, 2], [0.0, 1.0, 1.0, 0.0]))
        .node("MatMul", &["x", "perm"], &["q"], &[])
        .node("Transpose", &["x"], &["k"], &[("perm", Said::Ints(&[0, 2, 1]))])
        .node("MatMul", &["q", "k"], &["scores"], &[])
        .node("Softmax", &["scores"], &["weights"], &[("axis", Said::Int(-1))])
        .node("MatMul", &["weights", "x"], &["y"], &[])
        .output("y", F, &["batch", "length", "2"])
        .model();
    let graph = open(&model).unwrap();
    for (batch, length) in [(1usize, 1usize), (2, 3), (1, 7)] {
        let x: Vec<f32> = (0..batch * length * 2).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect();
        let mut expected = Vec::new();
        for rows in x.chunks(length * 2) {
            let row = |i: usize| &rows[i * 2..i * 2 + 2];
            for i in 0..length {
                let scores: Vec<f32> =
                    (0..length).map(|j| (row(i)[1] * row(j)[0] + row(i)[0] * row(j)[1]).exp()).collect();
                let sum: f32 = scores.iter().sum();
                expected
                    .extend((0..2).map(|d| (0..length).map(|j| scores[j] / sum * row(j)[d]).sum::<f32>()));
            }
        }
        let x = Tensor::new([batch, length, 2], x.into()).unwrap();
        close(&ran(&graph, vec![x], &[0])[0], &[batch, length, 2], &expected);
    }
}

#[test]
fn other_dtypes_go_there_and_back() {
    let same = |kind: DataType, op: &str| {
        Made::new(17).input("x", kind, &["N"]).node(op, &["x"], &["y"], &[]).output("y", kind, &["N"]).model()
    };
    let half = [1.5f32, -2.0].map(f16::from_f32);
    let found = ran(
        &open(&same(DataType::Float16, "Neg")).unwrap(),
        vec![Tensor::vector(half.to_vec().into())],
        &[0],
    );
    assert_eq!(found[0].elements(), &half.map(|x| -x).to_vec().into());
    let found =
        ran(&open(&same(DataType::Int32, "Abs")).unwrap(), vec![Tensor::vector(vec![-3i32, 4].into())], &[0]);
    assert_eq!(found[0].elements(), &vec![3i32, 4].into());
    let found = ran(
        &open(&same(DataType::Bool, "Not")).unwrap(),
        vec![Tensor::vector(vec![true, false].into())],
        &[0],
    );
    assert_eq!(found[0].elements(), &vec![false, true].into());
    let words: Elements = vec![bytes::Bytes::from_static("käse".as_bytes()), bytes::Bytes::new()].into();
    let graph = open(&same(DataType::String, "Identity")).unwrap();
    assert_eq!(ran(&graph, vec![Tensor::vector(words.clone())], &[0])[0].elements(), &words);
    let wrong = Tensor::vector(vec![bytes::Bytes::from_static(&[0xff])].into());
    assert_eq!(
        graph.run(vec![wrong], &[0]),
        Err(RunError::InvalidInput("input x: expected UTF-8 text".to_owned()))
    );
    let refused = open(&same(DataType::Bfloat16, "Neg")).unwrap_err();
    assert_eq!(refused, r#"input "x" is BFLOAT16, which tract has not"#);
}

#[test]
fn unsigned_constants_are_read_where_onnx_puts_them() {
    let model = Made::new(17)
        .constant("a", &Tensor::vector(vec![7u32, u32::MAX].into()))
        .input("x", DataType::Uint32, &["2"])
        .node("Max", &["x", "a"], &["y"], &[])
        .output("y", DataType::Uint32, &["2"])
        .model();
    let found = ran(&open(&model).unwrap(), vec![Tensor::vector(vec![9u32, 1].into())], &[0]);
    assert_eq!(found[0].elements(), &vec![9u32, u32::MAX].into());
}

#[test]
fn the_greatest_of_infinities_is_one() {
    let model = Made::new(17)
        .input("x", F, &["N", "2"])
        .node("ReduceMax", &["x"], &["most"], &[("axes", Said::Ints(&[1])), ("keepdims", Said::Int(0))])
        .node("ReduceMin", &["x"], &["least"], &[("axes", Said::Ints(&[1])), ("keepdims", Said::Int(0))])
        .output("most", F, &["N"])
        .output("least", F, &["N"])
        .model();
    let (inf, none) = (f32::INFINITY, f32::NEG_INFINITY);
    let found = ran(&open(&model).unwrap(), vec![floats([3, 2], [none, none, inf, inf, 1.0, none])], &[0, 1]);
    assert_eq!(found[0].elements(), &vec![none, inf, 1.0].into());
    assert_eq!(found[1].elements(), &vec![none, inf, none].into());
}

#[test]
fn what_tract_has_wrong_or_has_not_is_refused_with_its_place() {
    let one = |op: &str, attributes: &[(&str, Said<'_>)]| {
        open(
            &Made::new(17)
                .input("x", F, &["N", "2"])
                .node(op, &["x"], &["y"], attributes)
                .output("y", F, &["N", "2"])
                .model(),
        )
        .unwrap_err()
    };
    assert_eq!(one("Identify", &[]), r#"node "y" (Identify): tract has no such operator"#);
    assert_eq!(
        one("com.example/Relu", &[]),
        r#"node "y" (Relu) is of domain "com.example"; tract is given ONNX's own"#
    );
    assert_eq!(
        one("LSTM", &[("direction", Said::Text("reverse"))]),
        r#"node "y" (LSTM): tract's LSTM is not ONNX's: attribute direction = reverse: it is not read"#
    );
    assert_eq!(
        one("GRU", &[("activations", Said::Texts(&["Relu"]))]),
        r#"node "y" (GRU): tract's GRU is not ONNX's: attribute activations: it is not read"#
    );
    let old = Made::new(6).input("x", F, &["2"]).node("Relu", &["x"], &["y"], &[]).output("y", F, &["2"]);
    assert_eq!(
        open(&old.model()).unwrap_err(),
        "opset 6 is older than tract's operators; expected 7 or later"
    );
    let open_rank =
        Made::new(17).input_of_any_shape("x", F).node("Relu", &["x"], &["y"], &[]).output("y", F, &["2"]);
    assert_eq!(
        open(&open_rank.model()).unwrap_err(),
        r#"input "x" has no rank in the file; tract needs one"#
    );
    let other = Made::new(17).input("x", F, &["2"]).node("Relu", &["x"], &["y"], &[]).output(
        "y",
        DataType::Double,
        &["2"],
    );
    assert_eq!(open(&other.model()).unwrap_err(), r#"output "y" is F32 in it; the file says double"#);
}

#[test]
fn damaged_graphs_are_errors_and_not_panics() {
    let nobody = Made::new(17).input("x", F, &["2"]).node("Relu", &["x"], &["y"], &[]).output("z", F, &["2"]);
    let error = open(&nobody.model()).unwrap_err();
    assert!(error.starts_with("tract gave up: "), "{error}");
    let cycle = Made::new(17)
        .input("x", F, &["2"])
        .node("Add", &["x", "b"], &["a"], &[])
        .node("Add", &["x", "a"], &["b"], &[])
        .output("b", F, &["2"]);
    open(&cycle.model()).unwrap_err();
    let sizes = Made::new(17)
        .input("x", F, &["2"])
        .constant("w", &floats([3, 3], [0.0; 9]))
        .node("MatMul", &["x", "w"], &["y"], &[])
        .output("y", F, &["3"]);
    let error = open(&sizes.model()).unwrap_err();
    assert!(error.contains("MatMul") && error.len() < 600, "{error}");
}

#[test]
fn no_small_file_makes_a_large_tensor() {
    let model = Made::new(17)
        .input("x", F, &["1"])
        .constant("size", &Tensor::vector(vec![1i64 << 20, 1 << 20].into()))
        .node("ConstantOfShape", &["size"], &["zeros"], &[])
        .node("Add", &["x", "zeros"], &["y"], &[])
        .output("y", F, &["a", "b"])
        .model();
    let error = open(&model).unwrap_err();
    assert!(error.contains("at most"), "{error}");
}

#[test]
fn what_the_graph_cannot_take_is_the_callers_doing() {
    let model = Made::new(17)
        .input("at", DataType::Int64, &["N"])
        .constant("table", &floats([3], [1.0, 2.0, 3.0]))
        .node("Gather", &["table", "at"], &["y"], &[])
        .output("y", F, &["N"])
        .model();
    let graph = open(&model).unwrap();
    let at = |places: Vec<i64>| Tensor::vector(places.into());
    close(&ran(&graph, vec![at(vec![2, -3])], &[0])[0], &[2], &[3.0, 1.0]);
    let Err(RunError::InvalidInput(text)) = graph.run(vec![at(vec![0, 3])], &[0]) else {
        panic!("expected an error of the caller");
    };
    assert!(
        text.starts_with("the graph cannot take these inputs (at): tract gave up: index out of"),
        "{text}"
    );
    let matrix = Tensor::new([1, 1], vec![0i64].into()).unwrap();
    let Err(RunError::InvalidInput(text)) = graph.run(vec![matrix], &[0]) else {
        panic!("expected an error of the caller");
    };
    assert!(text.starts_with("input at: the graph cannot take shape [1,1]: "), "{text}");
}

#[test]
fn requests_run_at_once_on_one_plan() {
    let graph = open(&mlp("N").model()).unwrap();
    std::thread::scope(|scope| {
        for n in 1..5usize {
            let graph = &graph;
            scope.spawn(move || {
                for _ in 0..50 {
                    let found =
                        ran(graph, vec![Tensor::new([n, 2], vec![1.0f32; n * 2].into()).unwrap()], &[1]);
                    close(&found[0], &[], &[n as f32 * 4.0]);
                }
            });
        }
    });
}
