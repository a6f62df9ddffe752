//! A SavedModel that TensorFlow has loaded.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};

use smallvec::SmallVec;

use super::api::{
    Api, TF_Buffer, TF_Graph, TF_Operation, TF_Output, TF_Session, TF_SessionOptions, TF_Tensor,
};
use super::tensor::RawTensor;
use super::{Failure, Status, Tensorflow};
use crate::error::Code;
use crate::tensor::Tensor;

/// `RunOptions { inter_op_thread_pool: -1 }`: a run stays in the thread that asks for it,
/// which saves it two hops between threads; who runs at once is our scheduler's to say.
const RUN_OPTIONS: [u8; 11] = [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

/// One tensor of a session's graph. It is of the session that gave it, and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engines::tensorflow) struct Port {
    oper: NonNull<TF_Operation>,
    index: c_int,
}

// SAFETY: it is a place in a graph, looked at by TensorFlow alone, in runs, which may be
// in any thread.
unsafe impl Send for Port {}
// SAFETY: likewise.
unsafe impl Sync for Port {}

impl Port {
    fn raw(self) -> TF_Output {
        TF_Output { oper: self.oper.as_ptr(), index: self.index }
    }
}

/// A graph with its variables, ready to run. Closed and deleted when dropped.
pub(in crate::engines::tensorflow) struct Session {
    api: &'static Api,
    session: NonNull<TF_Session>,
    graph: Graph,
}

