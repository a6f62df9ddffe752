//! What tract is not given.
//!
//! tract looks operators up by their names alone, passes over attributes that it does
//! not know, and takes some to mean what they do not. What is listed here was found by
//! the ONNX project's own node tests, or by reading tract's source; a graph that has
//! any of it goes to another back end.

use std::borrow::Cow;

use tract_onnx::prelude::TypedModel;

use crate::formats::onnx::Model;
use crate::limits;
use crate::proto::onnx::tensor_proto::DataType;
use crate::proto::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::tensor::Elements;

/// What of an operator tract gets wrong.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// All of it.
    Always,
    /// The attribute, whatever it says.
    Attribute(&'static str),
    /// The integer attribute, when it is not 0.
    Set(&'static str),
    /// The attribute, when it says this text.
    Says(&'static str, &'static str),
    /// Its versions before this one.
    Before(i64),
}

use Wrong::{Always, Attribute, Before, Says, Set};

/// Before it, operators broadcast by attributes, which tract does not read.
const OPSET_MIN: i64 = 7;

/// The reason for what is passed over.
const UNREAD: &str = "it is not read";

/// Operators, what of them, and why.
const WRONG: &[(&str, Wrong, &str)] = &[
    ("Attention", Attribute("left_window_size"), UNREAD),
    ("Attention", Attribute("right_window_size"), UNREAD),
    (
        "Attention",
        Set("is_causal"),
        "its mask forgets the past keys, and where sizes are symbolic it ends elsewhere",
    ),
    ("BatchNormalization", Set("training_mode"), UNREAD),
    ("BitShift", Always, "shifts by the width or more overflow"),
    ("Celu", Attribute("alpha"), "in float16 its negative part is not multiplied"),
    ("DequantizeLinear", Attribute("output_dtype"), UNREAD),
    ("GRU", Attribute("activations"), UNREAD),
    ("GRU", Attribute("clip"), UNREAD),
    ("GRU", Says("direction", "reverse"), UNREAD),
    ("LSTM", Attribute("activations"), UNREAD),
    ("LSTM", Attribute("clip"), UNREAD),
    ("LSTM", Says("direction", "reverse"), UNREAD),
    ("LSTM", Set("input_forget"), UNREAD),
    ("QuantizeLinear", Attribute("output_dtype"), UNREAD),
    ("QuantizeLinear", Attribute("precision"), UNREAD),
    ("RNN", Attribute("activations"), UNREAD),
    ("RNN", Attribute("clip"), UNREAD),
    ("RNN", Says("direction", "reverse"), UNREAD),
    ("Scan", Before(9), "its inputs stand in another order"),
    ("SpaceToDepth", Says("mode", "CRD"), UNREAD),
    ("Swish", Attribute("alpha"), UNREAD),
];

/// Refuses what tract has not, or has wrong.
pub(super) fn check(model: &Model) -> Result<(), String> {
    let known = tract_onnx::onnx().op_register;
    let opset = model.opset("").unwrap_or(i64::MAX);
    if opset < OPSET_MIN {
        return Err(format!("opset {opset} is older than tract's operators; expected {OPSET_MIN} or later"));
    }
    each_node(model.graph(), &mut |node| {
        let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
        let place = || format!("node {:?} ({})", name.map_or("", |name| name), node.op_type);
        if !matches!(&*node.domain, "" | "ai.onnx") {
            return Err(format!("{} is of domain {:?}; tract is given ONNX's own", place(), node.domain));
        }
        if !known.0.contains_key(&node.op_type) {
            return Err(format!("{}: tract has no such operator", place()));
        }
        if let Some(dims) = stated_size(model.graph(), node) {
            bounded(node.output.first().map_or("", String::as_str), &dims, 1)?;
        }
        for (op, wrong, why) in WRONG.iter().filter(|(op, ..)| *op == node.op_type) {
            if is_there(*wrong, node, opset) {
                return Err(format!("{}: tract's {op} is not ONNX's: {}: {why}", place(), shown(*wrong)));
            }
        }
        Ok(())
    })
}

/// The size that a node is to make something of, where it is a constant.
fn stated_size(graph: &GraphProto, node: &NodeProto) -> Option<Vec<usize>> {
    let at = match &*node.op_type {
        "ConstantOfShape" => 0,
        "Expand" => 1,
        _ => return None,
    };
    let name = node.input.get(at)?;
    let values = |tensor: &TensorProto| match crate::formats::onnx::tensor(tensor).ok()?.into_elements() {
        Elements::I64(values) => values.iter().map(|&value| usize::try_from(value).ok()).collect(),
        _ => None,
    };
    if let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.name == *name) {
        return values(tensor);
    }
    let maker =
        graph.node.iter().find(|node| node.op_type == "Constant" && node.output.first() == Some(name))?;
    maker.attribute.iter().find_map(|attribute| attribute.t.as_ref()).and_then(values)
}

