//! Every bound, with its unit and its reason. Nothing else in the house holds one.

use std::time::Duration;

/// A model's name is a folder's name, and file systems stop at 255 bytes.
pub const MODEL_NAME_BYTES_MAX: usize = 255;

/// One gRPC message, in or out, in bytes. The reference says 2 GiB - 1, which
/// lets one caller take the machine; this carries a 256 MiB tensor.
pub const MESSAGE_BYTES_MAX: usize = 320 << 20;
/// One tensor in a request, in bytes of its elements.
pub const TENSOR_BYTES_MAX: usize = 256 << 20;
/// Dimensions of one tensor, as in TensorFlow's `TensorShape::MaxDimensions`.
pub const TENSOR_RANK_MAX: usize = 254;
/// Elements of one string tensor: each costs 32 bytes here whatever it holds.
pub const TENSOR_STRINGS_MAX: usize = 8 << 20;

/// One model file, in bytes, as it lies on the disk.
pub const MODEL_FILE_BYTES_MAX: u64 = 16 << 30;
/// Nodes of one ONNX model, those within its subgraphs and functions included:
/// large language models have some ten thousand.
pub const ONNX_NODES_MAX: usize = 1 << 20;
/// Tensors of a model with at least so many bytes are handed to ONNX Runtime apart from
/// the graph. In smaller ones are the shapes, which it wants to see in the graph.
pub const ONNX_APART_BYTES_MIN: usize = 64 << 10;
/// After so many runs of a session ONNX Runtime gives back what its arena holds and no run
/// uses. The run after it gets it again, which took at most as long as two runs more
/// (a convolution over 19 MB of activations): less than 1 % of this many.
pub const ONNX_RUNS_PER_SHRINK: u32 = 256;
/// How deep sequences and maps may lie in one another in what a graph gives.
pub const ONNX_VALUE_DEPTH_MAX: usize = 8;
/// Places of a kernel times outputs of one sliding window: small files state any
/// size of either. The largest networks on volumes have some 10^9.
pub const ONNX_WINDOW_STEPS_MAX: usize = 1 << 34;
/// Numbers that a convolution lays out beside its image at once: 4 MiB of floats, which
/// a cache next to the core still holds in good part.
pub const ONNX_PATCH_ELEMENTS: usize = 1 << 20;
/// One tensor within an ONNX graph whose size is known when it is loaded, in bytes.
pub const ONNX_WITHIN_BYTES_MAX: usize = 4 << 30;
/// Graphs within nodes and calls of functions that lie in each other in one ONNX model.
pub const ONNX_DEPTH_MAX: usize = 32;
/// Runs of nodes in one request: loops in a file may be without end. Each takes some
/// 100 ns, so that the longest takes seconds.
pub const ONNX_STEPS_MAX: u64 = 5_000_000;
/// Elements that a node makes in about the time of one run of a small one.
pub const ONNX_ELEMENTS_PER_STEP: usize = 1024;
/// Values in one sequence that an operator makes: each costs some 100 bytes.
pub const ONNX_SEQUENCE_MAX: usize = 1 << 20;
/// Elements of one tensor that an operator makes. A shape is easily said in a small file.
pub const ONNX_ELEMENTS_MAX: usize = 64 << 20;
/// Elements of constants from which results are computed when a model is loaded.
pub const ONNX_FOLDED_ELEMENTS_MAX: usize = 64 << 10;
/// Weights of a graph of plain operators that is still run by our own: at about 4
/// multiplications a nanosecond these take 16 µs for a row.
pub const ONNX_SMALL_WEIGHTS_MAX: u64 = 64 << 10;
/// Operands of one Einsum: papers stop at a handful.
pub const ONNX_EINSUM_TERMS_MAX: usize = 64;
/// A pattern of texts in an ONNX model, in bytes.
pub const ONNX_PATTERN_BYTES_MAX: usize = 64 << 10;
/// Letters of a node's name in a message.
pub const ONNX_NAME_CHARS_SHOWN_MAX: usize = 128;

// --- SavedModel ----------------------------------------------------------------

