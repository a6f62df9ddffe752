//! Where the rooms are joined; no other file knows them all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpSocket;

use super::io_loops::Kind;
use super::listeners::{Listener, SocketFile};
use super::loader::ModelLoader;
use super::reload::{self, Look};
use super::tls::Keys;
use super::warm_up::WarmUp;
use super::{ServerError, io_loops, request_log};
use crate::config::{BatchingConfig, GrpcOptions, Models, ServerConfig};
use crate::dataplane::{self, DataPlane};
use crate::engines::Engines;
use crate::execution::{ComputePool, Lane, LaneOptions};
use crate::ids::ModelName;
use crate::lifecycle::{self, Aspired, AspiredVersion, Catalog, Manager, ManagerHandle, StateMonitor};
use crate::limits;
use crate::repository::{
    self, AspiredModel, ListSource, RepositorySource, Rescan, Source as _, SourceError, WatchHandle,
    WatchOptions,
};
use crate::request_log::RequestLog;
use crate::security::Protocols;
use crate::storage::{DiskStorage, LinkPolicy, Storage};
use crate::telemetry::{Metrics, Recorder};

/// A server that has its ports and is loading its models. [`App::run`] serves.
#[derive(Debug)]
pub struct App {
    pub(super) config: ServerConfig,
    /// Bound; taken when they begin to listen.
    sockets: Vec<(Kind, TcpSocket, SocketAddr)>,
    pub(super) grpc_address: Option<SocketAddr>,
    pub(super) rest_address: Option<SocketAddr>,
    socket_file: Option<SocketFile>,
    pub(super) grpc_keys: Option<Keys>,
    pub(super) rest_keys: Option<Keys>,
    /// Taken when nothing new shall be loaded any more.
    pub(super) watch: Option<WatchHandle>,
    pub(super) manager: ManagerHandle<ModelLoader>,
    catalog: Arc<Catalog<Lane>>,
    pub(super) states: Arc<StateMonitor>,
    /// Where the doors leave what is to be recorded.
    pub(super) request_log: RequestLog,
    pub(super) metrics: Arc<Metrics>,
    /// One for each I/O loop; taken when they start.
    pub(super) recorders: Vec<Recorder>,
    /// What the last look at the models found.
    pub(super) looks: tokio::sync::watch::Receiver<Look>,
}

impl App {
    /// Takes the ports and starts loading. The ports stay closed until
    /// [`run`](Self::run) opens them.
    ///
    /// # Errors
    /// [`ServerError`] when the repository is not there, the port is taken, or
    /// the system gives no thread.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(config: ServerConfig) -> Result<Self, ServerError> {
        if let Models::Repository(root) = &config.models {
            // Later it may vanish and come back; at the start it is a typing error.
            std::fs::read_dir(root)
                .map_err(|source| ServerError::Repository { path: root.display().to_string(), source })?;
        }
        let grpc_keys = config.grpc_tls.as_ref().map(|file| Keys::new(file, Protocols::Grpc)).transpose()?;
        let rest_keys = config.rest_tls.as_ref().map(|file| Keys::new(file, Protocols::Http)).transpose()?;
        let (mut sockets, mut grpc_address) = (Vec::new(), None);
        if let Some(wanted) = config.grpc_address {
            let grpc = take_port(Kind::Grpc, wanted, &config.grpc)?;
            grpc_address = Some(grpc.2);
            sockets.push(grpc);
        }
        let socket_file = config.grpc_socket.as_deref().map(SocketFile::bind).transpose()?;
        let mut rest_address = None;
        if let Some(wanted) = config.rest_address {
            match take_port(Kind::Http, wanted, &GrpcOptions::default()) {
                Ok(rest) => {
                    rest_address = Some(rest.2);
                    sockets.push(rest);
                }
                // Nobody asked for REST, and where it would be somebody else is.
                Err(error) if config.rest_may_be_absent => {
                    tracing::warn!(%error, "REST is not served; --rest_api_port=PORT chooses another port, 0 none");
                }
                Err(error) => return Err(error),
            }
        }

        let options = lifecycle::Options {
            num_load_threads: NonZeroUsize::new(config.load_threads).unwrap_or(NonZeroUsize::MIN),
            num_unload_threads: NonZeroUsize::new(config.unload_threads).unwrap_or(NonZeroUsize::MIN),
            retry_pause_first: config.retries.pause_first,
            retry_pause_max: config.retries.pause_max,
            retries_max: config.retries.most,
        };
        let (manager, catalog, states) = Manager::start(options).map_err(ServerError::Thread)?;
        let (tell, looks) = tokio::sync::watch::channel(Look::default());
        let (metrics, recorders) = Metrics::start(config.io_threads);
        let request_log = RequestLog::new(config.request_log.rotation, Some(Arc::clone(&metrics)));
        let counted = (request_log.clone(), Arc::clone(&metrics));
        let watch = Some(watch(&config, manager.clone(), counted, tell).map_err(ServerError::Thread)?);
        Ok(Self {
            config,
            sockets,
            grpc_address,
            rest_address,
            socket_file,
            grpc_keys,
            rest_keys,
            watch,
            manager,
            catalog,
            states,
            request_log,
            metrics,
            recorders,
            looks,
        })
    }

    /// Opens the ports and the socket. From here on clients can connect.
    pub(super) fn listen(&mut self) -> Result<Vec<(Kind, Listener)>, ServerError> {
        let sockets = std::mem::take(&mut self.sockets).into_iter();
        let listen = |(kind, socket, address): (Kind, TcpSocket, SocketAddr)| {
            let listener = socket.listen(limits::LISTEN_BACKLOG);
            let listener = listener.map_err(|source| ServerError::Listen { address, source })?;
            Ok((kind, Listener::Tcp(listener)))
        };
        let mut listeners: Vec<_> = sockets.map(listen).collect::<Result<_, ServerError>>()?;
        if let Some(file) = &mut self.socket_file {
            listeners.push((Kind::Grpc, file.listen()?));
        }
        Ok(listeners)
    }

    /// Where gRPC is, or will be, served; `None` when on a Unix socket alone.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_address
    }

    /// Where REST is, or will be, served; `None` when it is not.
    #[must_use]
    pub fn rest_address(&self) -> Option<SocketAddr> {
        self.rest_address
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// What became of each version.
    #[must_use]
    pub fn states(&self) -> &StateMonitor {
        &self.states
    }

    /// A data plane for one more I/O loop, or for whoever asks from within.
    #[must_use]
    pub fn data_plane(&self) -> DataPlane {
        DataPlane::new(self.catalog.reader(), Arc::clone(&self.states)).with_options(strictness(&self.config))
    }
}

