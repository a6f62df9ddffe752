//! A graph as it is run: steps in an order in which each finds its inputs, values
//! by number, constants converted once.
//!
//! [`Builder`] makes a [`Plan`] of a graph, of the graphs within its nodes and of the
//! functions that the model brings. A graph takes what it uses from around it as
//! further inputs after its own, so that a plan needs nothing but its inputs.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::fmt;

use smallvec::SmallVec;

use super::super::backend::Value;
use super::attributes::Attributes;
use super::functions;
use super::op::{Budget, Input, Inputs, Node, Operator};
use super::registry;
use crate::formats::onnx::{Model, tensor};
use crate::limits;
use crate::proto::onnx::{FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorProto};

/// Where a step finds an input.
#[derive(Debug, Clone, Copy)]
enum Source {
    Absent,
    Constant(usize),
    /// A value of this run; `true` when nobody asks for it afterwards.
    Slot(usize, bool),
}

/// One run of one operator.
struct Step {
    /// For messages: `node "scale" (Scaler)`.
    name: String,
    operator: Box<dyn Operator>,
    inputs: SmallVec<[Source; 4]>,
    /// Where its outputs go; `None` for those that nobody uses.
    outputs: SmallVec<[Option<usize>; 1]>,
    /// Values that nobody asks for afterwards, and that could not be handed over.
    drops: SmallVec<[usize; 1]>,
}

/// A graph that is ready to run.
pub(in crate::engines::onnx) struct Plan {
    steps: Vec<Step>,
    constants: Vec<Value>,
    /// How many values a run has.
    slots: usize,
    /// How many of these, the first, are inputs.
    inputs: usize,
    outputs: Vec<Source>,
    /// For each output, the steps that it needs, a bit each. Empty when all are run anyway.
    needed: Vec<Vec<u64>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|step| &step.name)).finish()
    }
}

impl Plan {
    /// How many inputs it takes, captured ones included.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many outputs it has.
    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Whether this step is needed for one of these outputs.
    fn wants(&self, wanted: &[usize], step: usize) -> bool {
        self.needed.is_empty()
            || wanted.iter().any(|&output| self.needed[output][step / 64] >> (step % 64) & 1 == 1)
    }

