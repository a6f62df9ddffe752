//! Names: of models, versions and labels, and what a caller may ask for.
//!
//! A value of these types is valid from the moment it exists, so no room below
//! checks it again. Source: TensorFlow Serving `ServableId`, `ModelSpec`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits;

/// The name of a served model: one path component, at most
/// [`limits::MODEL_NAME_BYTES_MAX`] bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

/// Why a text is no [`ModelName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a model name: {1}")]
pub struct NotAModelName(String, &'static str);

impl ModelName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`NotAModelName`] when it is empty, too long, begins with a dot, or
    /// holds `/`, `\` or a control character.
    pub fn new(name: &str) -> Result<Self, NotAModelName> {
        let refuse = |why| Err(NotAModelName(name.chars().take(64).collect(), why));
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() > limits::MODEL_NAME_BYTES_MAX {
            return refuse("it is longer than 255 bytes");
        }
        if name.starts_with('.') {
            return refuse("it begins with a dot");
        }
        if name.chars().any(|c| c == '/' || c == '\\' || c.is_control()) {
            return refuse("it holds a slash, a backslash or a control character");
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = NotAModelName;

    fn from_str(name: &str) -> Result<Self, NotAModelName> {
        Self::new(name)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The number of a model version: 0 to `i64::MAX`, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(i64);

/// Why a folder name is no [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version: expected digits only, at most 9223372036854775807")]
pub struct NotAVersion(String);

impl Version {
    /// The lowest.
    pub const MIN: Self = Self(0);

    /// A version by number; `None` for a negative one.
    #[must_use]
    pub const fn new(number: i64) -> Option<Self> {
        if number < 0 { None } else { Some(Self(number)) }
    }

    /// The number, as it travels in `ModelSpec.version`.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads a folder name. `7` and `0000007` are the same version, as in
    /// TensorFlow Serving; a sign or a space is not taken.
    fn from_str(folder: &str) -> Result<Self, NotAVersion> {
        let digits_only = !folder.is_empty() && folder.bytes().all(|b| b.is_ascii_digit());
        match folder.parse::<i64>() {
            Ok(number) if digits_only => Ok(Self(number)),
            _ => Err(NotAVersion(folder.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One version of one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServableId {
    /// The model.
    pub name: ModelName,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for ServableId {
    /// As the reference prints it: `{name: half_plus_two version: 123}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{name: {} version: {}}}", self.name, self.version)
    }
}

/// Which version of a model a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionChoice {
    /// The highest version that is available.
    Latest,
    /// This one. Kept as sent, so that a negative number can be answered
    /// "not found" with the caller's own words.
    Specific(i64),
    /// The one that this label points at.
    Label(String),
}

/// What a caller asks for, as sent: the name may be of no model at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelQuery {
    /// The model's name, unchecked.
    pub name: String,
    /// Which of its versions.
    pub choice: VersionChoice,
}

impl fmt::Display for ModelQuery {
    /// As the reference prints a request: `Latest(m)`, `Specific(m, 3)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            VersionChoice::Latest => write!(f, "Latest({})", self.name),
            VersionChoice::Specific(version) => write!(f, "Specific({}, {version})", self.name),
            VersionChoice::Label(label) => write!(f, "Label({}, {label})", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_digits_with_leading_zeros_allowed() {
        assert_eq!("0000007".parse::<Version>().unwrap().get(), 7);
        assert_eq!("0".parse::<Version>().unwrap().get(), 0);
        for bad in ["", "+7", "-1", " 7", "7 ", "1.0", "v1", "1_tmp", "9223372036854775808", "١"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_model_name_is_one_path_component() {
        assert!(ModelName::new("linear_regression").is_ok());
        assert!(ModelName::new("prix été").is_ok());
        for bad in ["", ".", "..", ".tmp", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            assert!(ModelName::new(bad).is_err(), "{bad:?}");
        }
    }
}
