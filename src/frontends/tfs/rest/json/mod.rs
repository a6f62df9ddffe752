//! JSON as TensorFlow Serving's REST API reads it, without a tree of values.
//!
//! A text is looked at twice. [`scan`] checks all of it and notes how many items
//! each list and object has; then a [`Cursor`] walks the parts that matter, and
//! numbers go straight into the buffers of tensors.
//!
//! # Why not a library
//! The dialect is RapidJSON's with `kParseNanAndInfFlag`: bare `NaN`, `Inf` and
//! `Infinity`, bytes that are no UTF-8 within strings, whatever follows the first
//! value ignored, and errors that clients know by text and offset. `serde_json`
//! and the SIMD parsers offer none of these.

mod cursor;
mod print;
mod scan;

pub(super) use cursor::{Cursor, Kind};
pub(super) use print::print;
pub(super) use scan::{Scanned, scan};

#[cfg(test)]
mod tests;
