//! Documents that are not read from a pickle: other formats say the same in other words.

use bytes::Bytes;

use super::arena::{Arena, Node, ObjectNode};
use super::array::{Array, Layout};
use super::dtype::{DTypeField, DTypeKind, NumpyDType};
use super::error::Problem;
use super::names;
use super::numpy;
use super::text::{self, Decimal};
use super::value::{Document, NodeId};
use crate::limits;

/// A document in the making. What is made refers only to what was made before it, so
/// that nothing contains itself.
pub(in crate::formats) struct Builder {
    arena: Arena,
}

/// A class applied to arguments, and what came after.
#[derive(Debug, Default)]
pub(in crate::formats) struct Instance<'a> {
    pub(in crate::formats) args: &'a [NodeId],
    pub(in crate::formats) state: Option<NodeId>,
    /// What an instance of a subclass of `list` holds.
    pub(in crate::formats) items: Option<&'a [NodeId]>,
    /// Keys and values of an instance of a subclass of `dict`.
    pub(in crate::formats) entries: Option<&'a [NodeId]>,
}

impl Builder {
    /// For a file of this many bytes, which bounds what the values may take.
    pub(in crate::formats) fn new(file_bytes: usize) -> Self {
        Self { arena: Arena::with_room(Bytes::new(), file_bytes) }
    }

    pub(in crate::formats) fn none() -> NodeId {
        Arena::NONE
    }

    pub(in crate::formats) fn bool(value: bool) -> NodeId {
        if value { Arena::TRUE } else { Arena::FALSE }
    }

    pub(in crate::formats) fn int(&mut self, value: i64) -> Result<NodeId, Problem> {
        self.arena.add(Node::Int(value))
    }

    pub(in crate::formats) fn float(&mut self, value: f64) -> Result<NodeId, Problem> {
        self.arena.add(Node::Float(value))
    }

    /// An `int` of any size; `None` when the text is none.
    pub(in crate::formats) fn decimal(&mut self, digits: &str) -> Result<Option<NodeId>, Problem> {
        let node = match text::decimal(digits.as_bytes(), limits::PICKLE_INT_BYTES_MAX * 2) {
            None => return Ok(None),
            Some(Decimal::Small(value)) => Node::Int(value),
            Some(Decimal::Big(bytes)) => {
                self.arena.charge(bytes.len())?;
                Node::BigInt { blob: self.arena.add_blob(Bytes::from(bytes))? }
            }
        };
        self.arena.add(node).map(Some)
    }

    pub(in crate::formats) fn text(&mut self, text: &str) -> Result<NodeId, Problem> {
        self.arena.add_text(text.to_owned())
    }

    pub(in crate::formats) fn bytes(&mut self, bytes: Bytes) -> Result<NodeId, Problem> {
        self.arena.add_bytes(bytes)
    }

    pub(in crate::formats) fn list(&mut self, items: &[NodeId]) -> Result<NodeId, Problem> {
        let list = self.items(items)?;
        self.arena.add(Node::List(list))
    }

    pub(in crate::formats) fn tuple(&mut self, items: &[NodeId]) -> Result<NodeId, Problem> {
        self.arena.add_tuple(items)
    }

    pub(in crate::formats) fn set(&mut self, items: &[NodeId]) -> Result<NodeId, Problem> {
        let list = self.items(items)?;
        self.arena.add(Node::Set(list))
    }

    /// Keys at even places, values at odd ones.
    pub(in crate::formats) fn dict(&mut self, entries: &[NodeId]) -> Result<NodeId, Problem> {
        let list = self.items(entries)?;
        self.arena.add(Node::Dict(list))
    }

    pub(in crate::formats) fn global(&mut self, module: &str, name: &str) -> Result<NodeId, Problem> {
        if module.len().max(name.len()) > limits::PICKLE_NAME_BYTES_MAX {
            return Err(Problem::TooLarge {
                what: "the length of a name".into(),
                found: module.len().max(name.len()) as u64,
                max: limits::PICKLE_NAME_BYTES_MAX as u64,
                unit: "bytes",
            });
        }
        let module = self.text(module)?;
        let name = self.text(name)?;
        self.arena.add(Node::Global { module, name })
    }

