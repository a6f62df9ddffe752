//! Which foreign libraries the engines use.

use crate::engines::{EngineOptions, TensorflowOptions};
use crate::libraries::LibraryChoice;

/// Flags that say where they are.
#[derive(Debug, Clone, clap::Args)]
pub struct LibraryFlags {
    /// ONNX Runtime, for neural ONNX graphs: auto, off, or the library's file
    #[arg(
        long = "onnxruntime_library",
        value_name = "auto|off|FILE",
        default_value = "auto",
        help_heading = "Engines"
    )]
    pub onnxruntime_library: String,

    /// TensorFlow, for SavedModels: auto, off, or the library's file
    #[arg(
        long = "tensorflow_library",
        value_name = "auto|off|FILE",
        default_value = "auto",
        help_heading = "Engines"
    )]
    pub tensorflow_library: String,
}

impl LibraryFlags {
    /// What they mean for the engines.
    #[must_use]
    pub fn resolve(&self) -> EngineOptions {
        EngineOptions {
            onnxruntime: choice(&self.onnxruntime_library),
            tensorflow: TensorflowOptions {
                library: choice(&self.tensorflow_library),
                ..TensorflowOptions::default()
            },
        }
    }
}

fn choice(text: &str) -> LibraryChoice {
    match text {
        "auto" | "" => LibraryChoice::Auto,
        "off" => LibraryChoice::Off,
        path => LibraryChoice::Path(path.into()),
    }
}
