//! Sparse tensors of a model, as dense ones.

use super::elements::pick;
use super::op::{ints, shape, size};
use crate::formats::onnx::tensor;
use crate::proto::onnx::SparseTensorProto;
use crate::tensor::Tensor;

/// The dense tensor: 0 where nothing is said.
pub(super) fn dense(sparse: &SparseTensorProto) -> Result<Tensor, String> {
    let lacks = "a sparse tensor has values and indices";
    let values = tensor(sparse.values.as_ref().ok_or(lacks)?).map_err(|error| error.to_string())?;
    let indices = tensor(sparse.indices.as_ref().ok_or(lacks)?).map_err(|error| error.to_string())?;
    let dims = sparse.dims.iter().map(|&dim| size(dim, "a dimension")).collect::<Result<Vec<_>, _>>()?;
    let whole = shape(dims.iter().copied())?;
    let many = values.elements().len();
    let places = ints(&indices)?;
    let width = match indices.shape().to_vec().as_slice() {
        [n] if *n == many => 1,
        [n, rank] if *n == many && *rank == dims.len() => *rank,
        _ => return Err(format!("its indices have shape {} for {many} values", indices.shape())),
    };
    let mut from: Vec<Option<usize>> = vec![None; whole.elements()];
    for (value, place) in places.chunks_exact(width.max(1)).enumerate() {
        let mut at = 0usize;
        if width == 1 && dims.len() != 1 {
            at = size(place[0], "an index")?;
        } else {
            for (&index, &dim) in place.iter().zip(&dims) {
                let index = size(index, "an index")?;
                if index >= dim {
                    return Err(format!("index {index} is past a dimension of {dim}"));
                }
                at = at * dim + index;
            }
        }
        *from.get_mut(at).ok_or("an index is past the end")? = Some(value);
    }
    let elements = pick(values.elements(), from.into_iter());
    Tensor::new(whole, elements).map_err(|error| error.to_string())
}
