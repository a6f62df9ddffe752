use proptest::prelude::*;

use super::super::super::backend::{Backend as _, Value};
use super::super::super::made::{Made, Said, floats};
use crate::proto::onnx::tensor_proto::DataType;
use crate::tensor::{Elements, Shape, Tensor};

const F: DataType = DataType::Float;

/// One node on these inputs; the first of its outputs that are named.
fn run_all(
    opset: i64,
    op: &str,
    inputs: &[Option<&Tensor>],
    outputs: usize,
    attributes: &[(&str, Said<'_>)],
) -> Result<Vec<Tensor>, String> {
    let names: Vec<String> = (0..inputs.len()).map(|at| format!("in{at}")).collect();
    let given: Vec<&str> =
        names.iter().zip(inputs).map(|(name, input)| if input.is_some() { name } else { "" }).collect();
    let made: Vec<String> = (0..outputs).map(|at| format!("out{at}")).collect();
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    let mut model = Made::new(opset);
    for (name, _) in names.iter().zip(inputs).filter(|(_, input)| input.is_some()) {
        model = model.input_of_any_shape(name, F);
    }
    model = model.node(op, &given, &made, attributes);
    for name in &made {
        model = model.output(name, F, &[]);
    }
    let graph = super::super::open(&model.model())?;
    let inputs = inputs.iter().flatten().map(|&input| input.clone()).collect();
    let wanted: Vec<usize> = (0..outputs).collect();
    let values = graph.run(inputs, &wanted).map_err(|error| error.to_string())?;
    let tensor = |value| match value {
        Value::Tensor(tensor) => tensor,
        other => panic!("expected a tensor, found {other:?}"),
    };
    Ok(values.into_iter().map(tensor).collect())
}

fn run(op: &str, inputs: &[&Tensor], attributes: &[(&str, Said<'_>)]) -> Result<Tensor, String> {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|&input| Some(input)).collect();
    run_all(23, op, &inputs, 1, attributes).map(|mut all| all.remove(0))
}

fn numbers(tensor: &Tensor) -> &[f32] {
    match tensor.elements() {
        Elements::F32(values) => values,
        other => panic!("expected floats, found {other:?}"),
    }
}

fn close(found: &Tensor, dims: &[usize], expected: &[f32]) {
    assert_eq!(&found.shape()[..], dims);
    for (at, (found, expected)) in numbers(found).iter().zip(expected).enumerate() {
        let far = (found - expected).abs() > 1e-4 * expected.abs().max(1.0);
        assert!(!far, "at {at}: {found}, expected {expected}");
    }
}

/// Small numbers that look like chance.
fn some(dims: &[usize], seed: usize) -> Tensor {
    let shape = Shape::new(dims.iter().copied()).unwrap();
    let values: Vec<f32> =
        (0..shape.elements()).map(|i| ((i * 37 + seed * 101) % 23) as f32 / 11.0 - 1.0).collect();
    Tensor::new(shape, values.into()).unwrap()
}

#[derive(Debug, Clone)]
struct Geometry {
    image: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    group: usize,
}

fn geometry() -> impl Strategy<Value = Geometry> {
    (1usize..4).prop_flat_map(|rank| {
        let list = |range: std::ops::Range<usize>| prop::collection::vec(range, rank);
        (
            list(5..8),
            list(1..4),
            list(1..4),
            list(1..3),
            prop::collection::vec(0usize..3, rank * 2),
            1usize..3,
        )
            .prop_map(|(image, kernel, strides, dilations, pads, group)| Geometry {
                image,
                kernel,
                strides,
                dilations,
                pads,
                group,
            })
    })
}

fn ints(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&size| i64::try_from(size).unwrap()).collect()
}

/// The convolution by its definition.
fn convolved(g: &Geometry, x: &Tensor, w: &Tensor) -> (Vec<usize>, Vec<f32>) {
    let rank = g.image.len();
    let (n, c, m, own) = (x.shape()[0], x.shape()[1], w.shape()[0], w.shape()[1]);
    let out: Vec<usize> = (0..rank)
        .map(|d| {
            (g.image[d] + g.pads[d] + g.pads[rank + d] - (g.kernel[d] - 1) * g.dilations[d] - 1)
                / g.strides[d]
                + 1
        })
        .collect();
    let each = |dims: &[usize]| -> Vec<Vec<usize>> {
        let many: usize = dims.iter().product();
        let mut all = Vec::new();
        for mut number in 0..many {
            let mut at = vec![0; dims.len()];
            for d in (0..dims.len()).rev() {
                (at[d], number) = (number % dims[d], number / dims[d]);
            }
            all.push(at);
        }
        all
    };
    let flat = |at: &[usize], dims: &[usize]| at.iter().zip(dims).fold(0, |flat, (at, dim)| flat * dim + at);
    let mut y = Vec::new();
    for n in 0..n {
        for m_at in 0..m {
            for o in each(&out) {
                let mut sum = 0.0;
                for c_at in 0..own {
                    let channel = m_at / (m / g.group) * own + c_at;
                    for k in each(&g.kernel) {
                        let at: Option<Vec<usize>> = (0..rank)
                            .map(|d| {
                                (o[d] * g.strides[d] + k[d] * g.dilations[d])
                                    .checked_sub(g.pads[d])
                                    .filter(|&at| at < g.image[d])
                            })
                            .collect();
                        let Some(at) = at else { continue };
                        let x_at =
                            (n * c + channel) * g.image.iter().product::<usize>() + flat(&at, &g.image);
                        let w_at =
                            (m_at * own + c_at) * g.kernel.iter().product::<usize>() + flat(&k, &g.kernel);
                        sum += numbers(x)[x_at] * numbers(w)[w_at];
                    }
                }
                y.push(sum);
            }
        }
    }
    ([n, m].into_iter().chain(out).collect(), y)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_convolution_is_its_definition_and_the_transposed_one_its_adjoint(g in geometry()) {
        let dims = |first: usize, second: usize, rest: &[usize]| -> Vec<usize> {
            [first, second].into_iter().chain(rest.iter().copied()).collect()
        };
        let (x, w) = (some(&dims(2, 2 * g.group, &g.image), 1), some(&dims(3 * g.group, 2, &g.kernel), 2));
        let (strides, dilations, pads) = (ints(&g.strides), ints(&g.dilations), ints(&g.pads));
        let said = [
            ("strides", Said::Ints(&strides)),
            ("dilations", Said::Ints(&dilations)),
            ("pads", Said::Ints(&pads)),
            ("group", Said::Int(i64::try_from(g.group).unwrap())),
        ];
        let y = run("Conv", &[&x, &w], &said).unwrap();
        let (out, expected) = convolved(&g, &x, &w);
        close(&y, &out, &expected);
        // <conv(x), z> = <x, transposed(z)>, where all of x is seen.
        let z = some(&out, 3);
        let shape = ints(&g.image);
        let mut said = said.to_vec();
        said.remove(2);
        let rank = g.image.len();
        let begins_alike = (0..rank).all(|d| {
            let full = (out[2 + d] - 1) * g.strides[d] + (g.kernel[d] - 1) * g.dilations[d] + 1;
            full.saturating_sub(g.image[d]).div_ceil(2) == g.pads[d] && full >= g.image[d]
        });
        if begins_alike {
            said.push(("output_shape", Said::Ints(&shape)));
            let back = run("ConvTranspose", &[&z, &w], &said).unwrap();
            prop_assert_eq!(back.shape(), x.shape());
            let dot = |a: &Tensor, b: &Tensor| -> f32 { numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum() };
            let (there, back) = (dot(&y, &z), dot(&x, &back));
            prop_assert!((there - back).abs() <= 1e-3 * there.abs().max(1.0), "{} {}", there, back);
        }
    }

    #[test]
    fn pools_are_the_means_and_greatest_of_what_their_windows_see(g in geometry()) {
        let rank = g.image.len();
        // Padding of a whole window sees nothing, which has no mean.
        prop_assume!((0..rank * 2).all(|d| g.pads[d] < g.kernel[d % rank]));
        let x = some(&[1, 2].into_iter().chain(g.image.iter().copied()).collect::<Vec<_>>(), 4);
        let (kernel, strides, pads) = (ints(&g.kernel), ints(&g.strides), ints(&g.pads));
        let said = [("kernel_shape", Said::Ints(&kernel)), ("strides", Said::Ints(&strides)), ("pads", Said::Ints(&pads))];
        // A mean is a convolution with ones over one of ones.
        let ones = |dims: Vec<usize>| {
            let shape = Shape::new(dims).unwrap();
            let many = shape.elements();
            Tensor::new(shape, vec![1.0f32; many].into()).unwrap()
        };
        let plain = Geometry { dilations: vec![1; rank], group: 2, ..g.clone() };
        let w = ones([2, 1].into_iter().chain(g.kernel.iter().copied()).collect());
        let (out, sums) = convolved(&plain, &x, &w);
        let (_, counts) = convolved(&plain, &ones(x.shape().to_vec()), &w);
        let means: Vec<f32> = sums.iter().zip(&counts).map(|(sum, count)| sum / count).collect();
        close(&run("AveragePool", &[&x], &said).unwrap(), &out, &means);
        let area: usize = g.kernel.iter().product();
        let means: Vec<f32> = sums.iter().map(|sum| sum / area as f32).collect();
        let mut with = said.to_vec();
        with.push(("count_include_pad", Said::Int(1)));
        close(&run("AveragePool", &[&x], &with).unwrap(), &out, &means);
        let most = run_all(22, "MaxPool", &[Some(&x)], 2, &said).unwrap();
        let Elements::I64(places) = most[1].elements() else { panic!("places are int64") };
        for (value, &place) in numbers(&most[0]).iter().zip(places.iter()) {
            prop_assert_eq!(*value, numbers(&x)[usize::try_from(place).unwrap()]);
        }
        let mean = numbers(&run("AveragePool", &[&x], &said).unwrap()).to_vec();
        prop_assert!(numbers(&most[0]).iter().zip(&mean).all(|(most, mean)| most >= mean || (most - mean).abs() < 1e-6));
    }

    #[test]
    fn a_transform_of_any_length_comes_back(length in 1usize..40, one_sided: bool) {
        let x = some(&[2, length, 1], length);
        let said = [("onesided", Said::Int(i64::from(one_sided)))];
        let there = run("DFT", &[&x], &said).unwrap();
        let sum: f32 = numbers(&x)[..length].iter().sum();
        prop_assert!((numbers(&there)[0] - sum).abs() < 1e-3, "the first number is the sum");
        let size = Tensor::new([], vec![i64::try_from(length).unwrap()].into()).unwrap();
        let back = run("DFT", &[&there, &size], &[("inverse", Said::Int(1)), ("onesided", Said::Int(i64::from(one_sided)))]).unwrap();
        let step = if one_sided { 1 } else { 2 };
        for (found, expected) in numbers(&back).iter().step_by(step).zip(numbers(&x)) {
            prop_assert!((found - expected).abs() < 1e-4, "{} {}", found, expected);
        }
    }

    #[test]
    fn going_backwards_is_going_forwards_through_the_reversed(op in prop::sample::select(vec!["RNN", "GRU", "LSTM"]), steps in 1usize..5, layout: bool) {
        let gates = match op { "RNN" => 1, "GRU" => 3, _ => 4 };
        let (batch, input, hidden) = (2, 3, 2);
        let (w, r) = (some(&[2, gates * hidden, input], 5), some(&[2, gates * hidden, hidden], 6));
        let b = some(&[2, 2 * gates * hidden], 7);
        let x = some(&[steps, batch, input], 8);
        let part = |tensor: &Tensor, at: usize| {
            let each = tensor.elements().len() / 2;
            let dims = [1].into_iter().chain(tensor.shape()[1..].iter().copied());
            Tensor::new(Shape::new(dims).unwrap(), numbers(tensor)[at * each..][..each].to_vec().into()).unwrap()
        };
        let reversed = |tensor: &Tensor| {
            let each = tensor.elements().len() / steps;
            let values: Vec<f32> = numbers(tensor).chunks(each).rev().flatten().copied().collect();
            Tensor::new(tensor.shape().clone(), values.into()).unwrap()
        };
        let size = [("hidden_size", Said::Int(2))];
        let forwards = |at: usize, x: &Tensor| {
            run_all(22, op, &[Some(x), Some(&part(&w, at)), Some(&part(&r, at)), Some(&part(&b, at))], 2, &size).unwrap()
        };
        let (one, other) = (forwards(0, &x), forwards(1, &reversed(&x)));
        let other_y = reversed(&other[0]);
        let mut said = size.to_vec();
        said.push(("direction", Said::Text("bidirectional")));
        let both = run_all(22, op, &[Some(&x), Some(&w), Some(&r), Some(&b)], 2, &said).unwrap();
        let mut expected = Vec::new();
        for (a, b) in numbers(&one[0]).chunks(batch * hidden).zip(numbers(&other_y).chunks(batch * hidden)) {
            expected.extend_from_slice(a);
            expected.extend_from_slice(b);
        }
        close(&both[0], &[steps, 2, batch, hidden], &expected);
        let states: Vec<f32> = numbers(&one[1]).iter().chain(numbers(&other[1])).copied().collect();
        close(&both[1], &[2, batch, hidden], &states);
        if layout {
            let mut turned = Vec::new();
            for row in 0..batch {
                for step in 0..steps {
                    turned.extend_from_slice(&numbers(&x)[(step * batch + row) * input..][..input]);
                }
            }
            let turned = Tensor::new([batch, steps, input], turned.into()).unwrap();
            said.push(("layout", Said::Int(1)));
            let by_batch = run_all(22, op, &[Some(&turned), Some(&w), Some(&r), Some(&b)], 2, &said).unwrap();
            let mut expected = Vec::new();
            for row in 0..batch {
                for step in 0..steps {
                    for way in 0..2 {
                        expected.extend_from_slice(&numbers(&both[0])[((step * 2 + way) * batch + row) * hidden..][..hidden]);
                    }
                }
            }
            close(&by_batch[0], &[batch, steps, 2, hidden], &expected);
        }
    }

    #[test]
    fn no_attribute_makes_a_panic(
        op in prop::sample::select(vec!["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "Col2Im", "DeformConv", "MaxUnpool"]),
        lists in prop::collection::vec(prop::collection::vec(prop_oneof![-1i64..5, Just(i64::MAX), Just(i64::MIN), Just(1 << 40)], 0..5), 6),
        group in prop_oneof![-1i64..4, Just(i64::MAX)],
        dims in prop::collection::vec(0usize..6, 0..5), other in prop::collection::vec(0usize..4, 0..5),
        auto in prop::sample::select(vec!["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]), ceil: bool,
    ) {
        let names = ["kernel_shape", "strides", "pads", "dilations", "output_shape", "output_padding"];
        let taken: &[usize] = match op {
            "ConvTranspose" => &[0, 1, 2, 3, 4, 5],
            "Col2Im" => &[1, 2, 3],
            "MaxUnpool" => &[0, 1, 2],
            _ => &[0, 1, 2, 3],
        };
        let mut said: Vec<(&str, Said<'_>)> = taken.iter().filter(|&&at| !lists[at].is_empty()).map(|&at| (names[at], Said::Ints(&lists[at]))).collect();
        match op {
            "Conv" | "ConvTranspose" | "DeformConv" => said.push(("group", Said::Int(group))),
            "Col2Im" | "MaxUnpool" => {}
            _ => said.push(("ceil_mode", Said::Int(i64::from(ceil)))),
        }
        if !matches!(op, "Col2Im" | "DeformConv" | "MaxUnpool") {
            said.push(("auto_pad", Said::Text(auto)));
        }
        let (x, w) = (some(&dims, 1), some(&other, 2));
        let places = Tensor::vector(lists[4].clone().into());
        let inputs = match op {
            "Conv" | "ConvTranspose" => vec![Some(&x), Some(&w)],
            "Col2Im" => vec![Some(&x), Some(&places), Some(&places)],
            "DeformConv" => vec![Some(&x), Some(&w), Some(&x)],
            "MaxUnpool" => vec![Some(&x), Some(&places)],
            _ => vec![Some(&x)],
        };
        let _ = run_all(19, op, &inputs, 1, &said);
    }
}

#[test]
fn an_lstm_is_what_its_formula_says() {
    let one = |values: &[f32], dims: [usize; 3]| Tensor::new(dims, values.to_vec().into()).unwrap();
    let (w, r) = (one(&[0.5, -0.5, 1.0, 2.0], [1, 4, 1]), one(&[0.1, 0.2, 0.3, 0.4], [1, 4, 1]));
    let x = one(&[1.0, -1.0], [2, 1, 1]);
    let found =
        run_all(22, "LSTM", &[Some(&x), Some(&w), Some(&r)], 3, &[("hidden_size", Said::Int(1))]).unwrap();
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let (mut h, mut c) = (0.0f32, 0.0f32);
    let mut expected = Vec::new();
    for x in [1.0f32, -1.0] {
        let (input, output) = (sigmoid(0.5 * x + 0.1 * h), sigmoid(-0.5 * x + 0.2 * h));
        let (forget, cell) = (sigmoid(x + 0.3 * h), (2.0 * x + 0.4 * h).tanh());
        c = forget * c + input * cell;
        h = output * c.tanh();
        expected.push(h);
    }
    close(&found[0], &[2, 1, 1, 1], &expected);
    close(&found[1], &[1, 1, 1], &[h]);
    close(&found[2], &[1, 1, 1], &[c]);
}

#[test]
fn attention_masks_what_it_must_not_see() {
    let q = some(&[1, 2, 3, 4], 1);
    let (k, v) = (some(&[1, 1, 3, 4], 2), some(&[1, 1, 3, 2], 3));
    let y = run("Attention", &[&q, &k, &v], &[("is_causal", Said::Int(1))]).unwrap();
    // The first query of each head sees the first value alone.
    assert_eq!(&y.shape()[..], [1, 2, 3, 2]);
    for head in 0..2 {
        let first = &numbers(&y)[head * 6..][..2];
        assert!(first.iter().zip(numbers(&v)).all(|(a, b)| (a - b).abs() < 1e-6), "{first:?}");
    }
    let seen =
        Tensor::new([3, 3], vec![false, false, false, true, false, false, true, true, true].into()).unwrap();
    let y = run("Attention", &[&q, &k, &v, &seen], &[]).unwrap();
    assert_eq!(&numbers(&y)[..2], [0.0, 0.0], "who sees nothing gets nothing");
    assert!(numbers(&y)[2..4].iter().zip(numbers(&v)).all(|(a, b)| (a - b).abs() < 1e-6));
    let wrong = run("Attention", &[&q, &some(&[1, 3, 3, 4], 1), &v], &[]).unwrap_err();
    assert!(wrong.contains("do not fit each other"), "{wrong}");
}

#[test]
fn images_are_resized_as_the_specification_computes() {
    let x = floats([1, 1, 2, 2], [1.0, 2.0, 3.0, 4.0]);
    let scales = floats([4], [1.0, 1.0, 2.0, 2.0]);
    let inputs = [Some(&x), None, Some(&scales)];
    let nearest = run_all(19, "Resize", &inputs, 1, &[]).unwrap();
    close(&nearest[0], &[1, 1, 4, 4], &[1., 1., 2., 2., 1., 1., 2., 2., 3., 3., 4., 4., 3., 3., 4., 4.]);
    let linear = run_all(19, "Resize", &inputs, 1, &[("mode", Said::Text("linear"))]).unwrap();
    close(
        &linear[0],
        &[1, 1, 4, 4],
        &[1., 1.25, 1.75, 2., 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3., 3.25, 3.75, 4.],
    );
    let huge = floats([4], [1.0, 1.0, 1e9, 1e9]);
    let error = run_all(19, "Resize", &[Some(&x), None, Some(&huge)], 1, &[]).unwrap_err();
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn what_is_quantised_comes_back_within_half_a_step() {
    let x = some(&[4, 5], 3);
    let quantised = run_all(21, "DynamicQuantizeLinear", &[Some(&x)], 3, &[]).unwrap();
    let back = run("DequantizeLinear", &[&quantised[0], &quantised[1], &quantised[2]], &[]).unwrap();
    let step = numbers(&quantised[1])[0];
    for (found, expected) in numbers(&back).iter().zip(numbers(&x)) {
        assert!((found - expected).abs() <= step / 2.0 + 1e-6, "{found}, expected {expected}");
    }
}

#[test]
fn boxes_that_overlap_a_better_one_are_left_out() {
    let boxes = floats([1, 3, 4], [0., 0., 1., 1., 0., 0.1, 1., 1.1, 0., 10., 1., 11.]);
    let scores = floats([1, 1, 3], [0.9, 0.75, 0.6]);
    let most = Tensor::vector(vec![3i64].into());
    let (iou, least) = (floats([1], [0.5]), floats([1], [0.0]));
    let found = run("NonMaxSuppression", &[&boxes, &scores, &most, &iou, &least], &[]).unwrap();
    assert_eq!(found, Tensor::new([2, 3], vec![0i64, 0, 0, 0, 0, 2].into()).unwrap());
}

#[test]
fn what_does_not_fit_is_said_with_its_sizes() {
    let x = some(&[1, 3, 4, 4], 1);
    let error = |w: &[usize], said: &[(&str, Said<'_>)]| run("Conv", &[&x, &some(w, 2)], said).unwrap_err();
    assert!(error(&[2, 2, 3, 3], &[]).contains("3 channels do not fit weights of [2, 2, 3, 3] in 1 groups"));
    assert!(
        error(&[2, 3, 5, 5], &[]).contains("the window of 5 is larger than the image of 4 with its padding")
    );
    assert!(
        error(&[2, 3, 3, 3], &[("strides", Said::Ints(&[1]))])
            .contains("a list of 1 sizes is stated for 2 dimensions")
    );
    assert!(error(&[2, 3, 3, 3], &[("kernel_shape", Said::Ints(&[2, 2]))]).contains("kernel_shape"));
    assert!(
        error(&[2, 3, 3, 3], &[("mystery", Said::Int(1))])
            .contains(r#"attribute "mystery" is not understood"#)
    );
    let huge = error(&[2, 3, 3, 3], &[("pads", Said::Ints(&[1 << 40, 0, 0, 0]))]);
    assert!(huge.contains("too large") || huge.contains("is more than"), "{huge}");
}
