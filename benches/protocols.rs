//! What one Predict costs over gRPC and over REST, by the form of its tensors.
//!
//! `cargo bench --bench protocols [-- ROUNDS]`: the sample model in a process of its
//! own; h2load (Debian package `nghttp2-client`) asks it over [`CONNECTIONS`]
//! connections, one request at a time on each, in every form by turns:
//!
//! * gRPC with typed fields, and with `tensor_content`;
//! * REST with a protobuf body (`application/x-protobuf`);
//! * REST with JSON, in rows and in columns.
//!
//! gRPC is HTTP/2, REST HTTP/1.1, as their clients speak. The answers of all forms
//! are compared bit by bit first. Absolute numbers are those of the machine; the
//! ratios of one run are what counts.

#[path = "common/mod.rs"]
mod common;
#[path = "common/h2load.rs"]
mod h2load;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use longshore::proto::tensorflow::serving::{PredictRequest, PredictResponse};
use longshore::proto::tensorflow::{DataType, TensorProto};
use prost::Message as _;

use common::sample;
use common::server::Server;
use common::verdict;
use h2load::{Load, Sample, Target};

/// Turns that each form takes; medians are over these.
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 32;
/// Numbers in a row of the sample model.
const COLUMNS: usize = 4;
/// Rows of a request, and how many requests make a turn.
const SIZES: [(usize, usize); 3] = [(1, 40_000), (100, 10_000), (1000, 1_500)];

/// One way of asking.
struct Form {
    name: &'static str,
    grpc: bool,
    headers: &'static [&'static str],
    body: fn(&[f64]) -> Vec<u8>,
}

const TYPED: usize = 0;
const CONTENT: usize = 1;
const BINARY: usize = 2;
const ROWS: usize = 3;
const COLUMNAR: usize = 4;
const JSON: [&str; 1] = ["content-type: application/json"];
const PROTOBUF: [&str; 1] = ["content-type: application/x-protobuf"];

const FORMS: [Form; 5] = [
    Form {
        name: "gRPC, typed fields",
        grpc: true,
        headers: &h2load::GRPC_HEADERS,
        body: |numbers| h2load::framed(&typed(numbers).encode_to_vec()),
    },
    Form {
        name: "gRPC, tensor_content",
        grpc: true,
        headers: &h2load::GRPC_HEADERS,
        body: |numbers| h2load::framed(&content(numbers).encode_to_vec()),
    },
    Form {
        name: "REST, protobuf",
        grpc: false,
        headers: &PROTOBUF,
        body: |numbers| typed(numbers).encode_to_vec(),
    },
    Form { name: "REST, JSON rows", grpc: false, headers: &JSON, body: |numbers| json("instances", numbers) },
    Form { name: "REST, JSON columns", grpc: false, headers: &JSON, body: |numbers| json("inputs", numbers) },
];

/// Numbers of all their digits, the same in each run.
fn numbers(rows: usize) -> Vec<f64> {
    let mut state = 42_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    };
    (0..rows * COLUMNS).map(|_| next()).collect()
}

fn request(tensor: TensorProto, numbers: &[f64]) -> PredictRequest {
    let rows = i64::try_from(numbers.len() / COLUMNS).unwrap_or(i64::MAX);
    let inputs = TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(sample::shape(&[rows, COLUMNS as i64])),
        ..tensor
    };
    PredictRequest { inputs: [("inputs".to_owned(), inputs)].into(), ..sample::request(sample::MODEL) }
}

fn typed(numbers: &[f64]) -> PredictRequest {
    request(TensorProto { double_val: numbers.to_vec(), ..TensorProto::default() }, numbers)
}

fn content(numbers: &[f64]) -> PredictRequest {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    request(TensorProto { tensor_content: bytes.into(), ..TensorProto::default() }, numbers)
}

fn json(key: &str, numbers: &[f64]) -> Vec<u8> {
    let mut text = format!("{{\"{key}\": [");
    for (i, row) in numbers.chunks(COLUMNS).enumerate() {
        let row: Vec<String> = row.iter().map(f64::to_string).collect();
        // Writing to a string cannot fail.
        _ = write!(text, "{}[{}]", if i > 0 { ", " } else { "" }, row.join(", "));
    }
    text += "]}";
    text.into_bytes()
}

