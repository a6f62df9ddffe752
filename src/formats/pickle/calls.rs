//! What stands where a pickle names a class, calls it, and hands it a state.

use bytes::Bytes;

use super::arena::{Arena, Node, ObjectNode};
use super::error::Problem;
use super::machine::Machine;
use super::names::{self, Known};
use super::value::{NodeId, clip};

impl Machine {
    /// Module and name of a GLOBAL.
    pub(super) fn global(&self, id: NodeId) -> Option<(&str, &str)> {
        match *self.arena.node(id) {
            Node::Global { module, name } => Some((self.arena.text(module)?, self.arena.text(name)?)),
            _ => None,
        }
    }

    pub(super) fn global_name(&self, id: NodeId) -> String {
        self.global(id).map_or_else(String::new, |(module, name)| format!("{}.{}", clip(module), clip(name)))
    }

    /// The name that a call is made to: a GLOBAL, and none of those that are refused.
    fn callable(&self, id: NodeId) -> Result<Option<Known>, Problem> {
        let Some((module, name)) = self.global(id) else {
            return Err(self.wrong(id, "the name of a class or a function"));
        };
        let known = Known::of(module, name);
        if known.is_none() && names::is_dangerous(module, name) {
            return Err(Problem::Dangerous(self.global_name(id)));
        }
        if known == Some(Known::OldArrayWrapper) {
            return Err(Problem::Unsupported(
                "joblib before 0.10 wrote this file, with its arrays in other files beside it; \
                 load it with that joblib and save it with a newer one"
                    .into(),
            ));
        }
        Ok(known)
    }

    /// The items of a tuple.
    pub(super) fn tuple_items(&self, id: NodeId) -> Option<&[NodeId]> {
        match *self.arena.node(id) {
            Node::Tuple { start, len } => Some(self.arena.tuple(start, len)),
            _ => None,
        }
    }

    /// `callable(*args)`, which is not called.
    pub(super) fn reduce(&mut self, callable: NodeId, args: NodeId) -> Result<NodeId, Problem> {
        let known = self.callable(callable)?;
        let Some(items) = self.tuple_items(args) else {
            return Err(self.wrong(args, "a tuple of arguments"));
        };
        match (known, items) {
            (Some(Known::DType), _) => self.dtype(args),
            (Some(Known::Scalar), _) => self.scalar(callable, args),
            (Some(Known::FromBuffer), _) => self.buffer_array(args),
            (Some(Known::Encode), &[text, encoding]) if self.is_latin1(encoding) => self.encode(text),
            (Some(Known::ByteArray), &[text, encoding]) if self.is_latin1(encoding) => self.encode(text),
            (Some(Known::ByteArray), &[bytes]) if matches!(self.arena.node(bytes), Node::Bytes { .. }) => {
                Ok(bytes)
            }
            (Some(Known::Bytes | Known::ByteArray), []) => self.arena.add_bytes(Bytes::new()),
            (Some(Known::Set), rest @ ([] | [_])) => {
                let from = match rest {
                    [from] => match *self.arena.node(*from) {
                        Node::List(list) => self.arena.list(list).to_vec(),
                        Node::Tuple { start, len } => self.arena.tuple(start, len).to_vec(),
                        _ => return Err(self.wrong(*from, "a list of a set's items")),
                    },
                    _ => Vec::new(),
                };
                let list = self.arena.add_list()?;
                self.arena.extend_list(list, &from)?;
                self.arena.add(Node::Set(list))
            }
            (Some(Known::Reconstructor), &[class, _, base]) => self.reconstruct(class, base),
            (Some(Known::NewObj), &[class, ..]) => {
                let rest = items[1..].to_vec();
                let args = self.arena.add_tuple(&rest)?;
                self.instance(class, args, None)
            }
            (Some(Known::NewObjEx), &[class, args, kwargs]) => self.instance(class, args, Some(kwargs)),
            _ => self.instance(callable, args, None),
        }
    }

    /// `class(*args, **kwargs)`, which is not called.
    pub(super) fn instance(
        &mut self,
        class: NodeId,
        args: NodeId,
        kwargs: Option<NodeId>,
    ) -> Result<NodeId, Problem> {
        self.callable(class)?;
        if self.tuple_items(args).is_none() {
            return Err(self.wrong(args, "a tuple of arguments"));
        }
        if let Some(kwargs) = kwargs
            && !matches!(self.arena.node(kwargs), Node::Dict(_))
        {
            return Err(self.wrong(kwargs, "a dict of arguments"));
        }
        self.arena.add_object(ObjectNode { class, args, kwargs, state: None, items: None, entries: None })
    }

    /// An instance as protocols 0 and 1 write it: of `object`, or of a subclass of
    /// a type of Python's own, whose value is `base`.
    fn reconstruct(&mut self, class: NodeId, base: NodeId) -> Result<NodeId, Problem> {
        let (items, entries) = match *self.arena.node(base) {
            Node::None => return self.instance(class, Arena::EMPTY_TUPLE, None),
            Node::List(list) => (Some(list), None),
            Node::Dict(list) => (None, Some(list)),
            _ => {
                let args = self.arena.add_tuple(&[base])?;
                return self.instance(class, args, None);
            }
        };
        self.callable(class)?;
        let args = Arena::EMPTY_TUPLE;
        self.arena.add_object(ObjectNode { class, args, kwargs: None, state: None, items, entries })
    }

    /// `target.__setstate__(state)`, which is not called.
    pub(super) fn build(&mut self, target: NodeId, state: NodeId, nested: bool) -> Result<(), Problem> {
        let object = match *self.arena.node(target) {
            Node::DType(dtype) => return self.dtype_state(target, dtype, state),
            Node::Object(object) => object,
            _ => return Err(self.wrong(target, "an instance to give a state to")),
        };
        let class = self.arena.object(object).class;
        match self.callable(class)? {
            Some(Known::Reconstruct) if self.is_numpy_class(object) => {
                return self.array_state(target, state);
            }
            Some(Known::ArrayWrapper) if nested => {
                return Err(Problem::unexpected(
                    "the pickle of an object array inside a joblib file",
                    "a plain pickle",
                    "another array of joblib's",
                ));
            }
            Some(Known::ArrayWrapper) => return self.joblib_array(target, state),
            _ => {}
        }
        let object = self.arena.object_mut(object);
        if object.state.is_some() {
            return Err(Problem::unexpected("BUILD", "one state for an instance", "a second one"));
        }
        object.state = Some(state);
        Ok(())
    }

    fn is_latin1(&self, encoding: NodeId) -> bool {
        matches!(self.arena.text(encoding), Some("latin1" | "latin-1" | "iso-8859-1"))
    }

    /// The bytes whose numbers are a text's characters.
    fn encode(&mut self, text: NodeId) -> Result<NodeId, Problem> {
        let Some(text) = self.arena.text(text) else {
            return Err(self.wrong(text, "text that stands for bytes"));
        };
        let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        match bytes {
            Some(bytes) => self.add_made_bytes(bytes),
            None => {
                Err(Problem::unexpected(self.op, "characters up to U+00FF, which stand for bytes", "others"))
            }
        }
    }
}
