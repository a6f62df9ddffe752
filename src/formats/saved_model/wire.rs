//! `saved_model.pb` as far as it is looked at: the messages of TensorFlow's protos
//! with the fields that matter here. Constants, shapes of nodes, the object graph and
//! debug information are passed over, so that they cost no memory.
//!
//! Source: tensorflow/core/protobuf/{saved_model, meta_graph, saver}.proto and
//! tensorflow/core/framework/{graph, node_def, function, op_def, attr_value}.proto.

use std::collections::HashMap;

use bytes::Bytes;
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::proto::tensorflow::{AssetFileDef, SignatureDef};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SavedModel {
    #[prost(message, repeated, tag = "2")]
    pub meta_graphs: Vec<MetaGraphDef>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetaGraphDef {
    #[prost(message, optional, tag = "1")]
    pub meta_info_def: Option<MetaInfoDef>,
    #[prost(message, optional, tag = "2")]
    pub graph_def: Option<GraphDef>,
    #[prost(message, optional, tag = "3")]
    pub saver_def: Option<SaverDef>,
    #[prost(hash_map = "string, message", tag = "4")]
    pub collection_def: HashMap<String, CollectionDef>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub signature_def: std::collections::BTreeMap<String, SignatureDef>,
    #[prost(message, repeated, tag = "6")]
    pub asset_file_def: Vec<AssetFileDef>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetaInfoDef {
    #[prost(string, repeated, tag = "4")]
    pub tags: Vec<String>,
    #[prost(string, tag = "5")]
    pub tensorflow_version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SaverDef {
    #[prost(string, tag = "1")]
    pub filename_tensor_name: String,
    #[prost(string, tag = "3")]
    pub restore_op_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CollectionDef {
    #[prost(message, optional, tag = "1")]
    pub node_list: Option<NodeList>,
    #[prost(message, optional, tag = "5")]
    pub any_list: Option<AnyList>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NodeList {
    #[prost(string, repeated, tag = "1")]
    pub value: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyList {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<AnyValue>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyValue {
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeDef>,
    #[prost(message, optional, tag = "2")]
    pub library: Option<FunctionDefLibrary>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NodeDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub op: String,
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    #[prost(hash_map = "string, message", tag = "5")]
    pub attr: HashMap<String, AttrValue>,
}

/// The kinds of value stand side by side rather than in a `oneof`: of a file that has
/// several, all are looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttrValue {
    #[prost(message, optional, boxed, tag = "1")]
    pub list: Option<Box<ListValue>>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub s: Option<Bytes>,
    #[prost(int32, tag = "6")]
    pub r#type: i32,
    #[prost(message, optional, boxed, tag = "10")]
    pub func: Option<Box<NameAttrList>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListValue {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub s: Vec<Bytes>,
    #[prost(message, repeated, tag = "9")]
    pub func: Vec<NameAttrList>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NameAttrList {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(hash_map = "string, message", tag = "2")]
    pub attr: HashMap<String, AttrValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FunctionDefLibrary {
    #[prost(message, repeated, tag = "1")]
    pub function: Vec<FunctionDef>,
    #[prost(message, repeated, tag = "2")]
    pub gradient: Vec<GradientDef>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FunctionDef {
    #[prost(message, optional, tag = "1")]
    pub signature: Option<OpDef>,
    #[prost(message, repeated, tag = "3")]
    pub node_def: Vec<NodeDef>,
    #[prost(hash_map = "string, message", tag = "5")]
    pub attr: HashMap<String, AttrValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GradientDef {
    #[prost(string, tag = "1")]
    pub function_name: String,
    #[prost(string, tag = "2")]
    pub gradient_func: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OpDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub input_arg: Vec<ArgDef>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ArgDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "5")]
    pub number_attr: String,
    #[prost(string, tag = "6")]
    pub type_list_attr: String,
}

/// How often the field at the end of `path`, fields within fields, occurs in a message.
/// Two bytes of a file make a message of hundred in memory, so things are counted
/// before they are made. What is no message ends the count; decoding says why.
pub(super) fn count(message: &[u8], path: &[u32]) -> usize {
    let Some((&wanted, below)) = path.split_first() else { return 1 };
    let (mut rest, mut found) = (message, 0usize);
    while !rest.is_empty() {
        let Ok((tag, kind)) = decode_key(&mut rest) else { break };
        let length = match kind {
            WireType::Varint => {
                if decode_varint(&mut rest).is_err() {
                    break;
                }
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => match decode_varint(&mut rest) {
                Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
                Err(_) => break,
            },
            // What is in a group has keys of its own, and none that is wanted.
            WireType::StartGroup | WireType::EndGroup => continue,
        };
        let Some((value, after)) = rest.split_at_checked(length) else { break };
        if tag == wanted && kind == WireType::LengthDelimited {
            found = found.saturating_add(count(value, below));
        }
        rest = after;
    }
    found
}
