//! What an operator is: built once from its node, then run with values.

use std::cell::Cell;

use smallvec::SmallVec;

use super::super::backend::Value;
use super::attributes::Attributes;
use super::graph::{Builder, Scope};
use super::plan::Plan;
use crate::limits;
use crate::tensor::{Elements, Shape, Tensor};

/// What an operator gives: a value for each of its outputs, in their order. There
/// may be fewer when the last ones are optional and not computed.
pub(in crate::engines::onnx) type Outputs = SmallVec<[Value; 1]>;

/// An operator with its attributes and whatever was made of its constants.
///
/// Every closure from [`Inputs`] to [`Outputs`] is one: see [`op`].
pub(in crate::engines::onnx) trait Operator: Send + Sync {
    /// Runs it. The error says what is wrong with the inputs; which node it was is
    /// added by the caller.
    fn run(&self, inputs: Inputs<'_>) -> Result<Outputs, String>;
}

impl<F: Fn(Inputs<'_>) -> Result<Outputs, String> + Send + Sync> Operator for F {
    fn run(&self, inputs: Inputs<'_>) -> Result<Outputs, String> {
        self(inputs)
    }
}

/// What a builder gives: the operator, or why the node is refused.
pub(in crate::engines::onnx) type Built = Result<Box<dyn Operator>, String>;

/// A closure as an operator.
#[allow(clippy::unnecessary_wraps, reason = "builders return it")]
pub(in crate::engines::onnx) fn op(
    run: impl Fn(Inputs<'_>) -> Result<Outputs, String> + Send + Sync + 'static,
) -> Built {
    Ok(Box::new(run))
}

/// One output.
#[allow(clippy::unnecessary_wraps, reason = "operators return it")]
pub(in crate::engines::onnx) fn one(value: impl Into<Value>) -> Result<Outputs, String> {
    Ok(SmallVec::from_buf([value.into()]))
}

/// Several outputs.
#[allow(clippy::unnecessary_wraps, reason = "operators return it")]
pub(in crate::engines::onnx) fn many(tensors: impl IntoIterator<Item = Tensor>) -> Result<Outputs, String> {
    Ok(tensors.into_iter().map(Value::Tensor).collect())
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

/// One input of a node while it runs.
#[derive(Debug)]
pub(in crate::engines::onnx) enum Input<'v> {
    /// An optional input that the node leaves out.
    Absent,
    /// A value that others use too.
    Borrowed(&'v Value),
    /// A value that nobody else uses any more.
    Owned(Value),
}

impl Input<'_> {
    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Absent => None,
            Self::Borrowed(value) => Some(value),
            Self::Owned(value) => Some(value),
        }
    }

    fn into_value(self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Borrowed(value) => Some(value.clone()),
            Self::Owned(value) => Some(value),
        }
    }
}

/// What one run of a whole model may still cost; shared by its subgraphs.
#[derive(Debug)]
pub(in crate::engines::onnx) struct Budget {
    steps: Cell<u64>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { steps: Cell::new(limits::ONNX_STEPS_MAX) }
    }

    /// Takes one run of one node off it.
    pub(super) fn step(&self) -> Result<(), String> {
        self.take(1)
    }

    /// Takes what it costs to have made these values off it: as many runs as take about
    /// as long.
    pub(super) fn made(&self, values: &[Value]) -> Result<(), String> {
        let elements = |value: &Value| match value {
            Value::Tensor(tensor) | Value::Table { values: tensor, .. } => tensor.elements().len(),
            Value::Sequence(values) => values.len(),
            Value::Map { values, .. } => values.len(),
            Value::Absent => 0,
        };
        let all: usize = values.iter().map(elements).sum();
        self.take((all / limits::ONNX_ELEMENTS_PER_STEP) as u64)
    }

    fn take(&self, steps: u64) -> Result<(), String> {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(steps));
        if left < steps.max(1) {
            return Err(format!("more than {} runs of nodes in one request", limits::ONNX_STEPS_MAX));
        }
        Ok(())
    }
}

/// The inputs of one run of an operator.
pub(in crate::engines::onnx) struct Inputs<'v> {
    pub(super) values: SmallVec<[Input<'v>; 4]>,
    pub(super) budget: &'v Budget,
}

