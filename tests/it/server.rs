//! A real server on loopback, its repository, and its clients.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use longshore::config::{
    BatchingConfig, GrpcOptions, LoadRetries, Models, ReloadOptions, RequestLogConfig, ServerConfig,
};
use longshore::engines::{EngineOptions, TensorflowOptions};
use longshore::libraries::LibraryChoice;
use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::{TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use longshore::repository::Poll;
use longshore::server::{App, ServerError};
use pb::model_service_client::ModelServiceClient;
use pb::model_spec::VersionChoice;
use pb::prediction_service_client::PredictionServiceClient;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Long enough for a slow machine, short enough to fail in.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A file made by scikit-learn, from `tests/golden/rollout`.
pub fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rollout").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A repository in a folder of its own.
pub struct Repo {
    folder: tempfile::TempDir,
    parts: AtomicU64,
}

impl Repo {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        fs::create_dir(folder.path().join("aside")).unwrap();
        Self { folder, parts: AtomicU64::new(0) }
    }

    pub fn with(model: &str, version: i64, file: &[u8]) -> Self {
        let repo = Self::new();
        repo.drop_in(model, version, file);
        repo
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// Publishes a version as it should be done: written aside, then renamed.
    pub fn drop_in(&self, model: &str, version: i64, file: &[u8]) {
        self.drop_in_with(model, version, file, &[]);
    }

    /// The same, with more files beside the model's.
    pub fn drop_in_with(&self, model: &str, version: i64, file: &[u8], more: &[(&str, &[u8])]) {
        let files: Vec<(&str, &[u8])> =
            [("model.pkl", file)].into_iter().chain(more.iter().copied()).collect();
        self.drop_in_files(model, version, &files);
    }

    /// The same, with these files alone.
    pub fn drop_in_files(&self, model: &str, version: i64, files: &[(&str, &[u8])]) {
        let n = self.parts.fetch_add(1, Ordering::Relaxed);
        let aside = self.folder.path().join(format!("aside/{n}"));
        fs::create_dir(&aside).unwrap();
        for (name, bytes) in files {
            let path = aside.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(self.path(model)).unwrap();
        fs::rename(aside, self.path(&format!("{model}/{version}"))).unwrap();
    }

    pub fn remove(&self, below: &str) {
        // Moved away first, so that nobody sees it half gone.
        let n = self.parts.fetch_add(1, Ordering::Relaxed);
        let aside = self.folder.path().join(format!("aside/{n}"));
        fs::rename(self.path(below), &aside).unwrap();
        fs::remove_dir_all(aside).unwrap();
    }
}

/// A server in this process. Stopped by [`stop`](Self::stop).
pub struct TestServer {
    pub repo: Repo,
    pub address: SocketAddr,
    /// Where REST is; none when the configuration says so.
    pub rest: Option<SocketAddr>,
    pub stop: mpsc::Sender<()>,
    thread: JoinHandle<Result<(), ServerError>>,
}

/// Quick looks and quick ends; everything else as a user has it.
pub fn config(root: PathBuf) -> ServerConfig {
    ServerConfig {
        engines: EngineOptions {
            onnxruntime: LibraryChoice::Off,
            tensorflow: TensorflowOptions { library: LibraryChoice::Off, ..TensorflowOptions::default() },
        },
        models: Models::Repository(root),
        model_config_file: None,
        reload: ReloadOptions::default(),
        grpc_address: Some("127.0.0.1:0".parse().unwrap()),
        grpc_socket: None,
        grpc: GrpcOptions::default(),
        grpc_tls: None,
        tensor_content: false,
        rest_address: Some("127.0.0.1:0".parse().unwrap()),
        rest_may_be_absent: false,
        rest_tls: None,
        rest_timeout: Some(Duration::from_secs(30)),
        rest_cors: false,
        metrics_path: Some(longshore::config::DEFAULT_METRICS_PATH.to_owned()),
        signature_method_name_check: false,
        poll: Poll::Every(Duration::from_millis(100)),
        settle: Duration::from_millis(30),
        follow_symlinks: false,
        warm_up: Some(NonZeroU32::MIN),
        load_threads: 2,
        unload_threads: 1,
        retries: LoadRetries::default(),
        io_threads: 2,
        compute_threads: 2,
        compute_thread_name: None,
        batching: BatchingConfig::Off,
        request_log: RequestLogConfig::default(),
        inline_below: Duration::from_micros(100),
        drain_grace: Duration::from_millis(50),
        drain_timeout: Duration::from_secs(10),
        warnings: Vec::new(),
    }
}

impl TestServer {
    pub async fn start(repo: Repo) -> Self {
        let config = config(repo.root());
        Self::start_with(repo, config).await
    }

    /// With what a user has, changed in some points.
    pub async fn start_with_config(repo: Repo, change: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        let config = change(config(repo.root()));
        Self::start_with(repo, config).await
    }

    pub async fn start_with(repo: Repo, config: ServerConfig) -> Self {
        let (stop, stopped) = mpsc::channel(2);
        let (tell, told) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let app = App::bind(config)?;
                app.run(stopped, |app| {
                    tell.send((app.grpc_address().unwrap(), app.rest_address())).unwrap();
                })
                .await
            })
        });
        let told = tokio::time::timeout(PATIENCE, told).await;
        let (address, rest) = told.expect("ready in time").expect("started");
        Self { repo, address, rest, stop, thread }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn client(&self) -> Client {
        let channel = self.channel().await;
        Client {
            predict: PredictionServiceClient::new(channel.clone()),
            models: ModelServiceClient::new(channel),
        }
    }

    /// Asks it to stop, and gives what `run` gave.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stop.send(()).await.unwrap();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(self) -> Result<(), ServerError> {
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join());
        tokio::time::timeout(PATIENCE, joined).await.expect("an end in time").unwrap().unwrap()
    }
}

