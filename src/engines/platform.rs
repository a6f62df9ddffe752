//! Which kind of model a version's folder holds, told by the names in it.

use std::fmt;

use crate::storage::{Entry, EntryKind};

/// The kind of a model file. Source: the table of platforms in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the libraries'")]
pub enum Platform {
    Sklearn,
    Xgboost,
    Lightgbm,
    Onnx,
    Tensorflow,
    Tflite,
}

impl Platform {
    /// Every platform, in the order in which messages list them.
    pub const ALL: [Self; 6] =
        [Self::Sklearn, Self::Xgboost, Self::Lightgbm, Self::Onnx, Self::Tensorflow, Self::Tflite];

    /// Its name in configuration files, signatures and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sklearn => "sklearn",
            Self::Xgboost => "xgboost",
            Self::Lightgbm => "lightgbm",
            Self::Onnx => "onnx",
            Self::Tensorflow => "tensorflow",
            Self::Tflite => "tflite",
        }
    }

    /// The files that it is recognised by, the usual one first.
    #[must_use]
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Sklearn => &["model.pkl", "model.joblib", "model.pickle", "model.skops"],
            Self::Xgboost => &["model.json", "model.ubj"],
            Self::Lightgbm => &["model.txt"],
            Self::Onnx => &["model.onnx"],
            Self::Tensorflow => &["saved_model.pb"],
            Self::Tflite => &["model.tflite"],
        }
    }

    /// Whether `file`, under whatever name, ends as this platform's files do. A
    /// SavedModel is a folder of many files and is known by its exact name only.
    fn owns_ending_of(self, file: &str) -> bool {
        let Some((_, ending)) = file.rsplit_once('.') else { return false };
        self != Self::Tensorflow
            && self
                .files()
                .iter()
                .filter_map(|known| known.rsplit_once('.'))
                .any(|(_, known)| known == ending)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a version's folder holds: a platform, and the file to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The kind of model.
    pub platform: Platform,
    /// The file that made it that.
    pub file: String,
}

/// Why a folder is not one model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// Nothing in it is known.
    #[error("no model file: the folder holds {found}; expected one of {}", expected())]
    Nothing {
        /// What was there instead.
        found: String,
    },
    /// More than one file could be meant.
    #[error("more than one model file: {found}; expected exactly one of {}", expected())]
    Several {
        /// The candidates, each with its platform.
        found: String,
    },
}

fn expected() -> String {
    let kinds: Vec<String> = Platform::ALL
        .iter()
        .map(|platform| format!("{} ({platform})", platform.files().join(", ")))
        .collect();
    kinds.join(", ")
}

/// At most this many names go into a message: enough to see what is wrong.
const NAMES_SHOWN: usize = 8;

fn listed(names: Vec<String>) -> String {
    match names.len() {
        0 => "nothing".to_owned(),
        1..=NAMES_SHOWN => names.join(", "),
        more => format!("{} and {} more", names[..NAMES_SHOWN].join(", "), more - NAMES_SHOWN),
    }
}

