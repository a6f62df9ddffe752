//! `--grpc_channel_arguments`: those of gRPC's channel arguments that mean
//! something for a server that is not gRPC's own.
//! Source: `grpc/impl/channel_arg_names.h`.

use std::time::Duration;

use crate::limits;

/// How connections of the gRPC port are kept. `None` is our own default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrpcOptions {
    /// After this long a connection is told to go away (give or take a tenth).
    pub connection_age_max: Option<Duration>,
    /// And closed after this long more, whatever is in flight.
    pub connection_age_grace: Option<Duration>,
    /// So long without a request, and a connection is told to go away.
    pub connection_idle_max: Option<Duration>,
    /// A caller has so long to make a connection of a socket; a default when not said.
    pub handshake_timeout: Option<Duration>,
    /// A ping after so long without a sign of life.
    pub keepalive_time: Option<Duration>,
    /// And the end when it is not answered for so long.
    pub keepalive_timeout: Option<Duration>,
    /// Requests in flight on one connection.
    pub concurrent_streams_max: Option<u32>,
    /// Bytes of a request.
    pub receive_bytes_max: Option<usize>,
    /// Bytes of an answer.
    pub send_bytes_max: Option<usize>,
    /// Bytes of one HTTP/2 frame that comes in.
    pub frame_bytes_max: Option<u32>,
    /// Bytes of a request's header list.
    pub header_bytes_max: Option<u32>,
    /// Flow-control window of one request, in bytes.
    pub stream_window_bytes: Option<u32>,
    /// Whether answers go gzipped to callers who take that.
    pub compresses: bool,
    /// Whether the port may be taken while connections of an earlier server linger
    /// there; yes when not said.
    pub reuse_address: Option<bool>,
    /// Whether other processes may listen on the port too; no when not said.
    pub reuse_port: Option<bool>,
}

/// The names that are honoured, and as what. `docs/flags.md` shows this table.
pub const CHANNEL_ARGUMENTS: &[(&str, &str)] = &[
    ("grpc.max_connection_age_ms", "GOAWAY after this long, give or take a tenth; 2147483647 is never"),
    ("grpc.max_connection_age_grace_ms", "then closed after this long"),
    ("grpc.max_connection_idle_ms", "GOAWAY after this long without a request; 2147483647 is never"),
    ("grpc.server_handshake_timeout_ms", "how long a TLS handshake may take; 10000 when not said"),
    ("grpc.keepalive_time_ms", "a ping after this long without a sign of life"),
    ("grpc.keepalive_timeout_ms", "closed when that is not answered for this long; 20000 when not said"),
    ("grpc.max_concurrent_streams", "requests in flight on one connection, at most 1024"),
    ("grpc.max_receive_message_length", "bytes of a request, at most 320 MiB; -1 is the most"),
    ("grpc.max_send_message_length", "the same of an answer"),
    ("grpc.http2.max_frame_size", "bytes of one HTTP/2 frame that comes in, 16384 to 16777215"),
    ("grpc.http2.lookahead_bytes", "flow-control window of one request in bytes; 4 MiB when not said"),
    ("grpc.max_metadata_size", "bytes of a request's headers, 16384 when not said"),
    ("grpc.absolute_max_metadata_size", "the same; the larger of the two counts"),
    ("grpc.default_compression_algorithm", "1 or 2: answers go gzipped to callers who take that"),
    ("grpc.default_compression_level", "1 to 3: the same as gzip"),
    ("grpc.so_reuseaddr", "0: the port must be entirely free"),
    ("grpc.so_reuseport", "1: other processes may listen on the port too"),
];

/// The value that means "for ever" among gRPC's milliseconds.
const INT_MAX: i64 = i32::MAX as i64;

