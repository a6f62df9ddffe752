//! From an answer to what is counted of it.

use crate::dataplane::Served;
use crate::telemetry::Run;

/// The run behind an answer.
pub(super) fn run(served: &Served) -> Run<'_> {
    let times = served.times;
    let version = served.handle.metrics();
    Run { version, entered: times.entered, returned: times.returned, computed: times.computed }
}

/// The runs behind an answer that took several, one after the other, as one; `None`
/// when there was none.
pub(super) fn runs<'a>(all: impl IntoIterator<Item = &'a Served>) -> Option<Run<'a>> {
    let one_after = |so_far: Run<'a>, next: Run<'a>| Run {
        returned: next.returned,
        computed: so_far.computed + next.computed,
        ..so_far
    };
    all.into_iter().map(run).reduce(one_after)
}
