//! Tensors whose data lie in files beside the model. Source: ONNX, docs/ExternalData.md.

use std::collections::HashMap;

use bytes::Bytes;

use super::{OnnxError, ReadBeside};
use crate::proto::onnx::tensor_proto::DataLocation;
use crate::proto::onnx::{GraphProto, TensorProto};

/// Puts the data of all external tensors of `graph`, and of the graphs within it,
/// into them. Each file is read once; its tensors share it.
pub(super) fn resolve(graph: &mut GraphProto, read: &mut ReadBeside<'_>) -> Result<(), OnnxError> {
    let mut files = HashMap::new();
    visit(graph, &mut |tensor| one(tensor, &mut files, read))
}

fn visit(
    graph: &mut GraphProto,
    to: &mut dyn FnMut(&mut TensorProto) -> Result<(), OnnxError>,
) -> Result<(), OnnxError> {
    graph.initializer.iter_mut().try_for_each(&mut *to)?;
    for sparse in &mut graph.sparse_initializer {
        sparse.values.iter_mut().chain(&mut sparse.indices).try_for_each(&mut *to)?;
    }
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(&mut *to)?;
        for within in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            visit(within, to)?;
        }
    }
    Ok(())
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
