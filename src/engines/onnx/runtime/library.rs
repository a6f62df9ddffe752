//! The library itself: opened once, and what it makes is given back to it.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use ort_sys as sys;

/// The version of its interface that is asked for: 1.17's, which all later
/// libraries have too.
const INTERFACE: u32 = 17;

/// Why a call into the library failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether it says that its arguments were wrong.
    pub invalid_argument: bool,
    /// Its words.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Something that the library made, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Owned<T> {
    pointer: NonNull<T>,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    pub(super) fn pointer(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the library made it for us alone, and `release` is its function for
        // what is of this type; nobody has the pointer after this.
        unsafe { (self.release)(self.pointer.as_ptr()) }
    }
}

// SAFETY: the library ties none of its objects to a thread; what is owned here is
// used through `&` only in calls that it documents as safe to make at once.
unsafe impl<T> Send for Owned<T> {}
// SAFETY: likewise.
unsafe impl<T> Sync for Owned<T> {}

/// ONNX Runtime, opened.
pub(super) struct Library {
    api: &'static sys::OrtApi,
    environment: Owned<sys::OrtEnv>,
    /// Of tensors whose memory is ours.
    memory: Owned<sys::OrtMemoryInfo>,
    /// The allocator of what the library gives beside runs; it is never given back.
    allocator: NonNull<sys::OrtAllocator>,
    version: String,
    path: PathBuf,
}

// SAFETY: the allocator is the library's default one, which it documents as safe to
// use from all threads; the rest is.
unsafe impl Send for Library {}
// SAFETY: likewise.
unsafe impl Sync for Library {}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("version", &self.version).field("path", &self.path).finish()
    }
}

impl Library {
    /// Opens the file, which has to export `OrtGetApiBase`: opening runs its
    /// initialisers, whatever it is. It stays open for as long as the program runs.
    ///
    /// # Errors
    /// Why it is of no use.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: the file exports ONNX Runtime's symbol, so that what runs is its
        // initialisers, which ask nothing of their caller.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("it cannot be opened: {}", cause.unwrap_or_else(|| error.to_string()))
        })?;
        // Its threads and its statics live until the program ends, and it may not be
        // closed under them; closing a library that is another one crashes on its own.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        type GetBase = unsafe extern "system" fn() -> *const sys::OrtApiBase;
        // SAFETY: the symbol has this type in all versions.
        let base = unsafe { library.get::<GetBase>(b"OrtGetApiBase\0") }
            .map_err(|_| "it exports no symbol OrtGetApiBase".to_owned())?;
        // SAFETY: the function takes nothing, and gives a static or null.
        let base = unsafe { base().as_ref() }.ok_or("its OrtGetApiBase gives nothing")?;
        // SAFETY: a static text that ends in a zero.
        let version = unsafe { text((base.GetVersionString)()) };
        // SAFETY: gives a static table, or null when it has none of this version.
        let api = unsafe { (base.GetApi)(INTERFACE).as_ref() };
        let Some(api) = api else {
            return Err(format!("it is ONNX Runtime {version}; expected 1.{INTERFACE} or newer"));
        };
        let failed = |failure: Failure| format!("ONNX Runtime {version} does not start: {failure}");
        // All that it has to say comes as errors of calls too; its own lines would
        // stand in the log for each wrong request.
        let level = sys::OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL;
        let environment = made(api, api.ReleaseEnv, |out| {
            // SAFETY: the name is a text that ends in a zero, and is copied.
            unsafe { (api.CreateEnv)(level, c"longshore".as_ptr(), out) }
        })
        .map_err(failed)?;
        let memory = made(api, api.ReleaseMemoryInfo, |out| {
            let kind = sys::OrtAllocatorType::OrtDeviceAllocator;
            // SAFETY: `out` is a place for the pointer.
            unsafe { (api.CreateCpuMemoryInfo)(kind, sys::OrtMemType::OrtMemTypeDefault, out) }
        })
        .map_err(failed)?;
        let mut allocator = std::ptr::null_mut();
        // SAFETY: `allocator` is a place for the pointer.
        checked(api, unsafe { (api.GetAllocatorWithDefaultOptions)(&raw mut allocator) }).map_err(failed)?;
        let allocator = NonNull::new(allocator).ok_or("it has no allocator")?;
        Ok(Self { api, environment, memory, allocator, version, path: path.to_owned() })
    }

    /// Its version: `1.32.0`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn api(&self) -> &'static sys::OrtApi {
        self.api
    }

    pub(super) fn environment(&self) -> *const sys::OrtEnv {
        self.environment.pointer()
    }

    pub(super) fn memory(&self) -> *const sys::OrtMemoryInfo {
        self.memory.pointer()
    }

    pub(super) fn allocator(&self) -> *mut sys::OrtAllocator {
        self.allocator.as_ptr()
    }

    /// What the library made and wrote down somewhere; `None` for a null.
    pub(super) fn taken<T>(
        &self,
        pointer: *mut T,
        release: unsafe extern "system" fn(*mut T),
    ) -> Option<Owned<T>> {
        NonNull::new(pointer).map(|pointer| Owned { pointer, release })
    }

    /// What a call says of itself.
    ///
    /// # Errors
    /// [`Failure`], with the library's words.
    pub(super) fn checked(&self, status: sys::OrtStatusPtr) -> Result<(), Failure> {
        checked(self.api, status)
    }

    /// What a call made, which writes it to the place that it is given.
    ///
    /// # Errors
    /// [`Failure`], with the library's words.
    pub(super) fn made<T>(
        &self,
        release: unsafe extern "system" fn(*mut T),
        call: impl FnOnce(*mut *mut T) -> sys::OrtStatusPtr,
    ) -> Result<Owned<T>, Failure> {
        made(self.api, release, call)
    }
}

fn made<T>(
    api: &sys::OrtApi,
    release: unsafe extern "system" fn(*mut T),
    call: impl FnOnce(*mut *mut T) -> sys::OrtStatusPtr,
) -> Result<Owned<T>, Failure> {
    let mut pointer = std::ptr::null_mut();
    checked(api, call(&raw mut pointer))?;
    match NonNull::new(pointer) {
        Some(pointer) => Ok(Owned { pointer, release }),
        None => Err(Failure { invalid_argument: false, text: "ONNX Runtime gave nothing".to_owned() }),
    }
}

fn checked(api: &sys::OrtApi, status: sys::OrtStatusPtr) -> Result<(), Failure> {
    let Some(pointer) = NonNull::new(status.0) else { return Ok(()) };
    let status = Owned { pointer, release: api.ReleaseStatus };
    type Returns<T> = unsafe extern "system" fn(*const sys::OrtStatus) -> T;
    // SAFETY: the enum that it returns is an `i32`; a newer library may have codes
    // that the enum here has not, which only an `i32` can hold.
    let code = unsafe { std::mem::transmute::<Returns<sys::OrtErrorCode>, Returns<i32>>(api.GetErrorCode) };
    // SAFETY: the status lives until the end of this function.
    let code = unsafe { code(status.pointer()) };
    // SAFETY: the text is the status's own, ends in a zero, and is copied.
    let text = unsafe { text((api.GetErrorMessage)(status.pointer())) };
    Err(Failure { invalid_argument: code == sys::OrtErrorCode::ORT_INVALID_ARGUMENT as i32, text })
}

/// A copy of a text.
///
/// # Safety
/// `pointer` is null or the start of bytes that end in a zero.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller says so.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A name as the library takes it.
///
/// # Errors
/// When it holds a zero, which would end it.
pub(super) fn name(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} holds a zero byte; expected a name without"))
}