    /// An instance of the class `module.name`, which is only a name.
    pub(in crate::formats) fn object(
        &mut self,
        module: &str,
        name: &str,
        instance: &Instance<'_>,
    ) -> Result<NodeId, Problem> {
        let class = self.global(module, name)?;
        let args = match instance.args {
            [] => Arena::EMPTY_TUPLE,
            args => self.tuple(args)?,
        };
        let items = instance.items.map(|items| self.items(items)).transpose()?;
        let entries = instance.entries.map(|entries| self.items(entries)).transpose()?;
        let state = instance.state.filter(|&state| state != Arena::NONE);
        self.arena.add_object(ObjectNode { class, args, kwargs: None, state, items, entries })
    }

    /// An array, or a scalar where the shape is empty, whose elements are all of `data`.
    pub(in crate::formats) fn array(
        &mut self,
        dtype: NumpyDType,
        shape: &[usize],
        fortran: bool,
        data: Bytes,
    ) -> Result<NodeId, Problem> {
        let layout = if fortran { Layout::Fortran } else { Layout::C };
        let array = Array::from_raw(dtype, shape, layout, data);
        let array =
            array.map_err(|found| Problem::unexpected("a numpy array", "data that fit the shape", found))?;
        let node = self.arena.make_array(array)?;
        self.arena.add(node)
    }

    /// An array of objects, given in C order.
    pub(in crate::formats) fn objects(
        &mut self,
        shape: &[usize],
        objects: &[NodeId],
    ) -> Result<NodeId, Problem> {
        const PLACE: &str = "a numpy array of objects";
        let Some(dtype) = dtype("O") else {
            return Err(Problem::unexpected(PLACE, "the dtype O", "none"));
        };
        let list = self.items(objects)?;
        let array = Array::from_objects(dtype, shape, list)
            .map_err(|found| Problem::unexpected(PLACE, "a shape", found))?;
        if array.len() != objects.len() {
            let expected = format!("{} objects", array.len());
            return Err(Problem::unexpected(PLACE, expected, format!("{} objects", objects.len())));
        }
        let node = self.arena.make_array(array)?;
        self.arena.add(node)
    }

    pub(in crate::formats) fn dtype(&mut self, dtype: NumpyDType) -> Result<NodeId, Problem> {
        let node = self.arena.make_dtype(dtype)?;
        self.arena.add(node)
    }

    /// The dtype of an array that was made.
    pub(in crate::formats) fn dtype_of(&self, array: NodeId) -> Option<NumpyDType> {
        match *self.arena.node(array) {
            Node::Array(array) => Some(self.arena.array(array).dtype().clone()),
            _ => None,
        }
    }

    /// The items of a tuple that was made.
    pub(in crate::formats) fn tuple_items(&self, id: NodeId) -> Option<Vec<NodeId>> {
        match *self.arena.node(id) {
            Node::Tuple { start, len } => Some(self.arena.tuple(start, len).to_vec()),
            _ => None,
        }
    }

    pub(in crate::formats) fn finish(self, root: NodeId) -> Document {
        Document { arena: self.arena, root }
    }

    fn items(&mut self, items: &[NodeId]) -> Result<u32, Problem> {
        let list = self.arena.add_list()?;
        self.arena.extend_list(list, items)?;
        Ok(list)
    }
}

/// The dtype that numpy writes as this text: `<f8`, `|b1`, `<U10`.
pub(in crate::formats) fn dtype(text: &str) -> Option<NumpyDType> {
    numpy::parse_dtype(text).filter(|dtype| dtype.itemsize <= limits::PICKLE_ITEM_BYTES_MAX)
}

/// Opaque bytes.
pub(in crate::formats) fn void(itemsize: usize) -> NumpyDType {
    NumpyDType { kind: DTypeKind::Void, itemsize, order: super::ByteOrder::Little }
}

/// A record of fields, which the caller has put one behind the other within `itemsize`.
pub(in crate::formats) fn record(
    fields: impl Iterator<Item = (String, NumpyDType, usize)>,
    itemsize: usize,
) -> NumpyDType {
    let field = |(name, dtype, offset): (String, NumpyDType, usize)| {
        debug_assert!(offset + dtype.itemsize <= itemsize);
        DTypeField { name: name.into(), dtype, offset }
    };
    NumpyDType {
        kind: DTypeKind::Struct(fields.map(field).collect()),
        itemsize,
        order: super::ByteOrder::Little,
    }
}

/// Whether nothing but an attack makes an instance of this name.
pub(in crate::formats) fn is_dangerous(module: &str, name: &str) -> bool {
    names::is_dangerous(module, name)
}
