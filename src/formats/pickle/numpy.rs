//! What numpy's and joblib's pickles mean: dtypes, arrays, scalars.
//!
//! numpy: `array_reduce`, `array_setstate`, `arraydescr_reduce` and
//! `arraydescr_setstate` in `numpy/_core/src/multiarray`, and `_frombuffer` in
//! `numpy/_core/numeric.py`. joblib: `NumpyArrayWrapper` in `joblib/numpy_pickle.py`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::arena::Node;
use super::array::{Array, Layout};
use super::dtype::{ByteOrder, DTypeField, DTypeKind, NumpyDType};
use super::error::Problem;
use super::machine::Machine;
use super::value::NodeId;
use crate::limits;

impl Machine {
    /// `numpy.dtype(text, align, copy)`.
    pub(super) fn dtype(&mut self, args: NodeId) -> Result<NodeId, Problem> {
        const PLACE: &str = "numpy.dtype";
        let Some(&first) = self.tuple_items(args).and_then(<[NodeId]>::first) else {
            return Err(Problem::unexpected(PLACE, "the text of a dtype", "no arguments"));
        };
        let dtype = match (self.arena.text(first), self.global(first)) {
            (Some(text), _) => parse_dtype(text),
            // Records of a class: the state that follows has the fields.
            (None, Some(("numpy" | "numpy.rec" | "numpy.core.records", "record" | "void"))) => {
                parse_dtype("V0")
            }
            _ => None,
        };
        let Some(dtype) = dtype else {
            return Err(Problem::unexpected(PLACE, "a dtype such as 'f8' or 'U10'", self.describe(first)));
        };
        if dtype.itemsize > limits::PICKLE_ITEM_BYTES_MAX {
            return Err(item_too_large(dtype.itemsize as u64));
        }
        let node = self.arena.make_dtype(dtype)?;
        self.arena.add(node)
    }

    /// `dtype.__setstate__((version, byteorder, subdtype, names, fields, itemsize, alignment, flags))`.
    pub(super) fn dtype_state(&mut self, target: NodeId, dtype: u32, state: NodeId) -> Result<(), Problem> {
        const PLACE: &str = "the state of a numpy dtype";
        let wrong = |expected: &'static str, found: String| Problem::unexpected(PLACE, expected, found);
        let Some(&[version, order, subdtype, names, fields, itemsize, _, _, ..]) = self.tuple_items(state)
        else {
            return Err(wrong("a tuple of 8 or 9", self.describe(state)));
        };
        if !matches!(self.arena.node(version), Node::Int(3 | 4)) {
            return Err(wrong("version 3 or 4", self.describe(version)));
        }
        let mut dtype = self.arena.dtype(dtype).clone();
        let numeric = dtype.is_real() || matches!(dtype.kind, DTypeKind::Complex | DTypeKind::Unicode);
        dtype.order = match self.arena.text(order) {
            Some("<" | "=") => ByteOrder::Little,
            Some(">") => ByteOrder::Big,
            Some("|") if dtype.itemsize <= 1 || !numeric => ByteOrder::Little,
            _ => return Err(wrong("a byte order that fits the dtype", self.describe(order))),
        };
        // The size is recorded for the kinds that can have any.
        if matches!(
            dtype.kind,
            DTypeKind::Unicode | DTypeKind::ByteString | DTypeKind::Void | DTypeKind::Struct(_)
        ) {
            match *self.arena.node(itemsize) {
                Node::Int(-1) => {}
                Node::Int(bytes) => {
                    let size = usize::try_from(bytes).ok();
                    dtype.itemsize = match size {
                        Some(size) if size > limits::PICKLE_ITEM_BYTES_MAX => {
                            return Err(item_too_large(size as u64));
                        }
                        Some(size) if !matches!(dtype.kind, DTypeKind::Unicode) || size.is_multiple_of(4) => {
                            size
                        }
                        _ => return Err(wrong("the bytes of one element", format!("int {bytes}"))),
                    };
                }
                _ => return Err(wrong("the bytes of one element", self.describe(itemsize))),
            }
        }
        if *self.arena.node(names) != Node::None {
            if !matches!(dtype.kind, DTypeKind::Void | DTypeKind::Struct(_)) {
                return Err(wrong("no fields in a plain dtype", self.describe(names)));
            }
            // What is looked through counts too: a file can hand one dict to many dtypes.
            if let Node::Dict(entries) = *self.arena.node(fields) {
                self.arena.charge(size_of_val(self.arena.list(entries)))?;
            }
            dtype.kind = DTypeKind::Struct(self.dtype_fields(names, fields, dtype.itemsize)?);
        }
        if *self.arena.node(subdtype) != Node::None {
            let base = self.tuple_items(subdtype).and_then(|items| items.first().copied());
            let base = base.and_then(|base| self.dtype_of(base));
            if base.is_none_or(NumpyDType::has_object) {
                return Err(wrong("a sub-array of numbers or text", self.describe(subdtype)));
            }
            // Nobody reads them: opaque bytes of the recorded size.
            dtype.kind = DTypeKind::Void;
        }
        let node = self.arena.make_dtype(dtype)?;
        self.arena.replace(target, node);
        Ok(())
    }

