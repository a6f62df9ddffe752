//! Whether a version's folder is finished, or still being written. Pure.
//!
//! There is no marker to go by: people use `cp`, `rsync`, `mv`, and
//! `joblib.dump`. A folder is finished when nothing in it has changed for the
//! settle time. Two clocks can witness that: the times of the files, at the
//! first look, which lets a start-up and a rename into place of older files go
//! ahead at once; or two looks that far apart, when the file times cannot be
//! believed because they lie in the future.

use std::time::{Duration, Instant, SystemTime};

use super::Now;
use crate::limits;

/// What a look at a version's folder has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Stands for names, lengths and times of all that is in it.
    pub fingerprint: u64,
    /// The latest time of any of it. The folder itself is left out, since
    /// renaming it into place changes its time.
    pub newest: Option<SystemTime>,
    /// Whether it holds any file that is not hidden: what is not there yet
    /// cannot be finished, and tools write under a hidden name first.
    pub has_file: bool,
}

/// A folder that is not finished, as remembered between looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    fingerprint: u64,
    since: Instant,
}

/// What is to be thought of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing has changed for the settle time.
    Finished,
    /// It may still be written.
    Unfinished {
        /// For the next look.
        settling: Settling,
        /// When it could be finished if nothing changes; `None` while there is
        /// no file in it.
        look_again_in: Option<Duration>,
    },
}

/// Decides from the look before, if there was one, and this one.
#[must_use]
pub fn decide(before: Option<Settling>, look: &Look, now: Now, settle: Duration) -> Verdict {
    let since = match before {
        Some(before) if before.fingerprint == look.fingerprint => before.since,
        _ => now.instant,
    };
    let settling = Settling { fingerprint: look.fingerprint, since };
    if !look.has_file {
        return Verdict::Unfinished { settling, look_again_in: None };
    }
    let unchanged = now.instant.saturating_duration_since(since);
    let by_looks = settle.saturating_sub(unchanged);
    let by_times = remaining_by_times(look.newest, now.wall, settle);
    let remaining = by_times.map_or(by_looks, |by_times| by_times.min(by_looks));
    if remaining.is_zero() {
        Verdict::Finished
    } else {
        Verdict::Unfinished { settling, look_again_in: Some(remaining) }
    }
}

/// How much longer nothing may change, going by the time of the newest file.
/// `None` when that time is not known or lies in the future: a clock was set.
fn remaining_by_times(newest: Option<SystemTime>, wall: SystemTime, settle: Duration) -> Option<Duration> {
    let newest = newest?;
    let age = wall.duration_since(newest).ok()?;
    let wanted =
        if has_coarse_time(newest) { settle.saturating_add(limits::FILE_TIME_TICK_MAX) } else { settle };
    Some(wanted.saturating_sub(age))
}