impl GrpcOptions {
    /// Reads `name=value,name=value`. Gives what there is to warn of beside.
    ///
    /// # Errors
    /// An entry without `=`, or a value that does not fit its name, in words.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let (mut options, mut warnings) = (Self::default(), Vec::new());
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let Some((name, value)) = entry.split_once('=') else {
                return Err(format!("expected name=value, got {entry:?}"));
            };
            let number = || {
                let number = value.parse::<i32>().ok().filter(|number| *number >= -1);
                number.map(i64::from).ok_or_else(|| format!("{name}: expected an integer, got {value:?}"))
            };
            let pause = || {
                number().map(|ms| {
                    let is_for_ever = ms == INT_MAX || ms < 0;
                    (!is_for_ever).then(|| Duration::from_millis(ms.unsigned_abs()))
                })
            };
            let between =
                |least: u32, most: u32| number().map(|n| u32::try_from(n).unwrap_or(most).clamp(least, most));
            let bytes = || {
                let most = limits::MESSAGE_BYTES_MAX;
                number().map(|n| Some(usize::try_from(n).map_or(most, |n| n.min(most))))
            };
            match name {
                "grpc.max_connection_age_ms" => options.connection_age_max = pause()?,
                "grpc.max_connection_age_grace_ms" => options.connection_age_grace = pause()?,
                "grpc.max_connection_idle_ms" => options.connection_idle_max = pause()?,
                // For ever is no bound, and there has to be one.
                "grpc.server_handshake_timeout_ms" => options.handshake_timeout = pause()?,
                "grpc.keepalive_time_ms" => options.keepalive_time = pause()?,
                "grpc.keepalive_timeout_ms" => options.keepalive_timeout = pause()?,
                "grpc.max_concurrent_streams" => {
                    let most = limits::HTTP2_STREAMS_MAX;
                    options.concurrent_streams_max =
                        Some(u32::try_from(number()?).map_or(most, |n| n.clamp(1, most)));
                }
                "grpc.max_receive_message_length" => options.receive_bytes_max = bytes()?,
                "grpc.max_send_message_length" => options.send_bytes_max = bytes()?,
                "grpc.http2.max_frame_size" => options.frame_bytes_max = Some(between(16_384, (1 << 24) - 1)?),
                "grpc.http2.lookahead_bytes" => {
                    options.stream_window_bytes = Some(between(1, limits::HTTP2_CONNECTION_WINDOW_BYTES)?);
                }
                "grpc.max_metadata_size" | "grpc.absolute_max_metadata_size" => {
                    let bytes = between(1, limits::HTTP2_HEADER_BYTES_MAX)?;
                    options.header_bytes_max = options.header_bytes_max.max(Some(bytes));
                }
                "grpc.default_compression_algorithm" | "grpc.default_compression_level" => {
                    // Whoever reads deflate reads gzip.
                    options.compresses |= number()? > 0;
                }
                // It is always so here, and costs a ping.
                "grpc.keepalive_permit_without_calls" if number()? != 0 => {}
                "grpc.so_reuseaddr" => options.reuse_address = Some(number()? != 0),
                "grpc.so_reuseport" => options.reuse_port = Some(number()? != 0),
                _ => warnings.push(format!(
                    "--grpc_channel_arguments: {name} has no effect: it means something to gRPC's own server only"
                )),
            }
        }
        Ok((options, warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_read_and_the_rest_is_warned_of() {
        let (options, warnings) = GrpcOptions::parse(
            "grpc.max_connection_age_ms=2000,grpc.so_reuseaddr=0,grpc.max_receive_message_length=-1,\
             grpc.max_send_message_length=1024,grpc.max_concurrent_streams=7,grpc.optimization_target=latency",
        )
        .unwrap();
        let want = GrpcOptions {
            connection_age_max: Some(Duration::from_secs(2)),
            reuse_address: Some(false),
            receive_bytes_max: Some(limits::MESSAGE_BYTES_MAX),
            send_bytes_max: Some(1024),
            concurrent_streams_max: Some(7),
            ..GrpcOptions::default()
        };
        assert_eq!(options, want);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("grpc.optimization_target has no effect"), "{warnings:?}");
        assert_eq!(GrpcOptions::parse("").unwrap(), (GrpcOptions::default(), vec![]));
        let (options, _) = GrpcOptions::parse(
            "grpc.absolute_max_metadata_size=65536,grpc.max_metadata_size=1024,grpc.http2.max_frame_size=1,\
             grpc.default_compression_level=0,grpc.max_connection_idle_ms=250,grpc.keepalive_permit_without_calls=1",
        )
        .unwrap();
        let want = GrpcOptions {
            header_bytes_max: Some(65_536),
            frame_bytes_max: Some(16_384),
            connection_idle_max: Some(Duration::from_millis(250)),
            ..GrpcOptions::default()
        };
        assert_eq!(options, want);
        assert_eq!(
            GrpcOptions::parse("grpc.max_connection_age_ms=2147483647").unwrap().0.connection_age_max,
            None
        );
    }

    #[test]
    fn every_name_of_the_table_is_read() {
        for (name, _) in CHANNEL_ARGUMENTS {
            let (options, warnings) = GrpcOptions::parse(&format!("{name}=2")).unwrap();
            assert!(options != GrpcOptions::default() && warnings.is_empty(), "{name}");
            assert!(GrpcOptions::parse(&format!("{name}=x")).unwrap_err().contains(name), "{name}");
        }
    }

    #[test]
    fn an_entry_without_a_value_is_named() {
        let why = GrpcOptions::parse("grpc.so_reuseport=1,grpc.so_reuseaddr").unwrap_err();
        assert_eq!(why, "expected name=value, got \"grpc.so_reuseaddr\"");
    }
}