fn main() -> ExitCode {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    match measure(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("protocols: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rounds: usize) -> Result<(), Box<dyn Error>> {
    h2load::find_h2load()?;
    let folder = tempfile::tempdir()?;
    // 0 would be no REST, so a port that was free a moment ago.
    let rest = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let log = folder.path().join("longshore.log");
    let server = Server::longshore(Path::new(sample::REPOSITORY), Some(rest.port()), &log, &[])?;
    let rest = rest.to_string();
    let path = format!("/v1/models/{}:predict", sample::MODEL);

    println!(
        "{rounds} rounds; medians; {CONNECTIONS} connections; latencies in µs; CPU of the server process"
    );
    let mut all = Vec::new();
    for (rows, requests) in SIZES {
        let numbers = numbers(rows);
        check(&server, &rest, &path, &numbers)?;
        let mut bodies = Vec::new();
        for (i, form) in FORMS.iter().enumerate() {
            let body = folder.path().join(format!("{rows}-{i}"));
            fs::write(&body, (form.body)(&numbers))?;
            bodies.push(body);
        }
        let load = Load { connections: CONNECTIONS, streams: 1, requests };
        let mut samples: Vec<Vec<Sample>> = FORMS.iter().map(|_| Vec::new()).collect();
        // Round 0 warms caches and connections up.
        for round in 0..=rounds {
            for turn in 0..FORMS.len() {
                let place = (round + turn) % FORMS.len();
                let form = &FORMS[place];
                let target = Target {
                    server: &server,
                    address: if form.grpc { server.address() } else { &rest },
                    path: if form.grpc { h2load::PREDICT_PATH } else { &path },
                    headers: form.headers,
                    http1: !form.grpc,
                    body: &bodies[place],
                };
                let sample = load.run(target, &folder.path().join("h2load.log"))?;
                if round > 0 {
                    samples[place].push(sample);
                }
            }
        }
        let medians: Vec<Sample> = samples.iter().map(|turns| Sample::median(turns)).collect();
        print_table(rows, &bodies, &medians)?;
        all.push(medians);
    }
    tell(&all);
    Ok(())
}

fn print_table(rows: usize, bodies: &[std::path::PathBuf], samples: &[Sample]) -> Result<(), Box<dyn Error>> {
    println!("\n{rows} rows of {COLUMNS}");
    println!(
        "{:<22}{:>10}{:>12}{:>10}{:>10}{:>14}{:>10}",
        "", "bytes in", "requests/s", "p50", "p99", "CPU µs/req", "vs gRPC"
    );
    for ((form, sample), body) in FORMS.iter().zip(samples).zip(bodies) {
        println!(
            "{:<22}{:>10}{:>12.0}{:>10.0}{:>10.0}{:>14.2}{:>10.2}",
            form.name,
            fs::metadata(body)?.len(),
            sample.requests_per_second,
            sample.p50,
            sample.p99,
            sample.server_cpu,
            sample.requests_per_second / samples[TYPED].requests_per_second,
        );
    }
    Ok(())
}

fn tell(all: &[Vec<Sample>]) {
    let [small, middle, large] = all else { return };
    let rate = |samples: &[Sample], form: usize| {
        samples[form].requests_per_second / samples[TYPED].requests_per_second
    };
    println!();
    verdict::tell("1 row, REST with protobuf against gRPC, requests/s", rate(small, BINARY), ">=", 0.9, " x");
    verdict::tell("1 row, REST with JSON rows against gRPC, requests/s", rate(small, ROWS), ">=", 0.9, " x");
    verdict::tell("100 rows, REST with protobuf against gRPC", rate(middle, BINARY), ">=", 0.9, " x");
    verdict::tell("1000 rows, REST with protobuf against gRPC", rate(large, BINARY), ">=", 0.9, " x");
    verdict::tell("1000 rows, tensor_content against typed fields", rate(large, CONTENT), ">=", 0.95, " x");
    let (rows, _) = SIZES[2];
    let per_number =
        |form: usize| (large[form].server_cpu - large[BINARY].server_cpu) * 1e3 / (rows * COLUMNS) as f64;
    let what = "1000 rows, CPU that JSON adds for each number, in rows";
    verdict::tell(what, per_number(ROWS), "<=", 60.0, " ns");
    let what = "1000 rows, CPU that JSON adds for each number, in columns";
    verdict::tell(what, per_number(COLUMNAR), "<=", 60.0, " ns");
}

/// Asks in each form once, and compares the predictions bit by bit: h2load counts
/// any HTTP 200 as a success.
fn check(server: &Server, rest: &str, path: &str, numbers: &[f64]) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = |request: PredictRequest| {
        runtime.block_on(async {
            let mut client = PredictionServiceClient::connect(format!("http://{}", server.address())).await?;
            Ok::<_, Box<dyn Error>>(client.predict(request).await?.into_inner())
        })
    };
    sample::check(&ask(sample::request(sample::MODEL))?)?;
    let wanted = predictions(&ask(typed(numbers))?)?;
    for (form, given) in FORMS.iter().zip(0..) {
        let got = match given {
            TYPED => wanted.clone(),
            CONTENT => predictions(&ask(content(numbers))?)?,
            BINARY => {
                let body = post(rest, path, form.headers, &(form.body)(numbers))?;
                predictions(&PredictResponse::decode(&body[..])?)?
            }
            _ => {
                let body = post(rest, path, form.headers, &(form.body)(numbers))?;
                // Not by a JSON library: most are a unit in the last place off here and there.
                let text = String::from_utf8(body)?;
                let list = text.split(['[', ']']).nth(1).ok_or("no list of predictions")?;
                list.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>()?
            }
        };
        if got.len() != numbers.len() / COLUMNS
            || got.iter().zip(&wanted).any(|(a, b)| a.to_bits() != b.to_bits())
        {
            return Err(format!("{}: other predictions than over gRPC", form.name).into());
        }
    }
    Ok(())
}

fn predictions(answer: &PredictResponse) -> Result<Vec<f64>, Box<dyn Error>> {
    let tensor = answer.outputs.get("predictions").ok_or("no predictions")?;
    Ok(tensor.double_val.clone())
}

/// The body of the answer to one POST.
fn post(address: &str, path: &str, headers: &[&str], body: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{}\r\nContent-Length: {}\r\n\r\n",
        headers.join("\r\n"),
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(body)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no answer")?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(&answer).into());
    }
    Ok(answer.split_off(end + 4))
}
