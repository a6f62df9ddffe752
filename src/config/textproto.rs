//! Text-format protobuf: what the reference's configuration files are written in.

use std::sync::OnceLock;

use miette::Diagnostic as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::proto::FILE_DESCRIPTOR_SET;

/// Why a text is not a message. Lines and columns begin with 1; a column counts
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error parsing text-format {message}: {line}:{column}: {why}")]
pub struct NotTextProto {
    /// The message's full name.
    pub message: &'static str,
    /// Where.
    pub line: usize,
    /// Where in the line.
    pub column: usize,
    /// What was found there, and what was expected.
    pub why: String,
}

/// Reads a message from its text format. `name` is its full name:
/// `tensorflow.serving.ModelServerConfig`.
///
/// # Errors
/// [`NotTextProto`] for syntax, unknown fields and values that do not fit.
pub fn parse<M: prost::Message + Default>(name: &'static str, text: &str) -> Result<M, NotTextProto> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    let at = |offset: usize, why: String| {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or("");
        let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
        NotTextProto { message: name, line, column, why }
    };
    let pool =
        POOL.get_or_init(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|why| why.to_string()));
    let pool = pool.as_ref().map_err(|why| at(0, format!("our own descriptors are broken: {why}")))?;
    let descriptor =
        pool.get_message_by_name(name).ok_or_else(|| at(0, "there is no such message".to_owned()))?;
    let message = DynamicMessage::parse_text_format(descriptor, text).map_err(|error| {
        // Only an early end of the text has no place of its own.
        let place = error.labels().and_then(|mut labels| labels.next());
        at(place.map_or(text.len(), |label| label.offset()), error.to_string())
    })?;
    message.transcode_to().map_err(|why| at(0, why.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tensorflow::serving::BatchingParameters;

    const NAME: &str = "tensorflow.serving.BatchingParameters";

    #[test]
    fn reads_what_the_reference_reads() {
        let text = "# a comment\nmax_batch_size { value: 128 }\nallowed_batch_sizes: [2, 4]\n\
                    allowed_batch_sizes: 128 pad_variable_length_inputs: true";
        let read: BatchingParameters = parse(NAME, text).unwrap();
        assert_eq!(read.max_batch_size, Some(128));
        assert_eq!(read.allowed_batch_sizes, [2, 4, 128]);
        assert!(read.pad_variable_length_inputs);
        assert_eq!(read.batch_timeout_micros, None);
        assert_eq!(parse::<BatchingParameters>(NAME, "").unwrap(), BatchingParameters::default());
    }

    #[track_caller]
    fn refused(text: &str, place: &str, word: &str) {
        let why = parse::<BatchingParameters>(NAME, text).unwrap_err().to_string();
        let head = format!("Error parsing text-format {NAME}: {place}: ");
        assert!(why.starts_with(&head) && why.contains(word), "{why}");
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        refused("\nmax_batch { value: 1 }", "2:1", "max_batch");
        refused("max_batch_size { value: x }", "1:25", "x");
        refused("max_batch_size { value: 1", "1:26", "end of input");
        refused("# ü\n  pad_variable_length_inputs: 7", "2:31", "7");
        refused("max_batch_size: 5", "1:17", "5");
    }

    // Such a file may lie in a model's folder, and so come from anywhere.
    #[test]
    fn nested_text_gives_an_error_not_a_panic() {
        for part in
            ["max_batch_size {", "max_batch_size { value {", "a {", "a: <", "a: [", "[", "[a.b/c.D] {"]
        {
            let text = part.repeat(60_000 / part.len());
            assert!(parse::<BatchingParameters>(NAME, &text).is_err(), "{part}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_gives_an_error_not_a_panic(
            noise in "[a-z_{}<>\\[\\]:;,'\"\\\\0-9#. \\n-]{0,80}", cut in 0usize..60,
        ) {
            let good = "max_batch_size { value: 128 } allowed_batch_sizes: [2, 4] thread_pool_name { value: 'x' }";
            let _ = parse::<BatchingParameters>(NAME, &noise);
            let _ = parse::<BatchingParameters>(NAME, &format!("{}{noise}", &good[..cut]));
        }
    }
}