/// One `saved_model.pb`, in bytes: protobuf itself stops there. Weights lie beside it.
pub const SAVED_MODEL_BYTES_MAX: u64 = (2 << 30) - 1;
/// Meta graphs of one file. Most have one, some one each for training and serving.
pub const SAVED_MODEL_META_GRAPHS_MAX: usize = 64;
/// Nodes of all graphs of one file, and of all functions, as of an ONNX model.
pub const SAVED_MODEL_NODES_MAX: usize = 1 << 20;
/// Signatures of one file: the graph is gone through once for each.
pub const SAVED_MODEL_SIGNATURES_MAX: usize = 256;
/// Inputs and outputs of all signatures together. Those of one are looked for by name
/// among [`REQUEST_INPUTS_MAX`].
pub const SAVED_MODEL_TENSORS_MAX: usize = 1 << 16;
/// Collections of one file: lists of names, of which a few are known.
pub const SAVED_MODEL_COLLECTIONS_MAX: usize = 1 << 12;
/// Files that lie in `assets`.
pub const SAVED_MODEL_ASSETS_MAX: usize = 1 << 12;
/// Characters of a meta graph's tags in a message that lists them.
pub const SAVED_MODEL_TAGS_SHOWN_CHARS: usize = 64;
/// One `--tensorflow_session_config_file`, in bytes: a page of settings is some hundred.
pub const SESSION_CONFIG_BYTES_MAX: u64 = 64 << 10;

const _: () = assert!(PICKLE_EXPANSION_BYTES_FLOOR < PICKLE_EXPANDED_BYTES_MAX, "small files may expand");
const _: () = assert!(TENSOR_BYTES_MAX < MESSAGE_BYTES_MAX, "a message can carry one full tensor");

// --- pickle and its containers -------------------------------------------------

/// A compressed pickle, once expanded, in bytes. Decompressors stop here.
pub const PICKLE_EXPANDED_BYTES_MAX: usize = 4 << 30;
/// Expanded bytes for one byte of a compressed file. Models of trees reach 20,
/// coefficients that are mostly 0 reach 100; deflated zeros 1 030, bzip2's 10^6.
pub const PICKLE_EXPANSION_MAX: usize = 200;
/// Expanded bytes that any compressed file may have, however small it is.
pub const PICKLE_EXPANSION_BYTES_FLOOR: usize = 16 << 20;
/// The dictionary of an lzma or xz file, in KiB: what level 9 writes.
pub const PICKLE_LZMA_MEMORY_KIB_MAX: u32 = 80 << 10;

/// Values of one pickle. A forest of 10 000 deep trees has 11 million.
pub const PICKLE_NODES_MAX: usize = 64 << 20;
/// Items of all tuples of one pickle.
pub const PICKLE_TUPLE_ITEMS_MAX: usize = 256 << 20;
/// Bytes that the values of one pickle take, the file's own bytes not counted.
pub const PICKLE_HELD_BYTES_MAX: usize = 4 << 30;
/// The same for one byte of the file. The dearest instruction, one byte that makes
/// an empty list, takes 40; estimators take 2 to 8.
pub const PICKLE_HELD_PER_BYTE_MAX: usize = 64;
/// The same for any file, however small.
pub const PICKLE_HELD_BYTES_FLOOR: usize = 64 << 10;
/// Values that wait on the machine's stack: a tuple lies there whole before it is made.
pub const PICKLE_STACK_MAX: usize = 16 << 20;
/// One string, in bytes of UTF-8. Up to protocol 2, the data of an array are one.
pub const PICKLE_STRING_BYTES_MAX: usize = 1 << 30;
/// One string that is left where it lies in the file, in bytes; a longer one is copied once.
pub const PICKLE_STRING_BYTES_IN_PLACE_MAX: usize = 256;
/// The name of one module, class or function, in bytes.
pub const PICKLE_NAME_BYTES_MAX: usize = 1 << 10;
/// Attributes of one of joblib's array wrappers. It has 6.
pub const PICKLE_WRAPPER_ATTRIBUTES_MAX: usize = 16;
/// One integer, in bytes. The state of a random generator has 16.
pub const PICKLE_INT_BYTES_MAX: usize = 1 << 10;
/// Dimensions of one numpy array: `NPY_MAXDIMS` of numpy 2.
pub const PICKLE_ARRAY_RANK_MAX: usize = 64;
/// Product of the other dimensions of an array that has no elements.
pub const PICKLE_EMPTY_ARRAY_DIMS_MAX: usize = 1 << 24;
/// Bytes of one element of a numpy array: long strings and records.
pub const PICKLE_ITEM_BYTES_MAX: usize = 1 << 20;
/// Fields of one structured dtype. Trees have 8 and 14.
pub const PICKLE_DTYPE_FIELDS_MAX: usize = 256;

