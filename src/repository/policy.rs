//! Which versions of a model are wanted. Pure.
//! Source: TensorFlow Serving `FileSystemStoragePathSourceConfig.ServableVersionPolicy`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::ids::Version;

/// The version policy of one model. In `model.toml`: `"all"`, `{ latest = 2 }`,
/// `{ specific = [1, 3] }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionPolicy {
    /// The so many highest numbers; 0 means 1, as in the reference.
    Latest(u32),
    /// Every version that is there.
    All,
    /// These, as far as they are there. None at all is a choice too.
    Specific(#[serde(deserialize_with = "versions")] BTreeSet<Version>),
}

impl Default for VersionPolicy {
    /// The highest number.
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl VersionPolicy {
    /// Those of `present` that are wanted, lowest first.
    #[must_use]
    pub fn choose(&self, present: &[Version]) -> Vec<Version> {
        let mut chosen = present.to_vec();
        chosen.sort_unstable();
        chosen.dedup();
        match self {
            Self::All => chosen,
            Self::Latest(count) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX).max(1);
                chosen.split_off(chosen.len().saturating_sub(count))
            }
            Self::Specific(wanted) => {
                chosen.retain(|version| wanted.contains(version));
                chosen
            }
        }
    }

    /// The versions that are asked for by number.
    pub fn named(&self) -> impl Iterator<Item = Version> {
        match self {
            Self::Specific(wanted) => Some(wanted),
            Self::All | Self::Latest(_) => None,
        }
        .into_iter()
        .flatten()
        .copied()
    }
}

/// A version in a settings file. It is checked where it stands, so that an error
/// names its line.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct VersionNumber(pub(super) Version);

impl TryFrom<i64> for VersionNumber {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let refuse = || format!("{number} is not a version: expected 0 or more");
        Version::new(number).map(Self).ok_or_else(refuse)
    }
}

fn versions<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Version>, D::Error> {
    let numbers = Vec::<VersionNumber>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.0).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v(numbers: &[i64]) -> Vec<Version> {
        numbers.iter().map(|&number| Version::new(number).unwrap()).collect()
    }

    #[track_caller]
    fn check(policy: &VersionPolicy, present: &[i64], want: &[i64]) {
        assert_eq!(policy.choose(&v(present)), v(want));
    }

    #[test]
    fn chooses_as_the_reference_does() {
        check(&VersionPolicy::default(), &[1, 2, 3], &[3]);
        check(&VersionPolicy::Latest(0), &[1, 2, 3], &[3]);
        check(&VersionPolicy::Latest(2), &[3, 1, 2], &[2, 3]);
        check(&VersionPolicy::Latest(9), &[1, 2], &[1, 2]);
        check(&VersionPolicy::Latest(1), &[], &[]);
        check(&VersionPolicy::All, &[3, 1], &[1, 3]);
        let specific = |numbers: &[i64]| VersionPolicy::Specific(v(numbers).into_iter().collect());
        check(&specific(&[1, 7]), &[1, 2, 3], &[1]);
        check(&specific(&[]), &[1, 2, 3], &[]);
        assert_eq!(specific(&[7, 1]).named().collect::<Vec<_>>(), v(&[1, 7]));
        assert_eq!(VersionPolicy::All.named().count(), 0);
    }

    fn any_policy() -> impl Strategy<Value = VersionPolicy> {
        let specific = prop::collection::btree_set((0..20_i64).prop_map(|n| Version::new(n).unwrap()), 0..6);
        prop_oneof![
            (0..6_u32).prop_map(VersionPolicy::Latest),
            Just(VersionPolicy::All),
            specific.prop_map(VersionPolicy::Specific),
        ]
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_there_in_order_and_chosen_again(
            policy in any_policy(),
            present in prop::collection::vec((0..20_i64).prop_map(|n| Version::new(n).unwrap()), 0..12),
        ) {
            let chosen = policy.choose(&present);
            prop_assert!(chosen.iter().all(|version| present.contains(version)));
            prop_assert!(chosen.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(&policy.choose(&chosen), &chosen);
            let mut backwards = present.clone();
            backwards.reverse();
            prop_assert_eq!(&policy.choose(&backwards), &chosen);
            if let VersionPolicy::Latest(_) = policy {
                // Nothing is served while something newer is left out.
                let left_out = present.iter().filter(|version| !chosen.contains(version));
                prop_assert!(left_out.max().is_none_or(|left_out| Some(left_out) < chosen.first()));
                prop_assert_eq!(chosen.is_empty(), present.is_empty());
            }
        }
    }
}
