//! A graph that the library has made its own.

use std::ffi::{CString, c_char};
use std::fmt;
use std::sync::Arc;

use ort_sys as sys;
use smallvec::SmallVec;

use super::library::{Failure, Library, Owned, name};
use super::values;
use crate::engines::onnx::backend::{Backend, Value};
use crate::formats::onnx::Model;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// A session: one for all threads.
pub(super) struct Session {
    // Before the library, which outlives it.
    session: Owned<sys::OrtSession>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
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
        let names = |values: Vec<crate::formats::onnx::Named>| -> Result<Vec<CString>, String> {
            values.iter().map(|value| name(&value.name)).collect()
        };
        let inputs = names(model.inputs().map_err(|error| error.to_string())?)?;
        let outputs = names(model.outputs().map_err(|error| error.to_string())?)?;
        let options = options(library, threads).map_err(|failure| failure.text)?;
        let bytes = model.encode();
        let api = library.api();
        let session = library
            .made(api.ReleaseSession, |out| {
                let (start, environment) = (bytes.as_ptr().cast(), library.environment());
                // SAFETY: the bytes are as many as is said and are read before this
                // returns; the environment lives as long as the library.
                unsafe {
                    let create = api.CreateSessionFromArray;
                    create(environment, start, bytes.len(), options.pointer(), out)
                }
            })
            .map_err(|failure| failure.text)?;
        Ok(Self { session, inputs, outputs, library: Arc::clone(library) })
    }
}

/// How each session works: in the caller's thread, and `threads - 1` of its own.
fn options(library: &Library, threads: u16) -> Result<Owned<sys::OrtSessionOptions>, Failure> {
    let api = library.api();
    // SAFETY: `out` is a place for the pointer.
    let options =
        library.made(api.ReleaseSessionOptions, |out| unsafe { (api.CreateSessionOptions)(out) })?;
    let at = options.pointer();
    let set = |key: &'static std::ffi::CStr, value: &'static std::ffi::CStr| {
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
        // SAFETY: all lists are as long as is said; names and values live until after the
        // call. The library documents `Run` as safe to call on one session from many
        // threads at once. No options of the run are given, which it allows.
        let status = unsafe {
            (api.Run)(
                self.session.pointer(),
                std::ptr::null(),
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
