//! The C API: types and functions as `tensorflow/c/c_api.h` declares them.
#![allow(non_camel_case_types, non_snake_case, reason = "the names are the C API's")]

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

/// A type of which only pointers are known here.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub(super) struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque!(TF_Status, TF_Tensor, TF_Graph, TF_Operation, TF_Session, TF_SessionOptions);

/// One output of one node. Source: `TF_Output`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TF_Output {
    pub(super) oper: *mut TF_Operation,
    pub(super) index: c_int,
}

/// Bytes. Source: `TF_Buffer`; those that are only read need no deallocator.
#[repr(C)]
pub(super) struct TF_Buffer {
    pub(super) data: *const c_void,
    pub(super) length: usize,
    pub(super) data_deallocator: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// Called with data, length and argument of [`Api::TF_NewTensor`] when a tensor's data
/// are no longer needed.
pub(super) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $given:ty)?;)*) => {
        /// The functions of the library.
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $given)?,)*
        }

        impl Api {
            fn look_up(library: &Library) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of the declaration of this name in
                        // c_api.h, which has not changed since 2.12; the library is never
                        // closed, so that the function stays where it is.
                        let found = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *found.map_err(|_| concat!("it exports no function ", stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    TF_Version() -> *const c_char;
    TF_NewStatus() -> *mut TF_Status;
    TF_DeleteStatus(*mut TF_Status);
    TF_GetCode(*const TF_Status) -> c_int;
    TF_Message(*const TF_Status) -> *const c_char;
    TF_NewTensor(c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void) -> *mut TF_Tensor;
    TF_DeleteTensor(*mut TF_Tensor);
    TF_TensorType(*const TF_Tensor) -> c_int;
    TF_NumDims(*const TF_Tensor) -> c_int;
    TF_Dim(*const TF_Tensor, c_int) -> i64;
    TF_TensorByteSize(*const TF_Tensor) -> usize;
    TF_TensorData(*const TF_Tensor) -> *mut c_void;
    TF_NewGraph() -> *mut TF_Graph;
    TF_DeleteGraph(*mut TF_Graph);
    TF_GraphOperationByName(*mut TF_Graph, *const c_char) -> *mut TF_Operation;
    TF_OperationNumOutputs(*mut TF_Operation) -> c_int;
    TF_NewSessionOptions() -> *mut TF_SessionOptions;
    TF_SetConfig(*mut TF_SessionOptions, *const c_void, usize, *mut TF_Status);
    TF_DeleteSessionOptions(*mut TF_SessionOptions);
    TF_LoadSessionFromSavedModel(
        *const TF_SessionOptions, *const TF_Buffer, *const c_char, *const *const c_char, c_int,
        *mut TF_Graph, *mut TF_Buffer, *mut TF_Status
    ) -> *mut TF_Session;
    TF_CloseSession(*mut TF_Session, *mut TF_Status);
    TF_DeleteSession(*mut TF_Session, *mut TF_Status);
    TF_SessionRun(
        *mut TF_Session, *const TF_Buffer, *const TF_Output, *const *mut TF_Tensor, c_int,
        *const TF_Output, *mut *mut TF_Tensor, c_int, *const *const TF_Operation, c_int,
        *mut TF_Buffer, *mut TF_Status
    );
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

#[cfg(unix)]
use libloading::os::unix::Library;

#[cfg(not(unix))]
use libloading::Library;

impl Api {
    /// Opens the library, for good.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let library = open(path).map_err(|error| {
            // The loader's own words are in the source of the error.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        let api = Self::look_up(&library);
        // Also when it lacks something: its initialisers have run, and closing it would
        // run its destructors.
        std::mem::forget(library);
        api
    }
}

#[cfg(unix)]
fn open(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
    // SAFETY: this runs the library's initialisers. It was recognised by its exports, so
    // they are TensorFlow's, which may run in any thread. Its names stay local, so that
    // another library's protobuf is not mistaken for its own; what is missing shows now,
    // and not as a crash later.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[cfg(not(unix))]
fn open(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: as on Unix; names of libraries are always local here.
    unsafe { Library::new(path) }
}