fn strictness(config: &ServerConfig) -> dataplane::Options {
    dataplane::Options { signature_method_name_check: config.signature_method_name_check }
}

/// A bound socket, and the address that it got.
fn take_port(
    kind: Kind,
    address: SocketAddr,
    options: &GrpcOptions,
) -> Result<(Kind, TcpSocket, SocketAddr), ServerError> {
    let socket = io_loops::bind(address, options)?;
    let got = socket.local_addr().map_err(|source| ServerError::Listen { address, source })?;
    Ok((kind, socket, got))
}

/// Starts to look for models, and tells the manager what is found.
fn watch(
    config: &ServerConfig,
    manager: ManagerHandle<ModelLoader>,
    (log, metrics): (RequestLog, Arc<Metrics>),
    tell: tokio::sync::watch::Sender<Look>,
) -> std::io::Result<WatchHandle> {
    let pool_name = config.compute_thread_name.as_deref().unwrap_or("compute");
    let pool = ComputePool::named(pool_name, config.compute_threads)?;
    let mut to_log = request_log::Targets::new(config.request_log.clone());
    let loaders = Loaders {
        engines: Engines::new(config.engines.clone()),
        pool,
        lanes: LaneOptions { inline_below: config.inline_below, ..LaneOptions::default() },
        batching: config.batching.clone(),
        warm_up: config.warm_up.map(|times| WarmUp { times, options: strictness(config) }),
        metrics,
    };
    let mut stated = None;
    // A look that fails is no reason to unload anything, and is logged there.
    let sink = move |looked: Result<Rescan, SourceError>| {
        if let Ok(rescan) = looked {
            // Most looks find what the last one found. Telling it again would change
            // nothing, and costs a fifth of a poll of ten thousand models.
            if !stated.as_ref().is_some_and(|stated| Arc::ptr_eq(stated, &rescan.models)) {
                loaders.metrics.configure(rescan.models.keys());
                log.configure(to_log.of(&rescan.models));
                manager.aspire(loaders.aspired(&rescan));
                stated = Some(rescan.models);
            }
            // After it, so that whoever hears of the look can wait for the models.
            let is_settling = rescan.look_again_in.is_some();
            tell.send_replace(Look { edition: rescan.edition, is_settling, troubles: rescan.troubles });
        }
    };
    let options = |hints| WatchOptions { poll: config.poll, hints, follow_links: config.follow_symlinks };
    match reload::served(config) {
        Some(list) => {
            let list = list.unwrap_or_default();
            let mut source = ListSource::new(config.settle);
            source.configure(reload::places(&list, reload::FIRST_EDITION, config));
            repository::watch::spawn(source, options(reload::hints(&list)), sink)
        }
        None => {
            let Models::Repository(root) = &config.models else { unreachable!("all others have a list") };
            let source = RepositorySource::new(disk(root, config.follow_symlinks), config.settle);
            repository::watch::spawn(source, options(vec![root.clone()]), sink)
        }
    }
}

pub(super) fn disk(root: &Path, follow_symlinks: bool) -> Arc<dyn Storage> {
    let links = if follow_symlinks { LinkPolicy::Follow } else { LinkPolicy::Within };
    Arc::new(DiskStorage::new(root.to_owned(), links))
}

/// What all loaders share.
struct Loaders {
    engines: Engines,
    pool: Arc<ComputePool>,
    lanes: LaneOptions,
    batching: BatchingConfig,
    warm_up: Option<WarmUp>,
    metrics: Arc<Metrics>,
}

impl Loaders {
    /// The source's words in the lifecycle's: each version with its loader.
    fn aspired(&self, rescan: &Rescan) -> BTreeMap<ModelName, Aspired<ModelLoader>> {
        let model = |name: &ModelName, model: &AspiredModel| {
            let versions = model.versions.iter().map(|found| AspiredVersion {
                version: found.version,
                fingerprint: found.fingerprint,
                loader: ModelLoader {
                    dir: found.dir.clone(),
                    engines: self.engines.clone(),
                    model: model.engine,
                    platform: model.platform.clone(),
                    pool: Arc::clone(&self.pool),
                    options: self.lanes,
                    batching: self.batching.clone(),
                    own_batching: model.batching.clone(),
                    warm_up: self.warm_up,
                    metrics: self.metrics.version(name, found.version, || found.dir.display("")),
                },
            });
            Aspired {
                versions: versions.collect(),
                labels: model.labels.clone(),
                first_is_coming: model.first_is_coming,
            }
        };
        rescan.models.iter().map(|(name, found)| (name.clone(), model(name, found))).collect()
    }
}