    /// The fields of a record: `('x', 'y')`, `{'x': (dtype, offset), …}`.
    fn dtype_fields(
        &self,
        names: NodeId,
        fields: NodeId,
        itemsize: usize,
    ) -> Result<Arc<[DTypeField]>, Problem> {
        const PLACE: &str = "the fields of a structured numpy dtype";
        let wrong = |expected: &'static str, found: String| Problem::unexpected(PLACE, expected, found);
        let (Some(names), Node::Dict(entries)) = (self.tuple_items(names), *self.arena.node(fields)) else {
            return Err(wrong("a tuple of names and a dict of fields", self.describe(fields)));
        };
        let entries = self.arena.list(entries);
        // With titles, every field is there under two names.
        if names.len() > limits::PICKLE_DTYPE_FIELDS_MAX
            || entries.len() / 4 > limits::PICKLE_DTYPE_FIELDS_MAX
        {
            return Err(Problem::TooLarge {
                what: "the number of fields of a structured numpy dtype".into(),
                found: names.len().max(entries.len() / 2) as u64,
                max: limits::PICKLE_DTYPE_FIELDS_MAX as u64,
                unit: "fields",
            });
        }
        let by_name: HashMap<&[u8], NodeId> = entries
            .chunks_exact(2)
            .filter_map(|entry| Some((self.arena.text_bytes(entry[0])?, entry[1])))
            .collect();
        let field = |&name: &NodeId| {
            let Some(text) = self.arena.text(name) else { return Err(wrong("a name", self.describe(name))) };
            let Some(&field) = by_name.get(text.as_bytes()) else {
                return Err(wrong("every name among the fields", self.describe(name)));
            };
            let Some(&[dtype, offset, ..]) = self.tuple_items(field) else {
                return Err(wrong("a dtype and an offset", self.describe(field)));
            };
            let (Some(dtype), Node::Int(at)) = (self.dtype_of(dtype), *self.arena.node(offset)) else {
                return Err(wrong("a dtype and an offset", self.describe(dtype)));
            };
            let end = usize::try_from(at).ok().and_then(|at| at.checked_add(dtype.itemsize));
            let (Some(end), Ok(offset)) = (end, usize::try_from(at)) else {
                return Err(wrong("an offset within the record", format!("int {at}")));
            };
            if end > itemsize {
                return Err(wrong(
                    "fields within the record",
                    format!("{} bytes at offset {offset} of a record of {itemsize} bytes", dtype.itemsize),
                ));
            }
            let mut dtype = dtype.clone();
            if let DTypeKind::Struct(_) = dtype.kind {
                if dtype.has_object() {
                    return Err(wrong("records without objects inside of records", dtype.to_string()));
                }
                // Nobody reads them. It also keeps dtypes flat, whatever a file holds.
                dtype.kind = DTypeKind::Void;
            }
            Ok(DTypeField { name: text.into(), dtype, offset })
        };
        names.iter().map(field).collect()
    }

