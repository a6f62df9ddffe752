//! A graph that the library has made its own.

use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ort_sys as sys;
use prost::Message as _;
use smallvec::SmallVec;

use super::library::{Failure, Library, Owned, name};
use super::values;
use crate::engines::onnx::backend::{Backend, Value};
use crate::formats::onnx::{Dim, Model, Named, ValueType, dtype};
use crate::limits;
use crate::proto::onnx::StringStringEntryProto;
use crate::proto::onnx::tensor_proto::{DataLocation, DataType};
use crate::servable::RunError;
use crate::tensor::{Shape, Tensor};

/// A session: one for all threads.
pub(super) struct Session {
    // Before the library, which outlives it.
    session: Owned<sys::OrtSession>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// Of the runs that give back what the arena holds and nobody uses.
    shrinking: Owned<sys::OrtRunOptions>,
    runs: AtomicU32,
    library: Arc<Library>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("inputs", &self.inputs).field("outputs", &self.outputs).finish()
    }
}

impl Session {
    /// Hands the graph over. Nothing of `model` is kept.
    ///
    /// # Errors
    /// What the library says of the graph.
    pub(super) fn open(library: &Arc<Library>, model: &Model, threads: u16) -> Result<Self, String> {
        let given = model.inputs().map_err(|error| error.to_string())?;
        let inputs = given.iter().map(|value| name(&value.name)).collect::<Result<_, _>>()?;
        let told = model.outputs().map_err(|error| error.to_string())?;
        let outputs = told.iter().map(|value| name(&value.name)).collect::<Result<_, _>>()?;
        let patterns = open_dims(&given) <= 1;
        // In parts where it is large. What the library has against that in one version
        // or another it may not have against the whole.
        let session = match Parts::of(library, model)? {
            Some(parts) => create(library, &parts.bytes, threads, patterns, &parts.tensors).or_else(|_| {
                let bytes = whole(model)?;
                create(library, &bytes, threads, patterns, &[])
            }),
            None => create(library, &whole(model)?, threads, patterns, &[]),
        };
        let session = session?;
        let shrinking = shrinking(library).map_err(|failure| failure.text)?;
        Ok(Self {
            session,
            inputs,
            outputs,
            shrinking,
            runs: AtomicU32::new(0),
            library: Arc::clone(library),
        })
    }
}

/// How many dimensions of these inputs are anything that a request says, those of one
/// name counted once.
fn open_dims(inputs: &[Named]) -> usize {
    let (mut any, mut symbols) = (0, HashSet::new());
    for input in inputs {
        let ValueType::Tensor { dims: Some(dims), .. } = &input.kind else { return usize::MAX };
        for dim in dims {
            match dim {
                Dim::Known(_) => {}
                Dim::Symbol(name) => drop(symbols.insert(name)),
                Dim::Any => any += 1,
            }
        }
    }
    any + symbols.len()
}

/// The model in one message.
///
/// # Errors
/// When it is larger than a message of protobuf can be.
fn whole(model: &Model) -> Result<Vec<u8>, String> {
    let bytes = model.proto().encoded_len();
    if i32::try_from(bytes).is_err() {
        return Err(format!(
            "the graph has {bytes} bytes in one message; ONNX Runtime reads less than 2 GiB"
        ));
    }
    Ok(model.encode())
}

/// A model whose large tensors are handed over beside it: they are copied once less, and
/// a message of protobuf ends at 2 GiB.
struct Parts {
    bytes: Vec<u8>,
    tensors: Vec<(CString, values::Handle)>,
}

