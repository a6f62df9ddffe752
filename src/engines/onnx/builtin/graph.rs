//! From a graph's message to its plan: names resolved, constants converted once,
//! operators built.
//!
//! [`Builder`] makes a [`Plan`] of a graph, of the graphs within its nodes and of the
//! functions that the model brings. A graph takes what it uses from around it as
//! further inputs after its own, so that a plan needs nothing but its inputs.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use super::super::backend::Value;
use super::attributes::Attributes;
use super::functions;
use super::op::{Budget, Input, Inputs, Node, Operator};
use super::order::{node_name, order, used_names};
use super::plan::{Plan, Source, Step};
use super::registry;
use crate::formats::onnx::{Model, tensor};
use crate::limits;
use crate::proto::onnx::{FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorProto};

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    Nothing,
    Constant(usize),
    Slot(usize),
}

/// The names of a graph while its plan is made, and those around it.
pub(in crate::engines::onnx) struct Scope<'a> {
    pub(super) known: HashMap<String, Known>,
    constants: Vec<Value>,
    opsets: &'a [OperatorSetIdProto],
    around: Option<&'a Scope<'a>>,
    slots: usize,
    /// What is taken from around, in the order of its inputs.
    captured: Vec<String>,
}

/// What a name around a graph stands for.
pub(super) enum Around<'a> {
    Nothing,
    Constant(&'a Value),
    Changing,
}

impl<'a> Scope<'a> {
    fn new(opsets: &'a [OperatorSetIdProto], around: Option<&'a Scope<'a>>) -> Self {
        Self { known: HashMap::new(), constants: Vec::new(), opsets, around, slots: 0, captured: Vec::new() }
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn define(&mut self, name: &str, known: Known) -> Result<(), String> {
        if self.known.insert(name.to_owned(), known).is_some() {
            return Err(format!("the name {name:?} is defined twice"));
        }
        Ok(())
    }

    fn constant(&mut self, value: Value) -> Known {
        self.constants.push(value);
        Known::Constant(self.constants.len() - 1)
    }

    /// What a name stands for here or around here.
    pub(super) fn find(&self, name: &str) -> Option<Around<'_>> {
        match self.known.get(name) {
            Some(Known::Nothing) => Some(Around::Nothing),
            Some(Known::Constant(at)) => Some(Around::Constant(&self.constants[*at])),
            Some(Known::Slot(_)) => Some(Around::Changing),
            None => self.around?.find(name),
        }
    }

    fn opset(&self, domain: &str) -> Option<i64> {
        let plain = |domain: &str| if domain == "ai.onnx" { String::new() } else { domain.to_owned() };
        let wanted = plain(domain);
        self.opsets.iter().find(|import| plain(&import.domain) == wanted).map(|import| import.version)
    }
}

/// What an input of a graph is while it is built.
pub(super) enum Formal<'v> {
    /// Something else in each run.
    Changing,
    /// Always this.
    Constant(&'v Value),
    /// Nothing.
    Nothing,
}

/// The parts of a graph or a function.
struct Parts<'a> {
    inputs: Vec<(&'a str, Formal<'a>)>,
    constants: Vec<(&'a str, Value)>,
    nodes: &'a [NodeProto],
    outputs: Vec<&'a str>,
}

/// Makes plans of one model's graphs.
#[derive(Debug)]
pub(in crate::engines::onnx) struct Builder<'m> {
    functions: &'m [FunctionProto],
    /// Nodes that have become steps; functions are built once for each call.
    built: Cell<usize>,
    depth: Cell<usize>,
}

/// Operators that make much of little, give something else each time, or cost a lot:
/// their results are not computed when the model is loaded.
const NOT_FOLDED: &[&str] = &[
    "Bernoulli",
    "ConstantOfShape",
    "Expand",
    "EyeLike",
    "If",
    "Loop",
    "Multinomial",
    "OneHot",
    "Pad",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Resize",
    "Scan",
    "SequenceMap",
    "Tile",
    "Upsample",
    "MatMul",
    "Gemm",
    "Einsum",
    "Conv",
    "Dropout",
];

