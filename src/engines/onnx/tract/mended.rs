//! What of tract's own is put right in the typed graph, rather than refused.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::logic::{Iff, comp_eq};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

/// The greatest of infinities only is an infinity. tract starts from the least finite
/// number, and so does the smallest of them from the greatest: what comes out as that
/// number is made the infinity that it stands for. The ONNX node tests of attention
/// with rows that are masked as a whole show it.
pub(super) fn extremes(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let node = model.node(id);
        let Some(reduce) = node.op_as::<Reduce>() else { continue };
        let fact = &node.outputs[0].fact;
        if !fact.datum_type.is_float() {
            continue;
        }
        let (finite, infinite) = match (&reduce.reducer, fact.datum_type) {
            (Reducer::Max, DatumType::F16) => (f64::from(half::f16::MIN), f64::NEG_INFINITY),
            (Reducer::Min, DatumType::F16) => (f64::from(half::f16::MAX), f64::INFINITY),
            (Reducer::Max, DatumType::F32) => (f64::from(f32::MIN), f64::NEG_INFINITY),
            (Reducer::Min, DatumType::F32) => (f64::from(f32::MAX), f64::INFINITY),
            (Reducer::Max, DatumType::F64) => (f64::MIN, f64::NEG_INFINITY),
            (Reducer::Min, DatumType::F64) => (f64::MAX, f64::INFINITY),
            _ => continue,
        };
        let number = |value: f64| -> TractResult<Tensor> {
            let value = tensor0(value).cast_to_dt(fact.datum_type)?.into_owned();
            value.broadcast_into_rank(fact.shape.rank())
        };
        let mut patch = TypedModelPatch::default();
        let from = patch.tap_model(model, node.inputs[0])?;
        let name = &node.name;
        let found = patch.wire_node(name, reduce.clone(), &[from])?[0];
        let finite = patch.add_const(format!("{name}.finite"), number(finite)?)?;
        let infinite = patch.add_const(format!("{name}.infinite"), number(infinite)?)?;
        let is_it =
            patch.wire_node(format!("{name}.is_finite"), TypedBinOp(comp_eq(), None), &[found, finite])?[0];
        let right = patch.wire_node(format!("{name}.right"), Iff, &[is_it, infinite, found])?[0];
        patch.shunt_outside(model, node.id.into(), right)?;
        patch.apply(model)?;
    }
    Ok(())
}
