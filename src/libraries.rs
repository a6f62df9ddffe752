//! Where foreign libraries lie. Nothing is opened here: a file is only recognised,
//! by the symbols that it exports, so that what is no such library is never run.

use std::path::PathBuf;

/// Which library to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LibraryChoice {
    /// The first that is found in the usual places.
    #[default]
    Auto,
    /// None.
    Off,
    /// This file.
    Path(PathBuf),
}
