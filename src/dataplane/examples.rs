//! What Classify, Regress and MultiInference take: serialized `tf.Example`s.

use bytes::Bytes;

use crate::error::ServingError;
use crate::limits;
use crate::tensor::Tensor;

/// The examples of one request, never decoded on the way to the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// One serialized `tf.Example` each.
    pub examples: Vec<Bytes>,
    /// A serialized `tf.Example` whose features all of them share, where they do
    /// not have their own; empty for none.
    pub context: Bytes,
}

impl Examples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The input of a model: DT_STRING `[n]`. One message after another is both of
    /// them merged, so a context is put before each example.
    pub(super) fn into_tensor(self) -> Result<Tensor, ServingError> {
        let Self { mut examples, context } = self;
        if examples.is_empty() {
            return Err(ServingError::invalid_argument("Input is empty."));
        }
        if examples.len() > limits::TENSOR_STRINGS_MAX {
            let text = format!(
                "a request has at most {} examples; got {}",
                limits::TENSOR_STRINGS_MAX,
                examples.len()
            );
            return Err(ServingError::invalid_argument(text));
        }
        if !context.is_empty() {
            let own = examples.iter().map(Bytes::len).sum::<usize>();
            let all = context.len().checked_mul(examples.len()).and_then(|shared| shared.checked_add(own));
            if all.is_none_or(|all| all > limits::TENSOR_BYTES_MAX) {
                let text = format!(
                    "{} examples with a context of {} bytes before each have more than {} bytes; send fewer",
                    examples.len(),
                    context.len(),
                    limits::TENSOR_BYTES_MAX
                );
                return Err(ServingError::invalid_argument(text));
            }
            for example in &mut examples {
                *example = [&context[..], &example[..]].concat().into();
            }
        }
        Ok(Tensor::vector(examples.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn of(context: &'static [u8], examples: &[&'static [u8]]) -> Examples {
        let examples = examples.iter().map(|bytes| Bytes::from_static(bytes)).collect();
        Examples { examples, context: Bytes::from_static(context) }
    }

    #[test]
    fn a_context_stands_before_each_example() {
        let tensor = |context, examples: &[&'static [u8]]| of(context, examples).into_tensor().unwrap();
        assert_eq!(tensor(b"", &[b"a", b""]), Tensor::vector(of(b"", &[b"a", b""]).examples.into()));
        assert_eq!(tensor(b"c", &[b"a", b""]), Tensor::vector(of(b"", &[b"ca", b"c"]).examples.into()));
    }

    #[test]
    fn no_examples_are_an_error() {
        for empty in [of(b"", &[]), of(b"c", &[])] {
            let error = empty.into_tensor().unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "Input is empty."));
        }
    }

    #[test]
    fn a_context_cannot_be_multiplied_without_end() {
        let large = Bytes::from(vec![0; 1 << 20]);
        let examples = vec![Bytes::new(); 257];
        let refused = Examples { examples, context: large }.into_tensor().unwrap_err();
        assert_eq!(
            refused.message(),
            "257 examples with a context of 1048576 bytes before each have more than 268435456 bytes; send fewer"
        );
    }
}
