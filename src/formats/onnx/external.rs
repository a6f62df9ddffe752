//! Tensors whose data lie in files beside the model. Source: ONNX, docs/ExternalData.md.

use std::collections::HashMap;

use bytes::Bytes;

use super::{OnnxError, ReadBeside};
use crate::proto::onnx::tensor_proto::DataLocation;
use crate::proto::onnx::{AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto};

/// Puts the data of all external tensors of `model` into them, those of its functions
/// and of the graphs within graphs included: no back end may find one and look for its
/// file itself. Each file is read once; its tensors share it.
pub(super) fn resolve(model: &mut ModelProto, read: &mut ReadBeside<'_>) -> Result<(), OnnxError> {
    let mut files = HashMap::new();
    let mut to = |tensor: &mut TensorProto| one(tensor, &mut files, read);
    model.graph.iter_mut().try_for_each(|graph| visit(graph, &mut to))?;
    for function in &mut model.functions {
        let nodes = function.node.iter_mut().flat_map(|node| &mut node.attribute);
        attributes(nodes.chain(&mut function.attribute_proto), &mut to)?;
    }
    Ok(())
}

type Each<'a> = dyn FnMut(&mut TensorProto) -> Result<(), OnnxError> + 'a;

fn visit(graph: &mut GraphProto, to: &mut Each<'_>) -> Result<(), OnnxError> {
    graph.initializer.iter_mut().try_for_each(&mut *to)?;
    graph.sparse_initializer.iter_mut().try_for_each(|tensor| sparse(tensor, to))?;
    attributes(graph.node.iter_mut().flat_map(|node| &mut node.attribute), to)
}

fn attributes<'a>(
    all: impl Iterator<Item = &'a mut AttributeProto>,
    to: &mut Each<'_>,
) -> Result<(), OnnxError> {
    for attribute in all {
        attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(&mut *to)?;
        let mut tensors = attribute.sparse_tensor.iter_mut().chain(&mut attribute.sparse_tensors);
        tensors.try_for_each(|tensor| sparse(tensor, to))?;
        attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|within| visit(within, to))?;
    }
    Ok(())
}

fn sparse(tensor: &mut SparseTensorProto, to: &mut Each<'_>) -> Result<(), OnnxError> {
    tensor.values.iter_mut().chain(&mut tensor.indices).try_for_each(to)
}

fn one(
    tensor: &mut TensorProto,
    files: &mut HashMap<String, Bytes>,
    read: &mut ReadBeside<'_>,
) -> Result<(), OnnxError> {
    if tensor.data_location() != DataLocation::External {
        return Ok(());
    }
    let said =
        |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
    let location = said("location").unwrap_or_default().to_owned();
    let wrong =
        |why: String| OnnxError::External { tensor: tensor.name.clone(), location: location.clone(), why };
    let number = |key: &str| -> Result<Option<usize>, OnnxError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| wrong(format!("{key} is {text:?}; expected a number of bytes")))
        };
        said(key).map(parse).transpose()
    };
    if location.is_empty() {
        return Err(wrong("no file is named".to_owned()));
    }
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let file = match files.get(&location) {
        Some(file) => file.clone(),
        None => {
            // Exporters write "./weights.bin" too.
            let file = read(location.strip_prefix("./").unwrap_or(&location)).map_err(wrong)?;
            files.insert(location.clone(), file.clone());
            file
        }
    };
    let end = length.map_or(Some(file.len()), |length| offset.checked_add(length));
    let Some(end) = end.filter(|end| offset <= *end && *end <= file.len()) else {
        let wanted = length.map_or("the rest".to_owned(), |length| format!("{length} bytes"));
        return Err(wrong(format!("it has {} bytes; {wanted} from byte {offset} were expected", file.len())));
    };
    let data = file.slice(offset..end);
    tensor.raw_data = data;
    tensor.external_data.clear();
    tensor.set_data_location(DataLocation::Default);
    Ok(())
}
