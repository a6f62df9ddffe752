//! gRPC as bytes on a connection of its own: what the server says, where a client
//! library would say something by its own clock.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use percent_encoding::percent_decode_str;
use tonic::Code;

/// A message, or what was said instead.
pub type Answer = Result<Bytes, (Code, String)>;

/// One HTTP/2 connection.
#[derive(Clone)]
pub struct Grpc {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Grpc {
    pub async fn open(address: SocketAddr) -> Self {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, address }
    }

    /// Calls `Service/Method` of `tensorflow.serving`. Dropping the future resets
    /// the stream, which is how gRPC cancels.
    pub async fn call(&self, method: &str, message: &[u8]) -> Answer {
        self.call_within(method, message, None).await
    }

    /// The same, with a deadline that the server alone looks at.
    pub async fn call_within(&self, method: &str, message: &[u8], timeout: Option<Duration>) -> Answer {
        let mut body = BytesMut::with_capacity(5 + message.len());
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).unwrap());
        body.put_slice(message);
        let mut request =
            hyper::Request::post(format!("http://{}/tensorflow.serving.{method}", self.address))
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        if let Some(timeout) = timeout {
            // At most eight digits.
            let (amount, unit) = match timeout.as_nanos() {
                nanos @ 0..100_000_000 => (nanos, 'n'),
                _ => (timeout.as_millis(), 'm'),
            };
            request = request.header("grpc-timeout", format!("{amount}{unit}"));
        }
        let request = request.body(Full::new(body.freeze())).unwrap();
        let mut sender = self.sender.clone();
        sender.ready().await.unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        let said = |name: &str| {
            let found = head.headers.get(name).or_else(|| trailers.as_ref()?.get(name));
            found.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        match Code::from_bytes(said("grpc-status").as_bytes()) {
            Code::Ok => {
                let mut framed = body.to_bytes();
                let head = framed.split_to(5);
                assert_eq!(usize::from(head[0]), 0, "compressed");
                Ok(framed)
            }
            code => {
                let text = said("grpc-message");
                Err((code, percent_decode_str(&text).decode_utf8().unwrap().into_owned()))
            }
        }
    }
}
