//! Which version a caller means, and what to say when it cannot be had.

use crate::error::{Code, ServingError};
use crate::execution::Lane;
use crate::ids::{ModelQuery, VersionChoice};
use crate::lifecycle::{Handle, Miss, Reader, StateMonitor, VersionStatus};

pub(super) fn find(models: &Reader<Lane>, query: &ModelQuery) -> Result<Handle<Lane>, ServingError> {
    models.handle(query).map_err(|miss| not_found(query, miss))
}

#[cold]
fn not_found(query: &ModelQuery, miss: Miss) -> ServingError {
    if query.name.is_empty() {
        return ServingError::invalid_argument("ModelSpec has no name specified.");
    }
    let text = format!("Servable not found for request: {query}");
    match (miss, &query.choice) {
        (Miss::UnknownLabel, VersionChoice::Label(label)) => {
            ServingError::invalid_argument(format!("Unrecognized servable version label: {label}"))
        }
        (Miss::UnknownModel | Miss::UnknownVersion(_) | Miss::UnknownLabel, _) => {
            ServingError::not_found(text)
        }
        // The reference says NOT_FOUND here too, and a caller cannot tell a model
        // that is about to be there from one that never will be.
        (Miss::NotReady { why, .. }, _) => ServingError::new(Code::Unavailable, format!("{text} ({why})")),
    }
}

pub(super) fn status(
    states: &StateMonitor,
    model: &str,
    version: Option<i64>,
) -> Result<Vec<VersionStatus>, ServingError> {
    let mut versions = states.versions(model).unwrap_or_default();
    if let Some(number) = version {
        versions.retain(|status| status.version.get() == number);
    }
    match (versions.is_empty(), version) {
        (false, _) => Ok(versions),
        (true, None) => Err(ServingError::not_found(format!("Could not find any versions of model {model}"))),
        (true, Some(number)) => {
            let text = format!("Could not find version {number} of model {model}");
            Err(ServingError::not_found(text))
        }
    }
}