    /// Runs what the `wanted` outputs (positions) need, and gives a value for each.
    ///
    /// # Errors
    /// What is wrong, with the node where it is.
    pub(super) fn run<'v>(
        &self,
        inputs: impl IntoIterator<Item = Input<'v>>,
        wanted: &[usize],
        budget: &Budget,
    ) -> Result<Vec<Value>, String> {
        let mut slots: Vec<Input<'v>> = Vec::with_capacity(self.slots);
        slots.extend(inputs);
        slots.resize_with(self.slots, || Input::Absent);
        let is_part = wanted.len() < self.outputs.len() && !self.needed.is_empty();
        for (number, step) in self.steps.iter().enumerate() {
            if is_part && !self.wants(wanted, number) {
                continue;
            }
            budget.step()?;
            self.step(step, &mut slots, budget).map_err(|error| format!("{}: {error}", step.name))?;
        }
        let mut values = Vec::with_capacity(wanted.len());
        for (at, &output) in wanted.iter().enumerate() {
            let source = self.outputs[output];
            let again = |slot: usize| {
                wanted[at + 1..]
                    .iter()
                    .any(|&other| matches!(self.outputs[other], Source::Slot(same, _) if same == slot))
            };
            values.push(match source {
                Source::Absent => Value::Absent,
                Source::Constant(constant) => self.constants[constant].clone(),
                Source::Slot(slot, _) if again(slot) => slots[slot].value().cloned().unwrap_or(Value::Absent),
                Source::Slot(slot, _) => match std::mem::replace(&mut slots[slot], Input::Absent) {
                    Input::Owned(value) => value,
                    Input::Borrowed(value) => value.clone(),
                    Input::Absent => Value::Absent,
                },
            });
        }
        Ok(values)
    }

    fn step(&self, step: &Step, slots: &mut [Input<'_>], budget: &Budget) -> Result<(), String> {
        // First what is handed over, so that the rest can be borrowed.
        let mut values: SmallVec<[Input<'_>; 4]> = SmallVec::new();
        for source in &step.inputs {
            values.push(match *source {
                Source::Slot(slot, true) => std::mem::replace(&mut slots[slot], Input::Absent),
                _ => Input::Absent,
            });
        }
        for (value, source) in values.iter_mut().zip(&step.inputs) {
            match *source {
                Source::Slot(slot, false) => {
                    *value = slots[slot].value().map_or(Input::Absent, Input::Borrowed);
                }
                Source::Constant(constant) => *value = Input::Borrowed(&self.constants[constant]),
                _ => {}
            }
        }
        let outputs = step.operator.run(Inputs { values, budget })?;
        for (value, place) in outputs.into_iter().zip(&step.outputs) {
            if let Some(slot) = place {
                slots[*slot] = Input::Owned(value);
            }
        }
        step.drops.iter().for_each(|&slot| slots[slot] = Input::Absent);
        Ok(())
    }

    /// Notes after which step each value is not asked for any more, and which steps
    /// each output needs.
    fn settle(mut self) -> Self {
        let mut last: Vec<Option<usize>> = vec![None; self.slots];
        let mut maker: Vec<Option<usize>> = vec![None; self.slots];
        for (number, step) in self.steps.iter().enumerate() {
            for source in &step.inputs {
                if let Source::Slot(slot, _) = source {
                    last[*slot] = Some(number);
                }
            }
            for slot in step.outputs.iter().flatten() {
                maker[*slot] = Some(number);
            }
        }
        for source in &self.outputs {
            if let Source::Slot(slot, _) = source {
                last[*slot] = None;
            }
        }
        for (number, step) in self.steps.iter_mut().enumerate() {
            let sources = step.inputs.clone();
            for source in &mut step.inputs {
                let Source::Slot(slot, is_last) = source else { continue };
                if last[*slot] != Some(number) {
                    continue;
                }
                let times =
                    sources.iter().filter(|s| matches!(s, Source::Slot(same, _) if same == slot)).count();
                *is_last = times == 1;
                if times > 1 && !step.drops.contains(slot) {
                    step.drops.push(*slot);
                }
            }
        }
        let words = self.steps.len().div_ceil(64);
        if self.outputs.len() > 1 && words.saturating_mul(self.outputs.len()) <= limits::ONNX_NODES_MAX {
            let of = |source: &Source| {
                let mut bits = vec![0u64; words];
                if let Source::Slot(slot, _) = source
                    && let Some(step) = maker[*slot]
                {
                    bits[step / 64] |= 1 << (step % 64);
                }
                for number in (0..self.steps.len()).rev().filter(|n| words > 0 && *n < words * 64) {
                    if bits[number / 64] >> (number % 64) & 1 == 0 {
                        continue;
                    }
                    for source in &self.steps[number].inputs {
                        if let Source::Slot(slot, _) = source
                            && let Some(step) = maker[*slot]
                        {
                            bits[step / 64] |= 1 << (step % 64);
                        }
                    }
                }
                bits
            };
            self.needed = self.outputs.iter().map(of).collect();
        }
        self
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Known {
    Nothing,
    Constant(usize),
    Slot(usize),
}

/// The names of a graph while its plan is made, and those around it.
pub(in crate::engines::onnx) struct Scope<'a> {
    known: HashMap<String, Known>,
    constants: Vec<Value>,
    opsets: &'a [OperatorSetIdProto],
    around: Option<&'a Scope<'a>>,
    slots: usize,
    /// What is taken from around, in the order of its inputs.
    captured: Vec<String>,
}

/// What a name around a graph stands for.
enum Around<'a> {
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
    fn find(&self, name: &str) -> Option<Around<'_>> {
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

/// The names that a node uses: its inputs, and what its subgraphs take from around them.
fn used_names(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> = node.input.iter().filter(|name| !name.is_empty()).cloned().collect();
    for graph in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
        names.extend(free_names(graph));
    }
    names
}

/// The names that a graph uses and does not define. The decoder bounds how deep
/// graphs lie in each other.
fn free_names(graph: &GraphProto) -> BTreeSet<String> {
    let own: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(String::as_str))
        .chain(graph.input.iter().map(|input| input.name.as_str()))
        .chain(graph.initializer.iter().map(|tensor| tensor.name.as_str()))
        .chain(graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()).map(|v| v.name.as_str()))
        .collect();
    let used =
        graph.node.iter().flat_map(used_names).chain(graph.output.iter().map(|output| output.name.clone()));
    used.filter(|name| !own.contains(name.as_str())).collect()
}

