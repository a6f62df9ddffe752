//! The life of one version.

use std::fmt;

/// Where a version stands.
///
/// `Start ─► Loading ─► Available ─► Unloading ─► Ended`, with
/// `Loading ─► Failed ─► Loading …` while it is wanted and does not load,
/// `Loading ─► Unloading` when it stopped being wanted meanwhile,
/// `Start ─► Ended` when it never got its turn, and back to `Start` from
/// `Ended` or `Failed` when it is wanted anew. Clients see the last two as END.
/// Source: `ModelVersionStatus.State` of `get_model_status.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Known and wanted; waits for a load thread.
    Start,
    /// Being loaded.
    Loading,
    /// Serving. Said only after look-ups find it.
    Available,
    /// Being unloaded. Said before look-ups stop finding it; lasts until its
    /// last request is answered and its memory is freed.
    Unloading,
    /// Its load failed; tried again later while it is wanted.
    Failed,
    /// Gone.
    Ended,
}

/// What happens to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A load thread took it.
    LoadStarted,
    /// Its loader made a servable, which is wanted.
    LoadDone,
    /// Its loader made a servable, which nobody wants any more.
    LoadUnwanted,
    /// Its loader failed.
    LoadFailed,
    /// The transition policy chose to unload it.
    UnloadChosen,
    /// Its last handle was dropped and its memory freed.
    Freed,
    /// It stopped being wanted before its load began.
    Abandoned,
    /// It is wanted again.
    AspiredAnew,
}

/// A step that a state does not allow: a fault of the manager's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version in state {from:?} cannot take the step {step:?}")]
pub(super) struct IllegalStep {
    /// Where the version stood.
    pub(super) from: State,
    /// What was to happen.
    pub(super) step: Step,
}

impl State {
    /// The state after `step`.
    ///
    /// # Errors
    /// [`IllegalStep`] for anything that is not in the drawing above.
    pub(super) fn after(self, step: Step) -> Result<Self, IllegalStep> {
        match (self, step) {
            (Self::Start | Self::Failed, Step::LoadStarted) => Ok(Self::Loading),
            (Self::Loading, Step::LoadDone) => Ok(Self::Available),
            (Self::Loading, Step::LoadUnwanted) => Ok(Self::Unloading),
            (Self::Loading, Step::LoadFailed) => Ok(Self::Failed),
            (Self::Available, Step::UnloadChosen) => Ok(Self::Unloading),
            (Self::Unloading, Step::Freed) => Ok(Self::Ended),
            (Self::Start, Step::Abandoned) => Ok(Self::Ended),
            (Self::Ended | Self::Failed, Step::AspiredAnew) => Ok(Self::Start),
            (from, step) => Err(IllegalStep { from, step }),
        }
    }

    /// The number on the wire: `ModelVersionStatus.State`.
    #[must_use]
    pub const fn wire_number(self) -> i32 {
        match self {
            Self::Start => 10,
            Self::Loading => 20,
            Self::Available => 30,
            Self::Unloading => 40,
            Self::Failed | Self::Ended => 50,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Loading => "LOADING",
            Self::Available => "AVAILABLE",
            Self::Unloading => "UNLOADING",
            Self::Failed | Self::Ended => "END",
        }
    }
}

impl fmt::Display for State {
    /// The name on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] =
        [State::Start, State::Loading, State::Available, State::Unloading, State::Failed, State::Ended];
    const STEPS: [Step; 8] = [
        Step::LoadStarted,
        Step::LoadDone,
        Step::LoadUnwanted,
        Step::LoadFailed,
        Step::UnloadChosen,
        Step::Freed,
        Step::Abandoned,
        Step::AspiredAnew,
    ];

    #[test]
    fn only_ten_steps_of_forty_eight_are_legal() {
        let edges: Vec<(State, State)> = STATES
            .iter()
            .flat_map(|from| STEPS.iter().filter_map(|step| Some((*from, from.after(*step).ok()?))))
            .collect();
        use State::{Available, Ended, Failed, Loading, Start, Unloading};
        assert_eq!(
            edges,
            [
                (Start, Loading),
                (Start, Ended),
                (Loading, Available),
                (Loading, Unloading),
                (Loading, Failed),
                (Available, Unloading),
                (Unloading, Ended),
                (Failed, Loading),
                (Failed, Start),
                (Ended, Start),
            ]
        );
    }

    #[test]
    fn a_version_is_never_available_without_a_load() {
        for from in STATES.into_iter().filter(|from| *from != State::Loading) {
            assert_eq!(from.after(Step::LoadDone), Err(IllegalStep { from, step: Step::LoadDone }));
        }
    }

    #[test]
    fn numbers_and_names_are_the_wires() {
        let wire: Vec<_> = STATES.iter().map(|state| (state.wire_number(), state.wire_name())).collect();
        assert_eq!(
            wire,
            [(10, "START"), (20, "LOADING"), (30, "AVAILABLE"), (40, "UNLOADING"), (50, "END"), (50, "END")]
        );
    }
}
