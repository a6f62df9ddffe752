//! tract: neural networks without any library, in Rust.
//!
//! tract reads the message on its own, types it, and rewrites it for this machine.
//! The plan that comes of it is immutable: requests run on it at once, each with a
//! state of its own and in its own thread.
//!
//! Three things stand between tract and a wrong answer. [`refused`] names what it is
//! known to compute otherwise than ONNX says, or to pass over in silence. Its panics
//! are errors of the load. And each plan is run on made-up inputs before it is chosen,
//! so that what cannot be run at all is left to another back end.

mod mended;
mod refused;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use tract_onnx::prelude::{Tensor as Tract, *};
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::internal::{
    DimFact, DimLike, Factoid, ShapeFactoid, SimpleState, Symbol, SymbolValues, TDim, ToDim,
};

use super::backend::{Backend, Value};
use crate::formats::onnx::{Model, Named, ValueType, dtype};
use crate::limits;
use crate::proto::onnx::tensor_proto::DataType;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// What it is called where a back end is told.
pub(super) const NAME: &str = "tract 0.23.9";

/// Sizes that all symbols of a graph are given in turn when it is tried. The later
/// ones are for graphs that want some width, and only tried when the first fail.
const TRIAL_SIZES: [usize; 5] = [1, 2, 8, 32, 224];

/// Characters of what tract says, of one link of its chain and of all of it.
const LINK_CHARS_MAX: usize = 160;
const TOLD_CHARS_MAX: usize = 480;

type Plan = TypedSimplePlan;

/// A graph that tract has made its own.
#[derive(Debug)]
pub(super) struct Graph {
    plan: Arc<Plan>,
    inputs: Vec<String>,
    /// Name and dtype of each output, as the file states them.
    outputs: Vec<(String, crate::tensor::DType)>,
}

/// Builds the graph.
///
/// # Errors
/// What it is refused for, or what tract says of it.
pub(super) fn open(model: &Model) -> Result<Graph, String> {
    let (inputs, outputs) = (named(model.inputs(), "input")?, named(model.outputs(), "output")?);
    refused::check(model)?;
    let graph = guarded(|| {
        // Different inputs may well have different numbers of rows, and one number as well:
        // the file does not say. What tract can type is what is meant.
        let own = plan(model, &outputs, Anonymous::Apart);
        let plan = own.or_else(|error| plan(model, &outputs, Anonymous::RowsTogether).map_err(|_| error))?;
        let inputs = inputs.iter().map(|(name, _)| name.clone()).collect();
        Ok(Graph { plan, inputs, outputs })
    })?;
    graph.tried()?;
    Ok(graph)
}

impl Backend for Graph {
    fn run(&self, inputs: Vec<Tensor>, outputs: &[usize]) -> Result<Vec<Value>, RunError> {
        let mut given = TVec::with_capacity(inputs.len());
        for (name, input) in self.inputs.iter().zip(inputs) {
            let input = values::to_tract(input)
                .map_err(|why| RunError::InvalidInput(format!("input {name}: {why}")))?;
            given.push(input.into_tvalue());
        }
        let mut found = self.ran(given)?;
        let answer = |&position: &usize| {
            let (name, dtype) = &self.outputs[position];
            let value = std::mem::replace(&mut found[position], Arc::new(Tract::default()).into_tvalue());
            let twice = outputs.iter().filter(|&&other| other == position).count() > 1;
            if twice {
                found[position] = value.clone();
            }
            values::from_tract(&value, *dtype)
                .map(Value::Tensor)
                .map_err(|why| RunError::Internal(format!("output {name}: {why}")))
        };
        outputs.iter().map(answer).collect()
    }
}

