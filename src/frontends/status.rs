//! What a failure looks like on the wire. No other file names a wire's code.

use hyper::StatusCode;
use tonic::Status;

use crate::error::{Code, ServingError};
use crate::limits;

/// The gRPC code and the HTTP status of a failure, side by side. Written without
/// a catch-all arm, so that a new [`Code`] does not compile until someone has
/// decided what clients see. Source: the reference's REST API (its 499 is nginx's).
fn wire_codes(code: Code) -> (tonic::Code, u16) {
    match code {
        Code::Ok => (tonic::Code::Ok, 200),
        Code::Cancelled => (tonic::Code::Cancelled, 499),
        Code::Unknown => (tonic::Code::Unknown, 500),
        Code::InvalidArgument => (tonic::Code::InvalidArgument, 400),
        Code::DeadlineExceeded => (tonic::Code::DeadlineExceeded, 504),
        Code::NotFound => (tonic::Code::NotFound, 404),
        Code::AlreadyExists => (tonic::Code::AlreadyExists, 409),
        Code::PermissionDenied => (tonic::Code::PermissionDenied, 403),
        Code::ResourceExhausted => (tonic::Code::ResourceExhausted, 429),
        Code::FailedPrecondition => (tonic::Code::FailedPrecondition, 400),
        Code::Aborted => (tonic::Code::Aborted, 409),
        Code::OutOfRange => (tonic::Code::OutOfRange, 400),
        Code::Unimplemented => (tonic::Code::Unimplemented, 501),
        Code::Internal => (tonic::Code::Internal, 500),
        Code::Unavailable => (tonic::Code::Unavailable, 503),
        Code::DataLoss => (tonic::Code::DataLoss, 500),
        Code::Unauthenticated => (tonic::Code::Unauthenticated, 401),
    }
}

/// The HTTP status of a failure.
#[must_use]
pub fn http_status(code: Code) -> StatusCode {
    StatusCode::from_u16(wire_codes(code).1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A failure as gRPC sends it. The message is cut as the reference cuts it, at
/// [`limits::GRPC_ERROR_BYTES_MAX`] bytes, on a character's border.
#[must_use]
pub fn grpc_status(error: &ServingError) -> Status {
    let message = error.message();
    let (code, _) = wire_codes(error.code());
    if message.len() <= limits::GRPC_ERROR_BYTES_MAX {
        return Status::new(code, message);
    }
    let cut = message.floor_char_boundary(limits::GRPC_ERROR_BYTES_MAX);
    Status::new(code, format!("{}...TRUNCATED", &message[..cut]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the reference, by the numbers of the codes.
    const STATUSES: [u16; 17] =
        [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

    #[test]
    fn codes_keep_their_numbers() {
        for number in 0..=16 {
            let grpc = tonic::Code::from_i32(number);
            let ours = Code::ALL
                .into_iter()
                .find(|code| *code as i32 == number)
                .expect("every canonical number has a code");
            assert_eq!(wire_codes(ours).0, grpc);
            assert_eq!(http_status(ours).as_u16(), STATUSES[usize::try_from(number).unwrap()], "{grpc:?}");
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = grpc_status(&ServingError::not_found("é".repeat(600)));
        assert_eq!(status.message(), format!("{}...TRUNCATED", "é".repeat(512)));
        let status = grpc_status(&ServingError::not_found(format!("x{}", "é".repeat(600))));
        assert_eq!(status.message(), format!("x{}...TRUNCATED", "é".repeat(511)));
        assert_eq!(grpc_status(&ServingError::not_found("short")).message(), "short");
    }
}
