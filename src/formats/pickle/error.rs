//! What can be wrong with a pickle, said so that whoever wrote the file can act.

use std::borrow::Cow;
use std::fmt;

/// The compression around a pickle, told by the file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum Container {
    Zlib,
    Gzip,
    Bzip2,
    /// The format before xz; Python's `lzma.FORMAT_ALONE`.
    Lzma,
    Xz,
    /// The lz4 frame format.
    Lz4,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
        })
    }
}

/// Why a file was refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", self.place())]
pub struct PickleError {
    pub(super) offset: Option<u64>,
    pub(super) container: Option<Container>,
    /// In a box, so that those who carry this error on stay small.
    pub(super) problem: Box<Problem>,
}

impl PickleError {
    /// Bytes before the instruction that failed, counted in the uncompressed
    /// pickle; `None` when the file as a whole is at fault.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    fn place(&self) -> String {
        match (self.offset, self.container) {
            (Some(offset), None) => format!("byte {offset} of the pickle: "),
            (Some(offset), Some(container)) => {
                format!("byte {offset} of the {container}-compressed pickle: ")
            }
            (None, _) => String::new(),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file ends inside something.
    #[error(
        "the file ends here: {wanted} needs {needed} more bytes and {left} are left; was it copied whole?"
    )]
    Truncated {
        /// What was being read.
        wanted: Cow<'static, str>,
        /// How many bytes it needs.
        needed: u64,
        /// How many there are.
        left: u64,
    },
    /// Something stands where something else belongs.
    #[error("{place}: expected {expected}, found {found}")]
    Unexpected {
        /// The instruction or the part of a value.
        place: Cow<'static, str>,
        /// What belongs there.
        expected: Cow<'static, str>,
        /// What is there.
        found: String,
    },
    /// A part of the pickle format that no model file needs, or that cannot be read safely.
    #[error("{0}")]
    Unsupported(Cow<'static, str>),
    /// The pickle wants to call something that has no place in a model.
    #[error(
        "the pickle calls {0}, which no model needs: it was refused, and nothing in it was executed; \
         do not load this file in Python"
    )]
    Dangerous(String),
    /// A bound of this server's.
    #[error("{what} is {found}; at most {max} {unit} are read")]
    TooLarge {
        /// What is too large.
        what: Cow<'static, str>,
        /// How large it is.
        found: u64,
        /// The bound.
        max: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The compression around the pickle is broken.
    #[error("cannot decompress the {container} file: {reason}")]
    Broken {
        /// Which.
        container: Container,
        /// What the decompressor said.
        reason: String,
    },
    /// A file that expands like a bomb.
    #[error(
        "the {container} file of {bytes} bytes expands to more than {max}; \
         save the model without compression if that is meant"
    )]
    Bomb {
        /// Which.
        container: Container,
        /// The compressed size.
        bytes: u64,
        /// The bound, in bytes.
        max: u64,
    },
    /// Not a pickle at all.
    #[error("this is no pickle and no joblib file: {0}")]
    NotAPickle(Cow<'static, str>),
}

impl Problem {
    pub(super) fn unexpected(
        place: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<String>,
    ) -> Self {
        Self::Unexpected { place: place.into(), expected: expected.into(), found: found.into() }
    }
}
