//! The transition policy: what to do next with one model's versions.

use super::state::State;
use crate::ids::Version;

/// One version as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) version: Version,
    pub(super) state: State,
    /// Whether it should be served.
    pub(super) aspired: bool,
    /// Whether a version that failed may be tried again now.
    pub(super) retry_due: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Load(Version),
    Unload(Version),
}

/// The next action for one servable stream, at most one, availability first:
/// a version that should no longer be served stays until one that should be is
/// ready, unless none is wanted at all.
///
/// `versions` is in ascending order. Loads of one model run one after another,
/// highest version first, so that the newest is ready as soon as it can be; one
/// that is no longer wanted does not hold up the others.
/// Source: TensorFlow Serving `AvailabilityPreservingPolicy::GetNextAction`,
/// without its server-wide limit of one action per 100 ms.
pub(super) fn next_action(versions: &[Candidate]) -> Option<Action> {
    let is_ready = |candidate: &&Candidate| candidate.state == State::Available;
    let aspired = || versions.iter().filter(|candidate| candidate.aspired);
    let mut surplus = versions.iter().filter(|candidate| !candidate.aspired).filter(is_ready);

    if let Some(lowest) = surplus.next() {
        let nothing_wanted = aspired().next().is_none();
        let successor_ready = aspired().any(|candidate| is_ready(&candidate));
        let another_surplus = surplus.next().is_some();
        if nothing_wanted || successor_ready || another_surplus {
            return Some(Action::Unload(lowest.version));
        }
    }
    if aspired().any(|candidate| candidate.state == State::Loading) {
        return None;
    }
    aspired()
        .rfind(|candidate| match candidate.state {
            State::Start => true,
            State::Failed => candidate.retry_due,
            State::Loading | State::Available | State::Unloading | State::Ended => false,
        })
        .map(|candidate| Action::Load(candidate.version))
}

#[cfg(test)]
mod tests {
    use super::State::{Available, Ended, Failed, Loading, Start, Unloading};
    use super::*;

    const ASPIRED: bool = true;
    const UNASPIRED: bool = false;

    fn load(version: i64) -> Option<Action> {
        Some(Action::Load(Version::new(version).unwrap()))
    }

    fn unload(version: i64) -> Option<Action> {
        Some(Action::Unload(Version::new(version).unwrap()))
    }

    #[track_caller]
    fn check(stream: &[(i64, State, bool)], want: Option<Action>) {
        check_when(false, stream, want);
    }

    #[track_caller]
    fn check_when(retry_due: bool, stream: &[(i64, State, bool)], want: Option<Action>) {
        let versions: Vec<_> = stream
            .iter()
            .map(|&(version, state, aspired)| Candidate {
                version: Version::new(version).unwrap(),
                state,
                aspired,
                retry_due,
            })
            .collect();
        assert_eq!(next_action(&versions), want, "{stream:?}");
    }

    #[test]
    fn does_nothing_with_nothing() {
        check(&[], None);
    }

    #[test]
    fn loads_the_first_version() {
        check(&[(1, Start, ASPIRED)], load(1));
    }

    #[test]
    fn loads_the_highest_new_version_first() {
        check(&[(1, Start, ASPIRED), (2, Start, ASPIRED), (3, Start, ASPIRED)], load(3));
        check(&[(1, Start, ASPIRED), (2, Start, ASPIRED), (3, Available, ASPIRED)], load(2));
    }

    #[test]
    fn loads_of_one_model_run_one_after_another() {
        check(&[(1, Start, ASPIRED), (2, Loading, ASPIRED)], None);
    }

    #[test]
    fn a_load_that_nobody_wants_any_more_holds_up_nobody() {
        check(&[(1, Loading, UNASPIRED), (2, Start, ASPIRED)], load(2));
    }

    #[test]
    fn keeps_the_old_version_while_the_new_one_loads() {
        check(&[(1, Available, UNASPIRED), (2, Start, ASPIRED)], load(2));
        check(&[(1, Available, UNASPIRED), (2, Loading, ASPIRED)], None);
    }

    #[test]
    fn unloads_the_old_version_when_the_new_one_is_ready() {
        check(&[(1, Available, UNASPIRED), (2, Available, ASPIRED)], unload(1));
    }

    #[test]
    fn rolls_back_in_the_same_order() {
        check(&[(1, Start, ASPIRED), (2, Available, UNASPIRED)], load(1));
        check(&[(1, Available, ASPIRED), (2, Available, UNASPIRED)], unload(2));
    }

    #[test]
    fn keeps_the_old_version_when_the_new_one_failed() {
        check(&[(1, Available, UNASPIRED), (2, Failed, ASPIRED)], None);
    }

    #[test]
    fn tries_a_failed_version_again_when_its_pause_is_over() {
        check_when(true, &[(1, Available, UNASPIRED), (2, Failed, ASPIRED)], load(2));
    }

    #[test]
    fn a_failed_version_holds_up_nobody() {
        check(&[(1, Start, ASPIRED), (2, Failed, ASPIRED)], load(1));
    }

    #[test]
    fn does_not_try_a_failed_version_that_nobody_wants() {
        check_when(true, &[(1, Failed, UNASPIRED)], None);
    }

    #[test]
    fn unloads_all_when_nothing_is_wanted_lowest_first() {
        check(&[(1, Available, UNASPIRED), (2, Available, UNASPIRED)], unload(1));
        check(&[(1, Unloading, UNASPIRED), (2, Available, UNASPIRED)], unload(2));
        check(&[(1, Unloading, UNASPIRED), (2, Unloading, UNASPIRED)], None);
    }

    #[test]
    fn keeps_only_the_highest_of_several_unwanted_until_the_new_one_is_ready() {
        let stream = [(1, Available, UNASPIRED), (2, Available, UNASPIRED), (3, Loading, ASPIRED)];
        check(&stream, unload(1));
        check(&[(1, Unloading, UNASPIRED), stream[1], stream[2]], None);
    }

    #[test]
    fn unloads_before_it_loads() {
        check(&[(1, Available, UNASPIRED), (2, Available, ASPIRED), (3, Start, ASPIRED)], unload(1));
    }

    #[test]
    fn a_version_wanted_again_waits_until_its_old_instance_is_gone() {
        check(&[(1, Unloading, ASPIRED)], None);
        check(&[(1, Unloading, ASPIRED), (2, Available, UNASPIRED)], None);
        check(&[(1, Ended, UNASPIRED)], None);
    }
}
