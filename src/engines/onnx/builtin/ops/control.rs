//! Graphs within nodes: `If`, `Loop`, `Scan`.

use super::super::super::backend::Value;
use super::super::elements::View;
use super::super::op::{Built, Input, Inputs, Node, Outputs, Subgraph, axis, ints, made, op, size};
use super::super::registry::{Row, row};
use super::compare::truths;
use super::shape::concatenated;
use crate::limits;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] =
    &[row("If", 1, branch), row("Loop", 1, repeat), row("Scan", 8, scan_8), row("Scan", 9, scan)];

/// The one truth value of a tensor.
fn truth(tensor: &Tensor) -> Result<bool, String> {
    match truths(tensor)? {
        [value] => Ok(*value != 0),
        _ => Err(format!("a condition has shape {}; expected one truth value", tensor.shape())),
    }
}

fn branch(node: &mut Node<'_>) -> Built {
    let yes = node.subgraph("then_branch")?;
    let no = node.subgraph("else_branch")?;
    op(move |inputs| {
        let graph = if truth(inputs.tensor(0)?)? { &yes } else { &no };
        graph.run([], &inputs).map(Outputs::from_vec)
    })
}

/// Tensors of one shape along a new first dimension. Without any, one of no rows.
fn stacked(values: Vec<Value>) -> Result<Value, String> {
    let mut tensors = Vec::with_capacity(values.len());
    for value in values {
        let Value::Tensor(tensor) = value else { return Err("what is collected is no tensor".to_owned()) };
        let dims: Vec<usize> = std::iter::once(1).chain(tensor.shape().iter().copied()).collect();
        tensors.push(made(dims, tensor.into_elements())?);
    }
    if tensors.is_empty() {
        return made([0], Vec::<f32>::new()).map(Value::Tensor);
    }
    concatenated(&tensors.iter().collect::<Vec<_>>(), 0).map(Value::Tensor)
}

fn repeat(node: &mut Node<'_>) -> Built {
    let own = node.inputs.len();
    let body = node.subgraph("body")?;
    let carried = own.saturating_sub(2);
    if body.inputs() != carried + 2 || body.outputs() <= carried {
        return Err(format!(
            "its body has {} inputs and {} outputs for {carried} carried values",
            body.inputs(),
            body.outputs()
        ));
    }
    op(move |mut inputs| {
        let most = inputs.ints(0)?.and_then(|most| most.first().copied()).unwrap_or(i64::MAX);
        let mut goes_on = inputs.optional(1)?.map_or(Ok(true), truth)?;
        let mut state: Vec<Value> =
            (0..carried).map(|at| inputs.take_value(at + 2).unwrap_or(Value::Absent)).collect();
        let mut collected: Vec<Vec<Value>> = vec![Vec::new(); body.outputs() - 1 - carried];
        let mut step = 0i64;
        while goes_on && step < most {
            inputs.budget().step()?;
            let number = Value::Tensor(made([], vec![step])?);
            let condition = Value::Tensor(made([], vec![goes_on])?);
            let given = [number, condition].into_iter().chain(state.drain(..)).map(|value| match value {
                Value::Absent => Input::Absent,
                value => Input::Owned(value),
            });
            let given: Vec<Input<'_>> = given.collect();
            let mut results = body.run(given, &inputs)?.into_iter();
            goes_on = match results.next() {
                Some(Value::Tensor(tensor)) => truth(&tensor)?,
                _ => return Err("its body gives no condition".to_owned()),
            };
            state.extend(results.by_ref().take(carried));
            collect(&mut collected, results)?;
            step += 1;
        }
        finish(state, collected)
    })
}

/// Keeps what a step gave, as long as all of it is no more than one tensor may hold.
fn collect(collected: &mut [Vec<Value>], results: impl Iterator<Item = Value>) -> Result<(), String> {
    for (list, value) in collected.iter_mut().zip(results) {
        let elements = if let Value::Tensor(tensor) = &value { tensor.elements().len() } else { 1 };
        if (list.len() + 1).saturating_mul(elements.max(1)) > limits::ONNX_ELEMENTS_MAX {
            return Err(format!("more than {} elements are collected", limits::ONNX_ELEMENTS_MAX));
        }
        list.push(value);
    }
    Ok(())
}

fn finish(state: Vec<Value>, collected: Vec<Vec<Value>>) -> Result<Outputs, String> {
    let stacks = collected.into_iter().map(stacked);
    state.into_iter().map(Ok).chain(stacks).collect()
}

/// How a scan goes along its inputs and lays down its outputs.
struct Scan {
    body: Subgraph,
    /// How many inputs are scanned.
    scanned: usize,
    input_axes: Vec<i64>,
    input_reversed: Vec<bool>,
    output_axes: Vec<i64>,
    output_reversed: Vec<bool>,
}

impl Scan {
    fn read(node: &mut Node<'_>) -> Result<Self, String> {
        let scanned = node.required("num_scan_inputs", node.attributes.int("num_scan_inputs"))?;
        let scanned = size(scanned, "num_scan_inputs")?;
        let list = |name: &str| Ok::<_, String>(node.attributes.ints(name)?.unwrap_or_default().to_vec());
        let (input_axes, output_axes) = (list("scan_input_axes")?, list("scan_output_axes")?);
        let old = list("directions")?;
        let input_reversed = if old.is_empty() { list("scan_input_directions")? } else { old };
        let output_reversed = list("scan_output_directions")?;
        let turned = |list: Vec<i64>| list.into_iter().map(|direction| direction != 0).collect();
        let body = node.subgraph("body")?;
        Ok(Self {
            body,
            scanned,
            input_axes,
            input_reversed: turned(input_reversed),
            output_axes,
            output_reversed: turned(output_reversed),
        })
    }

