//! A model's signatures as `tensorflow.SignatureDef`: what GetModelMetadata answers with.

use prost::Message as _;

use crate::proto::tensorflow::serving::SignatureDefMap;
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::proto::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use crate::servable::{Servable, Signature, Signatures, TensorSpec};

use super::tensor_proto::shape_proto;

/// What a model's file states, where it does; else what its signatures are.
#[must_use]
pub fn stated(servable: &dyn Servable) -> SignatureDefMap {
    servable
        .signature_defs()
        .and_then(|bytes| SignatureDefMap::decode(bytes).ok())
        .unwrap_or_else(|| signature_def_map(servable.signatures()))
}

/// All signatures by name.
#[must_use]
pub fn signature_def_map(signatures: &Signatures) -> SignatureDefMap {
    let signature_def = signatures.iter().map(|s| (s.name.to_string(), signature_def(s))).collect();
    SignatureDefMap { signature_def }
}

/// One signature: inputs and outputs by alias.
#[must_use]
pub fn signature_def(signature: &Signature) -> SignatureDef {
    let infos = |specs: &[TensorSpec]| specs.iter().map(|s| (s.name.to_string(), tensor_info(s))).collect();
    SignatureDef {
        inputs: infos(&signature.inputs),
        outputs: infos(&signature.outputs),
        method_name: signature.method.wire_name().to_owned(),
        ..SignatureDef::default()
    }
}

fn tensor_info(spec: &TensorSpec) -> TensorInfo {
    let any = |dim: Option<usize>| dim.and_then(|dim| i64::try_from(dim).ok()).unwrap_or(-1);
    let tensor_shape = match &spec.dims {
        Some(dims) => shape_proto(dims.iter().map(|&dim| any(dim))),
        None => TensorShapeProto { unknown_rank: true, ..TensorShapeProto::default() },
    };
    TensorInfo {
        dtype: spec.dtype.number(),
        tensor_shape: Some(tensor_shape),
        encoding: Some(Encoding::Name(spec.tensor_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tensorflow::DataType;
    use crate::servable::Method;
    use crate::tensor::DType;

    #[test]
    fn a_signature_is_told_as_tensorflow_would() {
        let mut open = TensorSpec::new("anything", DType::String, &[]);
        open.dims = None;
        let signature = |name: &str, method| Signature {
            name: name.into(),
            inputs: vec![TensorSpec::new("inputs", DType::Double, &[None, Some(4)]).any_real(), open.clone()],
            outputs: vec![TensorSpec::new("scores", DType::Float, &[])],
            method,
        };
        let signatures = Signatures::new(vec![
            signature("serving_default", Method::Predict),
            signature("classify", Method::Classify),
        ]);
        let map = signature_def_map(&signatures).signature_def;

        assert_eq!(map.keys().collect::<Vec<_>>(), ["classify", "serving_default"]);
        assert_eq!(map["classify"].method_name, "tensorflow/serving/classify");
        let def = &map["serving_default"];
        assert_eq!(def.method_name, "tensorflow/serving/predict");
        assert_eq!(def.inputs.len(), 2);
        assert!(def.defaults.is_empty());

        let inputs = &def.inputs["inputs"];
        assert_eq!(inputs.encoding, Some(Encoding::Name("inputs:0".to_owned())));
        assert_eq!(inputs.dtype(), DataType::DtDouble);
        let sizes = |info: &TensorInfo| {
            let shape = info.tensor_shape.clone().unwrap();
            (shape.unknown_rank, shape.dim.iter().map(|dim| dim.size).collect::<Vec<_>>())
        };
        assert_eq!(sizes(inputs), (false, vec![-1, 4]));
        assert_eq!(sizes(&def.inputs["anything"]), (true, vec![]));
        assert_eq!(sizes(&def.outputs["scores"]), (false, vec![]));
    }
}
