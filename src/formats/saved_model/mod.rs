//! TensorFlow's SavedModel: `saved_model.pb` becomes a [`MetaGraph`], which says what
//! can be asked of the model, and whether anything in it would touch files, the network
//! or processes when it runs.
//!
//! The graph itself is read by TensorFlow once more; here it is only judged. Source:
//! tensorflow/core/protobuf/saved_model.proto, and TensorFlow's `LoadSavedModel`.

mod effects;
mod graph;
mod paths;
mod signature;
mod wire;

pub use effects::{Effect, OPS_WITH_EFFECTS};
pub use signature::{StatedSignature, StatedTensor, TensorName};

use bytes::Bytes;
use prost::Message as _;

use self::graph::Graph;
use crate::limits;
use crate::proto::tensorflow::serving::SignatureDefMap;

/// Why bytes are no SavedModel that can be served.
#[derive(Debug, thiserror::Error)]
pub enum SavedModelError {
    /// They are no protobuf message of this type.
    #[error("it is not a SavedModel: {0}")]
    NotASavedModel(#[from] prost::DecodeError),
    /// No meta graph has exactly the wanted tags. The first words are TensorFlow's.
    #[error(
        "Could not find meta graph def matching supplied tags: {{ {wanted} }}. To inspect available \
         tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`. It has {found}"
    )]
    NoMetaGraph {
        /// The tags that were wanted.
        wanted: String,
        /// Those of its meta graphs.
        found: String,
    },
    /// It is larger than a bound of ours.
    #[error("it has {found} {what}; at most {most} are read")]
    TooMany {
        /// How many there are.
        found: usize,
        /// What is counted.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// A signature cannot be understood.
    #[error("signature {name:?}: {why}")]
    Signature {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// One meta graph of a SavedModel: a graph with what can be asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaGraph {
    /// What it is for: `serve`, …
    pub tags: Vec<String>,
    /// The TensorFlow that wrote it, where it says so.
    pub tensorflow_version: String,
    /// What can be asked of it, by name, as the file states it.
    pub signatures: Vec<StatedSignature>,
    /// The same, a serialized `tensorflow.serving.SignatureDefMap`.
    pub signature_defs: Bytes,
    /// What in it would reach out of TensorFlow, if anything would: the first that is found.
    pub effect: Option<Effect>,
    /// How many nodes it has, those of its functions included.
    pub nodes: usize,
    /// Whether it has variables whose values lie in `variables/`.
    pub restores: bool,
}

/// Operations that make variables.
const VARIABLES: [&str; 3] = ["VarHandleOp", "VariableV2", "Variable"];

/// What is counted before it is decoded: what it is, where it is, how many may be.
const COUNTED: [(&str, &[u32], usize); 8] = [
    ("meta graphs", &[2], limits::SAVED_MODEL_META_GRAPHS_MAX),
    ("nodes", &[2, 2, 1], limits::SAVED_MODEL_NODES_MAX),
    ("functions", &[2, 2, 2, 1], limits::SAVED_MODEL_NODES_MAX),
    ("nodes in functions", &[2, 2, 2, 1, 3], limits::SAVED_MODEL_NODES_MAX),
    ("gradients", &[2, 2, 2, 2], limits::SAVED_MODEL_NODES_MAX),
    ("signatures", &[2, 5], limits::SAVED_MODEL_SIGNATURES_MAX),
    ("collections", &[2, 4], limits::SAVED_MODEL_COLLECTIONS_MAX),
    ("assets", &[2, 6], limits::SAVED_MODEL_ASSETS_MAX),
];

/// Inputs and outputs of a signature, counted likewise: fields of a map's value.
const COUNTED_TENSORS: [&[u32]; 3] = [&[2, 5, 2, 1], &[2, 5, 2, 2], &[2, 5, 2, 4]];

impl MetaGraph {
    /// Decodes the meta graph of `bytes` whose tags are exactly `tags`, in any order.
    ///
    /// # Errors
    /// [`SavedModelError`].
    pub fn read(bytes: Bytes, tags: &[String]) -> Result<Self, SavedModelError> {
        for (what, path, most) in COUNTED {
            check_count(what, wire::count(&bytes, path), most)?;
        }
        let tensors = COUNTED_TENSORS.iter().map(|path| wire::count(&bytes, path)).sum();
        check_count("inputs and outputs", tensors, limits::SAVED_MODEL_TENSORS_MAX)?;
        let model = wire::SavedModel::decode(bytes)?;
        let same_tags = |graph: &wire::MetaGraphDef| {
            let own = graph.meta_info_def.as_ref().map_or(&[][..], |info| &info.tags);
            own.iter().all(|tag| tags.contains(tag)) && tags.iter().all(|tag| own.contains(tag))
        };
        let Some(at) = model.meta_graphs.iter().position(same_tags) else {
            return Err(no_meta_graph(&model, tags));
        };
        let mut def = model.meta_graphs.into_iter().nth(at).unwrap_or_default();
        let signatures = signature::read(&def.signature_def)?;
        let effect = Graph::new(&def).effect();
        let (main, functions) = def.graph_def.as_ref().map_or((0, 0), |graph| {
            let functions = graph.library.iter().flat_map(|library| &library.function);
            (graph.node.len(), functions.map(|function| function.node_def.len()).sum())
        });
        let restores = def.saver_def.as_ref().is_some_and(|saver| !saver.restore_op_name.is_empty())
            && def.graph_def.iter().flat_map(|graph| &graph.node).any(|n| VARIABLES.contains(&n.op.as_str()));
        let info = def.meta_info_def.take().unwrap_or_default();
        let signature_def = std::mem::take(&mut def.signature_def);
        Ok(Self {
            tags: info.tags,
            tensorflow_version: info.tensorflow_version,
            signatures,
            signature_defs: SignatureDefMap { signature_def }.encode_to_vec().into(),
            effect,
            nodes: main + functions,
            restores,
        })
    }
}

fn check_count(what: &'static str, found: usize, most: usize) -> Result<(), SavedModelError> {
    if found > most { Err(SavedModelError::TooMany { found, what, most }) } else { Ok(()) }
}

fn no_meta_graph(model: &wire::SavedModel, tags: &[String]) -> SavedModelError {
    let own = |graph: &wire::MetaGraphDef| {
        let tags = graph.meta_info_def.as_ref().map_or_else(String::new, |info| info.tags.join(" "));
        format!("{{ {} }}", tags.chars().take(limits::SAVED_MODEL_TAGS_SHOWN_CHARS).collect::<String>())
    };
    let found: Vec<String> = model.meta_graphs.iter().take(limits::NAMES_IN_MESSAGE_MAX).map(own).collect();
    let found = if found.is_empty() { "no meta graph".to_owned() } else { found.join(", ") };
    SavedModelError::NoMetaGraph { wanted: tags.join(" "), found }
}

/// What must hold for any bytes: they are refused, or make a meta graph whose signatures
/// can be told. For the fuzz target and the replay of its corpus.
///
/// # Panics
/// When it does not hold.
#[doc(hidden)]
pub fn check_any_bytes(bytes: &[u8]) {
    let Ok(model) = MetaGraph::read(Bytes::copy_from_slice(bytes), &["serve".to_owned()]) else { return };
    let defs = SignatureDefMap::decode(model.signature_defs).expect("what was encoded decodes");
    assert_eq!(defs.signature_def.len(), model.signatures.len());
    for (signature, name) in model.signatures.iter().zip(defs.signature_def.keys()) {
        assert_eq!(signature.name, *name);
    }
}

#[cfg(test)]
mod tests;