    /// `array.__setstate__((version, shape, dtype, is_fortran, data))`.
    pub(super) fn array_state(&mut self, target: NodeId, state: NodeId) -> Result<(), Problem> {
        const PLACE: &str = "the state of a numpy array";
        let Some(&[_, shape, dtype, fortran, data]) = self.tuple_items(state) else {
            return Err(Problem::unexpected(PLACE, "a tuple of 5", self.describe(state)));
        };
        let fortran = match *self.arena.node(fortran) {
            Node::Bool(fortran) => fortran,
            Node::Int(fortran) => fortran != 0,
            _ => return Err(Problem::unexpected(PLACE, "the order of the elements", self.describe(fortran))),
        };
        let layout = if fortran { Layout::Fortran } else { Layout::C };
        let node = self.array(PLACE, shape, dtype, layout, data)?;
        self.arena.replace(target, node);
        Ok(())
    }

    /// `_frombuffer(data, dtype, shape, order, axis_order)`.
    pub(super) fn buffer_array(&mut self, args: NodeId) -> Result<NodeId, Problem> {
        const PLACE: &str = "a numpy array of protocol 5";
        let Some(&[data, dtype, shape, order, ref axes @ ..]) = self.tuple_items(args) else {
            return Err(Problem::unexpected(PLACE, "data, dtype, shape and order", self.describe(args)));
        };
        let axes = match *axes {
            [axes] if *self.arena.node(axes) != Node::None => Some(self.dims(PLACE, axes)?),
            _ => None,
        };
        let layout = match (self.arena.text(order), &axes) {
            (Some("C"), _) => Layout::C,
            (Some("F"), _) => Layout::Fortran,
            (Some("K"), Some(axes)) => Layout::Transposed(axes),
            _ => return Err(Problem::unexpected(PLACE, "the order C, F or K", self.describe(order))),
        };
        let node = self.array(PLACE, shape, dtype, layout, data)?;
        self.arena.add(node)
    }

    /// `scalar(dtype, data)`.
    pub(super) fn scalar(&mut self, callable: NodeId, args: NodeId) -> Result<NodeId, Problem> {
        const PLACE: &str = "a numpy scalar";
        let Some(&[dtype, data]) = self.tuple_items(args) else {
            return Err(Problem::unexpected(
                PLACE,
                "a dtype and bytes",
                format!("{} of {}", self.describe(args), self.global_name(callable)),
            ));
        };
        let (Some(of), Some(raw)) = (self.dtype_of(dtype).cloned(), self.raw(data)?) else {
            return Err(Problem::unexpected(PLACE, "a dtype and bytes", self.describe(dtype)));
        };
        if of.has_object() {
            return Err(Problem::unexpected(PLACE, "a dtype without objects", of.to_string()));
        }
        let array = Array::from_raw(of, &[], Layout::C, raw);
        let array = array.map_err(|found| Problem::unexpected(PLACE, "the bytes of one element", found))?;
        let node = self.arena.make_array(array)?;
        self.arena.add(node)
    }