// SAFETY: TF_SessionRun may be called from any thread, and from several at once. The graph
// is only asked for its operations, under a lock of its own. Dropping needs the value, so
// no run is going on then.
unsafe impl Send for Session {}
// SAFETY: likewise.
unsafe impl Sync for Session {}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Loads the SavedModel in `folder`: the meta graph with these tags, its variables,
    /// and what initializes it. `config` is a serialized `ConfigProto`.
    ///
    /// # Errors
    /// What TensorFlow says.
    pub(in crate::engines::tensorflow) fn load(
        library: Tensorflow,
        folder: &Path,
        tags: &[String],
        config: &[u8],
    ) -> Result<Self, Failure> {
        let api = library.api;
        let wrong =
            |what| move |_| Failure { code: Code::InvalidArgument, message: format!("{what} holds a NUL") };
        let folder =
            CString::new(folder.as_os_str().as_encoded_bytes()).map_err(wrong("the folder's path"))?;
        let tags: Vec<CString> = tags
            .iter()
            .map(|tag| CString::new(tag.as_str()).map_err(wrong("a tag")))
            .collect::<Result<_, _>>()?;
        let tags: Vec<*const c_char> = tags.iter().map(|tag| tag.as_ptr()).collect();
        let status = Status::new(api);
        let options = SessionOptions::new(api);
        // SAFETY: options and status are alive, and the bytes as long as said; they are parsed
        // before the call returns.
        unsafe {
            (api.TF_SetConfig)(options.raw.as_ptr(), config.as_ptr().cast(), config.len(), status.as_ptr());
        }
        status.check()?;
        let graph = Graph::new(api);
        // SAFETY: all that is passed is alive for the call: options, the path and the tags end in
        // NUL, there are as many tags as said, the graph is empty and nobody else's. Run options
        // and the meta graph are not wanted, which null says.
        let session = unsafe {
            (api.TF_LoadSessionFromSavedModel)(
                options.raw.as_ptr(),
                ptr::null(),
                folder.as_ptr(),
                tags.as_ptr(),
                tags.len() as c_int,
                graph.raw.as_ptr(),
                ptr::null_mut(),
                status.as_ptr(),
            )
        };
        status.check()?;
        let session = NonNull::new(session).ok_or_else(|| Failure::internal("TensorFlow gave no session"))?;
        Ok(Self { api, session, graph })
    }

    /// Output `index` of the node `op`; `None` when there is none.
    pub(in crate::engines::tensorflow) fn port(&self, op: &str, index: u32) -> Option<Port> {
        let op = CString::new(op).ok()?;
        // SAFETY: the graph is alive and the name ends in NUL; what is found lives as long as
        // the graph, and that as long as the session.
        let oper = unsafe { (self.api.TF_GraphOperationByName)(self.graph.raw.as_ptr(), op.as_ptr()) };
        let (oper, index) = (NonNull::new(oper)?, c_int::try_from(index).ok()?);
        // SAFETY: the operation was just found.
        let outputs = unsafe { (self.api.TF_OperationNumOutputs)(oper.as_ptr()) };
        (index < outputs).then_some(Port { oper, index })
    }

    /// Runs the graph in this thread: feeds each of `feeds` its tensor of `inputs`, and
    /// gives the tensors `fetches`. All ports are this session's.
    ///
    /// # Errors
    /// What TensorFlow says.
    pub(in crate::engines::tensorflow) fn run(
        &self,
        feeds: &[Port],
        inputs: impl IntoIterator<Item = Tensor>,
        fetches: &[Port],
    ) -> Result<Vec<Tensor>, Failure> {
        let api = self.api;
        let inputs: SmallVec<[RawTensor; 4]> =
            inputs.into_iter().map(|tensor| RawTensor::new(api, tensor)).collect::<Result<_, _>>()?;
        if inputs.len() != feeds.len() {
            return Err(Failure::internal("a run with another number of tensors than of inputs"));
        }
        let values: SmallVec<[*mut TF_Tensor; 4]> = inputs.iter().map(RawTensor::as_ptr).collect();
        let feeds: SmallVec<[TF_Output; 4]> = feeds.iter().map(|port| port.raw()).collect();
        let fetches: SmallVec<[TF_Output; 4]> = fetches.iter().map(|port| port.raw()).collect();
        let mut answers: SmallVec<[*mut TF_Tensor; 4]> = fetches.iter().map(|_| ptr::null_mut()).collect();
        let options = TF_Buffer {
            data: RUN_OPTIONS.as_ptr().cast::<c_void>(),
            length: RUN_OPTIONS.len(),
            data_deallocator: None,
        };
        let status = Status::new(api);
        // SAFETY: session, tensors and status are alive for the call; there are as many feeds as
        // values and as many places for answers as fetches; all ports are of this session's
        // graph. No targets and no metadata are wanted, which null says.
        unsafe {
            (api.TF_SessionRun)(
                self.session.as_ptr(),
                &raw const options,
                feeds.as_ptr(),
                values.as_ptr(),
                feeds.len() as c_int,
                fetches.as_ptr(),
                answers.as_mut_ptr(),
                fetches.len() as c_int,
                ptr::null(),
                0,
                ptr::null_mut(),
                status.as_ptr(),
            );
        }
        // SAFETY: what TF_SessionRun wrote there is the caller's to delete, also after a failure.
        let answers: SmallVec<[Option<RawTensor>; 4]> =
            answers.iter().map(|&raw| unsafe { RawTensor::from_raw(api, raw) }).collect();
        status.check()?;
        answers
            .iter()
            .map(|answer| {
                answer.as_ref().ok_or_else(|| Failure::internal("TensorFlow gave no tensor"))?.read()
            })
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let status = Status::new(self.api);
        // SAFETY: the session is alive, no run is going on, and it is not used after this. The
        // graph is deleted after it, as a field. What these say changes nothing any more.
        unsafe {
            (self.api.TF_CloseSession)(self.session.as_ptr(), status.as_ptr());
            (self.api.TF_DeleteSession)(self.session.as_ptr(), status.as_ptr());
        }
    }
}

/// A `TF_Graph`, deleted when dropped.
struct Graph {
    api: &'static Api,
    raw: NonNull<TF_Graph>,
}

impl Graph {
    fn new(api: &'static Api) -> Self {
        // SAFETY: it takes nothing; the graph is deleted once, in `drop`.
        let raw = unsafe { (api.TF_NewGraph)() };
        Self { api, raw: NonNull::new(raw).expect("TensorFlow's allocator ends the process instead") }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it is not used after this, and its session is deleted.
        unsafe { (self.api.TF_DeleteGraph)(self.raw.as_ptr()) };
    }
}

/// A `TF_SessionOptions`, deleted when dropped.
struct SessionOptions {
    api: &'static Api,
    raw: NonNull<TF_SessionOptions>,
}

impl SessionOptions {
    fn new(api: &'static Api) -> Self {
        // SAFETY: it takes nothing; the options are deleted once, in `drop`.
        let raw = unsafe { (api.TF_NewSessionOptions)() };
        Self { api, raw: NonNull::new(raw).expect("TensorFlow's allocator ends the process instead") }
    }
}

impl Drop for SessionOptions {
    fn drop(&mut self) {
        // SAFETY: they are not used after this.
        unsafe { (self.api.TF_DeleteSessionOptions)(self.raw.as_ptr()) };
    }
}
