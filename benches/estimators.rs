//! What scikit-learn's estimators cost, family by family, beside scikit-learn itself:
//! `cargo bench --bench estimators -- PYTHON` (`benches/estimators_rivals.py` says what
//! that Python needs).
//!
//! The other side fits the models, dumps them, and answers for the rows once, which is
//! compared first. Then both are timed in turns, each with one thread and its own next
//! rows: here through the servable, tensor to tensor; there through the method.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use longshore::servable::Call;
use longshore::storage::{MemoryStorage, ModelDir};
use longshore::tensor::{Elements, Tensor};

const DURATION: Duration = Duration::from_millis(200);
const ROUNDS: usize = 3;
/// What both answers may differ by, relative to the largest.
const WITHIN: f64 = 1e-9;

/// The rows that a model is asked about.
enum Pool {
    Numbers { values: Vec<f64>, width: usize },
    Texts(Vec<Bytes>),
}

impl Pool {
    fn len(&self) -> usize {
        match self {
            Self::Numbers { values, width } => values.len() / width,
            Self::Texts(texts) => texts.len(),
        }
    }

    fn rows(&self, first: usize, count: usize) -> Tensor {
        match self {
            Self::Numbers { values, width } => {
                let rows = values[first * width..(first + count) * width].to_vec();
                Tensor::new([count, *width], rows.into()).unwrap()
            }
            Self::Texts(texts) => Tensor::new([count], texts[first..first + count].to_vec().into()).unwrap(),
        }
    }
}

fn main() {
    let Some(python) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) else {
        // As part of `cargo test` there is nobody to be compared with.
        println!("expected a Python: cargo bench --bench estimators -- PYTHON");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/estimators_rivals.py");
    let mut other = Command::new(&python)
        .args([Path::new(script), folder.path()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    let mut ask = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
    let models: Vec<String> = answers.by_ref().take_while(|line| line != ".").collect();
    assert!(!models.is_empty(), "{script} did not start");
    println!(
        "| | 1 row | scikit-learn | ratio | 1 000 rows | scikit-learn | ratio |\n|---|---|---|---|---|---|---|"
    );
    for line in models {
        let (name, method) = line.split_once('\t').unwrap();
        let read = |file: &str| std::fs::read(folder.path().join(name).join(file));
        let storage = MemoryStorage::new();
        storage.write("1/model.joblib", read("model.joblib").unwrap());
        let model = longshore::engines::open(&ModelDir::new(Arc::new(storage), "1")).unwrap();
        let (position, signature) = model.signatures().find(method).unwrap();
        let pool = match read("texts") {
            Ok(texts) => {
                Pool::Texts(texts.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect())
            }
            Err(_) => {
                let width = signature.inputs[0].dims.as_deref().and_then(|dims| dims[1]).unwrap();
                Pool::Numbers { values: doubles(&read("rows.f64").unwrap()), width }
            }
        };
        let outputs: Vec<usize> = vec![0];
        let run = |rows: Tensor| {
            let call = Call { signature: position, inputs: vec![rows].into(), outputs: &outputs };
            model.run(call).unwrap()
        };
        compare(name, &run(pool.rows(0, 1000))[0], &doubles(&read("answers.f64").unwrap()));
        let mut row = format!("| {name} ");
        for rows in [1, 1000] {
            let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..ROUNDS {
                let (mut calls, started) = (0, Instant::now());
                while started.elapsed() < DURATION || calls == 0 {
                    let first = calls * rows % (pool.len() - rows + 1);
                    black_box(run(pool.rows(first, rows)));
                    calls += 1;
                }
                ours = ours.min(started.elapsed().as_secs_f64() / calls as f64);
                writeln!(ask, "{name}\t{rows}").unwrap();
                theirs = theirs.min(answers.next().unwrap().parse().unwrap());
            }
            row += &format!("| {} | {} | {:.1} ", shown(ours), shown(theirs), theirs / ours);
        }
        println!("{row}|");
    }
    drop(ask);
    other.wait().unwrap();
}

fn shown(seconds: f64) -> String {
    if seconds < 1e-3 { format!("{:.1} µs", seconds * 1e6) } else { format!("{:.2} ms", seconds * 1e3) }
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// The same numbers, or there is nothing to compare.
fn compare(name: &str, ours: &Tensor, theirs: &[f64]) {
    let ours: Vec<f64> = match ours.elements() {
        Elements::F64(values) => values.to_vec(),
        Elements::I64(values) => values.iter().map(|value| *value as f64).collect(),
        Elements::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        other => panic!("{name} answers {other:?}"),
    };
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let most = theirs.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= WITHIN * most, "{name}: {ours} here, {theirs} there");
    }
}
