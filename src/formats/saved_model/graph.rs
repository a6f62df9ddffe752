//! The graph and its functions, and what of them runs when.
//!
//! TensorFlow runs what an asked-for node depends on, up to the tensors that are fed,
//! and no more. So does this: a node that writes checkpoints is no concern of ours when
//! nothing that is ever run depends on it.

use std::collections::{HashMap, HashSet};

use prost::Message as _;

use super::effects::{Effect, Reach};
use super::signature::{StatedSignature, TensorName};
use super::wire::{AttrValue, FunctionDef, MetaGraphDef, NodeDef};
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::proto::tensorflow::{AssetFileDef, SignatureDef};

/// The signature, and the collections, that say what initializes a model. Source:
/// TensorFlow's `cc/saved_model/constants.h`.
const INIT_SIGNATURE: &str = "__saved_model_init_op";
const INIT_COLLECTIONS: [&str; 2] = ["saved_model_main_op", "legacy_init_op"];
const ASSETS_COLLECTION: &str = "saved_model_assets";

/// Where a node is: in the graph itself, or in the function of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub(super) function: Option<usize>,
    pub(super) node: usize,
}

/// What runs a node.
#[derive(Debug, Clone, Copy)]
enum Run<'a> {
    Signature(&'a str),
    Initialization,
    Restore,
}

/// What a run depends on.
struct Reached {
    nodes: Vec<bool>,
    functions: Vec<bool>,
}

pub(super) struct Graph<'a> {
    def: &'a MetaGraphDef,
    pub(super) nodes: &'a [NodeDef],
    by_name: HashMap<&'a str, usize>,
    pub(super) functions: &'a [FunctionDef],
    function_by_name: HashMap<&'a str, usize>,
    /// Names of functions that TensorFlow may run where the named one is asked for.
    stand_ins: HashMap<&'a str, Vec<&'a str>>,
    /// The nodes that reach out, in the order of the file.
    outgoing: Vec<(At, Reach)>,
}

pub(super) fn function_name(function: &FunctionDef) -> &str {
    function.signature.as_ref().map_or("", |signature| &signature.name)
}

impl<'a> Graph<'a> {
    pub(super) fn new(def: &'a MetaGraphDef) -> Self {
        let graph = def.graph_def.as_ref();
        let nodes = graph.map_or(&[][..], |graph| &graph.node);
        let library = graph.and_then(|graph| graph.library.as_ref());
        let functions = library.map_or(&[][..], |library| &library.function);
        let bodies = functions.iter().enumerate().map(|(i, function)| (Some(i), &function.node_def[..]));
        let mut outgoing = Vec::new();
        for (function, body) in std::iter::once((None, nodes)).chain(bodies) {
            for (node, def) in body.iter().enumerate() {
                match Reach::of(def) {
                    Reach::Nowhere => {}
                    reach => outgoing.push((At { function, node }, reach)),
                }
            }
        }
        let mut stand_ins: HashMap<&str, Vec<&str>> = HashMap::new();
        for gradient in library.iter().flat_map(|library| &library.gradient) {
            stand_ins.entry(&gradient.function_name).or_default().push(&gradient.gradient_func);
        }
        // One implementation of an interface may be put in another's place.
        let mut implementations: HashMap<&[u8], Vec<&str>> = HashMap::new();
        for function in functions {
            if let Some(interface) = function.attr.get("api_implements").and_then(|attr| attr.s.as_deref()) {
                implementations.entry(interface).or_default().push(function_name(function));
            }
        }
        for names in implementations.values() {
            // All of a group reach each other through its first.
            for name in names {
                stand_ins.entry(name).or_default().push(names[0]);
                stand_ins.entry(names[0]).or_default().push(name);
            }
        }
        Self {
            def,
            nodes,
            by_name: nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect(),
            functions,
            function_by_name: functions.iter().enumerate().map(|(i, f)| (function_name(f), i)).collect(),
            stand_ins,
            outgoing,
        }
    }

