//! The cases of `tests/golden/tfs/*.toml`, through real sockets: over gRPC whole
//! messages in protobuf's text form, or code and text; over REST byte for byte.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use longshore::execution::{BatchOptions, BatchParameters};
use longshore::proto;
use longshore::servable::{DEFAULT_SIGNATURE, Method, Servable, Signature};
use longshore::tensor::{DType, Elements, Shape, Tensor};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde::Deserialize;
use tonic::Code;

use crate::made::{self, Doors, Model, fixed, floats, signature, strings};
use crate::rest::{self, Wire};
use crate::server::TestServer;
use crate::wire::Grpc;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap());

/// A golden file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    #[serde(default)]
    pub grpc: Vec<GrpcCase>,
    #[serde(default)]
    pub rest: Vec<RestCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcCase {
    pub name: String,
    /// `Predict` unless given; `ModelService/…` for the other service.
    call: Option<String>,
    request: String,
    answer: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestCase {
    pub name: String,
    request: String,
    #[serde(default)]
    body: String,
    #[serde(default = "ok")]
    status: u16,
    answer: Option<String>,
    error: Option<String>,
}

fn ok() -> u16 {
    200
}

/// The cases of one file.
pub fn read(file: &str) -> Cases {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tfs").join(file);
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap_or_else(|why| panic!("{file}: {why}"))
}

fn method(call: &str) -> (String, MethodDescriptor) {
    let call = if call.contains('/') { call.to_owned() } else { format!("PredictionService/{call}") };
    let (service, name) = call.split_once('/').unwrap();
    let service = POOL.get_service_by_name(&format!("tensorflow.serving.{service}")).unwrap();
    let found = service.methods().find(|method| method.name() == name).unwrap();
    (call, found)
}

impl GrpcCase {
    /// What came instead of what should have, if it did.
    async fn trouble(&self, grpc: &Grpc) -> Option<String> {
        use prost::Message as _;

        let (call, method) = method(self.call.as_deref().unwrap_or("Predict"));
        let bytes = |descriptor, text: &str| {
            let message = DynamicMessage::parse_text_format(descriptor, text);
            message.unwrap_or_else(|why| panic!("{}: {why} in {text}", self.name)).encode_to_vec()
        };
        let message = |bytes: &[u8]| DynamicMessage::decode(method.output(), bytes).unwrap();
        let request = bytes(method.input(), &self.request);
        let got = grpc.call(&call, &request).await.map(|answer| message(&answer));
        let want = match (&self.answer, &self.code, &self.error) {
            (Some(answer), None, None) => Ok(message(&bytes(method.output(), answer))),
            (None, Some(code), Some(error)) => Err((code_called(code), error.clone())),
            _ => panic!("{}: a case has an answer, or a code and an error", self.name),
        };
        (got != want).then(|| {
            let shown = |outcome: &Result<DynamicMessage, (Code, String)>| match outcome {
                Ok(message) => message.to_text_format(),
                Err((code, text)) => format!("{code:?}: {text}"),
            };
            format!("{}:\ngot  {}\nwant {}", self.name, shown(&got), shown(&want))
        })
    }
}

fn code_called(name: &str) -> Code {
    let words = (0..=16).map(Code::from_i32).find(|code| {
        let told = format!("{code:?}");
        told.eq_ignore_ascii_case(&name.replace('_', ""))
    });
    words.unwrap_or_else(|| panic!("{name} is no code"))
}

impl RestCase {
    fn trouble(&self, wire: &mut Wire) -> Option<String> {
        let (method, target) = self.request.split_once(' ').unwrap();
        let answer = wire.ask(method, target, &[], self.body.as_bytes());
        let want = match (&self.answer, &self.error) {
            (Some(answer), None) => answer.clone(),
            (None, Some(error)) => {
                format!("{{\n    \"error\": {}\n}}", serde_json::Value::from(error.as_str()))
            }
            _ => panic!("{}: a case has an answer or an error", self.name),
        };
        let got = String::from_utf8_lossy(&answer.body);
        ((answer.status, &*got) != (self.status, want.as_str()))
            .then(|| format!("{}:\ngot  {} {got}\nwant {} {want}", self.name, answer.status, self.status))
    }
}

async fn run(cases: Cases, grpc: Grpc, rest: std::net::SocketAddr) {
    let mut troubles = Vec::new();
    for case in &cases.grpc {
        troubles.extend(case.trouble(&grpc).await);
    }
    let told = tokio::task::spawn_blocking(move || {
        // All on one connection: errors do not end it.
        let mut wire = Wire::open(rest);
        cases.rest.iter().filter_map(|case| case.trouble(&mut wire)).collect::<Vec<_>>()
    });
    troubles.extend(told.await.unwrap());
    assert!(troubles.is_empty(), "{} cases:\n\n{}", troubles.len(), troubles.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scikit_learns_models_answer_as_the_cases_say() {
    let repo = rest::repo();
    std::fs::create_dir_all(repo.path("many")).unwrap();
    std::fs::write(repo.path("many/model.toml"), "version_policy = \"all\"\n").unwrap();
    for version in [0, 2, 10] {
        repo.drop_in("many", version, &rest::golden("half.pkl"));
    }
    std::fs::create_dir_all(repo.path("empty")).unwrap();
    let server = TestServer::start(repo).await;
    server.client().await.until_status("many", |versions| versions.len() == 3).await;
    run(read("served.toml"), Grpc::open(server.address).await, server.rest.unwrap()).await;
    server.stop().await.unwrap();
}

/// Signatures with the answers that they give whatever they are asked.
fn answers() -> Vec<(Signature, Vec<Tensor>)> {
    use DType::{Complex64, Double, Float, String};
    use Method::{Classify, Predict, Regress};

    let predict = |name: &str, outputs: &[(&str, DType)], tensors: Vec<Tensor>| {
        (signature(name, &[("x", Float)], outputs, Predict), tensors)
    };
    let examples = |name: &str, method, outputs: &[(&str, DType)], tensors: Vec<Tensor>| {
        (signature(name, &[("inputs", String)], outputs, method), tensors)
    };
    let classes = || strings(&[1, 2], &["fish", "fowl"]);
    let scores = || floats(&[1, 2], &[0.25, 0.75]);
    let both = [("classes", String), ("scores", Float)];
    let outputs = [("outputs", Float)];
    vec![
        predict(DEFAULT_SIGNATURE, &[("y", Float)], vec![floats(&[1], &[1.0])]),
        (signature("no_inputs", &[], &[("y", Float)], Predict), vec![floats(&[1], &[1.0])]),
        predict("no_outputs", &[], vec![]),
        predict("none", &[("y", Float)], vec![floats(&[0], &[])]),
        predict("scalar", &[("y", Float)], vec![floats(&[], &[1.0])]),
        predict("rows", &[("y", Float)], vec![floats(&[3], &[1.0, 2.0, 3.0])]),
        predict(
            "uneven",
            &[("a", Float), ("b", Float)],
            vec![floats(&[2], &[1.0, 2.0]), floats(&[3], &[3.0, 4.0, 5.0])],
        ),
        predict("complex", &[("y", Complex64)], vec![Tensor::vector(vec![[1.0f32, 2.0]].into())]),
        (
            signature("pair", &[("a", Float), ("b", Float)], &[("y", Float)], Predict),
            vec![floats(&[1], &[1.0])],
        ),
        examples("both", Classify, &both, vec![classes(), scores()]),
        examples("labels", Classify, &both[..1], vec![classes()]),
        examples("scores", Classify, &both[1..], vec![scores()]),
        (
            signature("two_inputs", &[("inputs", String), ("b", String)], &both, Classify),
            vec![classes(), scores()],
        ),
        examples(
            "three_outputs",
            Classify,
            &[both[0], both[1], ("y", Float)],
            vec![classes(), scores(), scores()],
        ),
        examples("no_outputs_for_examples", Classify, &[], vec![]),
        (signature("other_input", &[("x", String)], &both[1..], Classify), vec![scores()]),
        examples("other_output", Classify, &[("y", Float)], vec![scores()]),
        examples("flat_scores", Classify, &both[1..], vec![floats(&[2], &[0.25, 0.75])]),
        examples("float_classes", Classify, &both, vec![scores(), scores()]),
        examples("text_scores", Classify, &both, vec![classes(), classes()]),
        examples("more_classes", Classify, &both, vec![strings(&[2, 1], &["fish", "fowl"]), scores()]),
        examples("more_scores", Classify, &both, vec![classes(), floats(&[2, 1], &[0.25, 0.75])]),
        examples("other_width", Classify, &both, vec![classes(), floats(&[1, 3], &[0.25, 0.5, 0.25])]),
        examples("column", Regress, &outputs, vec![floats(&[1, 1], &[1.5])]),
        examples("wide_values", Regress, &outputs, vec![floats(&[1, 2], &[1.5, 2.5])]),
        examples("more_values", Regress, &outputs, vec![floats(&[2], &[1.5, 2.5])]),
        examples(
            "double_values",
            Regress,
            &[("outputs", Double)],
            vec![Tensor::new(Shape::new([1]).unwrap(), Elements::from(vec![1.5f64])).unwrap()],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn servables_made_for_it_answer_as_the_cases_say() {
    let parameters = BatchParameters { max_batch_size: Some(2), ..BatchParameters::default() };
    let plain = |servable: std::sync::Arc<dyn Servable>| Model { servable, batching: None };
    let models = vec![
        ("echo", plain(made::echo())),
        ("fixed", plain(fixed(answers()))),
        ("open", plain(fixed(answers().drain(..1).collect()))),
        (
            "batched",
            Model { servable: fixed(answers()), batching: Some(BatchOptions::new(&parameters).unwrap()) },
        ),
    ];
    let options = made::Options { inline_below: std::time::Duration::ZERO, ..made::Options::default() };
    let doors = Doors::open(models, options).await;
    run(read("made.toml"), Grpc::open(doors.grpc).await, doors.rest).await;
}
