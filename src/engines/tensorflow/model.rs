//! The servable: a session, and which of its tensors each signature feeds and fetches.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::library::{Failure, Port, Session, Tensorflow};
use super::{ModelError, TensorflowOptions};
use crate::error::Code;
use crate::formats::saved_model::{MetaGraph, StatedSignature, StatedTensor};
use crate::servable::{
    About, Call, DEFAULT_SIGNATURE, Method, RunError, Servable, Signature, Signatures, TensorSpec,
};
use crate::tensor::{DType, Tensor};

/// A SavedModel that TensorFlow has loaded.
#[derive(Debug)]
pub(in crate::engines) struct TensorflowModel {
    session: Session,
    signatures: Signatures,
    /// For each signature, in their order.
    ports: Vec<Ports>,
    signature_defs: Bytes,
    about: About,
}

/// The tensors of the graph behind one signature.
#[derive(Debug)]
struct Ports {
    feeds: Vec<Port>,
    fetches: Vec<Port>,
}

impl TensorflowModel {
    /// Has TensorFlow load `folder`, and finds the tensors of its signatures.
    pub(super) fn load(
        library: Tensorflow,
        folder: &Path,
        meta_graph: MetaGraph,
        options: &TensorflowOptions,
    ) -> Result<Self, ModelError> {
        let session = Session::load(library, folder, &options.tags, &options.session_config)
            .map_err(|Failure { code, message }| ModelError::Runtime { code, text: message })?;
        let (mut callable, mut refused) = (Vec::new(), Vec::new());
        for stated in &meta_graph.signatures {
            match connect(&session, stated) {
                Ok(connected) => callable.push(connected),
                Err(why) => refused.push((Arc::from(stated.name.as_str()), Arc::from(why))),
            }
        }
        // A model is measured with its first signature.
        callable.sort_by_key(|(signature, _)| *signature.name != *DEFAULT_SIGNATURE);
        let (signatures, ports) = callable.into_iter().unzip();
        let properties = [
            ("tags", meta_graph.tags.join(",")),
            ("tensorflow_version", meta_graph.tensorflow_version),
            ("nodes", meta_graph.nodes.to_string()),
        ];
        Ok(Self {
            session,
            signatures: Signatures::new(signatures).with_refused(refused),
            ports,
            signature_defs: meta_graph.signature_defs,
            about: About {
                engine: format!("tensorflow {}", library.version()),
                reason: format!("SavedModels are run by TensorFlow: {}", library.path().display()),
                properties: properties
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            },
        })
    }
}

impl Servable for TensorflowModel {
    fn platform(&self) -> &'static str {
        "tensorflow"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn signature_defs(&self) -> Option<Bytes> {
        Some(self.signature_defs.clone())
    }

    fn about(&self) -> About {
        self.about.clone()
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        let ports = &self.ports[call.signature];
        let fetches: SmallVec<[Port; 4]> = call.outputs.iter().map(|&output| ports.fetches[output]).collect();
        self.session.run(&ports.feeds, call.inputs, &fetches).map_err(
            |Failure { code, message }| match code {
                Code::InvalidArgument => RunError::InvalidInput(message),
                Code::Internal => RunError::Internal(message),
                code => RunError::Status(code, message),
            },
        )
    }
}

/// A signature and the graph's tensors behind it; why it cannot be called, if it cannot.
fn connect(session: &Session, stated: &StatedSignature) -> Result<(Signature, Ports), String> {
    if let Some(why) = stated.refusal() {
        return Err(why);
    }
    let (inputs, feeds) = connected(session, stated, &stated.inputs)?;
    let (outputs, fetches) = connected(session, stated, &stated.outputs)?;
    let signature = Signature {
        name: stated.name.as_str().into(),
        inputs,
        outputs,
        method: Method::from_wire_name(&stated.method),
    };
    Ok((signature, Ports { feeds, fetches }))
}

fn connected(
    session: &Session,
    stated: &StatedSignature,
    tensors: &[StatedTensor],
) -> Result<(Vec<TensorSpec>, Vec<Port>), String> {
    let one = |tensor: &StatedTensor| {
        let port = tensor.tensor.as_ref().ok().and_then(|name| session.port(&name.op, name.index));
        let port = port.ok_or_else(|| {
            format!(
                "Signature {:?} cannot be called: tensor {:?} of {:?} is not in the graph",
                stated.name, tensor.tensor_text, tensor.alias
            )
        })?;
        Ok((spec(tensor), port))
    };
    let connected: Result<Vec<(TensorSpec, Port)>, String> = tensors.iter().map(one).collect();
    Ok(connected?.into_iter().unzip())
}

fn spec(stated: &StatedTensor) -> TensorSpec {
    // The dtype was looked at when the signature was found to be callable.
    let dtype = DType::from_number(stated.dtype).unwrap_or(DType::Float);
    let mut spec = TensorSpec::new(stated.alias.as_str(), dtype, stated.dims.as_deref().unwrap_or_default());
    if stated.dims.is_none() {
        spec.dims = None;
    }
    spec.tensor = Some(stated.tensor_text.as_str().into());
    spec.default = stated.default.clone().map(Arc::new);
    spec
}