impl Graph {
    /// All outputs for these inputs.
    fn ran(&self, inputs: TVec<TValue>) -> Result<TVec<TValue>, RunError> {
        let broken = |error: TractError| RunError::Internal(told(&error));
        let mut state = SimpleState::new(&self.plan).map_err(broken)?;
        for (at, (name, input)) in self.inputs.iter().zip(inputs).enumerate() {
            let shape: Vec<String> = input.shape().iter().map(ToString::to_string).collect();
            state.set_input(at, input).map_err(|error| {
                let shape = shape.join(",");
                RunError::InvalidInput(format!(
                    "input {name}: the graph cannot take shape [{shape}]: {}",
                    told(&error)
                ))
            })?;
        }
        // The plan has been run before, in its trial: that it fails is due to the sizes or
        // the values that it has been given now. tract panics at some, such as an index
        // past the end.
        guarded(|| state.exec().map_err(|error| told(&error))).map_err(|why| {
            let names = self.inputs.join(", ");
            RunError::InvalidInput(format!("the graph cannot take these inputs ({names}): {why}"))
        })?;
        state.outputs().map_err(broken)
    }

    /// Runs the plan on made-up inputs.
    ///
    /// # Errors
    /// The first failure, when there is no size that it runs for.
    fn tried(&self) -> Result<(), String> {
        let model = self.plan.model();
        let mut symbols: Vec<Symbol> = Vec::new();
        for at in 0..self.inputs.len() {
            let fact = model.input_fact(at).map_err(|error| told(&error))?;
            symbols.extend(fact.shape.iter().flat_map(TDim::symbols));
        }
        let sizes = if symbols.is_empty() { &TRIAL_SIZES[..1] } else { &TRIAL_SIZES };
        let (mut ran, mut first) = (false, None);
        for (turn, &size) in sizes.iter().enumerate() {
            if turn > 1 && ran {
                break;
            }
            let values = symbols.iter().fold(SymbolValues::default(), |values, symbol| {
                values.with(symbol, i64::try_from(size).expect("a small number"))
            });
            // Zeros are good indices, and ones good divisors.
            for ones in [false, true] {
                match guarded(|| self.trial(&values, ones)) {
                    Ok(()) => {
                        ran = true;
                        break;
                    }
                    Err(error) => first = first.or(Some(error)),
                }
            }
        }
        if ran { Ok(()) } else { Err(first.unwrap_or_default()) }
    }

