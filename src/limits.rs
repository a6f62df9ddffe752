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

const _: () = assert!(TENSOR_BYTES_MAX < MESSAGE_BYTES_MAX, "a message can carry one full tensor");

// --- pickle and its containers -------------------------------------------------

// --- estimators ----------------------------------------------------------------

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
/// Names that one message about a folder lists before it says "and more".
pub const NAMES_IN_MESSAGE_MAX: usize = 5;

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
/// Inputs of one request. The widest data frames served have a few thousand
/// columns, and matching names is quadratic in them.
pub const REQUEST_INPUTS_MAX: usize = 4096;
/// An error message to a gRPC client, in bytes, as the reference cuts it: it
/// travels in a header, and header lists are bounded everywhere on the way.
pub const GRPC_ERROR_BYTES_MAX: usize = 1024;