/// What an ordering gives: the nodes that are needed, each after those it uses; every
/// name that one of them or an output uses; and which node makes each name.
type Order<'a> = (Vec<usize>, HashSet<String>, HashMap<&'a str, usize>);

/// The nodes that the outputs need, sorted.
fn order<'a>(nodes: &'a [NodeProto], outputs: &[&str], scope: &Scope<'_>) -> Result<Order<'a>, String> {
    let mut made: HashMap<&str, usize> = HashMap::new();
    for (number, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if made.insert(name, number).is_some() || scope.known.contains_key(name) {
                return Err(format!("{}: the name {name:?} is defined twice", node_name(node)));
            }
        }
    }
    let names: Vec<Vec<String>> = nodes.iter().map(used_names).collect();
    let is_there =
        |name: &str| made.contains_key(name) || scope.known.contains_key(name) || scope.find(name).is_some();
    let mut used: HashSet<String> = outputs.iter().map(|&name| name.to_owned()).collect();
    let mut needed = vec![false; nodes.len()];
    let mut open: Vec<usize> = Vec::new();
    for name in outputs {
        if !is_there(name) {
            return Err(format!("output {name:?} is not defined"));
        }
        open.extend(made.get(name));
    }
    while let Some(number) = open.pop() {
        if std::mem::replace(&mut needed[number], true) {
            continue;
        }
        for name in &names[number] {
            if !is_there(name) {
                return Err(format!("{}: the name {name:?} is not defined", node_name(&nodes[number])));
            }
            used.insert(name.clone());
            open.extend(made.get(name.as_str()));
        }
    }
    // Kahn's algorithm; among those that are ready the file's order holds.
    let mut waits = vec![0usize; nodes.len()];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for number in (0..nodes.len()).filter(|&number| needed[number]) {
        for maker in names[number].iter().filter_map(|name| made.get(name.as_str())) {
            waits[number] += 1;
            next[*maker].push(number);
        }
    }
    let ready = (0..nodes.len()).filter(|&number| needed[number] && waits[number] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::new();
    while let Some(Reverse(number)) = ready.pop() {
        order.push(number);
        for &after in &next[number] {
            waits[after] -= 1;
            if waits[after] == 0 {
                ready.push(Reverse(after));
            }
        }
    }
    if let Some(stuck) = (0..nodes.len()).find(|&number| needed[number] && waits[number] > 0) {
        return Err(format!(
            "{}: it needs its own result; expected a graph without cycles",
            node_name(&nodes[stuck])
        ));
    }
    Ok((order, used, made))
}

/// A node for messages: `node "scale" (Scaler)`. Nodes without a name are called
/// after their first output.
fn node_name(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    let shown: String = name.chars().take(limits::ONNX_NAME_CHARS_SHOWN_MAX).collect();
    format!("node {shown:?} ({})", node.op_type.chars().take(64).collect::<String>())
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
