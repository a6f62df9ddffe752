//! `MonitoringConfig`: whether metrics are served, and where.

use std::io::Read as _;
use std::path::Path;

use super::{ConfigError, invalid, textproto};
use crate::limits;
use crate::proto::tensorflow::serving::MonitoringConfig;

/// Where the metrics are when nothing else is said, as in the reference.
pub const DEFAULT_METRICS_PATH: &str = "/monitoring/prometheus/metrics";

const FLAG: &str = "monitoring_config_file";

/// The path of the metrics, after the file that the flag names; `None` when it turns
/// them off.
pub(super) fn metrics_path(file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    let Some(file) = file else { return Ok(Some(DEFAULT_METRICS_PATH.to_owned())) };
    let refused = |why: String| invalid(FLAG, format!("{}: {why}", file.display()));
    let text = read(file).map_err(refused)?;
    let config: MonitoringConfig = textproto::parse("tensorflow.serving.MonitoringConfig", &text)
        .map_err(|why| invalid(FLAG, format!("{why}\nInvalid protobuf file: '{}'", file.display())))?;
    match config.prometheus_config {
        None => Ok(Some(DEFAULT_METRICS_PATH.to_owned())),
        Some(prometheus) if !prometheus.enable => Ok(None),
        Some(prometheus) if prometheus.path.is_empty() => Ok(Some(DEFAULT_METRICS_PATH.to_owned())),
        Some(prometheus) if !is_path(&prometheus.path) => Err(refused(format!(
            "prometheus_config.path: expected a path such as {DEFAULT_METRICS_PATH}, got {:?}",
            prometheus.path
        ))),
        Some(prometheus) => Ok(Some(prometheus.path)),
    }
}

/// Whether a request can have it as its path, letter by letter.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
}

fn read(path: &Path) -> Result<String, String> {
    let max = limits::MONITORING_CONFIG_BYTES_MAX;
    let file = std::fs::File::open(path).map_err(|why| why.to_string())?;
    let mut content = Vec::new();
    // One byte more than is taken tells a file that is too long.
    file.take(max + 1).read_to_end(&mut content).map_err(|why| why.to_string())?;
    if content.len() as u64 > max {
        return Err(format!("it has more than {max} bytes"));
    }
    // What is no text becomes a character that no configuration holds, in its place.
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<Option<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        metrics_path(Some(file.path())).map_err(|why| why.to_string())
    }

    #[test]
    fn metrics_are_on_unless_they_are_turned_off() {
        let default = Ok(Some(DEFAULT_METRICS_PATH.to_owned()));
        assert_eq!(metrics_path(None).map_err(|why| why.to_string()), default);
        assert_eq!(path(""), default);
        assert_eq!(path("prometheus_config { enable: true }"), default);
        assert_eq!(path("prometheus_config { enable: true path: '/m' }"), Ok(Some("/m".to_owned())));
        assert_eq!(path("prometheus_config { enable: false }"), Ok(None));
        // As there, where `enable` that is not said is false.
        assert_eq!(path("prometheus_config { path: '/m' }"), Ok(None));
    }

    #[track_caller]
    fn refused(text: &str, want: &str) {
        let why = path(text).unwrap_err();
        assert!(why.starts_with("--monitoring_config_file: ") && why.contains(want), "{why}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        refused(
            "prometheus_config { enable: yes }",
            "Error parsing text-format tensorflow.serving.MonitoringConfig: 1:29: ",
        );
        refused("prometheus_config { enable: true path: 'metrics' }", "got \"metrics\"");
        refused("prometheus_config { enable: true path: '/a?b' }", "got \"/a?b\"");
        refused(&"#".repeat(70_000), "more than 65536 bytes");
        let why = metrics_path(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(why.starts_with("--monitoring_config_file: /nowhere/at/all: "), "{why}");
    }
}
