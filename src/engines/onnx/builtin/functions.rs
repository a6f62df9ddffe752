//! Functions that a model brings: each call is a plan of its own, whose nodes'
//! attributes are those of the call.

use super::graph::Formal;
use super::op::{Inputs, Operator, Outputs};
use super::plan::Plan;
use crate::proto::onnx::{AttributeProto, FunctionProto, GraphProto, NodeProto};

/// The function's nodes with the call's attributes in them, and its inputs.
#[allow(clippy::type_complexity, reason = "two parts of a function, once")]
pub(super) fn body<'a>(
    function: &'a FunctionProto,
    call: &NodeProto,
    mut inputs: impl Iterator<Item = Formal<'a>>,
) -> Result<(Vec<NodeProto>, Vec<(&'a str, Formal<'a>)>), String> {
    if call.input.len() > function.input.len() {
        let (found, most) = (call.input.len(), function.input.len());
        return Err(format!("it has {found} inputs and the function takes {most}"));
    }
    let mut given: Vec<&AttributeProto> = call.attribute.iter().collect();
    for attribute in &given {
        let is_known = function.attribute.contains(&attribute.name)
            || function.attribute_proto.iter().any(|known| known.name == attribute.name);
        if !is_known {
            return Err(format!("attribute {:?} is not one of the function", attribute.name));
        }
    }
    let defaults = function.attribute_proto.iter();
    given.extend(defaults.filter(|default| !call.attribute.iter().any(|own| own.name == default.name)));
    let mut nodes = function.node.clone();
    nodes.iter_mut().for_each(|node| fill(node, &given));
    let formals = function.input.iter().map(|name| (name.as_str(), inputs.next().unwrap_or(Formal::Nothing)));
    Ok((nodes, formals.collect()))
}

/// Puts the call's attributes where the body refers to them. What the call leaves
/// out is left out there too.
fn fill(node: &mut NodeProto, given: &[&AttributeProto]) {
    let fill_one = |mut attribute: AttributeProto| {
        if !attribute.ref_attr_name.is_empty() {
            let mut found = (*given.iter().find(|own| own.name == attribute.ref_attr_name)?).clone();
            found.name = attribute.name;
            return Some(found);
        }
        let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
        graphs.for_each(|graph: &mut GraphProto| graph.node.iter_mut().for_each(|node| fill(node, given)));
        Some(attribute)
    };
    node.attribute = std::mem::take(&mut node.attribute).into_iter().filter_map(fill_one).collect();
}

/// A call of a function.
struct Call {
    plan: Plan,
    outputs: Vec<usize>,
}

impl Operator for Call {
    fn run(&self, inputs: Inputs<'_>) -> Result<Outputs, String> {
        let budget = inputs.budget();
        let given = inputs.values.into_iter();
        let inputs =
            given.chain(std::iter::repeat_with(|| super::op::Input::Absent)).take(self.plan.inputs());
        self.plan.run(inputs, &self.outputs, budget).map(Outputs::from_vec)
    }
}

pub(super) fn call(plan: Plan) -> Box<dyn Operator> {
    let outputs = (0..plan.outputs()).collect();
    Box::new(Call { plan, outputs })
}
