//! What is recorded of each model: its own word, then the command line's.

use std::collections::BTreeMap;

use crate::config::RequestLogConfig;
use crate::ids::ModelName;
use crate::repository::{AspiredModel, Models};
use crate::request_log::Target;

/// What the request log is to record of these models.
pub(super) fn targets(models: &Models, config: &RequestLogConfig) -> BTreeMap<ModelName, Target> {
    let target = |(name, model): (&ModelName, &std::sync::Arc<AspiredModel>)| {
        let target = match (&model.request_log, &config.dir) {
            (Some(own), dir) => {
                let own_prefix = own.filename_prefix.clone();
                let prefix = own_prefix.or_else(|| Some(dir.as_ref()?.0.join(name.as_str())));
                if prefix.is_none() {
                    tracing::warn!(model = %name,
                        "[request_log] of model.toml has no effect without --request_log_dir, where files go");
                }
                Target { prefix: prefix?, rate: own.sampling_rate }
            }
            (None, Some((dir, rate))) => Target { prefix: dir.join(name.as_str()), rate: *rate },
            (None, None) => return None,
        };
        (target.rate.get() > 0.0).then(|| (name.clone(), target))
    };
    models.iter().filter_map(target).collect()
}
