//! Random schedules of what people and tools do to a repository, with looks in
//! between, against what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::ids::{ModelName, Version};
use crate::storage::{MemoryStorage, Storage};

const SETTLE: Duration = Duration::from_millis(500);
const MODELS: [&str; 2] = ["a", "b"];

/// One thing that happens to the repository.
#[derive(Debug, Clone)]
enum Step {
    /// A piece more is written into a version, which need not be there yet.
    Write {
        model: usize,
        version: i64,
    },
    /// A new file of a version, beside the others or below.
    WriteAnother {
        model: usize,
        version: i64,
        file: usize,
    },
    /// An empty folder.
    Create {
        model: usize,
        version: i64,
    },
    /// A piece more is written under a hidden name.
    Stage {
        model: usize,
    },
    /// What was staged is renamed into place.
    Publish {
        model: usize,
        version: i64,
    },
    Touch {
        model: usize,
        version: i64,
    },
    DeleteVersion {
        model: usize,
        version: i64,
    },
    DeleteModel {
        model: usize,
    },
    /// The model's folder cannot be read until the next `Heal`.
    Fail {
        model: usize,
    },
    FailAll,
    Heal,
    Vanish,
    SetWallBack {
        by_ms: u64,
    },
    Look,
    Wait {
        ms: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let model = || 0..MODELS.len();
    let version = || 1..4_i64;
    prop_oneof![
        6 => (model(), version()).prop_map(|(model, version)| Step::Write { model, version }),
        2 => (model(), version(), 0..4_usize)
            .prop_map(|(model, version, file)| Step::WriteAnother { model, version, file }),
        1 => (model(), version()).prop_map(|(model, version)| Step::Create { model, version }),
        2 => model().prop_map(|model| Step::Stage { model }),
        2 => (model(), version()).prop_map(|(model, version)| Step::Publish { model, version }),
        1 => (model(), version()).prop_map(|(model, version)| Step::Touch { model, version }),
        2 => (model(), version()).prop_map(|(model, version)| Step::DeleteVersion { model, version }),
        1 => model().prop_map(|model| Step::DeleteModel { model }),
        1 => model().prop_map(|model| Step::Fail { model }),
        1 => Just(Step::FailAll),
        2 => Just(Step::Heal),
        1 => Just(Step::Vanish),
        1 => (1..5000_u64).prop_map(|by_ms| Step::SetWallBack { by_ms }),
        12 => Just(Step::Look),
        8 => (0..700_u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// The repository, what is true of it, and what the source has stated of it.
struct World {
    storage: Arc<MemoryStorage>,
    source: RepositorySource,
    now: Now,
    /// When the files of a version folder, or of a staged one, last changed.
    changed: BTreeMap<String, Instant>,
    /// The versions that were stated at the last look that stated anything.
    stated: BTreeMap<ModelName, Vec<Version>>,
    fails: bool,
    /// What was deleted and not yet seen to be gone. If it is there again, what was
    /// finished counts as finished still.
    unseen: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let source = RepositorySource::new(Arc::clone(&storage) as Arc<dyn Storage>, SETTLE);
        let wall = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 7);
        storage.set_time(wall);
        let now = Now { instant: Instant::now(), wall };
        let changed = BTreeMap::new();
        for model in MODELS {
            storage.write(&format!("{model}/0/f"), "x");
        }
        Self { storage, source, now, changed, stated: BTreeMap::new(), fails: false, unseen: BTreeSet::new() }
    }

    fn write(&mut self, folder: &str, file: &str) {
        self.storage.append(&format!("{folder}/{file}"), b"piece");
        self.changed.insert(folder.to_owned(), self.now.instant);
    }

    fn remove(&mut self, path: &str) {
        for model in MODELS {
            let versions = (0..4).map(|version| format!("{model}/{version}"));
            self.unseen.extend(versions.filter(|version| version.starts_with(path)));
        }
        self.storage.remove(path);
        self.changed.retain(|folder, _| !folder.starts_with(path));
    }

    fn take(&mut self, step: &Step) {
        // Time passes with everything that is done, if only a little.
        self.wait(Duration::from_micros(1013));
        match *step {
            Step::Write { model, version } => self.write(&folder(model, version), "f"),
            Step::WriteAnother { model, version, file } => {
                self.write(&folder(model, version), ["g", "h", "below/f", ".hidden"][file]);
            }
            Step::Create { model, version } => self.storage.create_folder(&folder(model, version)),
            Step::Stage { model } => self.write(&format!("{}/.tmp", MODELS[model]), "f"),
            Step::Publish { model, version } => {
                let (from, to) = (format!("{}/.tmp", MODELS[model]), folder(model, version));
                if self.storage.contains(&from) && !self.storage.contains(&to) {
                    self.storage.rename(&from, &to);
                    let changed = self.changed.remove(&from).unwrap();
                    self.changed.insert(to, changed);
                }
            }
            Step::Touch { model, version } => {
                let folder = folder(model, version);
                if self.storage.contains(&format!("{folder}/f")) {
                    self.storage.touch(&format!("{folder}/f"));
                    self.changed.insert(folder, self.now.instant);
                }
            }
            Step::DeleteVersion { model, version } => self.remove(&folder(model, version)),
            Step::DeleteModel { model } => self.remove(MODELS[model]),
            Step::Fail { model } => self.fail(MODELS[model]),
            Step::FailAll => self.fail(""),
            Step::Heal => self.heal(),
            Step::Vanish => self.remove(""),
            Step::SetWallBack { by_ms } => self.now.wall -= Duration::from_millis(by_ms),
            Step::Look => {
                self.look();
            }
            Step::Wait { ms } => self.wait(Duration::from_millis(ms)),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall + time };
        self.storage.set_time(self.now.wall);
    }

    fn fail(&mut self, path: &str) {
        self.storage.fail(path, ErrorKind::TimedOut);
        self.fails = true;
    }

    fn heal(&mut self) {
        self.storage.heal();
        self.fails = false;
    }

    /// Looks, and checks what must hold of every look.
    fn look(&mut self) -> Option<Duration> {
        let Ok(rescan) = self.source.rescan(self.now) else {
            assert!(self.fails || !self.storage.contains(""), "only what cannot be read is an error");
            if !self.fails {
                self.unseen.clear();
            }
            return None;
        };
        let versions =
            |model: &Arc<AspiredModel>| model.versions.iter().map(|version| version.version).collect();
        let stated: BTreeMap<ModelName, Vec<Version>> =
            rescan.models.iter().map(|(name, model)| (name.clone(), versions(model))).collect();
        for (name, versions) in &stated {
            for version in versions {
                let is_new = self.stated.get(name).is_none_or(|before| !before.contains(version));
                if is_new {
                    self.check_is_finished(name, *version);
                }
            }
        }
        for (name, before) in &self.stated {
            let folders = self.versions_there(name);
            let is_empty = folders.is_empty() && self.storage.contains(name.as_str());
            let nothing_there = !MODELS.iter().any(|model| self.storage.contains(model));
            match stated.get(name) {
                None => assert!(!self.storage.contains(name.as_str()), "{name} is there, and not stated"),
                Some(now) if is_empty || nothing_there || self.fails => {
                    assert!(now == before || !is_empty, "{name} is empty: {before:?} became {now:?}");
                }
                Some(now) => {
                    assert!(now.len() >= before.len().min(1), "{name} has versions, and serves none")
                }
            }
        }
        if !self.storage.contains("a") && !self.storage.contains("b") {
            assert_eq!(stated, self.stated, "an empty repository changes nothing");
        }
        self.stated = stated;
        if !self.fails {
            self.unseen.retain(|folder| self.storage.contains(folder));
        }
        rescan.look_again_in
    }

    /// It is there, with a file that is not hidden, and rests.
    fn check_is_finished(&self, name: &ModelName, version: Version) {
        let folder = format!("{name}/{version}");
        assert!(
            ["f", "g", "h", "below/f"].iter().any(|file| self.storage.contains(&format!("{folder}/{file}")))
        );
        if let Some(changed) = self.changed.get(&folder) {
            let rests = self.now.instant - *changed;
            assert!(rests >= SETTLE, "{folder} is aspired {rests:?} after a change");
        }
    }

    fn versions_there(&self, name: &ModelName) -> Vec<Version> {
        let number = |version: &i64| Version::new(*version).unwrap();
        (0..4)
            .filter(|version| self.storage.contains(&format!("{name}/{version}")))
            .map(|v| number(&v))
            .collect()
    }
}

fn folder(model: usize, version: i64) -> String {
    format!("{}/{version}", MODELS[model])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn only_what_is_finished_is_aspired_and_all_of_it_soon(
        steps in prop::collection::vec(any_step(), 1..60),
        policy in prop::sample::select(vec!["\"all\"", "{ latest = 1 }", "{ latest = 2 }"]),
    ) {
        let mut world = World::new();
        for model in MODELS {
            world.storage.write(&format!("{model}/model.toml"), format!("version_policy = {policy}"));
        }
        for step in &steps {
            world.take(step);
        }
        // Now everything rests. A look finds what there is, and following what it
        // says about when to look again finds everything finished in one settle time.
        world.heal();
        let unseen = world.unseen.clone();
        let began = world.now.instant;
        while let Some(again) = world.look() {
            prop_assert!(again <= SETTLE);
            world.wait(again);
            prop_assert!(world.now.instant - began <= SETTLE);
        }
        for model in MODELS {
            let name = ModelName::new(model).unwrap();
            let visible = |version: &Version| {
                ["f", "g", "h", "below/f"].iter().any(|f| world.storage.contains(&format!("{model}/{version}/{f}")))
            };
            let finished: Vec<_> = world.versions_there(&name).into_iter().filter(visible).collect();
            let text = format!("version_policy = {policy}");
            let text = if world.storage.contains(&format!("{model}/model.toml")) { text.as_str() } else { "" };
            let policy = ModelSettings::parse(text.as_bytes()).unwrap().version_policy.unwrap_or_default();
            let is_unsure = |version: &Version| unseen.contains(&format!("{model}/{version}")) && !visible(version);
            if !finished.is_empty() && !world.versions_there(&name).iter().any(is_unsure) {
                prop_assert_eq!(&world.stated[&name], &policy.choose(&finished));
            }
        }
    }
}