    /// The state of a `NumpyArrayWrapper`, and the array that follows it in the file.
    pub(super) fn joblib_array(&mut self, target: NodeId, state: NodeId) -> Result<(), Problem> {
        const PLACE: &str = "joblib's NumpyArrayWrapper";
        let Node::Dict(entries) = *self.arena.node(state) else {
            return Err(Problem::unexpected(PLACE, "a dict of attributes", self.describe(state)));
        };
        // Each wrapper looks through its dict, which a file can hand to many.
        if self.arena.list(entries).len() > 2 * limits::PICKLE_WRAPPER_ATTRIBUTES_MAX {
            return Err(Problem::unexpected(PLACE, "the attributes of an array", self.describe(state)));
        }
        let attr = |name: &str| {
            let mut pairs = self.arena.list(entries).rchunks_exact(2);
            pairs.find(|pair| self.arena.text_bytes(pair[0]) == Some(name.as_bytes())).map(|pair| pair[1])
        };
        let (Some(shape), Some(order), Some(dtype)) = (attr("shape"), attr("order"), attr("dtype")) else {
            return Err(Problem::unexpected(PLACE, "the attributes shape, order and dtype", "others"));
        };
        let aligned =
            attr("numpy_array_alignment_bytes").is_some_and(|id| *self.arena.node(id) != Node::None);
        let layout = match self.arena.text(order) {
            Some("C") => Layout::C,
            Some("F") => Layout::Fortran,
            _ => return Err(Problem::unexpected(PLACE, "the order C or F", self.describe(order))),
        };
        let dims = self.dims(PLACE, shape)?;
        let Some(dtype) = self.dtype_of(dtype).cloned() else {
            return Err(Problem::unexpected(PLACE, "a numpy dtype", self.describe(dtype)));
        };
        if dtype.has_object() {
            // A whole pickle of its own, with its own memo.
            let root = self.run(true)?;
            let node = *self.arena.node(root);
            if !matches!(node, Node::Array(_)) {
                return Err(Problem::unexpected(PLACE, "the pickle of an object array", self.describe(root)));
            }
            self.arena.replace(target, node);
            return Ok(());
        }
        let (_, bytes) =
            Array::extent(&dtype, &dims).map_err(|found| Problem::unexpected(PLACE, "a shape", found))?;
        if aligned {
            let padding = self.cursor.u8("the padding before array data")?;
            self.cursor.take(u64::from(padding), "the padding before array data")?;
        }
        let data = self.cursor.slice(bytes as u64, "array data")?;
        let array = Array::from_raw(dtype, &dims, layout, data)
            .map_err(|found| Problem::unexpected(PLACE, "an array", found))?;
        let node = self.arena.make_array(array)?;
        self.arena.replace(target, node);
        Ok(())
    }

    /// An array whose data are bytes, or a list for objects.
    fn array(
        &mut self,
        place: &'static str,
        shape: NodeId,
        dtype: NodeId,
        layout: Layout<'_>,
        data: NodeId,
    ) -> Result<Node, Problem> {
        let dims = self.dims(place, shape)?;
        let Some(dtype) = self.dtype_of(dtype).cloned() else {
            return Err(Problem::unexpected(place, "a numpy dtype", self.describe(dtype)));
        };
        let array = if dtype.has_object() {
            // The list is in C order, whatever the flag says of the array in memory.
            let Node::List(list) = *self.arena.node(data) else {
                return Err(Problem::unexpected(place, "a list of objects", self.describe(data)));
            };
            Array::from_objects(dtype, &dims, list)
        } else {
            let Some(raw) = self.raw(data)? else {
                return Err(Problem::unexpected(place, "bytes", self.describe(data)));
            };
            Array::from_raw(dtype, &dims, layout, raw)
        };
        let array = array.map_err(|found| Problem::unexpected(place, "data that fit the shape", found))?;
        self.arena.make_array(array)
    }

