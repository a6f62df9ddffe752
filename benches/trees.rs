//! What walking a forest costs: 100 trees of depth 12 over 20 features.
//! `cargo bench --bench trees`, or with a model of one's own
//! `cargo bench --bench trees -- forest.joblib`, or beside others on the same models and
//! rows, `cargo bench --bench trees -- --rivals PYTHON` (`benches/trees_rivals.py` says
//! what that Python needs).
//!
//! Beside the engine, in the same run, the loop that everybody writes: one walk
//! after the other through nodes in the file's order. Both add up the leaves of
//! two classes in double precision. Rows are fresh each time, drawn from a pool
//! that is larger than the branch predictor's memory.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore::engines::trees::{Forest, Node, Test};
use longshore::servable::{Call, Method};
use longshore::storage::{MemoryStorage, ModelDir};
use longshore::tensor::Tensor;

const TREES: usize = 100;
const DEPTH: usize = 12;
const FEATURES: usize = 20;
const CLASSES: usize = 2;
/// Rows that each tree is grown on, until leaves hold less than [`LEAF`].
const GROWN_ON: usize = 3000;
const LEAF: usize = 4;
/// Rows to ask about, of which each call takes the next.
const POOL: usize = 8000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--rivals") {
        return rivals(args.get(at + 1).map_or("python3", |python| python));
    }
    // Without the flag that `cargo bench` gives, only see that it runs.
    let measured = std::env::args().any(|arg| arg == "--bench");
    let duration = Duration::from_millis(if measured { 700 } else { 5 });
    let rounds = if measured { 5 } else { 1 };

    let mut random = Random(20_261_123);
    let pool: Vec<f32> = (0..POOL * FEATURES).map(|_| random.unit() as f32).collect();
    let trees: Vec<Vec<Node>> = (0..TREES).map(|_| grow(&mut random)).collect();
    let mut forest = Forest::<f32>::new(FEATURES);
    let mut values = Vec::new();
    for tree in &trees {
        for &leaf in forest.add(tree).unwrap() {
            values.extend_from_slice(&shares(leaf));
        }
    }
    let plainly = |tree: &Vec<Node>| {
        let shares = (0..tree.len() as u32).flat_map(shares).collect();
        (tree.iter().map(plain).collect(), shares)
    };
    let naive: Vec<(Vec<Plain>, Vec<f64>)> = trees.iter().map(plainly).collect();
    let nodes: usize = trees.iter().map(Vec::len).sum();
    println!(
        "{TREES} trees of depth {DEPTH}, {FEATURES} features, {nodes} nodes; one thread, best of {rounds} rounds"
    );

    for rows in [1, 8, 100, 1000] {
        let engine = |x: &[f32], sums: &mut [f64]| {
            forest.walk(x, |row, _, leaf| {
                for class in 0..CLASSES {
                    sums[row * CLASSES + class] += values[leaf * CLASSES + class];
                }
            });
        };
        let one_by_one = |x: &[f32], sums: &mut [f64]| {
            for (row, sums) in x.chunks_exact(FEATURES).zip(sums.chunks_exact_mut(CLASSES)) {
                for (tree, shares) in &naive {
                    let leaf = walk_plainly(tree, row);
                    for class in 0..CLASSES {
                        sums[class] += shares[leaf * CLASSES + class];
                    }
                }
            }
        };
        // The same numbers, or there is nothing to compare.
        let mut sums = [vec![0.0; rows * CLASSES], vec![0.0; rows * CLASSES]];
        engine(&pool[..rows * FEATURES], &mut sums[0]);
        one_by_one(&pool[..rows * FEATURES], &mut sums[1]);
        assert_eq!(sums[0], sums[1]);

        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..rounds {
            ours = ours.min(measure(&pool, rows, duration, engine));
            theirs = theirs.min(measure(&pool, rows, duration, one_by_one));
        }
        let per_walk = 1e9 / (rows * TREES) as f64;
        println!(
            "  {rows:>4} row(s): engine {:>8.2} µs ({:>4.1} ns a tree and row), one walk at a time {:>8.2} µs ({:>4.1} ns): {:.1} ×",
            ours * 1e6,
            ours * per_walk,
            theirs * 1e6,
            theirs * per_walk,
            theirs / ours
        );
    }
    for path in std::env::args().skip(1).filter(|arg| !arg.starts_with('-')) {
        file(&path, duration, rounds);
    }
}