// --- skops. What a file may expand to, and its values take, is as of a pickle. -----

/// Members of one skops file: every array is one, every numpy scalar too. A forest of
/// 10 000 trees has 40 000.
pub const SKOPS_MEMBERS_MAX: usize = 4 << 20;
/// Members of one sparse matrix's archive. It has five.
pub const SKOPS_NPZ_MEMBERS_MAX: usize = 16;
/// Values of the JSON that describes the model. serde_json bounds its depth to 127.
pub const SKOPS_JSON_VALUES_MAX: usize = 64 << 20;
/// The header of one numpy array file, in bytes. numpy refuses more than 10 000.
pub const SKOPS_NPY_HEADER_BYTES_MAX: usize = 64 << 10;

// --- tf.Example ----------------------------------------------------------------

/// One serialized `tf.Example`, in bytes: a row of four million floats. Read, it
/// may take sixteen times as much, in many short texts; one is read at a time.
pub const EXAMPLE_BYTES_MAX: usize = 16 << 20;

// --- warm-up -------------------------------------------------------------------

/// Recorded requests of one warm-up file, as in the reference.
pub const WARM_UP_RECORDS_MAX: usize = 1000;
/// One warm-up file, in bytes. Of a thousand requests each may have a megabyte.
pub const WARM_UP_FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a record that the message about it shows.
pub const WARM_UP_RECORD_BYTES_SHOWN: usize = 256;

// --- request log ---------------------------------------------------------------

/// Records that wait to be written, and their bytes once encoded. What comes on top
/// is dropped: a disk that hangs costs this much memory and no request.
pub const REQUEST_LOG_QUEUE_RECORDS_MAX: usize = 4096;
/// See [`REQUEST_LOG_QUEUE_RECORDS_MAX`].
pub const REQUEST_LOG_QUEUE_BYTES_MAX: usize = 64 << 20;
/// One record, in bytes: a request and its answer. Larger ones are dropped, since
/// to copy them would hold up their I/O loop.
pub const REQUEST_LOG_RECORD_BYTES_MAX: usize = 16 << 20;
/// Bytes that are gathered for one write.
pub const REQUEST_LOG_BUFFER_BYTES: usize = 256 << 10;
/// How long the writer waits for more once there is something to write.
pub const REQUEST_LOG_GATHERING: Duration = Duration::from_millis(20);
/// Files that are open for writing at one time, one for each prefix.
pub const REQUEST_LOG_FILES_OPEN_MAX: usize = 256;
/// One file of a request log that is read back, in bytes.
pub const REQUEST_LOG_FILE_BYTES_MAX: u64 = 4 << 30;

// --- boosted trees -------------------------------------------------------------

/// Values within each other in one UBJSON file. Reading them recurses; serde_json,
/// which reads the same models in JSON, stops at 128 as well.
pub const TREES_DEPTH_MAX: usize = 128;
/// Depth of the deepest tree whose contributions are told. They take time as the square
/// of it for each leaf, and recurse; libraries grow trees to some 6 to 60.
pub const CONTRIBUTIONS_DEPTH_MAX: usize = 256;

// --- estimators ----------------------------------------------------------------
/// Estimators within each other: a pipeline in a pipeline is two. Building them
/// recurses, so this bounds the stack, and stops one that contains itself.
pub const ESTIMATOR_DEPTH_MAX: usize = 32;
/// Features of one estimator: more make no request that is taken. A file may state any
/// number where no array says how wide it is.
pub const FEATURES_MAX: usize = TENSOR_BYTES_MAX / 8;
/// Numbers of a square matrix that is made when a model is built, of one that is narrow in
/// the file. It bounds the time too: to invert one takes its side times so many steps.
pub const SQUARE_NUMBERS_MAX: usize = 1 << 21;
/// Estimators of one model, each counted wherever it stands, since a pickle may
/// share one among many places. The largest forests have some 10 000 trees.
pub const ESTIMATORS_MAX: usize = 200_000;
/// Bytes copied for arrays and texts that stand in more than one place of a
/// model, or cannot be told from such. The first copy of anything is justified by
/// the file's own size, these are not.
pub const ESTIMATOR_SHARED_BYTES_MAX: usize = 1 << 30;
/// Letters or words in one term of a text vectoriser: each of them is a term's length
/// that every document is gone through for.
pub const N_GRAM_MAX: usize = 64;
/// Bytes of a vectoriser's pattern of tokens. The longest of real models have some hundred.
pub const TOKEN_PATTERN_BYTES_MAX: usize = 4 << 10;
/// Steps back in the search for one token, for patterns that look around or refer back.
pub const TOKEN_BACKTRACKS_MAX: usize = 100_000;
/// Products of features, which a degree alone can make any number of.
pub const POLYNOMIAL_TERMS_MAX: usize = 1 << 20;
/// Degree of splines: each value costs its square.
pub const SPLINE_DEGREE_MAX: usize = 32;
/// Bytes of a sample that is one JSON text: it becomes a tree, some dozen times as large.
pub const JSON_ROW_BYTES_MAX: usize = 16 << 20;
/// Kernels that the covariance of a Gaussian process is made of, each counted wherever it
/// stands: they are walked for every sample.
pub const PROCESS_KERNELS_MAX: usize = 256;