    pub(super) fn node(&self, at: At) -> &'a NodeDef {
        match at.function {
            None => &self.nodes[at.node],
            Some(function) => &self.functions[function].node_def[at.node],
        }
    }

    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The first thing that a load or a request would do outside of TensorFlow.
    pub(super) fn effect(&self) -> Option<Effect> {
        let assets = self.assets();
        if let Some(asset) = assets.iter().find(|asset| !stays_below(&asset.filename)) {
            return Some(Effect {
                place: format!("asset {:?}", asset.filename.chars().take(256).collect::<String>()),
                what: "its name".to_owned(),
                does: "leads out of the model's folder",
                reached: String::new(),
            });
        }
        if self.outgoing.is_empty() {
            return None;
        }
        let mut fed: HashSet<TensorName> = assets
            .iter()
            .filter_map(|asset| match asset.tensor_info.as_ref()?.encoding.as_ref()? {
                Encoding::Name(name) => TensorName::parse(name),
                _ => None,
            })
            .collect();
        self.judge(Run::Initialization, &self.init_nodes(), &fed)
            .or_else(|| {
                let saver = self.def.saver_def.as_ref()?;
                fed.extend(TensorName::parse(&saver.filename_tensor_name));
                let restore = TensorName::parse(&saver.restore_op_name)?;
                self.judge(Run::Restore, &[restore], &fed)
            })
            .or_else(|| {
                self.def.signature_def.iter().find_map(|(name, signature)| self.of_signature(name, signature))
            })
    }

    fn of_signature(&self, name: &str, def: &SignatureDef) -> Option<Effect> {
        let one = [(name.to_owned(), def.clone())].into_iter().collect();
        let signature = super::signature::read(&one).ok()?.pop()?;
        if signature.refusal().is_some() {
            return None;
        }
        let StatedSignature { inputs, outputs, .. } = signature;
        // All inputs are fed whenever the signature is run: a default is fed too.
        let fed: HashSet<TensorName> = inputs.into_iter().filter_map(|input| input.tensor.ok()).collect();
        let roots: Vec<TensorName> = outputs.into_iter().filter_map(|output| output.tensor.ok()).collect();
        self.judge(Run::Signature(name), &roots, &fed)
    }

    /// The nodes that initialize the model; TensorFlow runs one of them.
    fn init_nodes(&self) -> Vec<TensorName> {
        let signature = self.def.signature_def.get(INIT_SIGNATURE);
        let of_signature =
            signature.iter().flat_map(|signature| signature.outputs.values()).filter_map(|info| {
                match info.encoding.as_ref()? {
                    Encoding::Name(name) => TensorName::parse(name),
                    _ => None,
                }
            });
        let of_collections = INIT_COLLECTIONS
            .iter()
            .filter_map(|name| self.def.collection_def.get(*name)?.node_list.as_ref())
            .flat_map(|list| &list.value)
            .filter_map(|name| TensorName::parse(name));
        of_signature.chain(of_collections).collect()
    }

    /// The files that are given to the graph when it is loaded.
    fn assets(&self) -> Vec<AssetFileDef> {
        if !self.def.asset_file_def.is_empty() {
            return self.def.asset_file_def.clone();
        }
        let collection = self.def.collection_def.get(ASSETS_COLLECTION);
        let list = collection.and_then(|collection| collection.any_list.as_ref());
        list.iter()
            .flat_map(|list| &list.value)
            .filter_map(|any| AssetFileDef::decode(any.value.clone()).ok())
            .collect()
    }

    fn judge(&self, run: Run<'_>, roots: &[TensorName], fed: &HashSet<TensorName>) -> Option<Effect> {
        let reached = self.reach(roots, fed);
        let runs = |at: At| at.function.map_or_else(|| reached.nodes[at.node], |f| reached.functions[f]);
        self.outgoing.iter().filter(|(at, _)| runs(*at)).find_map(|&(at, reach)| {
            let does = match (reach, run) {
                (Reach::Nowhere, _) => return None,
                (Reach::Out(does), _) => does,
                // When a model is loaded, its own files are read.
                (Reach::Path(input), Run::Initialization | Run::Restore)
                    if self.is_own_path(at, input, fed) =>
                {
                    return None;
                }
                (Reach::Path(_), _) => Reach::FOREIGN_PATH,
            };
            let node = self.node(at);
            let function = at.function.map(|function| function_name(&self.functions[function]));
            Some(Effect {
                place: format!(
                    "node {:?}{}",
                    node.name,
                    function.map_or_else(String::new, |name| format!(" of function {name:?}"))
                ),
                what: node.op.clone(),
                does,
                reached: match run {
                    Run::Signature(name) => format!(", and signature {name:?} runs it"),
                    Run::Initialization => ", and it runs when the model is initialized".to_owned(),
                    Run::Restore => ", and it runs when variables are restored".to_owned(),
                },
            })
        })
    }

    fn reach(&self, roots: &[TensorName], fed: &HashSet<TensorName>) -> Reached {
        let mut reached =
            Reached { nodes: vec![false; self.nodes.len()], functions: vec![false; self.functions.len()] };
        let mut nodes: Vec<usize> = roots.iter().filter_map(|root| self.named(&root.op)).collect();
        let mut functions: Vec<&str> = Vec::new();
        while let Some(at) = nodes.pop() {
            if std::mem::replace(&mut reached.nodes[at], true) {
                continue;
            }
            let node = &self.nodes[at];
            called_by(node, &mut functions);
            for input in &node.input {
                if let Some(control) = input.strip_prefix('^') {
                    nodes.extend(self.named(control));
                } else if let Some(tensor) = TensorName::parse(input)
                    && !fed.contains(&tensor)
                {
                    nodes.extend(self.named(&tensor.op));
                }
            }
        }
        // A function's whole body is taken to run.
        while let Some(name) = functions.pop() {
            let Some(&at) = self.function_by_name.get(name) else { continue };
            if std::mem::replace(&mut reached.functions[at], true) {
                continue;
            }
            functions.extend(self.stand_ins.get(name).into_iter().flatten());
            for node in &self.functions[at].node_def {
                called_by(node, &mut functions);
            }
        }
        reached
    }
}

/// The names of the functions that a node may call.
pub(super) fn called_by<'a>(node: &'a NodeDef, names: &mut Vec<&'a str>) {
    names.push(&node.op);
    node.attr.values().for_each(|value| functions_of(value, names));
}

/// Bounded by the depth to which the decoder reads.
fn functions_of<'a>(value: &'a AttrValue, names: &mut Vec<&'a str>) {
    let list = value.list.iter().flat_map(|list| &list.func);
    for function in value.func.iter().map(|function| &**function).chain(list) {
        names.push(&function.name);
        function.attr.values().for_each(|value| functions_of(value, names));
    }
}

/// Whether a file's name, joined to a folder, stays in it.
fn stays_below(name: &str) -> bool {
    !name.contains('\0') && !name.split('/').any(|part| part == "..")
}