impl Parts {
    /// `None` when no tensor is large.
    ///
    /// # Errors
    /// When what is left is too large for a message, or the library has no memory.
    fn of(library: &Library, model: &Model) -> Result<Option<Self>, String> {
        let (mut proto, mut tensors, mut names) = (model.proto().clone(), Vec::new(), HashSet::new());
        let initializers = proto.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
        for tensor in initializers.filter(|tensor| tensor.raw_data.len() >= limits::ONNX_APART_BYTES_MIN) {
            let kind = DataType::try_from(tensor.data_type).ok();
            let Some(dtype) = kind.and_then(dtype) else { continue };
            let sizes: Option<Vec<usize>> =
                tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
            let Some(shape) = sizes.and_then(|sizes| Shape::new(sizes).ok()) else { continue };
            let Ok(name) = name(&tensor.name) else { continue };
            if !names.insert(tensor.name.clone()) {
                continue;
            }
            // What does not add up stays where it is, for the library to say so.
            let Ok(value) = values::copied(library, &shape, dtype, &tensor.raw_data) else { continue };
            tensors.push((name, value));
            tensor.raw_data.clear();
            let location = StringStringEntryProto { key: "location".into(), value: "apart".into() };
            tensor.external_data = vec![location];
            tensor.set_data_location(DataLocation::External);
        }
        if tensors.is_empty() {
            return Ok(None);
        }
        whole(&Model::new(proto).map_err(|error| error.to_string())?)
            .map(|bytes| Some(Self { bytes, tensors }))
    }
}

/// A session for the graph in `bytes`, with these of its tensors beside it.
fn create(
    library: &Library,
    bytes: &[u8],
    threads: u16,
    patterns: bool,
    tensors: &[(CString, values::Handle)],
) -> Result<Owned<sys::OrtSession>, String> {
    let api = library.api();
    let options = options(library, threads, patterns).map_err(|failure| failure.text)?;
    if !tensors.is_empty() {
        let names: Vec<*const c_char> = tensors.iter().map(|(name, _)| name.as_ptr()).collect();
        let values: Vec<*const sys::OrtValue> =
            tensors.iter().map(|(_, value)| value.pointer().cast_const()).collect();
        // SAFETY: both lists are as long as is said. Names are copied; the values are
        // tensors with memory of the library's own, which it shares with them.
        let added = unsafe {
            let add = api.AddExternalInitializers;
            add(options.pointer(), names.as_ptr(), values.as_ptr(), values.len())
        };
        library.checked(added).map_err(|failure| failure.text)?;
    }
    let session = library.made(api.ReleaseSession, |out| {
        let (start, environment) = (bytes.as_ptr().cast(), library.environment());
        // SAFETY: the bytes are as many as is said and are read before this returns; the
        // environment lives as long as the library.
        unsafe {
            let create = api.CreateSessionFromArray;
            create(environment, start, bytes.len(), options.pointer(), out)
        }
    });
    session.map_err(|failure| failure.text)
}

/// Options of a run after which the arena gives back what is free of it.
fn shrinking(library: &Library) -> Result<Owned<sys::OrtRunOptions>, Failure> {
    let api = library.api();
    // SAFETY: `out` is a place for the pointer.
    let options = library.made(api.ReleaseRunOptions, |out| unsafe { (api.CreateRunOptions)(out) })?;
    let (key, value) = (c"memory.enable_memory_arena_shrinkage", c"cpu:0");
    // SAFETY: the options are nobody else's yet; both texts end in a zero and are copied.
    library.checked(unsafe { (api.AddRunConfigEntry)(options.pointer(), key.as_ptr(), value.as_ptr()) })?;
    Ok(options)
}