    fn dims(&self, place: &'static str, shape: NodeId) -> Result<SmallVec<[usize; 4]>, Problem> {
        let Some(items) = self.tuple_items(shape) else {
            return Err(Problem::unexpected(place, "a shape", self.describe(shape)));
        };
        if items.len() > limits::PICKLE_ARRAY_RANK_MAX {
            return Err(Problem::TooLarge {
                what: "the rank of a numpy array".into(),
                found: items.len() as u64,
                max: limits::PICKLE_ARRAY_RANK_MAX as u64,
                unit: "dimensions",
            });
        }
        let dim = |&item: &NodeId| match *self.arena.node(item) {
            Node::Int(dim) => usize::try_from(dim).ok(),
            // Shapes that were computed with numpy hold its integers.
            Node::Array(array) if self.arena.array(array).shape().is_empty() => {
                self.arena.array(array).to_i64().ok().and_then(|dims| usize::try_from(*dims.first()?).ok())
            }
            _ => None,
        };
        let dims: Option<SmallVec<[usize; 4]>> = items.iter().map(dim).collect();
        dims.ok_or_else(|| {
            let wrong = items.iter().find(|item| dim(item).is_none()).map(|&item| self.describe(item));
            Problem::unexpected(place, "dimensions that are not negative", wrong.unwrap_or_default())
        })
    }

    /// Whether `_reconstruct` makes one of numpy's own array classes, whose state is known.
    pub(super) fn is_numpy_class(&self, object: u32) -> bool {
        let class = self.tuple_items(self.arena.object(object).args).and_then(|args| args.first().copied());
        class.and_then(|class| self.global(class)).is_some_and(|(module, _)| {
            module == "numpy" || module.strip_prefix("numpy").is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn dtype_of(&self, id: NodeId) -> Option<&NumpyDType> {
        match *self.arena.node(id) {
            Node::DType(dtype) => Some(self.arena.dtype(dtype)),
            _ => None,
        }
    }

    /// Bytes, or a Python 2 string that happens to be ASCII.
    fn raw(&mut self, id: NodeId) -> Result<Option<Bytes>, Problem> {
        if let Node::Bytes { blob } = *self.arena.node(id) {
            return Ok(Some(self.arena.blob(blob).clone()));
        }
        let Some(text) = self.arena.text_bytes(id) else { return Ok(None) };
        let copy = Bytes::copy_from_slice(text);
        self.arena.charge(copy.len())?;
        Ok(Some(copy))
    }
}

/// `f8`, `<i4`, `U10`, `V64`: a kind and bytes, characters for `U`.
pub(super) fn parse_dtype(text: &str) -> Option<NumpyDType> {
    let (order, text) = match text.as_bytes().first()? {
        b'>' => (ByteOrder::Big, &text[1..]),
        b'<' | b'=' | b'|' => (ByteOrder::Little, &text[1..]),
        _ => (ByteOrder::Little, text),
    };
    if text == "?" {
        return Some(NumpyDType { kind: DTypeKind::Bool, itemsize: 1, order });
    }
    let letter = text.chars().next()?;
    let digits = &text[letter.len_utf8()..];
    if digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size: usize = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let (kind, itemsize) = match (letter, size) {
        ('b', 1) => (DTypeKind::Bool, 1),
        ('i', 1 | 2 | 4 | 8) => (DTypeKind::Int, size),
        ('u', 1 | 2 | 4 | 8) => (DTypeKind::UInt, size),
        ('f', 2 | 4 | 8 | 12 | 16) => (DTypeKind::Float, size),
        ('c', 8 | 16 | 24 | 32) => (DTypeKind::Complex, size),
        ('U', chars) => (DTypeKind::Unicode, chars * 4),
        ('S', _) => (DTypeKind::ByteString, size),
        ('V', _) => (DTypeKind::Void, size),
        // Where 0 stands for what `O` alone means.
        ('O', 0 | 4 | 8) => (DTypeKind::Object, 8),
        ('M' | 'm', 8) => (DTypeKind::DateTime, 8),
        _ => return None,
    };
    Some(NumpyDType { kind, itemsize, order })
}

fn item_too_large(bytes: u64) -> Problem {
    Problem::TooLarge {
        what: "one element of a numpy array".into(),
        found: bytes,
        max: limits::PICKLE_ITEM_BYTES_MAX as u64,
        unit: "bytes",
    }
}