/// Refuses a tensor that is larger than one may be.
fn bounded(name: &str, dims: &[usize], element_bytes: usize) -> Result<(), String> {
    let most = limits::ONNX_WITHIN_BYTES_MAX;
    let bytes = dims.iter().try_fold(element_bytes, |product, &dim| product.checked_mul(dim));
    if bytes.is_some_and(|bytes| bytes <= most) {
        return Ok(());
    }
    Err(format!("{name:?} is of shape {dims:?}; at most {most} bytes are made of one tensor"))
}

fn is_there(wrong: Wrong, node: &NodeProto, opset: i64) -> bool {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    match wrong {
        Always => true,
        Attribute(name) => attribute(name).is_some(),
        Set(name) => attribute(name).is_some_and(|found| found.i != 0),
        Says(name, text) => attribute(name).is_some_and(|found| found.s == text.as_bytes()),
        Before(version) => opset < version,
    }
}

/// What is wrong, for a person to read: `direction = reverse`.
fn shown(wrong: Wrong) -> String {
    match wrong {
        Always => "all of it".to_owned(),
        Attribute(name) | Set(name) => format!("attribute {name}"),
        Says(name, text) => format!("attribute {name} = {text}"),
        Before(version) => format!("before opset {version}"),
    }
}

fn each_node(graph: &GraphProto, to: &mut dyn FnMut(&NodeProto) -> Result<(), String>) -> Result<(), String> {
    for node in &graph.node {
        to(node)?;
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).try_for_each(|within| each_node(within, to))?;
        }
    }
    Ok(())
}

/// Refuses graphs in which one tensor is larger than any answer may be: tract makes
/// constants of what it can, whatever their size.
pub(super) fn check_sizes(model: &TypedModel) -> Result<(), String> {
    for node in model.nodes() {
        for output in &node.outputs {
            let Some(dims) = output.fact.shape.as_concrete() else { continue };
            bounded(&node.name, dims, output.fact.datum_type.size_of())?;
        }
    }
    Ok(())
}

/// The message as tract can read it: it looks for unsigned 32 and 64 bit numbers in
/// other lists than ONNX's specification names.
pub(super) fn with_numbers_where_tract_looks(message: &ModelProto) -> Cow<'_, ModelProto> {
    let mut message = Cow::Borrowed(message);
    let is_elsewhere = |tensor: &TensorProto| !tensor.uint64_data.is_empty() && tensor.raw_data.is_empty();
    let mut any = false;
    if let Some(graph) = &message.graph {
        each_tensor(graph, &mut |tensor| any |= is_elsewhere(tensor));
    }
    if any && let Some(graph) = message.to_mut().graph.as_mut() {
        each_tensor_mut(graph, &mut |tensor| {
            if !is_elsewhere(tensor) {
                return;
            }
            let numbers = std::mem::take(&mut tensor.uint64_data);
            tensor.raw_data = match DataType::try_from(tensor.data_type) {
                #[allow(clippy::cast_possible_truncation, reason = "the list holds 32 bit numbers then")]
                Ok(DataType::Uint32) => numbers.iter().flat_map(|&n| (n as u32).to_le_bytes()).collect(),
                _ => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            };
        });
    }
    message
}

fn each_tensor(graph: &GraphProto, to: &mut dyn FnMut(&TensorProto)) {
    graph.initializer.iter().for_each(&mut *to);
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        attribute.t.iter().chain(&attribute.tensors).for_each(&mut *to);
        attribute.g.iter().chain(&attribute.graphs).for_each(|within| each_tensor(within, to));
    }
}

fn each_tensor_mut(graph: &mut GraphProto, to: &mut dyn FnMut(&mut TensorProto)) {
    graph.initializer.iter_mut().for_each(&mut *to);
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.t.iter_mut().chain(&mut attribute.tensors).for_each(&mut *to);
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|within| each_tensor_mut(within, to));
    }
}
