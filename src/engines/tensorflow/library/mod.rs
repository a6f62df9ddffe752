//! libtensorflow, opened at run time: the functions of its C API that serving needs,
//! behind values that are safe to use.
//!
//! The library is found by what it exports ([`crate::libraries`]) and is never closed:
//! it starts threads and registers destructors that would run code of a library that is
//! gone. Facts about it come from `tensorflow/c/c_api.h`, `tf_tensor.h` and
//! `tensorflow/core/platform/ctstring_internal.h`, which are the same in 2.12 to 2.21.
#![allow(unsafe_code, reason = "a C API; each block says why it is sound")]

mod api;
mod session;
mod tensor;

pub(super) use session::{Port, Session};

use std::ffi::{CStr, c_int};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use self::api::{Api, TF_Status};
use crate::error::Code;

/// What TensorFlow answered in the place of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    /// Its code.
    pub(super) code: Code,
    /// Its words.
    pub(super) message: String,
}

impl Failure {
    fn internal(message: impl Into<String>) -> Self {
        Self { code: Code::Internal, message: message.into() }
    }
}

/// The opened library.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tensorflow {
    api: &'static Api,
    path: &'static Path,
}

impl Tensorflow {
    /// Opens the library at `path`, which has been recognised as TensorFlow's.
    ///
    /// # Errors
    /// What the system's loader says, or which function of the C API it lacks.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let api = Api::open(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        // The library stays for as long as the process does, and what belongs to it too.
        Ok(Self { api: Box::leak(Box::new(api)), path: Box::leak(path.into_boxed_path()) })
    }

    /// Its version: `2.21.0`.
    pub(super) fn version(&self) -> String {
        // SAFETY: TF_Version takes nothing and gives a static text that ends in NUL.
        let text = unsafe { CStr::from_ptr((self.api.TF_Version)()) };
        text.to_string_lossy().into_owned()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &'static Path {
        self.path
    }
}

/// A `TF_Status`: where a call says how it went.
struct Status {
    api: &'static Api,
    raw: NonNull<TF_Status>,
}

impl Status {
    fn new(api: &'static Api) -> Self {
        // SAFETY: it takes nothing; the status that it makes is deleted once, in `drop`.
        let raw = unsafe { (api.TF_NewStatus)() };
        Self { api, raw: NonNull::new(raw).expect("TensorFlow's allocator ends the process instead") }
    }

    fn as_ptr(&self) -> *mut TF_Status {
        self.raw.as_ptr()
    }

    /// What was said since it was made.
    fn check(&self) -> Result<(), Failure> {
        // SAFETY: the status is alive, and no call writes to it now.
        let code: c_int = unsafe { (self.api.TF_GetCode)(self.as_ptr()) };
        let Some(code) = Code::ALL.into_iter().find(|known| *known as c_int == code) else {
            return Err(Failure { code: Code::Unknown, message: self.message() });
        };
        if code == Code::Ok { Ok(()) } else { Err(Failure { code, message: self.message() }) }
    }

    fn message(&self) -> String {
        // SAFETY: the status is alive and gives a text of its own that ends in NUL, which
        // is copied before anything else happens to it.
        let text = unsafe { CStr::from_ptr((self.api.TF_Message)(self.as_ptr())) };
        text.to_string_lossy().into_owned()
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        // SAFETY: it was made by TF_NewStatus, and is not used after this.
        unsafe { (self.api.TF_DeleteStatus)(self.as_ptr()) };
    }
}
