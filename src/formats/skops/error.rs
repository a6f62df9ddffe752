//! What can be wrong with a skops file.

use std::borrow::Cow;

use crate::formats::pickle;

/// Why a file was refused, and where in the model that it describes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if place.is_empty() { String::new() } else { format!("{place}: ") })]
pub struct SkopsError {
    pub(super) place: String,
    /// In a box, so that those who carry this error on stay small.
    pub(super) problem: Box<Problem>,
}

impl SkopsError {
    /// `steps[1][1].coef_`; empty for the file's own object, or the file as a whole.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The archive is broken, or not one that is read.
    #[error("the zip archive {0}")]
    Archive(String),
    /// The description of the model is no JSON, or nests too deeply.
    #[error("schema.json: {0}")]
    Json(String),
    /// Something stands where something else belongs.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What belongs there.
        expected: Cow<'static, str>,
        /// What is there.
        found: String,
    },
    /// A way to write values that is not read.
    #[error("{class} is written as a {loader}, which is not read")]
    Loader {
        /// The class with its module.
        class: String,
        /// How skops says to load it.
        loader: String,
    },
    /// The file wants to make something that has no place in a model.
    #[error(
        "the file makes {0}, which no model needs: it was refused, and nothing in it was executed; \
         do not load this file in Python"
    )]
    Dangerous(String),
    /// A bound of this server's.
    #[error("{what} is {found}; at most {max} {unit} are read")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// The bound.
        max: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A value that no document holds.
    #[error(transparent)]
    Value(#[from] pickle::Problem),
}

impl Problem {
    pub(super) fn unexpected(expected: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Self {
        Self::Unexpected { expected: expected.into(), found: found.into() }
    }
}
