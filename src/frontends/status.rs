//! What a failure looks like on the wire. No other file names a wire's code.

use tonic::Status;

use crate::error::{Code, ServingError};
use crate::limits;

/// The gRPC code of a failure. Written without a catch-all arm, so that a new
/// [`Code`] does not compile until someone has decided what clients see.
fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::Ok => tonic::Code::Ok,
        Code::Cancelled => tonic::Code::Cancelled,
        Code::Unknown => tonic::Code::Unknown,
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::OutOfRange => tonic::Code::OutOfRange,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::DataLoss => tonic::Code::DataLoss,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    }
}

/// A failure as gRPC sends it. The message is cut as the reference cuts it, at
/// [`limits::GRPC_ERROR_BYTES_MAX`] bytes, on a character's border.
#[must_use]
pub fn grpc_status(error: &ServingError) -> Status {
    let message = error.message();
    let code = grpc_code(error.code());
    if message.len() <= limits::GRPC_ERROR_BYTES_MAX {
        return Status::new(code, message);
    }
    let cut = message.floor_char_boundary(limits::GRPC_ERROR_BYTES_MAX);
    Status::new(code, format!("{}...TRUNCATED", &message[..cut]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_numbers() {
        for number in 0..=16 {
            let grpc = tonic::Code::from_i32(number);
            let ours = [
                Code::Ok,
                Code::Cancelled,
                Code::Unknown,
                Code::InvalidArgument,
                Code::DeadlineExceeded,
                Code::NotFound,
                Code::AlreadyExists,
                Code::PermissionDenied,
                Code::ResourceExhausted,
                Code::FailedPrecondition,
                Code::Aborted,
                Code::OutOfRange,
                Code::Unimplemented,
                Code::Internal,
                Code::Unavailable,
                Code::DataLoss,
                Code::Unauthenticated,
            ]
            .into_iter()
            .find(|code| *code as i32 == number)
            .expect("every canonical number has a code");
            assert_eq!(grpc_code(ours), grpc);
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