// --- repository and storage ----------------------------------------------------

/// One `model.toml`, in bytes: a page of settings is some hundred bytes.
pub const MODEL_TOML_BYTES_MAX: u64 = 64 << 10;
/// Files and folders below one version's folder. Each is looked at before the
/// version counts as finished; the largest published models have some thousand.
pub const VERSION_TREE_ENTRIES_MAX: usize = 1 << 16;
/// Folders within folders below one version's folder. Bounds links that lead
/// back to a folder above.
pub const VERSION_TREE_DEPTH_MAX: usize = 16;
/// A folder whose time is younger than this when it is listed, or whose time has
/// no fraction of a second, may change again without a new time: the coarsest
/// clock among file systems in use, FAT's, ticks every 2 seconds.
pub const FILE_TIME_TICK_MAX: Duration = Duration::from_secs(2);
/// After this long a model's folder is listed again though its time says that
/// nothing changed: what a time cannot show is found after half a minute.
pub const LISTING_AGE_MAX: Duration = Duration::from_secs(30);
/// Between the end of one look at a repository and the beginning of the next:
/// under a storm of events, twenty looks a second are enough.
pub const LOOK_PAUSE_MIN: Duration = Duration::from_millis(50);
/// A look that the timer brings may cost one part in this many of the time until
/// the next: polling 10 000 models takes some 30 ms, and may use 1 % of a core.
pub const POLL_SHARE: u32 = 100;
/// So many times the wanted pause between two looks at most, however long a look
/// takes: a slow network file system costs waiting, not work.
pub const POLL_STRETCH_MAX: u32 = 5;
/// Names that one message about a folder lists before it says "and more".
pub const NAMES_IN_MESSAGE_MAX: usize = 5;

/// How long a start-up waits for a model whose only versions are being written.
pub const FIRST_VERSION_WAIT_MAX: Duration = Duration::from_secs(10);

// --- config and reload ---------------------------------------------------------

/// One `--model_config_file`, in bytes: a model is some 200 bytes, and ten
/// thousand of them are 2 MB.
pub const MODEL_CONFIG_BYTES_MAX: u64 = 16 << 20;
/// Pause between two tries to load, however short a one is asked for: a version
/// that fails at once would otherwise keep a load thread and the log busy.
pub const LOAD_RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);
/// Reloads that wait for their turn. Each may take `--reload_timeout`, so that
/// whoever waits behind these has long stopped waiting.
pub const RELOADS_WAITING_MAX: usize = 16;

/// One `--ssl_config_file`, in bytes: a bundle of all public authorities has 250 KB.
pub const SSL_CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Between two looks whether such a file has changed.
pub const SSL_CONFIG_LOOK_PAUSE: Duration = Duration::from_secs(1);

// --- lifecycle -----------------------------------------------------------------

/// Versions of one model that stay listed as END. The reference keeps all for
/// ever, so that its status answers grow with each new version; this is what an
/// operator looks back on.
pub const ENDED_VERSIONS_KEPT: usize = 16;
/// One load's error message, in bytes. It is kept per version and sent in status
/// answers, and a model file may have written part of it.
pub const LOAD_ERROR_BYTES_MAX: usize = 4 << 10;
/// Versions that the message of a failed look-up lists: the newest tell why.
pub const MISS_VERSIONS_LISTED_MAX: usize = 4;

