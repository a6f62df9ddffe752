//! Why a scikit-learn file is refused.

use std::fmt;

use crate::formats::pickle::PickleError;
use crate::formats::skops::SkopsError;

/// An estimator, for messages: its class, and where in the file it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// `LinearRegression`.
    pub class: String,
    /// `steps[1] ('clf')`; empty for the file's own object.
    pub place: String,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        if self.place.is_empty() { Ok(()) } else { write!(f, " at {}", shortened(&self.place)) }
    }
}

/// A place's two ends, when there are too many steps between them to read.
fn shortened(place: &str) -> String {
    const ENDS: usize = 60;
    let chars: Vec<char> = place.chars().collect();
    if chars.len() <= 2 * ENDS {
        return place.to_owned();
    }
    let (start, end) = (&chars[..ENDS], &chars[chars.len() - ENDS..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// Why a file is no model that can be served. Nothing in it was executed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is no pickle, or one that is not read.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// It is no skops file, or one that is not read.
    #[error(transparent)]
    Skops(#[from] SkopsError),
    /// Something else stands where an estimator belongs.
    #[error("{}{found}, which is no fitted estimator", if place.is_empty() { "the file holds ".to_owned() } else { format!("{} is ", shortened(place)) })]
    NotAnEstimator {
        /// Where; empty for the file's own object.
        place: String,
        /// What is there.
        found: String,
    },
    /// A class that the table does not have.
    #[error("class {whom} is not supported{}", nearest.as_ref().map_or_else(String::new, |class| format!("; the nearest supported class is {class}")))]
    UnknownClass {
        /// The class with its module, and its place.
        whom: Whom,
        /// A class of the table that is something like it.
        nearest: Option<String>,
    },
    /// What `fit` would have made is not there.
    #[error("{whom} is not fitted yet: it has no attribute {attribute}")]
    NotFitted {
        /// Which estimator.
        whom: Whom,
        /// What is missing.
        attribute: &'static str,
    },
    /// An attribute is not what it must be.
    #[error("{whom}: attribute {attribute} {why}")]
    Attribute {
        /// Whose.
        whom: Whom,
        /// Which.
        attribute: String,
        /// What is wrong with it: a predicate.
        why: String,
    },
    /// Estimators within estimators without end.
    #[error("{whom} lies deeper than {max} estimators within each other; does one contain itself?")]
    TooDeep {
        /// The one that is too deep.
        whom: Whom,
        /// The bound.
        max: usize,
    },
    /// One estimator stands in too many places, or there are too many.
    #[error("{whom} is one too many: at most {max} estimators are built, each counted wherever it stands")]
    TooMany {
        /// The one too many.
        whom: Whom,
        /// The bound.
        max: usize,
    },
    /// One array stands in too many places.
    #[error(
        "{whom}: attribute {attribute} shares its data with others; at most {max} bytes are copied for sharers"
    )]
    TooShared {
        /// Whose.
        whom: Whom,
        /// Which.
        attribute: String,
        /// The bound.
        max: usize,
    },
}