impl<'v> Inputs<'v> {
    /// How many there are, absent ones included (and captured ones of nodes with
    /// subgraphs).
    pub(in crate::engines::onnx) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value of an input, `None` when it is left out.
    pub(in crate::engines::onnx) fn value(&self, at: usize) -> Option<&Value> {
        self.values.get(at).and_then(Input::value)
    }

    /// The tensor of an input that must be there.
    pub(in crate::engines::onnx) fn tensor(&self, at: usize) -> Result<&Tensor, String> {
        self.optional(at)?.ok_or_else(|| format!("input {at} is missing"))
    }

    /// The tensor of an input that may be left out.
    pub(in crate::engines::onnx) fn optional(&self, at: usize) -> Result<Option<&Tensor>, String> {
        match self.value(at) {
            None | Some(Value::Absent) => Ok(None),
            Some(Value::Tensor(tensor)) => Ok(Some(tensor)),
            Some(other) => Err(format!("input {at} is {}; expected a tensor", kind(other))),
        }
    }

    /// Takes a tensor out: without a copy when nobody else uses it. The input is
    /// absent afterwards.
    pub(in crate::engines::onnx) fn take(&mut self, at: usize) -> Result<Tensor, String> {
        match self.take_value(at) {
            Some(Value::Tensor(tensor)) => Ok(tensor),
            None | Some(Value::Absent) => Err(format!("input {at} is missing")),
            Some(other) => Err(format!("input {at} is {}; expected a tensor", kind(&other))),
        }
    }

    /// Takes any value out.
    pub(in crate::engines::onnx) fn take_value(&mut self, at: usize) -> Option<Value> {
        let input = self.values.get_mut(at)?;
        std::mem::replace(input, Input::Absent).into_value()
    }

    /// The elements of an input as integers, whatever its shape: axes, sizes, shapes.
    /// `None` when it is left out.
    pub(in crate::engines::onnx) fn ints(&self, at: usize) -> Result<Option<Vec<i64>>, String> {
        let Some(tensor) = self.optional(at)? else { return Ok(None) };
        ints(tensor).map(Some).map_err(|error| format!("input {at} {error}"))
    }

    /// The tensors of all inputs.
    pub(in crate::engines::onnx) fn tensors(&self) -> Result<SmallVec<[&Tensor; 4]>, String> {
        (0..self.len()).map(|at| self.tensor(at)).collect()
    }

    pub(in crate::engines::onnx) fn budget(&self) -> &'v Budget {
        self.budget
    }
}

/// The elements of a tensor as integers.
pub(in crate::engines::onnx) fn ints(tensor: &Tensor) -> Result<Vec<i64>, String> {
    match tensor.elements() {
        Elements::I64(values) => Ok(values.to_vec()),
        Elements::I32(values) => Ok(values.iter().map(|&value| value.into()).collect()),
        other => Err(format!("is of {}; expected int64 or int32", other.dtype())),
    }
}

/// What a value is, for messages.
pub(in crate::engines::onnx) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Tensor(_) => "a tensor",
        Value::Sequence(_) | Value::Table { .. } => "a sequence",
        Value::Map { .. } => "a map",
        Value::Absent => "absent",
    }
}

/// A shape of these dimensions, if a tensor of it may be made: hostile files and
/// inputs ask for any.
pub(in crate::engines::onnx) fn shape(dims: impl IntoIterator<Item = usize>) -> Result<Shape, String> {
    let shape = Shape::new(dims).map_err(|error| error.to_string())?;
    // A dimension of 0 does not let the others be anything: some are gone through alone.
    let product: usize = shape.iter().filter(|&&dim| dim != 0).product();
    if product > limits::ONNX_ELEMENTS_MAX || shape.rank() > limits::TENSOR_RANK_MAX {
        return Err(format!(
            "a tensor of shape {shape} is too large; at most {} elements are made",
            limits::ONNX_ELEMENTS_MAX
        ));
    }
    Ok(shape)
}

/// A tensor of these dimensions and elements, which must fit.
pub(in crate::engines::onnx) fn made(
    dims: impl IntoIterator<Item = usize>,
    elements: impl Into<Elements>,
) -> Result<Tensor, String> {
    let shape = Shape::new(dims).map_err(|error| error.to_string())?;
    Tensor::new(shape, elements.into()).map_err(|error| error.to_string())
}