impl<'m> Builder<'m> {
    /// The plan of a model's graph: its inputs are [`Model::inputs`], its outputs
    /// [`Model::outputs`].
    pub(super) fn model(model: &'m Model) -> Result<Plan, String> {
        let proto = model.proto();
        let builder = Self { functions: &proto.functions, built: Cell::new(0), depth: Cell::new(0) };
        let parts = graph_parts(model.graph())?;
        builder.plan(parts, Scope::new(&proto.opset_import, None)).map(|(plan, _)| plan)
    }

    /// The plan of a graph within a node, and the names that it takes from around it.
    pub(super) fn subgraph(
        &self,
        graph: &GraphProto,
        around: &Scope<'_>,
    ) -> Result<(Plan, Vec<String>), String> {
        self.plan(graph_parts(graph)?, Scope::new(around.opsets, Some(around)))
    }

    fn plan<'a>(&'a self, parts: Parts<'a>, mut scope: Scope<'a>) -> Result<(Plan, Vec<String>), String> {
        if self.depth.get() >= limits::ONNX_DEPTH_MAX {
            return Err(format!(
                "more than {} graphs and functions lie in each other",
                limits::ONNX_DEPTH_MAX
            ));
        }
        self.depth.set(self.depth.get() + 1);
        let made = self.plan_in(parts, &mut scope);
        self.depth.set(self.depth.get() - 1);
        made.map(|(steps, outputs, inputs)| {
            let plan = Plan {
                steps,
                constants: scope.constants,
                slots: scope.slots,
                inputs,
                outputs,
                needed: Vec::new(),
            };
            (plan.settle(), scope.captured)
        })
    }

    #[allow(clippy::type_complexity, reason = "the parts of a plan, once")]
    fn plan_in<'a>(
        &'a self,
        parts: Parts<'a>,
        scope: &mut Scope<'a>,
    ) -> Result<(Vec<Step>, Vec<Source>, usize), String> {
        for (name, formal) in parts.inputs {
            let slot = scope.slot();
            let known = match formal {
                Formal::Changing => Known::Slot(slot),
                Formal::Constant(value) => scope.constant(value.clone()),
                Formal::Nothing => Known::Nothing,
            };
            scope.define(name, known)?;
        }
        for (name, value) in parts.constants {
            let known = scope.constant(value);
            scope.define(name, known)?;
        }
        let (order, used, made) = order(parts.nodes, &parts.outputs, scope)?;
        // Names from around are inputs, which come first: they are collected before any step.
        for &number in &order {
            let node = &parts.nodes[number];
            for name in used_names(node) {
                capture(&name, &made, scope);
            }
        }
        parts.outputs.iter().for_each(|name| capture(name, &made, scope));
        let inputs = scope.slots;
        self.refuse_unknown(order.iter().map(|&number| &parts.nodes[number]), scope)?;
        let mut steps = Vec::with_capacity(order.len());
        for number in order {
            let node = &parts.nodes[number];
            let name = node_name(node);
            let step = self.node(node, scope, &used).map_err(|error| format!("{name}: {error}"))?;
            if let Some((operator, inputs, outputs)) = step {
                steps.push(Step { name, operator, inputs, outputs, drops: SmallVec::new() });
            }
        }
        let outputs = parts.outputs.iter().map(|name| source(name, scope)).collect::<Result<_, _>>()?;
        Ok((steps, outputs, inputs))
    }

    fn function(&self, node: &NodeProto) -> Option<&'m FunctionProto> {
        let plain = |domain: &str| if domain == "ai.onnx" { String::new() } else { domain.to_owned() };
        self.functions.iter().find(|function| {
            function.name == node.op_type
                && function.overload == node.overload
                && plain(&function.domain) == plain(&node.domain)
        })
    }

    /// All operators that nobody here knows, in one message.
    fn refuse_unknown<'n>(
        &self,
        nodes: impl Iterator<Item = &'n NodeProto>,
        scope: &Scope<'_>,
    ) -> Result<(), String> {
        let mut unknown: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for node in nodes {
            let opset = scope.opset(&node.domain);
            let is_known = self.function(node).is_some()
                || opset.is_some_and(|opset| registry::find(&node.domain, &node.op_type, opset).is_some());
            if is_known || !seen.insert((&node.domain, &node.op_type)) {
                continue;
            }
            let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            let opset = opset.map_or("not imported".to_owned(), |opset| format!("opset {opset}"));
            unknown.push(format!(
                "operator {} ({domain}, {opset}) at {} is not built in",
                node.op_type,
                node_name(node)
            ));
        }
        if unknown.is_empty() { Ok(()) } else { Err(unknown.join("; ")) }
    }

    /// Builds a node's operator; `None` when its results are constants.
    #[allow(clippy::type_complexity, reason = "the parts of a step, once")]
    fn node<'a>(
        &'a self,
        node: &'a NodeProto,
        scope: &mut Scope<'a>,
        used: &HashSet<String>,
    ) -> Result<Option<(Box<dyn Operator>, SmallVec<[Source; 4]>, SmallVec<[Option<usize>; 1]>)>, String>
    {
        self.built.set(self.built.get() + 1);
        if self.built.get() > limits::ONNX_NODES_MAX {
            return Err(format!(
                "more than {} nodes, those of called functions included",
                limits::ONNX_NODES_MAX
            ));
        }
        let mut inputs: SmallVec<[Source; 4]> =
            node.input.iter().map(|name| source(name, scope)).collect::<Result<_, _>>()?;
        let (operator, captured) = self.operator(node, scope, &inputs, used)?;
        for name in &captured {
            inputs.push(source(name, scope)?);
        }
        if let Some(values) = fold(node, &*operator, &inputs, scope) {
            for (name, value) in node.output.iter().zip(values).filter(|(name, _)| !name.is_empty()) {
                let known = scope.constant(value);
                scope.define(name, known)?;
            }
            return Ok(None);
        }
        let mut outputs = SmallVec::new();
        for name in &node.output {
            if name.is_empty() || !used.contains(name) {
                outputs.push(None);
                continue;
            }
            let slot = scope.slot();
            scope.define(name, Known::Slot(slot))?;
            outputs.push(Some(slot));
        }
        Ok(Some((operator, inputs, outputs)))
    }

    fn operator(
        &self,
        node: &NodeProto,
        scope: &Scope<'_>,
        inputs: &[Source],
        used: &HashSet<String>,
    ) -> Result<(Box<dyn Operator>, Vec<String>), String> {
        let constant = |source: &Source| match source {
            Source::Constant(at) => Some(&scope.constants[*at]),
            _ => None,
        };
        if let Some(function) = self.function(node) {
            let formals = inputs.iter().map(|source| match source {
                Source::Absent => Formal::Nothing,
                Source::Constant(at) => Formal::Constant(&scope.constants[*at]),
                Source::Slot(..) => Formal::Changing,
            });
            let (nodes, parts_inputs) = functions::body(function, node, formals)?;
            let parts = Parts {
                inputs: parts_inputs,
                constants: Vec::new(),
                nodes: &nodes,
                outputs: function.output.iter().map(String::as_str).collect(),
            };
            let scope = Scope::new(&function.opset_import, None);
            let (plan, _) = self.plan(parts, scope)?;
            return Ok((functions::call(plan), Vec::new()));
        }
        let opset = scope.opset(&node.domain).ok_or("its domain is not imported")?;
        let row = registry::find(&node.domain, &node.op_type, opset).ok_or("it is not built in")?;
        let mut building = Node {
            opset,
            attributes: Attributes::new(node),
            constants: inputs.iter().map(constant).collect(),
            inputs: inputs.iter().map(|source| !matches!(source, Source::Absent)).collect(),
            outputs: node.output.iter().map(|name| !name.is_empty() && used.contains(name)).collect(),
            builder: self,
            scope,
            captured: Vec::new(),
        };
        let operator = (row.build)(&mut building)?;
        building.attributes.finish()?;
        Ok((operator, building.captured))
    }
}

