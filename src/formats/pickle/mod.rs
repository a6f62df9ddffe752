//! Reads Python pickles and joblib files without Python, and executes nothing.
//!
//! A pickle is a program for a small stack machine whose instructions can name
//! any importable function and call it. Here every such name is an inert symbol
//! and every call an inert node: [`load`] gives a tree of plain values, and what
//! the nodes mean is decided by whoever reads the tree. There is no fallback that
//! imports or calls.
//!
//! Two things are resolved while reading, because their encodings are many and
//! their meaning is one: numpy arrays, scalars and dtypes become [`Array`] and
//! [`NumpyDType`]; joblib's array wrappers, whose raw bytes lie in the middle of
//! the stream, become the arrays they stand for.
//!
//! The parts: `value` (the tree and its views), `arena` (where nodes lie and what
//! they may cost), `machine` (the opcodes), `numpy` (what numpy and joblib make of
//! them), `names` (those that mean something, those that are refused), `container`
//! (joblib's compressions), `build` (trees that other formats describe).

mod arena;
mod array;
pub(super) mod build;
mod calls;
mod container;
mod cursor;
mod dtype;
mod error;
mod machine;
mod names;
mod numpy;
mod opcode;
mod stream;
mod text;
mod value;

use bytes::Bytes;

pub(super) use container::read_bounded;
pub(super) use value::clip;

pub use array::{Array, ArrayError};
pub use dtype::{ByteOrder, DTypeField, DTypeKind, NumpyDType};
pub use error::{Container, PickleError, Problem};
pub use value::{Document, Entries, Global, Items, NodeId, Object, Ref, View};

/// Reads a plain pickle of protocol 0 to 5, or a joblib file in any of joblib's
/// compressions. Array data are not copied: they stay slices of `file`, or of
/// what it expands to. Bytes after the pickle's end are ignored, as by
/// `pickle.load` and `joblib.load`.
///
/// # Errors
/// [`PickleError`], with the place and what was expected there.
pub fn load(file: impl Into<Bytes>) -> Result<Document, PickleError> {
    let file = file.into();
    let whole = |problem| PickleError { offset: None, container: None, problem: Box::new(problem) };
    let container = container::detect(&file);
    let pickle = match container {
        None => match foreign(&file) {
            Some(what) => return Err(whole(Problem::NotAPickle(what.into()))),
            None => file,
        },
        Some(container) => container::expand(container, &file).map_err(whole)?,
    };
    machine::read(pickle).map_err(|error| PickleError { container, ..error })
}

/// What else people leave under the name of a pickle, told by its first bytes.
/// None of them is how a pickle begins.
fn foreign(file: &[u8]) -> Option<&'static str> {
    Some(match file {
        [] => "it is empty",
        [b'P', b'K', 3, 4, ..] => {
            "it is a zip archive, as skops and PyTorch write; a skops file is named model.skops"
        }
        [0x89, b'H', b'D', b'F', ..] => "it is an HDF5 file, as Keras writes",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "it is a numpy array (.npy)",
        [b'Z', b'F', b'0', b'x', ..] => {
            "it was compressed by joblib before 0.10; load it with that joblib and save it with a newer one"
        }
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', b't', b't', b'p', ..] => {
            "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
        }
        [b'{', ..] => "it is JSON",
        _ => return None,
    })
}
