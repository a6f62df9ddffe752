//! TensorFlow's sessions, as the reference's flags configure them.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use clap::Args;
use prost::Message as _;

use super::{ConfigError, given, invalid, textproto};
use crate::engines::TensorflowOptions;
use crate::limits;
use crate::proto::tensorflow::{ConfigProto, GpuOptions};

/// The flags of SavedModels.
#[derive(Debug, Clone, Args)]
pub struct TensorflowFlags {
    /// Load the meta graph with these tags
    #[arg(
        long = "saved_model_tags",
        value_name = "TAG,TAG",
        default_value = "serve",
        help_heading = "TensorFlow"
    )]
    pub saved_model_tags: String,

    /// How sessions are made: a text-format ConfigProto
    #[arg(long = "tensorflow_session_config_file", value_name = "FILE", help_heading = "TensorFlow")]
    pub tensorflow_session_config_file: Option<OsString>,

    /// Threads for operations side by side and within; 0: TensorFlow's choice
    #[arg(
        long = "tensorflow_session_parallelism",
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "TensorFlow"
    )]
    pub tensorflow_session_parallelism: i64,

    /// Threads within one operation, for all SavedModels together; 0: one per core
    #[arg(
        long = "tensorflow_intra_op_parallelism",
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "TensorFlow"
    )]
    pub tensorflow_intra_op_parallelism: i64,

    /// Threads for operations side by side, when a model is loaded; 0: one per core
    #[arg(
        long = "tensorflow_inter_op_parallelism",
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "TensorFlow"
    )]
    pub tensorflow_inter_op_parallelism: i64,

    /// The part of a GPU's memory that a library built for GPUs may take
    #[arg(
        long = "per_process_gpu_memory_fraction",
        value_name = "FRACTION",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide = true,
        help_heading = "TensorFlow"
    )]
    pub per_process_gpu_memory_fraction: f32,

    /// Serve SavedModels that read or write files, use the network or run other code
    #[arg(long = "tensorflow_allow_file_ops", help_heading = "TensorFlow", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub tensorflow_allow_file_ops: bool,
}

impl TensorflowFlags {
    /// What they say, put into `options`.
    pub(super) fn resolve(&self, options: TensorflowOptions) -> Result<TensorflowOptions, ConfigError> {
        let file = given(self.tensorflow_session_config_file.as_ref());
        let mut config = file.map_or_else(|| Ok(ConfigProto::default()), |file| read(&file))?;
        let threads = |flag: &'static str, threads: i64| {
            i32::try_from(threads)
                .map_err(|_| invalid(flag, format!("expected an integer of 32 bits, got {threads}")))
        };
        let all = threads("tensorflow_session_parallelism", self.tensorflow_session_parallelism)?;
        let intra = threads("tensorflow_intra_op_parallelism", self.tensorflow_intra_op_parallelism)?;
        let inter = threads("tensorflow_inter_op_parallelism", self.tensorflow_inter_op_parallelism)?;
        if all > 0 && intra > 0 && inter > 0 {
            let why = "it cannot be set beside both --tensorflow_intra_op_parallelism and \
                       --tensorflow_inter_op_parallelism";
            return Err(invalid("tensorflow_session_parallelism", why.to_owned()));
        }
        // What no flag says is as the file says it.
        for (place, own) in [
            (&mut config.intra_op_parallelism_threads, intra),
            (&mut config.inter_op_parallelism_threads, inter),
        ] {
            let asked = if intra > 0 || inter > 0 { own } else { all };
            if asked > 0 {
                *place = asked;
            }
        }
        let fraction = f64::from(self.per_process_gpu_memory_fraction);
        if fraction > 0.0 {
            config.gpu_options.get_or_insert_with(GpuOptions::default).per_process_gpu_memory_fraction =
                fraction;
        }
        Ok(TensorflowOptions {
            allow_file_ops: self.tensorflow_allow_file_ops,
            tags: self.saved_model_tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
            session_config: config.encode_to_vec().into(),
            ..options
        })
    }
}