/// The results of a node all of whose inputs are constants, if they are cheap.
fn fold(
    node: &NodeProto,
    operator: &dyn Operator,
    inputs: &[Source],
    scope: &Scope<'_>,
) -> Option<Vec<Value>> {
    if NOT_FOLDED.contains(&node.op_type.as_str()) {
        return None;
    }
    let mut elements = 0;
    let mut values = SmallVec::new();
    for source in inputs {
        values.push(match *source {
            Source::Absent => Input::Absent,
            Source::Constant(at) => {
                if let Value::Tensor(tensor) = &scope.constants[at] {
                    elements += tensor.elements().len();
                }
                Input::Borrowed(&scope.constants[at])
            }
            Source::Slot(..) => return None,
        });
    }
    if elements > limits::ONNX_FOLDED_ELEMENTS_MAX {
        return None;
    }
    let budget = Budget::new();
    let values = operator.run(Inputs { values, budget: &budget }).ok()?;
    (values.len() >= node.output.len()).then(|| values.into_vec())
}

/// Makes a name that is defined around the graph, and not in it, an input or a constant of it.
fn capture(name: &str, made: &HashMap<&str, usize>, scope: &mut Scope<'_>) {
    if name.is_empty() || scope.known.contains_key(name) || made.contains_key(name) {
        return;
    }
    let known = match scope.around.and_then(|around| around.find(name)) {
        None => return,
        Some(Around::Nothing) => Known::Nothing,
        Some(Around::Constant(value)) => {
            let value = value.clone();
            scope.constant(value)
        }
        Some(Around::Changing) => {
            scope.captured.push(name.to_owned());
            Known::Slot(scope.slot())
        }
    };
    scope.known.insert(name.to_owned(), known);
}