// --- execution and doors -------------------------------------------------------
/// Elements of the zeros that a servable is measured with at load.
pub const WARM_UP_ELEMENTS_MAX: usize = 1 << 20;
/// How long a batch may wait to be filled. Nobody waits longer for an answer, and
/// times that are added to now must not overflow.
pub const BATCH_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// One input of a batch whose requests are padded to a common shape, or the rows
/// that fill it up to an allowed size, in bytes: what one request's tensor may have.
pub const BATCH_PADDED_BYTES_MAX: usize = TENSOR_BYTES_MAX;
/// Queues of one version: one for each signature and set of wanted outputs that
/// requests wait for at one time, which callers choose.
pub const BATCH_QUEUES_MAX: usize = 256;
/// Threads that a configuration may ask for by `num_batch_threads`.
pub const BATCH_THREADS_MAX: usize = 1024;
/// One file of batching parameters, in bytes: a page of settings is some hundred.
pub const BATCHING_PARAMETERS_BYTES_MAX: u64 = 64 << 10;
/// Inputs of one request. The widest data frames served have a few thousand
/// columns, and matching names is quadratic in them.
pub const REQUEST_INPUTS_MAX: usize = 4096;
/// An error message to a gRPC client, in bytes, as the reference cuts it: it
/// travels in a header, and header lists are bounded everywhere on the way.
pub const GRPC_ERROR_BYTES_MAX: usize = 1024;
/// HTTP/2 flow-control window of one request, in bytes. With the default of
/// 1 MiB a request of that size stalls half-way for the caller's next turn.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same for all requests of a connection together.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Requests in flight on one connection.
pub const HTTP2_STREAMS_MAX: u32 = 1024;
/// A request's header list, in bytes, however much is asked for. It is kept whole.
pub const HTTP2_HEADER_BYTES_MAX: u32 = 16 << 20;
/// How long a TLS handshake may take: some round trips, however far away.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Accepted sockets that wait for one I/O loop to take them.
pub const SOCKETS_WAITING_MAX: usize = 1024;
/// Connections that the system may queue before they are accepted.
pub const LISTEN_BACKLOG: u32 = 4096;

// --- metrics -------------------------------------------------------------------

/// Batch sizes that the reference's histogram of padding has a series each for.
/// Without allowed sizes a batch may have any.
pub const METRICS_BATCH_SIZES_MAX: usize = 64;
/// One `--monitoring_config_file`, in bytes: it has two fields.
pub const MONITORING_CONFIG_BYTES_MAX: u64 = 64 << 10;

// --- REST ----------------------------------------------------------------------

/// One request's body as it came over the wire, in bytes: the same as gRPC's.
pub const REST_BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// A compressed body, once expanded, in bytes: what the reference expands at most.
/// Gzip makes a thousand bytes of one, so this bounds what a small request costs.
pub const REST_EXPANDED_BYTES_MAX: usize = 100 << 20;
/// Codings of one body, one in the other. More than one is rare, and each may expand
/// to [`REST_EXPANDED_BYTES_MAX`].
pub const REST_CODINGS_MAX: usize = 2;
/// The window of a zstd body, as a power of 2 in bytes: RFC 9659 says 8 MiB.
pub const REST_ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// How long a caller may take to send the next part of a request, and an idle
/// connection stays open between requests: libevent's timeout, the reference's.
pub const REST_READ_TIMEOUT: Duration = Duration::from_secs(50);
/// Answers shorter than this are not compressed: they fit one packet anyway.
pub const REST_COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// A larger answer over REST is compressed aside, where other requests of its I/O loop do
/// not wait for that: zstd and gzip take about half a millisecond for so many bytes.
pub const REST_COMPRESSED_INLINE_BYTES_MAX: usize = 64 << 10;
/// Models in one OpenAPI document: each takes some kilobytes, and the document is made
/// when it is asked for.
pub const OPENAPI_MODELS_MAX: usize = 1000;
/// Lists and objects within each other in one JSON text. Reading them recurses,
/// and numpy, which makes most of them, stops at 64 dimensions.
pub const JSON_DEPTH_MAX: usize = 128;
/// Lists and objects of one JSON text: each costs 4 bytes while it is read, and
/// takes two of the text.
pub const JSON_LISTS_MAX: usize = 64 << 20;
/// A JSON value within an error message, in bytes, as the reference cuts it.
pub const JSON_IN_MESSAGE_BYTES_MAX: usize = 256;

const _: () = assert!(REST_BODY_BYTES_MAX < u32::MAX as usize, "items of a text are counted in 32 bits");
const _: () = assert!(JSON_DEPTH_MAX <= TENSOR_RANK_MAX, "no JSON text makes too many dimensions");