/// The one model that a folder with these `entries` holds.
///
/// A file with one of the well-known names decides, whatever lies beside it.
/// Without one, a single file with one of their endings does. Hidden files are
/// not looked at, nor is `model.toml`, nor are folders such as `assets.extra`.
///
/// # Errors
/// [`DetectError`] when there is none, or more than one could be meant.
pub fn detect(entries: &[Entry]) -> Result<Detected, DetectError> {
    let visible = || entries.iter().filter(|entry| !entry.name.starts_with('.'));
    let files: Vec<&str> = visible()
        .filter(|entry| matches!(entry.kind, EntryKind::File { .. }) && entry.name != "model.toml")
        .map(|entry| entry.name.as_str())
        .collect();
    let candidates = |wanted: fn(Platform, &str) -> bool| -> Vec<Detected> {
        let kinds_of = |file| Platform::ALL.into_iter().filter(move |&platform| wanted(platform, file));
        let of = |&file| kinds_of(file).map(move |platform| Detected { platform, file: String::from(file) });
        files.iter().flat_map(of).collect()
    };
    let mut found = candidates(|platform, file| platform.files().contains(&file));
    if found.is_empty() {
        found = candidates(Platform::owns_ending_of);
    }
    if found.len() > 1 {
        let names = found.iter().map(|one| format!("{} ({})", one.file, one.platform)).collect();
        return Err(DetectError::Several { found: listed(names) });
    }
    found.pop().ok_or_else(|| {
        let name = |entry: &Entry| match entry.kind {
            EntryKind::File { .. } => entry.name.clone(),
            EntryKind::Folder { .. } | EntryKind::Unreachable { .. } => format!("{}/", entry.name),
        };
        DetectError::Nothing { found: listed(visible().map(name).collect()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |name: &&str| match name.strip_suffix('/') {
            Some(folder) => Entry { name: folder.to_owned(), kind: EntryKind::Folder { modified: None } },
            None => Entry { name: (*name).to_owned(), kind: EntryKind::File { bytes: 1, modified: None } },
        };
        names.iter().map(entry).collect()
    }

    #[track_caller]
    fn finds(names: &[&str], platform: Platform, file: &str) {
        assert_eq!(detect(&entries(names)), Ok(Detected { platform, file: file.to_owned() }));
    }

    #[test]
    fn each_well_known_file_is_its_platform() {
        for platform in Platform::ALL {
            for file in platform.files() {
                finds(&[file], platform, file);
            }
        }
    }

    #[test]
    fn a_well_known_name_decides_whatever_lies_beside_it() {
        finds(&["README.txt", "metrics.json", "model.pkl"], Platform::Sklearn, "model.pkl");
        finds(&["model.onnx", "model.onnx.data", "weights.bin"], Platform::Onnx, "model.onnx");
        finds(&["assets.extra/", "saved_model.pb", "variables/"], Platform::Tensorflow, "saved_model.pb");
        finds(&[".model.pkl.swp", ".hidden.pkl", "model.pkl", "model.toml"], Platform::Sklearn, "model.pkl");
    }

    #[test]
    fn a_single_file_with_the_right_ending_may_have_another_name() {
        finds(&["house prices.joblib"], Platform::Sklearn, "house prices.joblib");
        finds(&["booster.ubj", "model.toml", "notes.md"], Platform::Xgboost, "booster.ubj");
    }

    #[test]
    fn what_is_not_one_model_is_refused_with_what_is_there() {
        let nothing = detect(&entries(&[])).unwrap_err().to_string();
        assert!(nothing.starts_with("no model file: the folder holds nothing; expected one of model.pkl, "));
        assert!(nothing.ends_with("saved_model.pb (tensorflow), model.tflite (tflite)"), "{nothing}");

        // A graph without its well-known name is no SavedModel, and a folder is no file.
        let unknown = detect(&entries(&["frozen.pb", "model.pkl/", ".a.pkl"])).unwrap_err().to_string();
        assert!(unknown.starts_with("no model file: the folder holds frozen.pb, model.pkl/; "), "{unknown}");

        for (names, found) in [
            (&["model.joblib", "model.pkl"][..], "model.joblib (sklearn), model.pkl (sklearn)"),
            (&["model.onnx", "model.pkl"][..], "model.onnx (onnx), model.pkl (sklearn)"),
            (&["a.pkl", "requirements.txt"][..], "a.pkl (sklearn), requirements.txt (lightgbm)"),
        ] {
            let several = detect(&entries(names)).unwrap_err().to_string();
            assert!(several.starts_with(&format!("more than one model file: {found}; ")), "{several}");
        }

        let crowd: Vec<String> = (0..20).map(|i| format!("{i}.md")).collect();
        let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
        let many = detect(&entries(&crowd)).unwrap_err().to_string();
        assert!(many.contains("7.md and 12 more; "), "{many}");
    }
}