/// A model from a file, through its servable.
fn file(path: &str, duration: Duration, rounds: usize) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let storage = MemoryStorage::new();
    storage.write("1/model.joblib", bytes);
    let started = Instant::now();
    let model = longshore::engines::open(&ModelDir::new(Arc::new(storage), "1")).unwrap();
    println!("{path}: opened in {:?}", started.elapsed());
    let width = model.signatures()[0].inputs[0].dims.as_deref().and_then(|dims| dims[1]).unwrap();
    let mut random = Random(1);
    let pool: Vec<f64> = (0..POOL * width).map(|_| random.unit() * 4.0 - 2.0).collect();
    for signature in model.signatures().iter().filter(|signature| signature.method == Method::Predict) {
        let (position, _) = model.signatures().find(&signature.name).unwrap();
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        for rows in [1, 1000] {
            let mut best = f64::INFINITY;
            for _ in 0..rounds {
                let mut calls = 0usize;
                let started = Instant::now();
                while started.elapsed() < duration {
                    let first = calls * rows % (POOL - rows + 1);
                    let x = pool[first * width..(first + rows) * width].to_vec();
                    let inputs = vec![Tensor::new([rows, width], x.into()).unwrap()];
                    let call = Call { signature: position, inputs: inputs.into(), outputs: &outputs };
                    black_box(model.run(call).unwrap());
                    calls += 1;
                }
                best = best.min(started.elapsed().as_secs_f64() / calls as f64);
            }
            println!("  {} of {rows} row(s): {:.2} µs", signature.name, best * 1e6);
        }
    }
}