fn read(path: &Path) -> Result<ConfigProto, ConfigError> {
    const FLAG: &str = "tensorflow_session_config_file";
    let refused = |why: String| invalid(FLAG, format!("{}: {why}", path.display()));
    let max = limits::SESSION_CONFIG_BYTES_MAX;
    let file = std::fs::File::open(path).map_err(|why| refused(why.to_string()))?;
    let mut content = Vec::new();
    // One byte more than is taken tells a file that is too long.
    file.take(max + 1).read_to_end(&mut content).map_err(|why| refused(why.to_string()))?;
    if content.len() as u64 > max {
        return Err(refused(format!("it has more than {max} bytes")));
    }
    textproto::parse("tensorflow.ConfigProto", &String::from_utf8_lossy(&content))
        .map_err(|why| invalid(FLAG, format!("{why}\nInvalid protobuf file: '{}'", path.display())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: TensorflowFlags,
    }

    fn resolve(args: &[&str]) -> Result<TensorflowOptions, String> {
        let line = Line::try_parse_from(std::iter::once("longshore").chain(args.iter().copied()));
        let flags = line.map_err(|why| why.to_string())?.flags;
        flags.resolve(TensorflowOptions::default()).map_err(|why| why.to_string())
    }

    fn config(args: &[&str]) -> ConfigProto {
        ConfigProto::decode(resolve(args).unwrap().session_config).unwrap()
    }

    fn threads(args: &[&str]) -> (i32, i32) {
        let config = config(args);
        (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads)
    }

    #[test]
    fn nothing_said_is_tensorflows_own_choice() {
        assert_eq!(resolve(&[]).unwrap(), TensorflowOptions::default());
        assert_eq!(resolve(&["--saved_model_tags=serve,gpu"]).unwrap().tags, ["serve", "gpu"]);
        assert!(resolve(&["--saved_model_tags="]).unwrap().tags.is_empty());
        assert!(resolve(&["--tensorflow_allow_file_ops"]).unwrap().allow_file_ops);
    }

    #[test]
    fn threads_are_those_of_the_flags_and_else_of_the_file() {
        assert_eq!(threads(&["--tensorflow_session_parallelism=3"]), (3, 3));
        assert_eq!(threads(&["--tensorflow_intra_op_parallelism=3"]), (3, 0));
        // As in the reference, where either of the two leaves the third aside.
        let args = ["--tensorflow_session_parallelism=4", "--tensorflow_inter_op_parallelism=2"];
        assert_eq!(threads(&args), (0, 2));
        let all = [args[0], args[1], "--tensorflow_intra_op_parallelism=1"];
        assert!(resolve(&all).unwrap_err().contains("cannot be set beside both"));
        let wide = resolve(&["--tensorflow_session_parallelism=99999999999"]).unwrap_err();
        assert!(wide.contains("--tensorflow_session_parallelism: expected an integer of 32 bits"), "{wide}");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "intra_op_parallelism_threads: 5 allow_soft_placement: true").unwrap();
        let flag = format!("--tensorflow_session_config_file={}", file.path().display());
        assert_eq!(threads(&[&flag]), (5, 0));
        assert!(config(&[&flag]).allow_soft_placement);
        assert_eq!(threads(&[&flag, "--tensorflow_session_parallelism=2"]), (2, 2));
        let gpu = config(&[&flag, "--per_process_gpu_memory_fraction=0.5"]).gpu_options.unwrap();
        assert_eq!(gpu.per_process_gpu_memory_fraction, 0.5);
    }

    #[test]
    fn a_file_that_is_no_session_configuration_is_refused_with_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "intra_op_threads: 5").unwrap();
        let flag = format!("--tensorflow_session_config_file={}", file.path().display());
        let why = resolve(&[&flag]).unwrap_err();
        assert!(why.starts_with("--tensorflow_session_config_file: Error parsing text-format"), "{why}");
        assert!(why.contains("Invalid protobuf file: '"), "{why}");
        std::fs::write(file.path(), "#".repeat(70_000)).unwrap();
        assert!(resolve(&[&flag]).unwrap_err().contains("it has more than 65536 bytes"));
        assert!(
            resolve(&["--tensorflow_session_config_file=/none"]).unwrap_err().contains("/none: No such file")
        );
        assert!(resolve(&["--tensorflow_session_config_file="]).is_ok());
    }
}
