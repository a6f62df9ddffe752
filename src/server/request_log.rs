//! What is recorded of each model: its own word, then the command line's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::RequestLogConfig;
use crate::ids::ModelName;
use crate::repository::{AspiredModel, Models};
use crate::request_log::Target;

/// Finds out what the request log is to record, each time the models have changed.
#[derive(Debug)]
pub(super) struct Targets {
    config: RequestLogConfig,
    /// The models that were said to have no place for their files.
    without_place: Vec<ModelName>,
}

impl Targets {
    pub(super) fn new(config: RequestLogConfig) -> Self {
        Self { config, without_place: Vec::new() }
    }

    /// What is to be recorded of these models.
    pub(super) fn of(&mut self, models: &Models) -> BTreeMap<ModelName, Target> {
        let mut without_place = Vec::new();
        let mut target = |(name, model): (&ModelName, &Arc<AspiredModel>)| {
            let (rate, own_prefix) = match (&model.request_log, &self.config.dir) {
                (Some(own), _) => (own.sampling_rate, own.filename_prefix.clone()),
                (None, Some((_, rate))) => (*rate, None),
                (None, None) => return None,
            };
            let in_dir = || Some(self.config.dir.as_ref()?.0.join(file_name(name.as_str())));
            match own_prefix.or_else(in_dir) {
                _ if rate.get() == 0.0 => None,
                Some(prefix) => Some((name.clone(), Target { prefix, rate })),
                None => {
                    without_place.push(name.clone());
                    None
                }
            }
        };
        let targets = models.iter().filter_map(&mut target).collect();
        if self.without_place != without_place {
            for name in &without_place {
                tracing::warn!(model = %name,
                    "[request_log] of model.toml has no effect without --request_log_dir, where files go");
            }
            self.without_place = without_place;
        }
        targets
    }
}

/// What files of this model are called: its name, of which a longer one than file
/// systems take is cut and told apart by its checksum.
fn file_name(name: &str) -> String {
    const NAME_BYTES_MAX: usize = 200;
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let end = (0..=NAME_BYTES_MAX).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    format!("{}-{:08x}", &name[..end], crc32c::crc32c(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::request_log::{RequestLogSettings, SamplingRate};

    #[test]
    fn a_model_goes_before_the_command_line_which_says_where() {
        let rate = |rate: f64| SamplingRate::try_from(rate).unwrap();
        let model = |own: Option<(f64, Option<&str>)>| {
            let request_log = own.map(|(part, prefix)| RequestLogSettings {
                sampling_rate: rate(part),
                filename_prefix: prefix.map(PathBuf::from),
            });
            Arc::new(AspiredModel { request_log, ..AspiredModel::default() })
        };
        let models: Models = [
            ("listed", Some((0.5, Some("/x/y")))),
            ("off", Some((0.0, None))),
            ("plain", None),
            ("toml", Some((1.0, None))),
        ]
        .into_iter()
        .map(|(name, own)| (ModelName::new(name).unwrap(), model(own)))
        .collect();
        let of = |dir: Option<(&str, f64)>| {
            let dir = dir.map(|(dir, part)| (PathBuf::from(dir), rate(part)));
            let mut targets = Targets::new(RequestLogConfig { dir, ..RequestLogConfig::default() });
            let found = targets.of(&models).into_iter();
            let found: Vec<_> =
                found.map(|(name, target)| (name.to_string(), target.prefix, target.rate.get())).collect();
            (found, targets.without_place)
        };
        let path = |name: &str, path: &str, part| (name.to_owned(), Path::new(path).to_owned(), part);
        let toml = ModelName::new("toml").unwrap();
        assert_eq!(of(None), (vec![path("listed", "/x/y", 0.5)], vec![toml]));
        let all =
            vec![path("listed", "/x/y", 0.5), path("plain", "/d/plain", 0.25), path("toml", "/d/toml", 1.0)];
        assert_eq!(of(Some(("/d", 0.25))), (all, vec![]));
        let own = vec![path("listed", "/x/y", 0.5), path("toml", "/d/toml", 1.0)];
        assert_eq!(of(Some(("/d", 0.0))), (own, vec![]));
    }
}