/// The models that the other side trained, through their servables, and everyone else.
fn rivals(python: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/trees_rivals.py");
    let mut other = Command::new(python)
        .args([Path::new(script), folder.path()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    let (mut ask, answers) = (other.stdin.take().unwrap(), BufReader::new(other.stdout.take().unwrap()));
    let mut answers = answers.lines().map(Result::unwrap);
    assert_eq!(answers.next().as_deref(), Some("ready"), "{script} did not start");
    let rows = std::fs::read(folder.path().join("rows.f32")).unwrap();
    let (rows, _) = rows.as_chunks::<4>();
    let pool: Vec<f32> = rows.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    for (name, file, signature) in [
        ("forest", "forest.joblib", "predict_proba"),
        ("xgboost", "xgboost.json", "predict"),
        ("lightgbm", "lightgbm.txt", "predict"),
    ] {
        let storage = MemoryStorage::new();
        storage.write(&format!("1/{file}"), std::fs::read(folder.path().join(file)).unwrap());
        let model = longshore::engines::open(&ModelDir::new(Arc::new(storage), "1")).unwrap();
        let (position, _) = model.signatures().find(signature).unwrap();
        for rows in [1, 1000] {
            let run = |x: &[f32], _: &mut [f64]| {
                let inputs = vec![Tensor::new([rows, FEATURES], x.to_vec().into()).unwrap()];
                black_box(
                    model.run(Call { signature: position, inputs: inputs.into(), outputs: &[0] }).unwrap(),
                );
            };
            let mut ours = f64::INFINITY;
            let mut theirs: Vec<(String, f64)> = Vec::new();
            // In turns, so that what else the machine does meets all alike.
            for _ in 0..3 {
                ours = ours.min(measure(&pool, rows, Duration::from_millis(300), run));
                writeln!(ask, "{name} {rows}").unwrap();
                for (i, line) in answers.by_ref().take_while(|line| line != ".").enumerate() {
                    let (seconds, who) = line.split_once(' ').unwrap();
                    let seconds: f64 = seconds.parse().unwrap();
                    match theirs.get_mut(i) {
                        Some((_, best)) => *best = best.min(seconds),
                        None => theirs.push((who.to_owned(), seconds)),
                    }
                }
            }
            println!("{name}, {rows} row(s): here {:.2} µs, tensor to tensor", ours * 1e6);
            for (who, seconds) in theirs {
                println!("  {who}: {:.2} µs, {:.1} ×", seconds * 1e6, seconds / ours);
            }
        }
    }
    drop(ask);
    other.wait().unwrap();
}

/// Seconds a call, each with the pool's next rows.
fn measure(pool: &[f32], rows: usize, duration: Duration, run: impl Fn(&[f32], &mut [f64])) -> f64 {
    let mut sums = vec![0.0; rows * CLASSES];
    let (mut calls, started) = (0usize, Instant::now());
    while started.elapsed() < duration {
        // The clock is asked seldom, since it costs as much as some trees.
        for _ in 0..32 {
            let first = calls * rows % (POOL - rows + 1);
            sums.fill(0.0);
            run(black_box(&pool[first * FEATURES..(first + rows) * FEATURES]), &mut sums);
            black_box(&sums);
            calls += 1;
            if rows >= 1000 {
                break;
            }
        }
    }
    started.elapsed().as_secs_f64() / calls as f64
}

/// Splits rows at the value of one of them, until they are few or the tree is deep.
fn grow(random: &mut Random) -> Vec<Node> {
    let rows: Vec<Vec<f64>> = (0..GROWN_ON).map(|_| (0..FEATURES).map(|_| random.unit()).collect()).collect();
    let mut nodes = vec![Node::Leaf];
    let mut open = vec![(0usize, 0usize, (0..GROWN_ON).collect::<Vec<usize>>())];
    while let Some((at, depth, held)) = open.pop() {
        if depth == DEPTH || held.len() < LEAF {
            continue;
        }
        let feature = random.below(FEATURES);
        let threshold = rows[held[random.below(held.len())]][feature];
        let (left, right): (Vec<usize>, Vec<usize>) =
            held.iter().partition(|&&row| rows[row][feature] <= threshold);
        if left.is_empty() || right.is_empty() {
            continue;
        }
        let child = nodes.len();
        nodes[at] = Node::Split {
            feature: feature as i64,
            test: Test::AtMost(threshold),
            missing_left: false,
            left: child as i64,
            right: child as i64 + 1,
        };
        nodes.extend([Node::Leaf, Node::Leaf]);
        open.extend([(child + 1, depth + 1, right), (child, depth + 1, left)]);
    }
    nodes
}

/// What the leaf at this node holds: some share of each class.
fn shares(node: u32) -> [f64; CLASSES] {
    let share = f64::from(node % 97) / 96.0;
    [share, 1.0 - share]
}

/// A node of the loop that everybody writes. Leaves are told by their feature.
struct Plain {
    threshold: f32,
    feature: u32,
    left: u32,
    right: u32,
}

fn plain(node: &Node) -> Plain {
    match *node {
        Node::Split { feature, test: Test::AtMost(threshold), left, right, .. } => {
            let nearest = threshold as f32;
            let threshold = if f64::from(nearest) > threshold { nearest.next_down() } else { nearest };
            Plain { threshold, feature: feature as u32, left: left as u32, right: right as u32 }
        }
        _ => Plain { threshold: 0.0, feature: u32::MAX, left: 0, right: 0 },
    }
}

/// The node where a row ends.
fn walk_plainly(tree: &[Plain], row: &[f32]) -> usize {
    let mut at = 0;
    loop {
        let node = &tree[at];
        if node.feature == u32::MAX {
            return at;
        }
        at = if row[node.feature as usize] <= node.threshold { node.left } else { node.right } as usize;
    }
}

/// A linear congruential generator with the multiplier of PCG.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}