/// How each session works: in the caller's thread, and `threads - 1` of its own.
fn options(
    library: &Library,
    threads: u16,
    patterns: bool,
) -> Result<Owned<sys::OrtSessionOptions>, Failure> {
    let api = library.api();
    // SAFETY: `out` is a place for the pointer.
    let options =
        library.made(api.ReleaseSessionOptions, |out| unsafe { (api.CreateSessionOptions)(out) })?;
    let at = options.pointer();
    let set = |key: &'static CStr, value: &'static CStr| {
        // SAFETY: both are texts that end in a zero, and are copied.
        library.checked(unsafe { (api.AddSessionConfigEntry)(at, key.as_ptr(), value.as_ptr()) })
    };
    // SAFETY: the options are alive and nobody else's, here and below. `ALL` is the one
    // name of the highest level that all versions know.
    library.checked(unsafe {
        let all = sys::GraphOptimizationLevel::ORT_ENABLE_ALL;
        (api.SetSessionGraphOptimizationLevel)(at, all)
    })?;
    // SAFETY: see above.
    library.checked(unsafe { (api.SetIntraOpNumThreads)(at, threads.into()) })?;
    // SAFETY: see above.
    library.checked(unsafe { (api.SetInterOpNumThreads)(at, 1) })?;
    // Threads that wait for work by turning in circles would take the cores of other
    // requests.
    set(c"session.intra_op.allow_spinning", c"0")?;
    set(c"session.inter_op.allow_spinning", c"0")?;
    // Weights are no part of the arena, whose pieces grow in powers of two, but memory of
    // their own, which goes back when the session ends.
    set(c"session.use_device_allocator_for_initializers", c"1")?;
    if !patterns {
        // A plan of the memory is kept for each combination of sizes that was ever asked
        // for: few where one dimension is open, and without end where several are.
        // SAFETY: see above.
        library.checked(unsafe { (api.DisableMemPattern)(at) })?;
    }
    Ok(options)
}

impl Backend for Session {
    fn run(&self, inputs: Vec<Tensor>, outputs: &[usize]) -> Result<Vec<Value>, RunError> {
        let api = self.library.api();
        let failed = |failure: Failure| match failure.invalid_argument {
            true => RunError::InvalidInput(failure.text),
            false => RunError::Internal(failure.text),
        };
        let internal = |text: &str| RunError::Internal(text.to_owned());
        if inputs.len() != self.inputs.len() {
            return Err(internal("the graph was given another number of inputs than it takes"));
        }
        if outputs.is_empty() {
            return Ok(Vec::new());
        }
        // They borrow from `inputs`, which lives until the end of the run.
        let values: SmallVec<[values::Handle; 4]> = inputs
            .iter()
            .map(|tensor| values::input(&self.library, tensor))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let value_pointers: SmallVec<[*const sys::OrtValue; 4]> =
            values.iter().map(|value| value.pointer().cast_const()).collect();
        let input_names: SmallVec<[*const c_char; 4]> =
            self.inputs.iter().map(|name| name.as_ptr()).collect();
        let output_names: SmallVec<[*const c_char; 4]> = outputs
            .iter()
            .map(|&output| self.outputs.get(output).map(|name| name.as_ptr()))
            .collect::<Option<_>>()
            .ok_or_else(|| internal("an output was asked for that the graph has not"))?;
        let mut found: SmallVec<[*mut sys::OrtValue; 4]> =
            SmallVec::from_elem(std::ptr::null_mut(), outputs.len());
        // The arena keeps the most that all runs at one time ever took, and does so until it
        // is told to give it back: now and then, since the next run has to get it again.
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let options = match run % limits::ONNX_RUNS_PER_SHRINK == limits::ONNX_RUNS_PER_SHRINK - 1 {
            true => self.shrinking.pointer().cast_const(),
            false => std::ptr::null(),
        };
        // SAFETY: all lists are as long as is said; names and values live until after the
        // call. The library documents `Run` as safe to call on one session from many
        // threads at once, and allows to give no options; those it is given it only reads.
        let status = unsafe {
            (api.Run)(
                self.session.pointer(),
                options,
                input_names.as_ptr(),
                value_pointers.as_ptr(),
                value_pointers.len(),
                output_names.as_ptr(),
                output_names.len(),
                found.as_mut_ptr(),
            )
        };
        // Taken before the status is looked at, so that they are given back in any case.
        let found: SmallVec<[Option<values::Handle>; 4]> =
            found.into_iter().map(|pointer| self.library.taken(pointer, api.ReleaseValue)).collect();
        self.library.checked(status).map_err(failed)?;
        let told = found.iter().map(|value| match value {
            Some(value) => values::output(&self.library, value, 0),
            None => Ok(Value::Absent),
        });
        told.collect::<Result<_, _>>().map_err(RunError::Internal)
    }
}
