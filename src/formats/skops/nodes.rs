//! What the nodes of a skops file mean: for each the value that a pickle would describe.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::arrays::Kind;
use super::error::Problem;
use super::json::{Json, Map};
use super::zip::{Archive, Room};
use crate::formats::pickle::build::{Builder, Instance, is_dangerous};
use crate::formats::pickle::{Document, NodeId, clip};

/// The reading of one file. Nodes nest no deeper than JSON may, so it recurses.
pub(super) struct Reader<'a> {
    pub(super) archive: &'a Archive,
    pub(super) room: &'a Room,
    pub(super) build: Builder,
    /// What was made of the nodes that Python's `id` numbers: a number again is the value again.
    memo: HashMap<i64, NodeId>,
    pub(super) parts: HashMap<(Kind, &'a str), NodeId>,
    path: Vec<Step<'a>>,
}

/// A step from a value to one within it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Reader<'a> {
    pub(super) fn new(archive: &'a Archive, room: &'a Room, bytes: usize) -> Self {
        let (memo, parts) = (HashMap::new(), HashMap::new());
        Self { archive, room, build: Builder::new(bytes), memo, parts, path: Vec::new() }
    }

    pub(super) fn finish(self, root: NodeId) -> Document {
        self.build.finish(root)
    }

    /// Where the node is that is being read: `steps[1][1].coef_`.
    pub(super) fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if place.is_empty() => place.push_str(&clip(key)),
                Step::Key(key) => _ = write!(place, ".{}", clip(key)),
                Step::Index(index) => _ = write!(place, "[{index}]"),
            }
        }
        place
    }

    pub(super) fn enter(&mut self, step: Step<'a>) {
        self.path.push(step);
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// The value that a node describes. Source: `get_tree`, and each node's `_construct`.
    pub(super) fn node(&mut self, json: &'a Json<'a>) -> Result<NodeId, Problem> {
        let Json::Map(node) = json else {
            return Err(Problem::unexpected("a node of skops", json.describe()));
        };
        let number = match node.get("__id__") {
            Some(&Json::Int(number)) if number != 0 => Some(number),
            _ => None,
        };
        if let Some(&known) = number.and_then(|number| self.memo.get(&number)) {
            return Ok(known);
        }
        let id = self.made(node, text_of(node, "__loader__")?)?;
        if let Some(number) = number {
            self.memo.insert(number, id);
        }
        Ok(id)
    }

    fn made(&mut self, node: &'a Map<'a>, loader: &'a str) -> Result<NodeId, Problem> {
        match loader {
            "JsonNode" => self.plain(text_of(node, "content")?),
            "DictNode" => self.dict(node),
            "ListNode" | "SetNode" | "TupleNode" => self.sequence(node, loader),
            "ObjectNode" => self.instance(node),
            // The second is what losses were called before the third.
            "TreeNode" | "SGDNode" | "LossNode" => self.reduced(node),
            "ConstructorFromReduceNode" => self.constructed(node),
            "TypeNode" => {
                let (module, name) = self.class(node)?;
                Ok(self.build.global(module, name)?)
            }
            "FunctionNode" => self.function(node),
            "PartialNode" => self.partial(node),
            "OperatorFuncNode" => {
                let args = self.arguments(node, "attrs")?;
                self.object(node, Instance { args: &args, ..Instance::default() })
            }
            "SliceNode" => self.slice(node),
            "DefaultDictNode" | "_DictWithDeprecatedKeysNode" => {
                let content = map_of(node, "content")?;
                let main = map_of(content, "main")?;
                let entries = self.entries(main)?;
                self.object(node, Instance { entries: Some(&entries), ..Instance::default() })
            }
            "NdArrayNode" => self.array(node),
            "MaskedArrayNode" => self.masked(node),
            "DTypeNode" => self.dtype(node),
            "SparseMatrixNode" => self.sparse(node),
            "BytesNode" | "BytearrayNode" => self.bytes(node),
            "RandomStateNode" => {
                let state = Some(self.field(node, "content")?);
                self.object(node, Instance { state, ..Instance::default() })
            }
            // Nothing that answers draws from one, and its state was written in three ways.
            "RandomGeneratorNode" => self.object(node, Instance::default()),
            "CachedNode" => {
                Err(Problem::unexpected("a reference to a value that was described before", "another"))
            }
            other => {
                let (module, name) = self.class(node)?;
                let class = format!("{}.{}", clip(module), clip(name));
                Err(Problem::Loader { class, loader: clip(other) })
            }
        }
    }

    /// Module and name of a node's class.
    pub(super) fn class(&self, node: &'a Map<'a>) -> Result<(&'a str, &'a str), Problem> {
        Ok((text_of(node, "__module__")?, text_of(node, "__class__")?))
    }

    /// The node in a field of a node, at the same place in the model.
    pub(super) fn field(&mut self, node: &'a Map<'a>, field: &'static str) -> Result<NodeId, Problem> {
        match node.get(field) {
            Some(value) => self.node(value),
            None => Err(Problem::unexpected(format!("a field {field}"), "a node without it")),
        }
    }

    /// An instance of the node's class.
    fn object(&mut self, node: &'a Map<'a>, instance: Instance<'_>) -> Result<NodeId, Problem> {
        let (module, name) = self.class(node)?;
        if is_dangerous(module, name) {
            return Err(Problem::Dangerous(format!("{}.{}", clip(module), clip(name))));
        }
        Ok(self.build.object(module, name, &instance)?)
    }

    /// What Python's `json.loads` makes of a text: one value that is no container.
    fn plain(&mut self, text: &str) -> Result<NodeId, Problem> {
        Ok(match text {
            "null" => Builder::none(),
            "true" | "false" => Builder::bool(text == "true"),
            "NaN" => self.build.float(f64::NAN)?,
            "Infinity" => self.build.float(f64::INFINITY)?,
            "-Infinity" => self.build.float(f64::NEG_INFINITY)?,
            _ => {
                if let Some(id) = self.build.decimal(text)? {
                    return Ok(id);
                }
                match super::json::read(text.as_bytes())? {
                    Json::Str(text) => self.build.text(&text)?,
                    Json::Float(value) => self.build.float(value)?,
                    Json::Int(value) => self.build.int(value)?,
                    other => return Err(Problem::unexpected("a plain value", other.describe())),
                }
            }
        })
    }

    /// The nodes of a list.
    fn items(&mut self, nodes: &'a [Json<'a>]) -> Result<Vec<NodeId>, Problem> {
        let mut items = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            self.enter(Step::Index(i));
            items.push(self.node(node)?);
            self.leave();
        }
        Ok(items)
    }

    fn sequence(&mut self, node: &'a Map<'a>, loader: &str) -> Result<NodeId, Problem> {
        let items = self.items(list_of(node, "content")?)?;
        let (module, name) = self.class(node)?;
        match (loader, module, name) {
            ("ListNode", "builtins", "list") => Ok(self.build.list(&items)?),
            ("SetNode", "builtins", "set" | "frozenset") => Ok(self.build.set(&items)?),
            ("TupleNode", "builtins", "tuple") => Ok(self.build.tuple(&items)?),
            // A named tuple is made with its items, a subclass of `list` gets them.
            ("TupleNode", ..) => self.object(node, Instance { args: &items, ..Instance::default() }),
            _ => self.object(node, Instance { items: Some(&items), ..Instance::default() }),
        }
    }

    fn dict(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let entries = self.entries(node)?;
        match self.class(node)? {
            ("builtins", "dict") => Ok(self.build.dict(&entries)?),
            _ => self.object(node, Instance { entries: Some(&entries), ..Instance::default() }),
        }
    }

    /// Keys and values of a dict, whose keys' types stand beside it.
    fn entries(&mut self, node: &'a Map<'a>) -> Result<Vec<NodeId>, Problem> {
        let content = map_of(node, "content")?;
        let types = list_of(map_of(node, "key_types")?, "content")?;
        if types.len() != content.0.len() {
            let expected = format!("a type for each of {} keys", content.0.len());
            return Err(Problem::unexpected(expected, format!("{} types", types.len())));
        }
        let mut entries = Vec::with_capacity(2 * types.len());
        for ((key, value), of) in content.0.iter().zip(types) {
            self.enter(Step::Key(key));
            entries.push(self.key(key, of)?);
            entries.push(self.node(value)?);
            self.leave();
        }
        Ok(entries)
    }

    /// A key of a dict, which JSON has made a text.
    fn key(&mut self, key: &'a str, of: &'a Json<'a>) -> Result<NodeId, Problem> {
        let Json::Map(of) = of else {
            return Err(Problem::unexpected("the type of a key", of.describe()));
        };
        let (module, name) = self.class(of)?;
        let wrong =
            || Problem::unexpected(format!("a key of type {}", clip(name)), format!("'{}'", clip(key)));
        match (module, name) {
            ("builtins", "str") | ("numpy", "str_") => Ok(self.build.text(key)?),
            ("builtins", "bool") | ("numpy", "bool" | "bool_") => match key {
                "true" | "false" => Ok(Builder::bool(key == "true")),
                _ => Err(wrong()),
            },
            ("builtins", "NoneType") if key == "null" => Ok(Builder::none()),
            ("builtins", "int") => self.build.decimal(key)?.ok_or_else(wrong),
            ("numpy", name) if name.starts_with("int") || name.starts_with("uint") => {
                self.build.decimal(key)?.ok_or_else(wrong)
            }
            ("builtins", "float") | ("numpy", "float16" | "float32" | "float64") => {
                // As Python writes them: `1.5`, `1e+16`, `NaN`, `Infinity`.
                let value = key.parse().map_err(|_| wrong())?;
                Ok(self.build.float(value)?)
            }
            _ => {
                let found = format!("{}.{}", clip(module), clip(name));
                Err(Problem::unexpected("a key that is text, a number, a bool or None", found))
            }
        }
    }

    /// An instance with its attributes, or whatever its class gives as a state.
    fn instance(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let (module, name) = self.class(node)?;
        let state = match node.get("content") {
            None | Some(Json::Null) => None,
            Some(content) => Some(self.node(content)?),
        };
        // Pickles make these by a function of their module, which takes the class.
        if matches!(module, "sklearn.neighbors._kd_tree" | "sklearn.neighbors._ball_tree") {
            let class = self.build.global(module, name)?;
            let instance = Instance { args: &[class], state, ..Instance::default() };
            return Ok(self.build.object(module, "newObj", &instance)?);
        }
        self.object(node, Instance { state, ..Instance::default() })
    }

    /// An instance of a compiled class: its arguments, then its state.
    fn reduced(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let args = self.arguments(map_of(node, "__reduce__")?, "args")?;
        let state = Some(self.field(node, "content")?);
        self.object(node, Instance { args: &args, state, ..Instance::default() })
    }

    /// A class called with arguments.
    fn constructed(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        if let ("builtins", "set" | "frozenset") = self.class(node)?
            && let [Json::Map(items)] = list_of(map_of(node, "content")?, "content")?
        {
            let items = self.items(list_of(items, "content")?)?;
            return Ok(self.build.set(&items)?);
        }
        let args = self.arguments(node, "content")?;
        self.object(node, Instance { args: &args, ..Instance::default() })
    }

    fn arguments(&mut self, node: &'a Map<'a>, field: &'static str) -> Result<Vec<NodeId>, Problem> {
        let args = self.field(node, field)?;
        self.build
            .tuple_items(args)
            .ok_or_else(|| Problem::unexpected("a tuple of arguments", "something else"))
    }

    /// A function by name.
    fn function(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let (module, name) = match node.get("content") {
            // Protocol 0.
            Some(Json::Map(path)) => (text_of(path, "module_path")?, text_of(path, "function")?),
            _ => self.class(node)?,
        };
        Ok(self.build.global(module, name)?)
    }

    /// A `functools.partial`, as its pickle has it.
    fn partial(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let content = map_of(node, "content")?;
        let mut parts = Vec::with_capacity(4);
        for field in ["func", "args", "kwds", "namespace"] {
            parts.push(self.field(content, field)?);
        }
        let state = Some(self.build.tuple(&parts)?);
        let instance = Instance { args: &parts[..1], state, ..Instance::default() };
        Ok(self.build.object("functools", "partial", &instance)?)
    }

    fn slice(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let content = map_of(node, "content")?;
        let mut bounds = Vec::with_capacity(3);
        for field in ["start", "stop", "step"] {
            bounds.push(match content.get(field) {
                None | Some(Json::Null) => Builder::none(),
                Some(&Json::Int(bound)) => self.build.int(bound)?,
                Some(Json::Str(name)) => self.build.text(name)?,
                Some(other) => {
                    return Err(Problem::unexpected("a bound of a slice", other.describe()));
                }
            });
        }
        Ok(self.build.object("builtins", "slice", &Instance { args: &bounds, ..Instance::default() })?)
    }
}

/// The text in a field of a node.
pub(super) fn text_of<'a>(node: &'a Map<'a>, field: &'static str) -> Result<&'a str, Problem> {
    match node.get(field) {
        Some(Json::Str(text)) => Ok(text),
        other => Err(missing(field, "text", other)),
    }
}

/// The list in a field of a node.
pub(super) fn list_of<'a>(node: &'a Map<'a>, field: &'static str) -> Result<&'a [Json<'a>], Problem> {
    match node.get(field) {
        Some(Json::List(items)) => Ok(items),
        other => Err(missing(field, "a list", other)),
    }
}

fn map_of<'a>(node: &'a Map<'a>, field: &'static str) -> Result<&'a Map<'a>, Problem> {
    match node.get(field) {
        Some(Json::Map(map)) => Ok(map),
        other => Err(missing(field, "an object", other)),
    }
}

fn missing(field: &str, expected: &str, found: Option<&Json<'_>>) -> Problem {
    let found = found.map_or_else(|| "none".to_owned(), Json::describe);
    Problem::unexpected(format!("{expected} in the field {field} of a node"), found)
}
