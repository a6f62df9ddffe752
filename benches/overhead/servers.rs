//! The three servers, and the one request that all are asked.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use longshore::proto::tensorflow::serving::model_spec::VersionChoice;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use longshore::proto::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use longshore::proto::tensorflow::{DataType, TensorProto};
use prost::Message as _;

use crate::common::sample;
pub(crate) use crate::common::server::Server;
use crate::h2load;

/// First argument of the process that is the multi-thread echo.
pub(crate) const ECHO_MULTI: &str = "serve-echo-multi-thread";
/// First argument of the process that is the echo on one loop per core.
pub(crate) const ECHO_LOOPS: &str = "serve-echo-loops";

/// One of our echoes: this very program under another first argument. It tells
/// its address and nothing else.
pub(crate) fn echo(which: &str) -> Result<Server, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(which);
    Server::start(command, |line| Some(line.trim().to_owned()))
}

/// The real server over the sample repository.
pub(crate) fn longshore(log: &Path) -> Result<Server, Box<dyn Error>> {
    Server::longshore(Path::new(sample::REPOSITORY), None, log, &[])
}

/// The request as it stands in an HTTP/2 body.
pub(crate) fn framed_request() -> Vec<u8> {
    h2load::framed(&sample::request(sample::MODEL).encode_to_vec())
}

/// What an echo answers: no model was asked, but the message is the one that the
/// server sends, field by field.
pub(crate) fn echo_response(asked: &PredictRequest) -> PredictResponse {
    let rows = asked.inputs.values().next().and_then(|tensor| tensor.tensor_shape.as_ref()?.dim.first());
    let rows = rows.map_or(0, |dim| dim.size);
    let predictions = TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(sample::shape(&[rows])),
        double_val: vec![sample::PREDICTION; usize::try_from(rows).unwrap_or(0)],
        ..TensorProto::default()
    };
    PredictResponse {
        model_spec: Some(ModelSpec {
            name: asked.model_spec.as_ref().map_or_else(String::new, |spec| spec.name.clone()),
            signature_name: "serving_default".to_owned(),
            version_choice: Some(VersionChoice::Version(1)),
        }),
        outputs: [("predictions".to_owned(), predictions)].into(),
    }
}

/// Asks each server once with a real client: h2load counts any HTTP 200 as a
/// success, whatever gRPC says in the trailers.
pub(crate) fn check_answers(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = sample::request(sample::MODEL);
    let wanted = echo_response(&asked);
    for server in servers {
        let answer = runtime.block_on(async {
            let mut client = PredictionServiceClient::connect(format!("http://{}", server.address())).await?;
            let answer = client.predict(asked.clone()).await?;
            Ok::<_, Box<dyn Error>>(answer.into_inner())
        })?;
        sample::check(&answer)?;
        if answer.encoded_len() != wanted.encoded_len() {
            return Err(format!("expected an answer like {wanted:?}, got {answer:?}").into());
        }
    }
    Ok(())
}