    /// Runs the body along `scans`, from `state` on.
    fn run(
        &self,
        mut state: Vec<Value>,
        scans: &[&Tensor],
        around: &Inputs<'_>,
    ) -> Result<(Vec<Value>, Vec<Value>), String> {
        let states = state.len();
        if self.body.inputs() != states + scans.len() || self.body.outputs() < states {
            return Err(format!(
                "its body has {} inputs; it is given {}",
                self.body.inputs(),
                states + scans.len()
            ));
        }
        let axes = scans
            .iter()
            .enumerate()
            .map(|(at, tensor)| axis(self.input_axes.get(at).copied().unwrap_or(0), tensor.shape().rank()))
            .collect::<Result<Vec<_>, _>>()?;
        let length = scans.first().map_or(0, |tensor| tensor.shape()[axes[0]]);
        if scans.iter().zip(&axes).any(|(tensor, &at)| tensor.shape()[at] != length) {
            return Err("the scanned inputs have different lengths".to_owned());
        }
        let mut collected: Vec<Vec<Value>> = vec![Vec::new(); self.body.outputs() - states];
        for step in 0..length {
            let mut given: Vec<Input<'_>> = state.drain(..).map(Input::Owned).collect();
            for (at, (tensor, &along)) in scans.iter().zip(&axes).enumerate() {
                let is_reversed = self.input_reversed.get(at).copied().unwrap_or(false);
                let step = if is_reversed { length - 1 - step } else { step };
                given.push(Input::Owned(Value::Tensor(row_of(tensor, along, step)?)));
            }
            let mut results = self.body.run(given, around)?.into_iter();
            state.extend(results.by_ref().take(states));
            collect(&mut collected, results)?;
        }
        let mut stacks = Vec::with_capacity(collected.len());
        for (at, mut values) in collected.into_iter().enumerate() {
            if self.output_reversed.get(at).copied().unwrap_or(false) {
                values.reverse();
            }
            let Value::Tensor(stack) = stacked(values)? else { continue };
            let along = axis(self.output_axes.get(at).copied().unwrap_or(0), stack.shape().rank())?;
            let mut order: Vec<usize> = (1..stack.shape().rank()).collect();
            order.insert(along, 0);
            stacks.push(Value::Tensor(super::matrix::transposed(&stack, &order)?));
        }
        Ok((state, stacks))
    }
}

/// The part of a tensor at one place of a dimension, without that dimension.
fn row_of(tensor: &Tensor, along: usize, at: usize) -> Result<Tensor, String> {
    let mut view = View::whole(tensor.shape());
    view.offset = view.strides[along] * at.cast_signed();
    view.dims.remove(along);
    view.strides.remove(along);
    made(view.dims.iter().copied(), view.of(tensor.elements()))
}

fn scan(node: &mut Node<'_>) -> Built {
    let own = node.inputs.len();
    let scan = Scan::read(node)?;
    let states = own.checked_sub(scan.scanned).ok_or("it has fewer inputs than are scanned")?;
    op(move |mut inputs| {
        let state =
            (0..states).map(|at| inputs.take(at).map(Value::Tensor)).collect::<Result<Vec<_>, _>>()?;
        let scans = (states..own).map(|at| inputs.tensor(at)).collect::<Result<Vec<_>, _>>()?;
        let (state, stacks) = scan.run(state, &scans, &inputs)?;
        Ok(state.into_iter().chain(stacks).collect())
    })
}

/// The first version: with batches, and a length for each.
fn scan_8(node: &mut Node<'_>) -> Built {
    let own = node.inputs.len();
    let scan = Scan::read(node)?;
    let states = own.checked_sub(scan.scanned + 1).ok_or("it has fewer inputs than are scanned")?;
    op(move |inputs| {
        let tensors = (1..own).map(|at| inputs.tensor(at)).collect::<Result<Vec<_>, _>>()?;
        let batches =
            tensors.first().and_then(|tensor| tensor.shape().first().copied()).ok_or("it has no batch")?;
        if tensors.iter().any(|tensor| tensor.shape().first() != Some(&batches)) {
            return Err("the inputs have different numbers of batches".to_owned());
        }
        let lengths = inputs.optional(0)?.map(ints).transpose()?;
        let mut results: Vec<Vec<Value>> = Vec::new();
        for batch in 0..batches {
            let mut rows =
                tensors.iter().map(|tensor| row_of(tensor, 0, batch)).collect::<Result<Vec<_>, _>>()?;
            let mut scans = rows.split_off(states);
            if let Some(length) = lengths.as_ref().and_then(|lengths| lengths.get(batch)) {
                let length = size(*length, "a length")?;
                for scan in &mut scans {
                    let length = length.min(scan.shape().first().copied().unwrap_or(0));
                    *scan = crate::tensor::slice_rows(scan, 0..length).map_err(|error| error.to_string())?;
                }
            }
            let state = rows.into_iter().map(Value::Tensor).collect();
            let (state, stacks) = scan.run(state, &scans.iter().collect::<Vec<_>>(), &inputs)?;
            let values: Vec<Value> = state.into_iter().chain(stacks).collect();
            results.resize(values.len(), Vec::new());
            results.iter_mut().zip(values).for_each(|(result, value)| result.push(value));
        }
        results.into_iter().map(stacked).collect()
    })
}
