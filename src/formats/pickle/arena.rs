//! Where the values of a document lie, and what they may cost.
//!
//! Nodes refer to each other by number, so nothing here recurses: not a walk, not
//! a drop. Every instruction of a pickle adds at most a small fixed number of
//! bytes here; what is larger is a slice of the file. [`Arena::charge`] counts
//! all the same, so that the bound does not rest on that argument alone.

use std::ops::Range;

use bytes::Bytes;

use super::array::Array;
use super::dtype::NumpyDType;
use super::error::Problem;
use super::value::NodeId;
use crate::limits;

/// One value. Sixteen bytes; what does not fit lies in one of the arena's tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Two's complement, little-endian.
    BigInt {
        blob: u32,
    },
    /// Short UTF-8 in the source, checked when the node was made.
    Str {
        len: u32,
        start: u64,
    },
    /// A text that had to be decoded, or is long: looking at one that lies in the
    /// source means to check it again, and a million references to a long one cost
    /// a file next to nothing.
    MadeStr {
        text: u32,
    },
    Bytes {
        blob: u32,
    },
    List(u32),
    Tuple {
        start: u32,
        len: u32,
    },
    Set(u32),
    /// A list with keys at even places and values at odd ones.
    Dict(u32),
    /// Both are strings.
    Global {
        module: NodeId,
        name: NodeId,
    },
    Object(u32),
    Array(u32),
    DType(u32),
}

const _: () = assert!(size_of::<Node>() == 16);

/// A class applied to arguments, and what came after.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectNode {
    /// A [`Node::Global`].
    pub(super) class: NodeId,
    /// A [`Node::Tuple`].
    pub(super) args: NodeId,
    /// A [`Node::Dict`].
    pub(super) kwargs: Option<NodeId>,
    pub(super) state: Option<NodeId>,
    /// A list, once something was appended.
    pub(super) items: Option<u32>,
    /// A list of pairs, once something was set.
    pub(super) entries: Option<u32>,
}

/// All values of a document.
pub(super) struct Arena {
    source: Bytes,
    nodes: Vec<Node>,
    tuples: Vec<NodeId>,
    lists: Vec<Vec<NodeId>>,
    objects: Vec<ObjectNode>,
    arrays: Vec<Array>,
    dtypes: Vec<NumpyDType>,
    blobs: Vec<Bytes>,
    texts: Vec<Box<str>>,
    held: usize,
    held_max: usize,
}

impl Arena {
    /// Values that every document has.
    pub(super) const NONE: NodeId = NodeId(0);
    pub(super) const FALSE: NodeId = NodeId(1);
    pub(super) const TRUE: NodeId = NodeId(2);
    pub(super) const EMPTY_TUPLE: NodeId = NodeId(3);

    pub(super) fn new(source: Bytes) -> Self {
        let file_bytes = source.len();
        Self::with_room(source, file_bytes)
    }

