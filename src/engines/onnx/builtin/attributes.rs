//! A node's attributes, each asked for by name and type.

use std::cell::Cell;

use bytes::Bytes;

use crate::formats::onnx::tensor;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::{AttributeProto, GraphProto, NodeProto, SparseTensorProto};
use crate::tensor::{Elements, Tensor};

/// The attributes of one node. Each getter gives `None` for what is absent and an
/// error for what is of another type; [`finish`](Self::finish) refuses those that
/// nobody asked for, since they might change the answer.
#[derive(Debug)]
pub(in crate::engines::onnx) struct Attributes<'a> {
    all: Vec<(&'a AttributeProto, Cell<bool>)>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(node: &'a NodeProto) -> Self {
        Self { all: node.attribute.iter().map(|attribute| (attribute, Cell::new(false))).collect() }
    }

    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        let (attribute, asked) = self.all.iter().find(|(attribute, _)| attribute.name == name)?;
        asked.set(true);
        Some(attribute)
    }

    /// The attribute if it is of this type, or states none, as the oldest files do.
    fn typed(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, String> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        if attribute.r#type() != kind && attribute.r#type != 0 {
            let (found, kind) = (attribute.r#type().as_str_name(), kind.as_str_name());
            return Err(format!("attribute {name:?} is of type {found}; expected {kind}"));
        }
        Ok(Some(attribute))
    }

    pub(in crate::engines::onnx) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.typed(name, AttributeType::Int)?.map(|attribute| attribute.i))
    }

    /// An integer of 0 or 1; `default` when absent.
    pub(in crate::engines::onnx) fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    pub(in crate::engines::onnx) fn float(&self, name: &str) -> Result<Option<f32>, String> {
        Ok(self.typed(name, AttributeType::Float)?.map(|attribute| attribute.f))
    }

    pub(in crate::engines::onnx) fn bytes(&self, name: &str) -> Result<Option<Bytes>, String> {
        Ok(self.typed(name, AttributeType::String)?.map(|attribute| attribute.s.clone()))
    }

    /// A text of UTF-8.
    pub(in crate::engines::onnx) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(attribute) = self.typed(name, AttributeType::String)? else { return Ok(None) };
        std::str::from_utf8(&attribute.s).map(Some).map_err(|_| format!("attribute {name:?} is not UTF-8"))
    }

    pub(in crate::engines::onnx) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self.typed(name, AttributeType::Ints)?.map(|attribute| attribute.ints.as_slice()))
    }

    pub(in crate::engines::onnx) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self.typed(name, AttributeType::Floats)?.map(|attribute| attribute.floats.as_slice()))
    }

    pub(in crate::engines::onnx) fn strings(&self, name: &str) -> Result<Option<&'a [Bytes]>, String> {
        Ok(self.typed(name, AttributeType::Strings)?.map(|attribute| attribute.strings.as_slice()))
    }

    pub(in crate::engines::onnx) fn graph(&self, name: &str) -> Result<Option<&'a GraphProto>, String> {
        Ok(self.typed(name, AttributeType::Graph)?.and_then(|attribute| attribute.g.as_ref()))
    }

    pub(in crate::engines::onnx) fn sparse(
        &self,
        name: &str,
    ) -> Result<Option<&'a SparseTensorProto>, String> {
        let found = self.typed(name, AttributeType::SparseTensor)?;
        Ok(found.and_then(|attribute| attribute.sparse_tensor.as_ref()))
    }

    pub(in crate::engines::onnx) fn tensor(&self, name: &str) -> Result<Option<Tensor>, String> {
        let Some(proto) = self.typed(name, AttributeType::Tensor)?.and_then(|attribute| attribute.t.as_ref())
        else {
            return Ok(None);
        };
        tensor(proto).map(Some).map_err(|error| format!("attribute {name:?}: {error}"))
    }

    /// The numbers of a list of floats, or of a tensor attribute of another name
    /// which states them in another precision: `nodes_values`, `nodes_values_as_tensor`.
    pub(in crate::engines::onnx) fn floats_or_tensor(
        &self,
        list: &str,
        as_tensor: &str,
    ) -> Result<Option<Vec<f64>>, String> {
        match self.tensor(as_tensor)?.map(Tensor::into_elements) {
            None => Ok(self.floats(list)?.map(|list| list.iter().map(|&value| f64::from(value)).collect())),
            Some(Elements::F64(values)) => Ok(Some(values.into_vec())),
            Some(Elements::F32(values)) => Ok(Some(values.iter().map(|&value| f64::from(value)).collect())),
            Some(other) => {
                Err(format!("attribute {as_tensor:?} is of {}; expected float or double", other.dtype()))
            }
        }
    }

    /// An attribute that has no effect here.
    pub(in crate::engines::onnx) fn ignore(&self, names: &[&str]) {
        names.iter().for_each(|name| _ = self.find(name));
    }

    /// Refuses the first attribute that was not asked for.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self.all.iter().find(|(attribute, asked)| !asked.get() && !attribute.name.is_empty()) {
            None => Ok(()),
            Some((attribute, _)) => Err(format!("attribute {:?} is not understood", attribute.name)),
        }
    }
}
