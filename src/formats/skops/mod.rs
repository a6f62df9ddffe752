//! Reads skops files without Python, and executes nothing.
//!
//! A skops file is a zip archive: `schema.json`, a tree of nodes that say which class
//! to import and how to fill it, and a member for every array, matrix or run of bytes.
//! [`load`] makes of it the [`Document`] that the same model's pickle makes, so that
//! whoever reads one reads the other: classes are names, instances hold their
//! attributes, arrays are slices of the file.
//!
//! After `skops/io/_general.py`, `_numpy.py`, `_scipy.py` and `_sklearn.py` of skops
//! 0.16, which reads its protocols 0 to 2, as does this.
//!
//! The parts: `zip` (members), `json` (the tree as it lies there), `nodes` (what a node
//! means), `arrays` (what lies in members of their own), `npy` (numpy's array files).

mod arrays;
mod error;
mod json;
mod nodes;
mod npy;
mod zip;

use bytes::Bytes;

use self::json::Json;
use self::nodes::Reader;
use self::zip::{Archive, Room};
use super::pickle::{Document, clip};
use crate::limits;

pub use error::{Problem, SkopsError};

/// The member that describes the model.
const SCHEMA: &str = "schema.json";
/// The newest protocol of the format. 0 had another form for functions and random generators.
const PROTOCOL_MAX: i64 = 2;

/// Reads what `skops.io.dump` wrote, stored or deflated. Arrays that are stored are not
/// copied: they stay slices of `file`.
///
/// # Errors
/// [`SkopsError`], with the place in the model and what was expected there.
pub fn load(file: impl Into<Bytes>) -> Result<Document, SkopsError> {
    let file = file.into();
    let whole = |problem| SkopsError { place: String::new(), problem: Box::new(problem) };
    let room = Room::new(file.len());
    let archive = Archive::open(file.clone(), limits::SKOPS_MEMBERS_MAX).map_err(whole)?;
    let schema = archive.read(SCHEMA, &room).map_err(whole)?;
    let root = json::read(&schema).map_err(whole)?;
    check_protocol(&root).map_err(whole)?;
    let mut reader = Reader::new(&archive, &room, file.len().saturating_add(schema.len()));
    match reader.node(&root) {
        Ok(id) => Ok(reader.finish(id)),
        Err(problem) => Err(SkopsError { place: reader.place(), problem: Box::new(problem) }),
    }
}

fn check_protocol(root: &Json<'_>) -> Result<(), Problem> {
    let Json::Map(root) = root else {
        return Err(Problem::Json(format!("it holds {}; expected skops' tree of nodes", root.describe())));
    };
    match root.get("protocol") {
        Some(Json::Int(0..=PROTOCOL_MAX)) => Ok(()),
        other => {
            let found = other.map_or_else(|| "none".to_owned(), Json::describe);
            let by = match root.get("_skops_version") {
                Some(Json::Str(version)) => format!(" of skops {}", clip(version)),
                _ => String::new(),
            };
            Err(Problem::unexpected(format!("a skops protocol from 0 to {PROTOCOL_MAX}"), found + &by))
        }
    }
}