    /// With as much room as a file of this many bytes has.
    pub(super) fn with_room(source: Bytes, file_bytes: usize) -> Self {
        let held_max = file_bytes
            .saturating_mul(limits::PICKLE_HELD_PER_BYTE_MAX)
            .saturating_add(limits::PICKLE_HELD_BYTES_FLOOR)
            .min(limits::PICKLE_HELD_BYTES_MAX);
        let nodes = vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple { start: 0, len: 0 }];
        Self {
            source,
            nodes,
            tuples: Vec::new(),
            lists: Vec::new(),
            objects: Vec::new(),
            arrays: Vec::new(),
            dtypes: Vec::new(),
            blobs: Vec::new(),
            texts: Vec::new(),
            held: 0,
            held_max,
        }
    }

    pub(super) fn source(&self) -> &Bytes {
        &self.source
    }

    /// Counts bytes that a value takes here.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Problem> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.held_max {
            return Err(Problem::TooLarge {
                what: "the memory that the values of this file take".into(),
                found: self.held as u64,
                max: self.held_max as u64,
                unit: "bytes (for a file of this size)",
            });
        }
        Ok(())
    }

    pub(super) fn add(&mut self, node: Node) -> Result<NodeId, Problem> {
        self.charge(size_of::<Node>())?;
        let id = number(self.nodes.len(), limits::PICKLE_NODES_MAX)?;
        self.nodes.push(node);
        Ok(NodeId(id))
    }

    /// Puts another value in a value's place: all who refer to it see the new one.
    pub(super) fn replace(&mut self, id: NodeId, node: Node) {
        self.nodes[id.0 as usize] = node;
    }

    /// A string that lies in the source.
    pub(super) fn add_source_text(&mut self, range: Range<usize>) -> Result<NodeId, Problem> {
        let text = str::from_utf8(&self.source[range.clone()]).map_err(|error| {
            let found = format!("something else after {} bytes", error.valid_up_to());
            Problem::unexpected("a string", "text in UTF-8", found)
        })?;
        match u32::try_from(text.len()) {
            Ok(len) if text.len() <= limits::PICKLE_STRING_BYTES_IN_PLACE_MAX => {
                self.add(Node::Str { len, start: range.start as u64 })
            }
            // The length is held against the bound before the text is copied.
            _ if text.len() > limits::PICKLE_STRING_BYTES_MAX => Err(too_long(text.len())),
            _ => {
                let text = text.to_owned();
                self.add_text(text)
            }
        }
    }

    pub(super) fn add_text(&mut self, text: String) -> Result<NodeId, Problem> {
        if text.len() > limits::PICKLE_STRING_BYTES_MAX {
            return Err(too_long(text.len()));
        }
        self.charge(size_of::<Box<str>>() + text.len())?;
        self.texts.push(text.into_boxed_str());
        let text = last(self.texts.len());
        self.add(Node::MadeStr { text })
    }

    /// Bytes that are a slice of the source, or are charged for by the caller.
    pub(super) fn add_blob(&mut self, bytes: Bytes) -> Result<u32, Problem> {
        self.charge(size_of::<Bytes>())?;
        self.blobs.push(bytes);
        Ok(last(self.blobs.len()))
    }

    pub(super) fn add_bytes(&mut self, bytes: Bytes) -> Result<NodeId, Problem> {
        let blob = self.add_blob(bytes)?;
        self.add(Node::Bytes { blob })
    }

    pub(super) fn add_list(&mut self) -> Result<u32, Problem> {
        self.charge(size_of::<Vec<NodeId>>())?;
        self.lists.push(Vec::new());
        Ok(last(self.lists.len()))
    }

    pub(super) fn extend_list(&mut self, list: u32, ids: &[NodeId]) -> Result<(), Problem> {
        self.charge(size_of_val(ids))?;
        self.lists[list as usize].extend_from_slice(ids);
        Ok(())
    }

    pub(super) fn add_tuple(&mut self, ids: &[NodeId]) -> Result<NodeId, Problem> {
        self.charge(size_of_val(ids))?;
        let start = number(self.tuples.len(), limits::PICKLE_TUPLE_ITEMS_MAX)?;
        let len = number(ids.len(), limits::PICKLE_TUPLE_ITEMS_MAX)?;
        self.tuples.extend_from_slice(ids);
        self.add(Node::Tuple { start, len })
    }

    pub(super) fn add_object(&mut self, object: ObjectNode) -> Result<NodeId, Problem> {
        self.charge(size_of::<ObjectNode>())?;
        self.objects.push(object);
        self.add(Node::Object(last(self.objects.len())))
    }

    pub(super) fn make_array(&mut self, array: Array) -> Result<Node, Problem> {
        let shape = size_of_val(array.shape());
        self.charge(size_of::<Array>() + shape)?;
        self.arrays.push(array);
        Ok(Node::Array(last(self.arrays.len())))
    }

    pub(super) fn make_dtype(&mut self, dtype: NumpyDType) -> Result<Node, Problem> {
        let fields: usize = dtype.fields().iter().map(|f| size_of_val(f) + f.name().len()).sum();
        self.charge(size_of::<NumpyDType>() + fields)?;
        self.dtypes.push(dtype);
        Ok(Node::DType(last(self.dtypes.len())))
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn list(&self, list: u32) -> &[NodeId] {
        &self.lists[list as usize]
    }

    pub(super) fn tuple(&self, start: u32, len: u32) -> &[NodeId] {
        let start = start as usize;
        &self.tuples[start..start + len as usize]
    }

    pub(super) fn object(&self, object: u32) -> &ObjectNode {
        &self.objects[object as usize]
    }

    pub(super) fn object_mut(&mut self, object: u32) -> &mut ObjectNode {
        &mut self.objects[object as usize]
    }

    pub(super) fn array(&self, array: u32) -> &Array {
        &self.arrays[array as usize]
    }

    pub(super) fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    pub(super) fn dtype(&self, dtype: u32) -> &NumpyDType {
        &self.dtypes[dtype as usize]
    }

    pub(super) fn blob(&self, blob: u32) -> &Bytes {
        &self.blobs[blob as usize]
    }

    /// The bytes of a string.
    pub(super) fn text_bytes(&self, id: NodeId) -> Option<&[u8]> {
        match *self.node(id) {
            Node::Str { len, start } => {
                let start = usize::try_from(start).ok()?;
                self.source.get(start..start.checked_add(len as usize)?)
            }
            Node::MadeStr { text } => Some(self.texts[text as usize].as_bytes()),
            _ => None,
        }
    }

    /// A string.
    pub(super) fn text(&self, id: NodeId) -> Option<&str> {
        match *self.node(id) {
            Node::MadeStr { text } => Some(&self.texts[text as usize]),
            // Checked once more, short as it is: not to need `unsafe`.
            _ => str::from_utf8(self.text_bytes(id)?).ok(),
        }
    }

    /// Bytes charged so far.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

/// The number of what was pushed last. Tables never outgrow the nodes by more
/// than a small factor, and the bound on held bytes keeps all of them below 2^32.
fn last(len: usize) -> u32 {
    u32::try_from(len - 1).expect("fewer entries than held bytes allow")
}

fn number(len: usize, max: usize) -> Result<u32, Problem> {
    match u32::try_from(len) {
        Ok(number) if len < max => Ok(number),
        _ => Err(Problem::TooLarge {
            what: "the number of values in this file".into(),
            found: len as u64,
            max: max as u64,
            unit: "values",
        }),
    }
}

fn too_long(len: usize) -> Problem {
    Problem::TooLarge {
        what: "a string's length".into(),
        found: len as u64,
        max: limits::PICKLE_STRING_BYTES_MAX as u64,
        unit: "bytes",
    }
}
