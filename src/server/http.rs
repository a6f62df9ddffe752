//! How a connection of the REST port is served: HTTP/1.1, or HTTP/2 for callers that
//! begin with its preface.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::frontends::tfs::rest::Door;
use crate::limits;

/// The REST port's side of one I/O loop.
#[derive(Debug, Clone)]
pub(super) struct HttpService {
    door: Door,
}

impl HttpService {
    pub(super) fn new(door: Door) -> Self {
        Self { door }
    }

    /// Serves one connection. To be driven by whoever spawned it.
    pub(super) fn connection<S>(&self, socket: S) -> HttpConnection<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::REST_READ_TIMEOUT)
            // As the reference writes them; scripts grep for `Content-Type`.
            .title_case_headers(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(limits::HTTP2_STREAMS_MAX);
        builder.serve_connection(TokioIo::new(socket), self.clone()).into_owned()
    }
}

/// One connection being served.
pub(super) type HttpConnection<S> = auto::Connection<'static, TokioIo<S>, HttpService, TokioExecutor>;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for HttpService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let door = self.door.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // Only a POST says something in its body; others' are left unread.
            let body = if parts.method == Method::POST { read(body).await } else { Ok(Bytes::new()) };
            let response = match body {
                Ok(body) => door.answer(&parts, body).await,
                Err(Unread(status, why)) => {
                    let mut response = door.refuse(&parts, status, &why);
                    // The rest of the body is still on its way.
                    if parts.version < hyper::Version::HTTP_2 {
                        let close = hyper::header::HeaderValue::from_static("close");
                        response.headers_mut().insert(hyper::header::CONNECTION, close);
                    }
                    response
                }
            };
            Ok(response.map(Full::new))
        })
    }
}

/// Why a body was not read, as the caller is told.
struct Unread(StatusCode, String);

/// The whole body, within [`limits::REST_BODY_BYTES_MAX`] bytes, of which each part
/// comes within [`limits::REST_READ_TIMEOUT`].
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let too_large = || {
        let text = format!("the body has more than {} bytes", limits::REST_BODY_BYTES_MAX);
        Unread(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > limits::REST_BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    // Most bodies come in one piece, and are not copied.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = tokio::time::timeout(limits::REST_READ_TIMEOUT, body.frame())
        .await
        .map_err(|_| Unread(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()))?
    {
        let frame = frame
            .map_err(|why| Unread(StatusCode::BAD_REQUEST, format!("the body could not be read: {why}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limits::REST_BODY_BYTES_MAX {
            return Err(too_large());
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