    fn trial(&self, values: &SymbolValues, ones: bool) -> Result<(), String> {
        let mut inputs = TVec::new();
        let mut bytes = 0usize;
        for at in 0..self.inputs.len() {
            let fact = self.plan.model().input_fact(at).map_err(|error| told(&error))?;
            let size = |dim: &TDim| dim.eval(values).to_usize().unwrap_or(1);
            let shape: Vec<usize> = fact.shape.iter().map(size).collect();
            let elements =
                crate::tensor::Shape::new(shape.iter().copied()).map_err(|e| e.to_string())?.elements();
            bytes = bytes.saturating_add(elements.saturating_mul(fact.datum_type.size_of()));
            if bytes > limits::TENSOR_BYTES_MAX {
                return Err(format!("inputs of more than {} bytes are not tried", limits::TENSOR_BYTES_MAX));
            }
            let mut input = if fact.datum_type == DatumType::String {
                values::no_texts(&shape)?
            } else {
                Tract::zero_dt(fact.datum_type, &shape).map_err(|error| told(&error))?
            };
            if ones && fact.datum_type.is_number() {
                let one =
                    tensor0(1u8).cast_to_dt(fact.datum_type).map_err(|error| told(&error))?.into_owned();
                input = one.broadcast_scalar_to_shape(&shape).map_err(|error| told(&error))?;
            }
            inputs.push(input.into_tvalue());
        }
        self.ran(inputs).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Which dimensions that the file gives no name have one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anonymous {
    /// None is known to.
    Apart,
    /// The first of each input.
    RowsTogether,
}

/// The plan for `model`: read, typed, rewritten.
fn plan(
    model: &Model,
    outputs: &[(String, crate::tensor::DType)],
    anonymous: Anonymous,
) -> Result<Arc<Plan>, String> {
    let told = |error: TractError| told(&error);
    let message: Cow<'_, _> = refused::with_numbers_where_tract_looks(model.proto());
    let bytes = prost::Message::encode_to_vec(message.as_ref());
    let mut graph = tract_onnx::onnx().model_for_read(&mut &bytes[..]).map_err(told)?;
    drop(bytes);
    let expected = model.inputs().map_err(|error| error.to_string())?;
    if graph.inputs.len() != expected.len() {
        return Err(format!("it finds {} inputs; the file has {}", graph.inputs.len(), expected.len()));
    }
    for (at, input) in expected.iter().enumerate() {
        let fact = graph.input_fact(at).map_err(told)?.clone();
        if fact.shape.is_open() {
            return Err(format!("input {:?} has no rank in the file; tract needs one", input.name));
        }
        let dims: TVec<DimFact> = fact
            .shape
            .dims()
            .enumerate()
            .map(|(axis, dim)| {
                if dim.concretize().is_some() {
                    return dim.clone();
                }
                // A space is in no name that a file can give a dimension in an expression.
                let name = match anonymous {
                    Anonymous::RowsTogether if axis == 0 => "any rows".to_owned(),
                    _ => format!("any {at} {axis}"),
                };
                DimFact::from(graph.symbols.sym(&name).to_dim())
            })
            .collect();
        graph.set_input_fact(at, fact.with_shape(ShapeFactoid::closed(dims))).map_err(told)?;
    }
    let mut typed = graph.into_typed().map_err(told)?;
    refused::check_sizes(&typed)?;
    mended::extremes(&mut typed).map_err(told)?;
    // Sizes are kept as expressions within; outside they are integers.
    let found = typed.output_outlets().map_err(told)?.to_vec();
    let mut given = Vec::with_capacity(found.len());
    for (outlet, (name, wanted)) in found.iter().zip(outputs) {
        let kind = typed.outlet_fact(*outlet).map_err(told)?.datum_type;
        let expected = values::datum_type(*wanted).ok_or_else(|| format!("output {name:?} is {wanted}"))?;
        if kind == TDim::datum_type() {
            let cast = typed.wire_node(format!("{name} as integers"), cast(expected), &[*outlet]);
            given.push(cast.map_err(told)?[0]);
        } else if kind == expected {
            given.push(*outlet);
        } else {
            return Err(format!("output {name:?} is {kind:?} in it; the file says {wanted}"));
        }
    }
    if given.len() != outputs.len() {
        return Err(format!("it finds {} outputs; the file has {}", given.len(), outputs.len()));
    }
    typed.select_output_outlets(&given).map_err(told)?;
    typed.into_optimized().map_err(told)?.into_runnable().map_err(told)
}

/// Names and dtypes, if all are dense tensors of an element type that tract has.
fn named(
    values: Result<Vec<Named>, crate::formats::onnx::OnnxError>,
    what: &str,
) -> Result<Vec<(String, crate::tensor::DType)>, String> {
    let one = |value: Named| {
        let kind = match &value.kind {
            ValueType::Tensor { data_type, .. } => *data_type,
            _ => return Err(format!("{what} {:?} is no tensor; tract has nothing else", value.name)),
        };
        match dtype(kind) {
            Some(dtype) if values::datum_type(dtype).is_some() => Ok((value.name, dtype)),
            _ => Err(format!(
                "{what} {:?} is {}, which tract has not",
                value.name,
                DataType::as_str_name(&kind)
            )),
        }
    };
    values.map_err(|error| error.to_string())?.into_iter().map(one).collect()
}

thread_local! {
    /// Whether panics of this thread are told by whoever catches them.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, and makes an error of its panic. The process does not report such a
/// panic as well: a request can cause one, with an index past the end.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                report(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    done.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a word");
        Err(format!("tract gave up: {}", cut(said, LINK_CHARS_MAX)))
    })
}

/// tract's chain of reasons, outermost first: the first line of each, once.
fn told(error: &TractError) -> String {
    let mut links: Vec<String> = Vec::new();
    for link in error.chain() {
        let link = link.to_string();
        let line = cut(link.lines().next().unwrap_or_default(), LINK_CHARS_MAX);
        if !line.is_empty() && !links.iter().any(|known| known.contains(&line)) {
            links.push(line);
        }
    }
    // The place is at the front, the cause at the end.
    if links.len() > 4 {
        links.drain(2..links.len() - 2);
    }
    cut(&links.join(": "), TOLD_CHARS_MAX)
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    let mut cut: String = text.chars().take(most).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