/// The position of an axis that may count from the end.
pub(in crate::engines::onnx) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let signed = i64::try_from(rank).map_err(|_| "the rank is too large")?;
    let from_start = if axis < 0 { axis.saturating_add(signed) } else { axis };
    if (0..signed).contains(&from_start) {
        return Ok(usize::try_from(from_start).unwrap_or(0));
    }
    Err(format!("axis {axis} is not one of a tensor of rank {rank}"))
}

/// A size or position that a file or an input states.
pub(in crate::engines::onnx) fn size(value: i64, what: &str) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("{what} is {value}; expected none below 0"))
}

/// One node while its operator is built.
pub(in crate::engines::onnx) struct Node<'a> {
    /// The version of the operator's domain that the model was made for.
    pub(in crate::engines::onnx) opset: i64,
    /// Its attributes.
    pub(in crate::engines::onnx) attributes: Attributes<'a>,
    /// The values of inputs that are constants; `None` for those that come with each run.
    pub(in crate::engines::onnx) constants: Vec<Option<&'a Value>>,
    /// For each input, whether the node names one.
    pub(in crate::engines::onnx) inputs: Vec<bool>,
    /// For each output, whether anybody could use it.
    pub(in crate::engines::onnx) outputs: Vec<bool>,
    pub(super) builder: &'a Builder<'a>,
    pub(super) scope: &'a Scope<'a>,
    /// Names that its subgraphs take from around them, in the order in which they
    /// follow the node's own inputs.
    pub(super) captured: Vec<String>,
}

impl<'a> Node<'a> {
    /// The tensor of an input that is the same for each run.
    pub(in crate::engines::onnx) fn constant(&self, at: usize) -> Option<&'a Tensor> {
        match self.constants.get(at).copied().flatten() {
            Some(Value::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// Whether anybody could use the output at this place.
    pub(in crate::engines::onnx) fn has_output(&self, at: usize) -> bool {
        self.outputs.get(at).copied().unwrap_or(false)
    }

    /// An attribute that must be there.
    pub(in crate::engines::onnx) fn required<T>(
        &self,
        name: &str,
        found: Result<Option<T>, String>,
    ) -> Result<T, String> {
        found?.ok_or_else(|| format!("attribute {name:?} is missing"))
    }

    /// The subgraph of an attribute, ready to run.
    pub(in crate::engines::onnx) fn subgraph(&mut self, name: &str) -> Result<Subgraph, String> {
        let graph = self.required(name, self.attributes.graph(name))?;
        let (plan, captured) =
            self.builder.subgraph(graph, self.scope).map_err(|error| format!("in {name}: {error}"))?;
        let first = self.inputs.len();
        let place = |name: String| match self.captured.iter().position(|known| *known == name) {
            Some(at) => first + at,
            None => {
                self.captured.push(name);
                first + self.captured.len() - 1
            }
        };
        let captures = captured.into_iter().map(place).collect();
        Ok(Subgraph { plan, captures })
    }
}

/// A graph within a node.
#[derive(Debug)]
pub(in crate::engines::onnx) struct Subgraph {
    plan: Plan,
    /// Which of the node's inputs follow the graph's own: what it takes from around it.
    captures: SmallVec<[usize; 4]>,
}

impl Subgraph {
    /// How many inputs the graph states itself.
    pub(in crate::engines::onnx) fn inputs(&self) -> usize {
        self.plan.inputs() - self.captures.len()
    }

    /// How many outputs it has.
    pub(in crate::engines::onnx) fn outputs(&self) -> usize {
        self.plan.outputs()
    }

    /// Runs it with its own inputs; `around` are those of its node.
    pub(in crate::engines::onnx) fn run<'v>(
        &'v self,
        own: impl IntoIterator<Item = Input<'v>>,
        around: &'v Inputs<'_>,
    ) -> Result<Vec<Value>, String> {
        let own: Vec<Input<'v>> = own.into_iter().collect();
        if own.len() != self.inputs() {
            return Err(format!("the subgraph takes {} inputs and is given {}", self.inputs(), own.len()));
        }
        let captures =
            self.captures.iter().map(|&at| around.value(at).map_or(Input::Absent, Input::Borrowed));
        let all: Vec<usize> = (0..self.outputs()).collect();
        self.plan.run(own.into_iter().chain(captures), &all, around.budget())
    }
}