/// Where a name's value is found.
fn source(name: &str, scope: &Scope<'_>) -> Result<Source, String> {
    if name.is_empty() {
        return Ok(Source::Absent);
    }
    match scope.known.get(name) {
        Some(Known::Nothing) => Ok(Source::Absent),
        Some(Known::Constant(at)) => Ok(Source::Constant(*at)),
        Some(Known::Slot(slot)) => Ok(Source::Slot(*slot, false)),
        None => Err(format!("the name {name:?} is not defined")),
    }
}

/// What a graph's message says, its tensors converted.
fn graph_parts(graph: &GraphProto) -> Result<Parts<'_>, String> {
    let convert = |proto: &TensorProto| {
        tensor(proto).map(Value::Tensor).map_err(|error| format!("tensor {:?}: {error}", proto.name))
    };
    let mut constants = Vec::with_capacity(graph.initializer.len());
    for proto in &graph.initializer {
        constants.push((proto.name.as_str(), convert(proto)?));
    }
    for sparse in &graph.sparse_initializer {
        let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
        let dense = super::sparse::dense(sparse).map_err(|error| format!("tensor {name:?}: {error}"))?;
        constants.push((name, Value::Tensor(dense)));
    }
    let own: HashSet<&str> = constants.iter().map(|(name, _)| *name).collect();
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    Ok(Parts {
        inputs: inputs.filter(|name| !own.contains(name)).map(|name| (name, Formal::Changing)).collect(),
        constants,
        nodes: &graph.node,
        outputs: graph.output.iter().map(|output| output.name.as_str()).collect(),
    })
}
