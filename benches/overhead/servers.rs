//! The three servers as child processes, and the one request that all are asked.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore::proto::tensorflow::serving::model_spec::VersionChoice;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use longshore::proto::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use longshore::proto::tensorflow::tensor_shape_proto::Dim;
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use prost::Message as _;

/// First argument of the process that is the multi-thread echo.
pub(crate) const ECHO_MULTI: &str = "serve-echo-multi-thread";
/// First argument of the process that is the echo on one loop per core.
pub(crate) const ECHO_LOOPS: &str = "serve-echo-loops";

/// Where Predict lives in HTTP/2.
pub(crate) const PREDICT_PATH: &str = "/tensorflow.serving.PredictionService/Predict";

const MODEL: &str = "linear_regression";
/// The first row that `examples/train_linear_regression.py` prints, and what
/// `model.predict` says to it.
const ROW: [f64; 4] = [0.5, -1.0, 2.0, 0.0];
const PREDICTION: f64 = 40.653_737_737_659_53;
/// Time for a server to come up.
const START: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// One of our echoes: this very program under another first argument.
    pub(crate) fn echo(which: &str) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?).arg(which).stdout(Stdio::piped()).spawn()?;
        let mut first_line = String::new();
        let said = process.stdout.take().ok_or("the echo has no output")?;
        let mut server = Self { process, address: String::new() };
        BufReader::new(said).read_line(&mut first_line)?;
        first_line.trim().clone_into(&mut server.address);
        Ok(server)
    }

    /// The real server over the sample repository.
    pub(crate) fn longshore(log: &Path) -> Result<Self, Box<dyn Error>> {
        let said = File::create(log)?;
        let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/model_repository");
        let process = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .arg(format!("--model_repository={repository}"))
            .args(["--bind_address=127.0.0.1", "--port=0"])
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let mut server = Self { process, address: String::new() };
        let give_up = Instant::now() + START;
        loop {
            let text = std::fs::read_to_string(log)?;
            if let Some(address) = grpc_address_in(&text) {
                server.address = address;
                return Ok(server);
            }
            if Instant::now() > give_up || server.process.try_wait()?.is_some() {
                return Err(format!("longshore told no gRPC address; it said:\n{text}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// HOST:PORT.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// User and system time of the process so far, µs. Source: proc(5), `stat`.
    pub(crate) fn cpu_micros(&self) -> Result<f64, Box<dyn Error>> {
        /// Linux counts these fields in hundredths of a second on every machine.
        const TICK_MICROS: f64 = 10_000.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The second field is the program's name in brackets, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("no `)` in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks * TICK_MICROS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address on the line `  gRPC  127.0.0.1:43210  …`, once it is there as a whole.
fn grpc_address_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["gRPC", address, _, ..] => Some(address.to_owned()),
        _ => None,
    })
}

/// One row for the sample model.
fn request() -> PredictRequest {
    let inputs = TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(shape(&[1, 4])),
        double_val: ROW.to_vec(),
        ..TensorProto::default()
    };
    PredictRequest {
        model_spec: Some(ModelSpec { name: MODEL.to_owned(), ..ModelSpec::default() }),
        inputs: [("inputs".to_owned(), inputs)].into(),
        ..PredictRequest::default()
    }
}

/// The request as it stands in an HTTP/2 body: uncompressed, length, message.
pub(crate) fn framed_request() -> Vec<u8> {
    let message = request().encode_to_vec();
    let length = u32::try_from(message.len()).expect("a request of one row is short");
    [&[0], length.to_be_bytes().as_slice(), &message].concat()
}

/// What an echo answers: no model was asked, but the message is the one that the
/// server sends, field by field.
pub(crate) fn echo_response(asked: &PredictRequest) -> PredictResponse {
    let rows = asked.inputs.values().next().and_then(|tensor| tensor.tensor_shape.as_ref()?.dim.first());
    let rows = rows.map_or(0, |dim| dim.size);
    let predictions = TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(shape(&[rows])),
        double_val: vec![PREDICTION; usize::try_from(rows).unwrap_or(0)],
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

fn shape(sizes: &[i64]) -> TensorShapeProto {
    let dim = sizes.iter().map(|&size| Dim { size, ..Dim::default() }).collect();
    TensorShapeProto { dim, ..TensorShapeProto::default() }
}

/// Asks each server once with a real client: h2load counts any HTTP 200 as a
/// success, whatever gRPC says in the trailers.
pub(crate) fn check_answers(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = echo_response(&request());
    for server in servers {
        let answer = runtime.block_on(async {
            let mut client = PredictionServiceClient::connect(format!("http://{}", server.address())).await?;
            let answer = client.predict(request()).await?;
            Ok::<_, Box<dyn Error>>(answer.into_inner())
        })?;
        let close = |number: &f64| (number - PREDICTION).abs() <= 1e-12 * PREDICTION;
        let predictions = answer.outputs.get("predictions").map(|tensor| tensor.double_val.as_slice());
        if !predictions.is_some_and(|numbers| numbers.len() == 1 && numbers.iter().all(close)) {
            return Err(format!("expected the prediction {PREDICTION}, got {answer:?}").into());
        }
        if answer.encoded_len() != wanted.encoded_len() {
            return Err(format!("expected an answer like {wanted:?}, got {answer:?}").into());
        }
    }
    Ok(())
}
