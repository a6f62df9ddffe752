//! ONNX and SavedModels through the server, against their own libraries in process.
//!
//! `cargo bench --bench onnx [-- PYTHON [ROUNDS]]`: `benches/onnx_rivals.py` (which says
//! what to install) makes the models and runs each with ONNX Runtime or TensorFlow, a
//! thread for each core and nothing between them and the library. The server has the
//! same libraries, the same cores and the same models; h2load (Debian package
//! `nghttp2-client`) asks it over gRPC from the same machine, so what client and
//! protocol cost is counted against it. The last column leaves the client out: the CPU of
//! a run in process to that of a request. Turns alternate; what counts is the ratio.

#[path = "common/h2load.rs"]
mod h2load;
mod common {
    #[path = "../common/server.rs"]
    pub(crate) mod server;
    #[path = "../common/verdict.rs"]
    pub(crate) mod verdict;
}

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use longshore::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use longshore::proto::tensorflow::tensor_shape_proto::Dim;
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use prost::Message as _;

use common::server::Server;
use common::verdict;
use h2load::{Load, Sample, Target};

/// Turns of each side; medians are over these.
const ROUNDS: usize = 5;
/// How long a turn lasts, about.
const SECONDS: f64 = 1.5;
/// Requests that wait or run: two for each of the machine's cores.
const IN_FLIGHT: usize = 4;
/// What is wanted of each model: at least so much of the rival's runs a second.
/// Small models are told of, too: there what a request costs besides its run shows.
const TARGETS: [(&str, f64); 5] =
    [("mlp", 0.95), ("cnn", 0.95), ("transformer", 0.95), ("forest", 1.5), ("tf_mlp", 0.95)];

/// The Python process that made the models.
struct Rivals {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A model and the request for it.
struct Asked {
    name: String,
    request: PredictRequest,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let python = words.first().map_or("python3", String::as_str);
    let rounds = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(ROUNDS);
    match measure(python, rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("onnx: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(python: &str, rounds: usize) -> Result<(), Box<dyn Error>> {
    h2load::find_h2load()?;
    let folder = tempfile::tempdir()?;
    let (mut rivals, libraries, models) = Rivals::start(python, folder.path())?;
    let flags: Vec<String> =
        libraries.iter().map(|(kind, path)| format!("--{kind}_library={path}")).collect();
    let log = folder.path().join("longshore.log");
    let server = Server::longshore(&folder.path().join("models"), None, &log, &flags)?;
    println!("{rounds} rounds; medians; requests a second through the server, runs a second in process");
    println!(
        "{:<18}{:>12}{:>12}{:>10}{:>12}{:>12}{:>12}{:>14}",
        "", "server", "in process", "ratio", "p50 µs", "p99 µs", "its CPU µs", "theirs, ratio"
    );
    let mut ratios = Vec::new();
    for asked in &models {
        check(&server, asked)?;
        let body = folder.path().join("body");
        fs::write(&body, h2load::framed(&asked.request.encode_to_vec()))?;
        let target = Target {
            server: &server,
            address: server.address(),
            path: h2load::PREDICT_PATH,
            headers: &h2load::GRPC_HEADERS,
            http1: false,
            body: &body,
        };
        // The first turn warms up and tells how many requests a turn should have.
        let (expected, _) = rivals.run(&asked.name, SECONDS / 3.0)?;
        let requests = ((expected * SECONDS) as usize).max(IN_FLIGHT);
        let load = Load { connections: IN_FLIGHT, streams: 1, requests };
        let log = folder.path().join("h2load.log");
        load.run(target, &log)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(rivals.run(&asked.name, SECONDS)?);
            ours.push(load.run(target, &log)?);
        }
        theirs.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let (ours, (theirs, cpu)) = (Sample::median(&ours), theirs[theirs.len() / 2]);
        let ratio = ours.requests_per_second / theirs;
        println!(
            "{:<18}{:>12.0}{theirs:>12.0}{ratio:>10.2}{:>12.0}{:>12.0}{:>12.0}{:>14.2}",
            asked.name,
            ours.requests_per_second,
            ours.p50,
            ours.p99,
            ours.server_cpu,
            cpu * 1e6 / ours.server_cpu
        );
        ratios.push((asked.name.as_str(), ratio));
    }
    println!();
    for (name, target) in TARGETS {
        if let Some((_, ratio)) = ratios.iter().find(|(model, _)| *model == name) {
            verdict::tell(
                &format!("{name}, through the server against in process"),
                *ratio,
                ">=",
                target,
                " x",
            );
        }
    }
    Ok(())
}

impl Rivals {
    /// Starts Python and waits for its models: also the libraries by kind, and the requests.
    #[allow(clippy::type_complexity, reason = "three things, taken apart at once")]
    fn start(
        python: &str,
        folder: &Path,
    ) -> Result<(Self, Vec<(String, String)>, Vec<Asked>), Box<dyn Error>> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/onnx_rivals.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let asks = process.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        let mut rivals = Self { process, asks, answers };
        let (mut libraries, mut models) = (Vec::new(), Vec::new());
        loop {
            let line = rivals.line()?;
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["library", kind, path] => libraries.push((kind.to_owned(), path.to_owned())),
                ["model", name, input, kind, dims] => {
                    let content = fs::read(folder.join(format!("{name}.bin")))?;
                    models.push(Asked {
                        name: name.to_owned(),
                        request: request(name, input, kind, dims, content)?,
                    });
                }
                ["ready"] => return Ok((rivals, libraries, models)),
                _ => {}
            }
        }
    }

    /// Runs a second, and seconds of CPU a run.
    fn run(&mut self, name: &str, seconds: f64) -> Result<(f64, f64), Box<dyn Error>> {
        writeln!(self.asks, "{name} {seconds}")?;
        let line = self.line()?;
        let (rate, cpu) = line.trim().split_once(' ').ok_or("expected two numbers")?;
        Ok((rate.parse()?, cpu.parse()?))
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("the rivals ended: run benches/onnx_rivals.py by itself to see why".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn request(
    model: &str,
    input: &str,
    kind: &str,
    dims: &str,
    content: Vec<u8>,
) -> Result<PredictRequest, Box<dyn Error>> {
    let dims: Vec<i64> = dims.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let tensor = TensorProto {
        dtype: DataType::from_str_name(kind).ok_or("an unknown dtype")?.into(),
        tensor_shape: Some(TensorShapeProto {
            dim: dims.iter().map(|&size| Dim { size, ..Dim::default() }).collect(),
            ..TensorShapeProto::default()
        }),
        tensor_content: content.into(),
        ..TensorProto::default()
    };
    Ok(PredictRequest {
        model_spec: Some(ModelSpec { name: model.to_owned(), ..ModelSpec::default() }),
        inputs: [(input.to_owned(), tensor)].into(),
        ..PredictRequest::default()
    })
}

/// Asks once: h2load counts any HTTP 200 as a success. The numbers are compared in the
/// tests; here it is enough that there are some.
fn check(server: &Server, asked: &Asked) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let mut client = PredictionServiceClient::connect(format!("http://{}", server.address())).await?;
        Ok::<_, Box<dyn Error>>(client.predict(asked.request.clone()).await?.into_inner())
    })?;
    if answer.outputs.is_empty() {
        return Err(format!("{}: it gave no output", asked.name).into());
    }
    Ok(())
}
