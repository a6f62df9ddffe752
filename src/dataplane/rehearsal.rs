//! Requests that a version answers before it is served.

use super::inference::{rehearse_all, rehearse_one};
use super::predict::{place, run_failure};
use super::{Inference, MultiInference, Options, Predict};
use crate::error::ServingError;
use crate::execution::Lane;
use crate::servable::Method;

/// A request for a version that is not served yet. Which model and version it
/// names, and until when, has no meaning.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names are those of the calls")]
pub enum Rehearsal {
    Predict(Predict),
    Classify(Inference),
    Regress(Inference),
    MultiInference(MultiInference),
}

/// Checks and runs one request as the call would, here and now, and forgets the
/// answer. Blocks for as long as it takes.
///
/// # Errors
/// Those of the call, in its words.
pub fn rehearse(lane: &Lane, request: Rehearsal, options: Options) -> Result<(), ServingError> {
    let check = options.signature_method_name_check;
    match request {
        Rehearsal::Predict(request) => {
            let placed =
                place(lane.servable(), &request.signature, request.inputs, &request.outputs_wanted, options)?;
            let answer = lane.rehearse(placed.position, placed.inputs, &placed.wanted);
            answer.map(drop).map_err(|error| run_failure(error.into()))
        }
        Rehearsal::Classify(request) => rehearse_one(lane, Method::Classify, request, check),
        Rehearsal::Regress(request) => rehearse_one(lane, Method::Regress, request, check),
        Rehearsal::MultiInference(request) => rehearse_all(lane, request, check),
    }
}
