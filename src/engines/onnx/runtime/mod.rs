//! ONNX Runtime, opened where it is found.
//!
//! The library's C interface is called directly, at the version that all libraries
//! from 1.17 on have: one session answers all threads at once, which its `Run` is
//! made for. What is unsafe stays in this room: [`library`] opens and owns, `values`
//! turns tensors into the library's and back, `session` runs. Source: ONNX Runtime,
//! include/onnxruntime/core/session/onnxruntime_c_api.h.
#![allow(unsafe_code)]

mod library;
mod session;
mod values;

use std::sync::{Arc, OnceLock};

use self::library::Library;
use self::session::Session;
use super::backend::Backend;
use crate::formats::onnx::Model;
use crate::libraries::{self, LibraryChoice, Wanted};

/// How its file is recognised. The variable is the one that other programs of the
/// same binding use.
const WANTED: Wanted = Wanted {
    name: "ONNX Runtime",
    flag: "--onnxruntime_library",
    variable: Some("ORT_DYLIB_PATH"),
    files: &["libonnxruntime.so", "libonnxruntime.dylib"],
    package_folder: "onnxruntime/capi",
    symbol: "OrtGetApiBase",
    advice: "install it (the Python package onnxruntime holds it, in onnxruntime/capi)",
};

/// ONNX Runtime's library: looked for when the first graph wants it, and opened once.
#[derive(Debug)]
pub(in crate::engines) struct OnnxRuntime {
    choice: LibraryChoice,
    /// What became of the file that was found. It is never opened a second time.
    opened: OnceLock<Result<Arc<Library>, String>>,
}

impl OnnxRuntime {
    /// Looks nowhere yet.
    #[must_use]
    pub(in crate::engines) fn new(choice: LibraryChoice) -> Self {
        Self { choice, opened: OnceLock::new() }
    }

    /// A session for `model`, and the library's name and version. One run uses
    /// `intra_op_threads` threads, its caller's among them; 0 counts as 1.
    ///
    /// # Errors
    /// Why there is none: no library, or what it says of the graph.
    pub(super) fn open(
        &self,
        model: &Model,
        intra_op_threads: u16,
    ) -> Result<(Arc<dyn Backend>, String), String> {
        let library = self.library()?;
        let name = format!("onnxruntime {}", library.version());
        Ok((Arc::new(Session::open(library, model, intra_op_threads.max(1))?), name))
    }

    /// Its version and where it is, or why there is none. Finds and opens it where that
    /// is still to do.
    pub(in crate::engines) fn report(&self) -> Result<String, String> {
        let library = self.library()?;
        Ok(format!("{}, {}", library.version(), library.path().display()))
    }

    /// The opened library. Where none was found it is looked for again: it may have
    /// been installed since.
    fn library(&self) -> Result<&Arc<Library>, String> {
        let opened = match self.opened.get() {
            Some(opened) => opened,
            None => {
                let path = libraries::find(&WANTED, &self.choice).map_err(|error| error.to_string())?;
                let open = || Library::open(&path).map_err(|why| format!("{}: {why}", path.display()));
                self.opened.get_or_init(|| open().map(Arc::new))
            }
        };
        opened.as_ref().map_err(Clone::clone)
    }
}

#[cfg(test)]
mod tests;