/// One connection with both services.
#[derive(Clone)]
pub struct Client {
    pub predict: PredictionServiceClient<Channel>,
    pub models: ModelServiceClient<Channel>,
}

pub fn spec(model: &str, version: Option<i64>) -> Option<pb::ModelSpec> {
    let version_choice = version.map(VersionChoice::Version);
    Some(pb::ModelSpec { name: model.to_owned(), signature_name: String::new(), version_choice })
}

/// `DT_DOUBLE` of shape `[rows, columns]`.
pub fn doubles(rows: &[&[f64]]) -> TensorProto {
    let dims = [rows.len(), rows.first().map_or(0, |row| row.len())];
    let dim = dims.map(|size| Dim { size: size as i64, name: String::new() });
    TensorProto {
        dtype: 2,
        tensor_shape: Some(TensorShapeProto { dim: dim.to_vec(), unknown_rank: false }),
        double_val: rows.concat(),
        ..TensorProto::default()
    }
}

pub fn request(model: &str, version: Option<i64>, inputs: TensorProto) -> pb::PredictRequest {
    pb::PredictRequest {
        model_spec: spec(model, version),
        inputs: [("inputs".to_owned(), inputs)].into_iter().collect(),
        ..Default::default()
    }
}

impl Client {
    /// The version that answered, and its prediction for one number.
    pub async fn ask(&mut self, model: &str, version: Option<i64>, x: f64) -> Result<(i64, f64), Status> {
        let answer = self.predict.predict(request(model, version, doubles(&[&[x]]))).await?.into_inner();
        let Some(VersionChoice::Version(version)) = answer.model_spec.unwrap().version_choice else {
            panic!("an answer names its version")
        };
        Ok((version, answer.outputs["predictions"].double_val[0]))
    }

    /// State and error message by version, highest first; empty for NOT_FOUND.
    pub async fn status(&mut self, model: &str) -> Vec<(i64, pb::model_version_status::State, String)> {
        let request = pb::GetModelStatusRequest { model_spec: spec(model, None) };
        match self.models.get_model_status(request).await {
            Ok(answer) => answer
                .into_inner()
                .model_version_status
                .into_iter()
                .map(|v| (v.version, v.state(), v.status.unwrap_or_default().error_message))
                .collect(),
            Err(status) if status.code() == Code::NotFound => Vec::new(),
            Err(status) => panic!("{status:?}"),
        }
    }

    /// Waits until the highest version that answers is this one.
    pub async fn until_served(&mut self, model: &str, version: i64) {
        let start = Instant::now();
        loop {
            let answer = self.ask(model, None, 0.0).await;
            if answer.as_ref().is_ok_and(|(v, _)| *v == version) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{model} {version} is not served: {answer:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the status of a model is as `wanted` says.
    pub async fn until_status(
        &mut self,
        model: &str,
        wanted: impl Fn(&[(i64, pb::model_version_status::State, String)]) -> bool,
    ) -> Vec<(i64, pb::model_version_status::State, String)> {
        let start = Instant::now();
        loop {
            let status = self.status(model).await;
            if wanted(&status) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "{model}: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