/// Whether a file time seems to come from a clock that ticks in whole seconds:
/// such a time may be that much older than the change that it stamps.
fn has_coarse_time(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTLE: Duration = Duration::from_millis(500);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A time with a fraction of a second, `at` milliseconds after some epoch.
    fn wall(at: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 1) + ms(at)
    }

    fn now(start: Instant, at: u64) -> Now {
        Now { instant: start + ms(at), wall: wall(at) }
    }

    fn look(fingerprint: u64, newest: u64) -> Look {
        Look { fingerprint, newest: Some(wall(newest)), has_file: true }
    }

    #[track_caller]
    fn unfinished(verdict: Verdict) -> (Settling, Option<Duration>) {
        match verdict {
            Verdict::Unfinished { settling, look_again_in } => (settling, look_again_in),
            Verdict::Finished => panic!("finished"),
        }
    }

    #[test]
    fn what_was_written_long_ago_is_finished_at_once() {
        let start = Instant::now();
        assert_eq!(decide(None, &look(1, 0), now(start, 500), SETTLE), Verdict::Finished);
        assert_eq!(decide(None, &look(1, 900), now(start, 900), Duration::ZERO), Verdict::Finished);
    }

    #[test]
    fn a_fresh_file_waits_for_what_is_left_of_the_settle_time() {
        let start = Instant::now();
        let (settling, again) = unfinished(decide(None, &look(1, 800), now(start, 1000), SETTLE));
        assert_eq!(again, Some(ms(300)));
        assert_eq!(decide(Some(settling), &look(1, 800), now(start, 1300), SETTLE), Verdict::Finished);
        // A change in between starts anew.
        let (_, again) = unfinished(decide(Some(settling), &look(2, 1250), now(start, 1300), SETTLE));
        assert_eq!(again, Some(ms(450)));
    }

    #[test]
    fn an_empty_folder_is_never_finished() {
        let start = Instant::now();
        let empty = Look { fingerprint: 0, newest: None, has_file: false };
        let (settling, again) = unfinished(decide(None, &empty, now(start, 0), SETTLE));
        assert_eq!(again, None);
        unfinished(decide(Some(settling), &empty, now(start, 60_000), SETTLE));
    }

    #[test]
    fn a_clock_set_back_delays_by_one_settle_time_at_most() {
        let start = Instant::now();
        // The files say a day ahead of the clock.
        let ahead = look(1, 86_400_000);
        let (settling, again) = unfinished(decide(None, &ahead, now(start, 0), SETTLE));
        assert_eq!(again, Some(SETTLE));
        let (settling, again) = unfinished(decide(Some(settling), &ahead, now(start, 200), SETTLE));
        assert_eq!(again, Some(ms(300)));
        assert_eq!(decide(Some(settling), &ahead, now(start, 500), SETTLE), Verdict::Finished);
    }

    #[test]
    fn times_in_whole_seconds_are_believed_two_seconds_later() {
        let start = Instant::now();
        let coarse = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let look = Look { fingerprint: 1, newest: Some(coarse), has_file: true };
        let (_, again) = unfinished(decide(None, &look, now(start, 1000), SETTLE));
        assert_eq!(again, Some(SETTLE));
        assert_eq!(decide(None, &look, now(start, 2500), SETTLE), Verdict::Finished);
    }

    #[test]
    fn without_times_two_looks_decide() {
        let start = Instant::now();
        let look = Look { fingerprint: 1, newest: None, has_file: true };
        let (settling, again) = unfinished(decide(None, &look, now(start, 0), SETTLE));
        assert_eq!(again, Some(SETTLE));
        assert_eq!(decide(Some(settling), &look, now(start, 500), SETTLE), Verdict::Finished);
    }

    proptest! {
        /// Changes at any times, looks at any times, a wall clock that may be set
        /// back: never finished within the settle time of a change, and always
        /// finished when asked again after `look_again_in` without one.
        #[test]
        fn finished_means_unchanged_for_the_settle_time(
            steps in prop::collection::vec((0..400_u64, any::<bool>()), 1..40),
            set_back in prop::option::of((0..40_usize, 1..10_000_u64)),
        ) {
            let start = Instant::now();
            let (mut at, mut back, mut version, mut changed_at) = (20_000, 0, 0, 20_000);
            let mut newest = wall(at);
            let mut before = None;
            for (step, (pause, change)) in steps.into_iter().enumerate() {
                at += pause;
                if let Some((when, by)) = set_back && when == step {
                    back = by;
                }
                if change {
                    version += 1;
                    changed_at = at;
                    newest = newest.max(wall(at - back));
                    continue;
                }
                let look = Look { fingerprint: version, newest: Some(newest), has_file: true };
                let at_this = Now { instant: start + ms(at), wall: wall(at - back) };
                match decide(before, &look, at_this, SETTLE) {
                    Verdict::Finished => prop_assert!(at - changed_at >= 500),
                    Verdict::Unfinished { settling, look_again_in } => {
                        let again = look_again_in.unwrap();
                        prop_assert!(again <= SETTLE);
                        let later = Now { instant: at_this.instant + again, wall: at_this.wall + again };
                        prop_assert_eq!(decide(Some(settling), &look, later, SETTLE), Verdict::Finished);
                        before = Some(settling);
                    }
                }
            }
        }
    }
}
