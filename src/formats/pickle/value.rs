//! The tree that a pickle describes, seen through cheap copies of references.

use std::borrow::Cow;
use std::fmt;
use std::slice;

use super::arena::{Arena, Node, ObjectNode};
use super::array::Array;
use super::dtype::NumpyDType;

/// A pickle that was read: a graph of inert values with one root.
///
/// Values that Python would share are shared here too, and a hostile file can
/// make a value contain itself. Whoever walks deeper than a known number of
/// steps must bound the walk; [`Ref::id`] tells where it has been. Whoever converts
/// what is shared pays for it every time: a list of a million references to one
/// tree is 2 MB of file, so that what is built from a document needs a bound too.
pub struct Document {
    pub(super) arena: Arena,
    pub(super) root: NodeId,
}

/// A value's identity within its document: Python's `id()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// A value in a document.
#[derive(Clone, Copy)]
pub struct Ref<'a> {
    document: &'a Document,
    id: NodeId,
}

/// What a value is.
#[derive(Clone)]
pub enum View<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` of at most 64 bits.
    Int(i64),
    /// A larger `int`: little-endian two's complement of at least 9 bytes.
    BigInt(&'a [u8]),
    /// A `float`.
    Float(f64),
    /// A `str`; a Python 2 `str` too, when it is ASCII.
    Str(&'a str),
    /// `bytes` or `bytearray`; a Python 2 `str` that is not ASCII.
    Bytes(&'a [u8]),
    /// A `list`.
    List(Items<'a>),
    /// A `tuple`.
    Tuple(Items<'a>),
    /// A `set` or a `frozenset`.
    Set(Items<'a>),
    /// A `dict`. A key that was set twice is there twice; the later one counts.
    Dict(Entries<'a>),
    /// The name of a class or a function. It is only a name.
    Global(Global<'a>),
    /// A class or a function applied to arguments: an instance of any class.
    Object(Object<'a>),
    /// A numpy array or scalar.
    Array(&'a Array),
    /// A numpy dtype.
    DType(&'a NumpyDType),
}

/// A class or a function by name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Global<'a> {
    /// The module: `sklearn.svm._classes`.
    pub module: &'a str,
    /// The name in it: `SVC`.
    pub name: &'a str,
}

/// An instance, as its pickle describes it.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    document: &'a Document,
    node: &'a ObjectNode,
}

/// The items of a list, tuple, set or object array.
#[derive(Clone)]
pub struct Items<'a> {
    document: &'a Document,
    ids: slice::Iter<'a, NodeId>,
}

/// The entries of a dict, in the order in which they were set.
#[derive(Clone)]
pub struct Entries<'a> {
    document: &'a Document,
    /// Keys at even places, values at odd ones; a whole number of pairs.
    ids: slice::Iter<'a, NodeId>,
}

impl Document {
    /// The value that `pickle.load` would return.
    #[must_use]
    pub fn root(&self) -> Ref<'_> {
        self.at(self.root)
    }

    /// Bytes that the values take in memory, the file's own bytes not counted.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.arena.held()
    }

    pub(super) fn at(&self, id: NodeId) -> Ref<'_> {
        Ref { document: self, id }
    }

    pub(super) fn list(&self, list: u32) -> Option<Items<'_>> {
        Some(self.items(self.arena.list(list)))
    }

    fn items<'a>(&'a self, ids: &'a [NodeId]) -> Items<'a> {
        Items { document: self, ids: ids.iter() }
    }

    fn entries(&self, list: u32) -> Entries<'_> {
        Entries { document: self, ids: self.arena.list(list).iter() }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.root().describe())
    }
}

impl<'a> Ref<'a> {
    /// The document that it is in.
    #[must_use]
    pub fn document(self) -> &'a Document {
        self.document
    }

    /// Which value it is: two references to one value have one id.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }

    /// What it is.
    #[must_use]
    pub fn view(self) -> View<'a> {
        let Document { arena, .. } = self.document;
        match *arena.node(self.id) {
            Node::None => View::None,
            Node::Bool(value) => View::Bool(value),
            Node::Int(value) => View::Int(value),
            Node::Float(value) => View::Float(value),
            Node::BigInt { blob } => View::BigInt(arena.blob(blob)),
            Node::Str { .. } | Node::MadeStr { .. } => View::Str(arena.text(self.id).unwrap_or_default()),
            Node::Bytes { blob } => View::Bytes(arena.blob(blob)),
            Node::List(list) => View::List(self.document.items(arena.list(list))),
            Node::Tuple { start, len } => View::Tuple(self.document.items(arena.tuple(start, len))),
            Node::Set(list) => View::Set(self.document.items(arena.list(list))),
            Node::Dict(list) => View::Dict(self.document.entries(list)),
            Node::Global { module, name } => View::Global(Global {
                module: arena.text(module).unwrap_or_default(),
                name: arena.text(name).unwrap_or_default(),
            }),
            Node::Object(object) => {
                View::Object(Object { document: self.document, node: arena.object(object) })
            }
            Node::Array(array) => View::Array(arena.array(array)),
            Node::DType(dtype) => View::DType(arena.dtype(dtype)),
        }
    }

    /// What it is, for messages: `int 3`, `list of 4`, `sklearn.svm._classes.SVC object`.
    /// Short, and free of control characters, whatever the file holds.
    #[must_use]
    pub fn describe(self) -> String {
        match self.view() {
            View::None => "None".to_owned(),
            View::Bool(value) => if value { "True" } else { "False" }.to_owned(),
            View::Int(value) => format!("int {value}"),
            View::BigInt(bytes) => format!("int of {} bytes", bytes.len()),
            View::Float(value) => format!("float {value}"),
            View::Str(text) => format!("str '{}'", clip(text)),
            View::Bytes(bytes) => format!("bytes of length {}", bytes.len()),
            View::List(items) => format!("list of {}", items.len()),
            View::Tuple(items) => format!("tuple of {}", items.len()),
            View::Set(items) => format!("set of {}", items.len()),
            View::Dict(entries) => format!("dict of {}", entries.len()),
            View::Global(global) => format!("the name {global}"),
            View::Object(object) => format!("{} object", object.class()),
            View::Array(array) => array.to_string(),
            View::DType(dtype) => format!("dtype {dtype}"),
        }
    }

    /// Whether it is `None`.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.view(), View::None)
    }

    /// A `bool` or numpy's `bool_`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.view() {
            View::Bool(value) => Some(value),
            View::Array(array) if array.shape().is_empty() => array.to_bools().ok()?.first().copied(),
            _ => None,
        }
    }

    /// An `int` that fits, a `bool` (which Python counts as an `int`), or a numpy
    /// integer: a scalar or an array of rank 0.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.view() {
            View::Int(value) => Some(value),
            View::Bool(value) => Some(i64::from(value)),
            View::Array(array) if array.shape().is_empty() => array.to_i64().ok()?.first().copied(),
            _ => None,
        }
    }

    /// A `float`, an `int` (rounded), a `bool`, or a numpy scalar or array of rank
    /// 0 that is a real number.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.view() {
            View::Float(value) => Some(value),
            #[allow(clippy::cast_precision_loss, reason = "documented: as Python's float() rounds")]
            View::Int(value) => Some(value as f64),
            View::Bool(value) => Some(f64::from(u8::from(value))),
            View::Array(array) if array.shape().is_empty() => array.to_f64().ok()?.first().copied(),
            _ => None,
        }
    }

    /// A `str`. For numpy's string scalars see [`Ref::to_str`].
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.view() {
            View::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A `str`, or a numpy scalar of dtype `U` or `S`.
    #[must_use]
    pub fn to_str(self) -> Option<Cow<'a, str>> {
        match self.view() {
            View::Str(text) => Some(Cow::Borrowed(text)),
            // Of dtype `O` it would be a string in an array in an array: that is no scalar, and a
            // hostile one contains itself.
            View::Array(array) if array.shape().is_empty() && array.object_list().is_none() => {
                array.to_strings(self.document).ok()?.pop()
            }
            _ => None,
        }
    }

    /// `bytes`, a `bytearray`, or a Python 2 `str` that is not ASCII.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.view() {
            View::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of a `list` or a `tuple`.
    #[must_use]
    pub fn items(self) -> Option<Items<'a>> {
        match self.view() {
            View::List(items) | View::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a `list`, a `tuple` or a numpy array of dtype `O` (in C order).
    #[must_use]
    pub fn elements(self) -> Option<Items<'a>> {
        match self.view() {
            View::List(items) | View::Tuple(items) => Some(items),
            View::Array(array) => array.objects(self.document),
            _ => None,
        }
    }

    /// The entries of a `dict`, or of an instance of a subclass of `dict` such as
    /// `collections.OrderedDict`.
    #[must_use]
    pub fn entries(self) -> Option<Entries<'a>> {
        match self.view() {
            View::Dict(entries) => Some(entries),
            View::Object(object) if object.node.entries.is_some() => Some(object.entries()),
            _ => None,
        }
    }

    /// The value of a string key in a `dict` or an instance of a subclass of it.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Ref<'a>> {
        self.entries()?.get(key)
    }

    /// A numpy array or scalar.
    #[must_use]
    pub fn array(self) -> Option<&'a Array> {
        match self.view() {
            View::Array(array) => Some(array),
            _ => None,
        }
    }

    /// A numpy dtype.
    #[must_use]
    pub fn dtype(self) -> Option<&'a NumpyDType> {
        match self.view() {
            View::DType(dtype) => Some(dtype),
            _ => None,
        }
    }

    /// An instance of some class.
    #[must_use]
    pub fn object(self) -> Option<Object<'a>> {
        match self.view() {
            View::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The name of a class or a function.
    #[must_use]
    pub fn global(self) -> Option<Global<'a>> {
        match self.view() {
            View::Global(global) => Some(global),
            _ => None,
        }
    }
}

impl fmt::Debug for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Global<'_> {
    /// Whether it is this name in this module.
    #[must_use]
    pub fn is(self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

/// `module.name`, short and free of control characters.
impl fmt::Display for Global<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", clip(self.module), clip(self.name))
    }
}

impl fmt::Debug for Global<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> Object<'a> {
    /// The class, or the function that Python would call to make the instance.
    #[must_use]
    pub fn class(&self) -> Global<'a> {
        match self.document.at(self.node.class).view() {
            View::Global(global) => global,
            _ => Global { module: "", name: "" },
        }
    }

    /// The positional arguments.
    #[must_use]
    pub fn args(&self) -> Items<'a> {
        match self.document.at(self.node.args).view() {
            View::Tuple(items) => items,
            _ => self.document.items(&[]),
        }
    }

    /// The keyword arguments, where the class is made with some: a dict.
    #[must_use]
    pub fn kwargs(&self) -> Option<Ref<'a>> {
        self.node.kwargs.map(|id| self.document.at(id))
    }

    /// What was handed to `__setstate__`: mostly the dict of attributes.
    #[must_use]
    pub fn state(&self) -> Option<Ref<'a>> {
        self.node.state.map(|id| self.document.at(id))
    }

    /// The attribute of this name: a key of the state, which is a dict, or a tuple
    /// of a dict and the slots' dict.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<Ref<'a>> {
        self.state_parts().into_iter().flatten().find_map(|entries| entries.get(name))
    }

    /// All attributes that [`Object::attr`] finds, in the file's order.
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, Ref<'a>)> + use<'a> {
        let entries = self.state_parts().into_iter().flatten().flatten();
        entries.filter_map(|(name, value)| Some((name.as_str()?, value)))
    }

    /// What was appended: the items of an instance of a subclass of `list`.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        self.node.items.map_or_else(
            || self.document.items(&[]),
            |list| self.document.items(self.document.arena.list(list)),
        )
    }

    /// What was set: the entries of an instance of a subclass of `dict`.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        self.node.entries.map_or_else(
            || Entries { document: self.document, ids: [].iter() },
            |list| self.document.entries(list),
        )
    }

    fn state_parts(&self) -> [Option<Entries<'a>>; 2] {
        let dict = |part: Ref<'a>| match part.view() {
            View::Dict(entries) => Some(entries),
            _ => None,
        };
        match self.state().map(Ref::view) {
            Some(View::Dict(entries)) => [Some(entries), None],
            Some(View::Tuple(mut parts)) if parts.len() == 2 => {
                [parts.next().and_then(dict), parts.next().and_then(dict)]
            }
            _ => [None, None],
        }
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} object", self.class())
    }
}

impl<'a> Items<'a> {
    /// The item at this index, counted from the iterator's present place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Ref<'a>> {
        self.ids.as_slice().get(index).map(|&id| self.document.at(id))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Ref<'a>;

    fn next(&mut self) -> Option<Ref<'a>> {
        self.ids.next().map(|&id| self.document.at(id))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ids.size_hint()
    }
}

impl DoubleEndedIterator for Items<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.ids.next_back().map(|&id| self.document.at(id))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl<'a> Entries<'a> {
    /// The value of a string key; of the last one, if it was set twice.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Ref<'a>> {
        let arena = &self.document.arena;
        let mut pairs = self.ids.as_slice().rchunks_exact(2);
        let pair = pairs.find(|pair| arena.text_bytes(pair[0]) == Some(key.as_bytes()))?;
        Some(self.document.at(pair[1]))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Ref<'a>, Ref<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = *self.ids.next()?;
        let value = *self.ids.next()?;
        Some((self.document.at(key), self.document.at(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let pairs = self.ids.len() / 2;
        (pairs, Some(pairs))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// The first characters of a text, without control characters.
pub(in crate::formats) fn clip(text: &str) -> String {
    const CHARS: usize = 80;
    let mut shown: String = text.chars().take(CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS).is_some() {
        shown.push('…');
    }
    shown
}
