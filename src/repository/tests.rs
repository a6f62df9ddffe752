//! Sources over a storage in memory, and what a poll costs.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::ids::{ModelName, ServableId, Version};
use crate::limits;
use crate::storage::{MemoryCalls, MemoryStorage};

const SETTLE: Duration = Duration::from_millis(500);

/// A source, its storage, and the time that both of them see.
struct Scene<S> {
    storage: Arc<MemoryStorage>,
    source: S,
    now: Now,
}

fn scene<S: Source>(make: impl FnOnce(Arc<MemoryStorage>) -> S) -> Scene<S> {
    let storage = Arc::new(MemoryStorage::new());
    // A fraction of a second, as the clocks of file systems in use have it.
    let wall = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 1_000_003);
    let mut scene = Scene {
        source: make(Arc::clone(&storage)),
        storage,
        now: Now { instant: Instant::now(), wall: wall - Duration::from_secs(3600) },
    };
    // What a test writes first was written an hour before the first look.
    scene.pass(Duration::ZERO);
    scene
}

fn repository() -> Scene<RepositorySource> {
    scene(|storage| RepositorySource::new(storage, SETTLE))
}

fn model(given: &str) -> Scene<ModelSource> {
    let given = ModelSettings::parse(given.as_bytes()).unwrap();
    scene(|storage| ModelSource::new(name("m"), storage, given, SETTLE))
}

fn name(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn id(model: &str, version: i64) -> ServableId {
    ServableId { name: name(model), version: Version::new(version).unwrap() }
}

impl<S: Source> Scene<S> {
    fn pass(&mut self, time: Duration) {
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall + time };
        self.storage.set_time(self.now.wall);
    }

    fn hour(&mut self) {
        self.pass(Duration::from_secs(3600));
    }

    fn rescan(&mut self) -> Rescan {
        self.source.rescan(self.now).unwrap()
    }

    /// `a:1,2 b:` for two versions of `a`, and a model `b` without any.
    fn stated(&mut self) -> String {
        in_words(&self.rescan())
    }

    fn fingerprint(&mut self, model: &str) -> u64 {
        self.rescan().models[model].versions[0].fingerprint
    }

    /// The troubles of the next look, as one text.
    fn troubles(&mut self) -> String {
        let troubles: Vec<_> = self.rescan().troubles.iter().map(Trouble::to_string).collect();
        troubles.join("\n")
    }
}

pub(super) fn in_words(rescan: &Rescan) -> String {
    let one = |(name, model): (&ModelName, &Arc<AspiredModel>)| {
        let versions: Vec<_> = model.versions.iter().map(|version| version.version.to_string()).collect();
        format!("{name}:{}", versions.join(","))
    };
    rescan.models.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_folder_is_a_model_and_the_highest_version_is_served() {
    let mut scene = repository();
    for file in
        ["a/1/f", "a/2/f", "b/0003/f", "README.md", ".git/1/f", "lost+found/1/f", "a/1_tmp/f", "a/.tmp/f"]
    {
        scene.storage.write(file, "x");
    }
    scene.hour();
    let rescan = scene.rescan();
    assert_eq!(in_words(&rescan), "a:2 b:3");
    assert_eq!(rescan.models["b"].versions[0].dir.folder(), "b/0003");
    assert_eq!(rescan.models["a"].versions[0].dir.read("f", 9).unwrap(), b"x");
    assert!(rescan.troubles.is_empty(), "{:?}", rescan.troubles);
    assert_eq!(rescan.look_again_in, None);
}

#[test]
fn models_appear_and_go() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:1");
    scene.storage.write("b/1/f", "x");
    assert_eq!(scene.stated(), "a:1 b:");
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "a:1 b:1");
    scene.storage.remove("a");
    assert_eq!(scene.stated(), "b:1");
}

#[test]
fn a_version_being_written_waits_until_it_rests() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:1");
    for _ in 0..10 {
        scene.storage.append("a/2/f", b"more");
        scene.pass(Duration::from_millis(400));
        let rescan = scene.rescan();
        assert_eq!(in_words(&rescan), "a:1");
        assert_eq!(rescan.look_again_in, Some(Duration::from_millis(100)));
    }
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.stated(), "a:2");
    // Served, it may be written to: it is neither taken back nor another.
    let before = scene.fingerprint("a");
    scene.storage.append("a/2/f", b"more");
    assert_eq!(scene.stated(), "a:2");
    scene.hour();
    assert_eq!(scene.fingerprint("a"), before);
}

#[test]
fn older_files_renamed_into_place_do_not_wait() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("a/.tmp/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:1");
    scene.storage.rename("a/.tmp", "a/2");
    assert_eq!(scene.stated(), "a:2");
}

#[test]
fn an_empty_version_folder_is_not_served() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.create_folder("a/2");
    scene.hour();
    assert_eq!(scene.stated(), "a:1");
    scene.storage.write("a/2/f", "x");
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "a:2");
}

#[test]
fn deleting_the_newest_version_rolls_back() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("a/2/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:2");
    scene.storage.remove("a/2");
    assert_eq!(scene.stated(), "a:1");
}

#[test]
fn rolling_back_waits_for_what_is_still_being_written() {
    let mut scene = repository();
    scene.storage.write("a/2/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:2");
    scene.storage.remove("a/2");
    scene.storage.write("a/1/f", "x");
    assert_eq!(scene.stated(), "a:2");
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "a:1");
}

#[test]
fn what_is_emptied_vanished_or_unreadable_unloads_nothing() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("b/1/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "a:1 b:1");

    scene.storage.remove("a/1");
    assert_eq!(scene.stated(), "a:1 b:1");
    let troubles = scene.troubles();
    assert!(troubles.contains("no version of a is found in memory:/a: expected"), "{troubles}");
    assert!(troubles.contains("memory:/a/1; what was served stays"), "{troubles}");

    scene.storage.fail("b", ErrorKind::PermissionDenied);
    scene.storage.touch("b");
    scene.pass(limits::LISTING_AGE_MAX);
    assert_eq!(scene.stated(), "a:1 b:1");
    assert!(scene.troubles().contains("model b: cannot look for versions of b: cannot read memory:/b"));

    scene.storage.fail("", ErrorKind::PermissionDenied);
    let error = scene.source.rescan(scene.now).unwrap_err().to_string();
    assert!(error.starts_with("cannot look for models: cannot read memory:/:"), "{error}");

    scene.storage.heal();
    assert_eq!(scene.stated(), "a:1 b:1");
    scene.storage.remove("a");
    scene.storage.remove("b");
    assert_eq!(scene.stated(), "a:1 b:1");
    assert!(scene.troubles().contains("no model is found in memory:/"));
    scene.storage.remove("");
    assert!(scene.source.rescan(scene.now).is_err());

    // The volume comes back: without a gap, and with what was deleted gone.
    scene.storage.write("b/1/f", "x");
    assert_eq!(scene.stated(), "b:1");
}

#[test]
fn one_models_base_path_likewise() {
    let mut scene = model("");
    scene.storage.remove("");
    let error = scene.source.rescan(scene.now).unwrap_err().to_string();
    assert_eq!(error, "cannot look for versions of m: memory:/ does not exist; what is served stays");
    scene.storage.write("1/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "m:1");
    scene.storage.remove("1");
    assert_eq!(scene.stated(), "m:1");
    assert!(scene.troubles().contains("no version of m is found"));
    scene.storage.write("2/f", "x");
    assert_eq!(scene.stated(), "m:1");
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "m:2");
}

#[test]
fn oddities_are_said_and_stop_nothing() {
    let mut scene = repository();
    for file in ["a/1/f", "a/01/f", "a/5", "a/6", "b\\c/1/f"] {
        scene.storage.write(file, "x");
    }
    scene.hour();
    let rescan = scene.rescan();
    assert_eq!(in_words(&rescan), "a:1");
    assert_eq!(rescan.models["a"].versions[0].dir.folder(), "a/1");
    let troubles = scene.troubles();
    for part in [
        "model a: 01 and 1 in memory:/a are both version 1; 1 is taken",
        "the plain file 5, 6 in memory:/a",
        "\"b\\\\c\" is not a model name",
    ] {
        assert!(troubles.contains(part), "{troubles}");
    }
}

#[test]
fn model_toml_is_heeded_and_followed() {
    let mut scene = repository();
    for version in 1..=3 {
        scene.storage.write(&format!("a/{version}/f"), "x");
    }
    scene.storage.write("b/1/f", "x");
    scene.storage.write("a/model.toml", "version_policy = { latest = 2 }\nplatform = \"onnx\"");
    scene.hour();
    let rescan = scene.rescan();
    assert_eq!(in_words(&rescan), "a:2,3 b:1");
    assert_eq!(rescan.models["a"].platform.as_deref(), Some("onnx"));

    scene.storage.write("a/model.toml", "version_policy = \"all\"\nlabels = { stable = 2 }");
    let rescan = scene.rescan();
    assert_eq!(in_words(&rescan), "a:1,2,3 b:1");
    assert_eq!(rescan.models["a"].labels, [("stable".to_owned(), Version::new(2).unwrap())].into());
    assert_eq!(rescan.models["a"].platform, None);

    // In the same tick of the clock, and of the same length.
    scene.storage.write("a/model.toml", "version_policy = \"all\"\nlabels = { stable = 3 }");
    assert_eq!(scene.rescan().models["a"].labels["stable"], Version::new(3).unwrap());

    scene.hour();
    scene.storage.write("a/model.toml", "version_policy = \"al");
    assert_eq!(scene.stated(), "a:1,2,3 b:1");
    let troubles = scene.troubles();
    assert!(troubles.contains("model a: memory:/a/model.toml: line 1: "), "{troubles}");
    assert!(troubles.contains("the model's former settings stand"), "{troubles}");

    scene
        .storage
        .write("a/model.toml", "#".repeat(1 + usize::try_from(limits::MODEL_TOML_BYTES_MAX).unwrap()));
    assert!(scene.troubles().contains("at most 65536 are read; the model's former settings stand"));

    scene.storage.remove("a/model.toml");
    assert_eq!(scene.stated(), "a:3 b:1");
    assert_eq!(scene.troubles(), "");
}

#[test]
fn a_model_whose_first_settings_are_broken_is_not_served() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("b/1/f", "x");
    scene.storage.write("a/model.toml", "bathing = true");
    scene.hour();
    assert_eq!(scene.stated(), "a: b:1");
    let troubles = scene.troubles();
    assert!(troubles.contains("unknown field `bathing`"), "{troubles}");
    assert!(troubles.contains("not served until this is put right"), "{troubles}");
    scene.storage.write("a/model.toml", "");
    assert_eq!(scene.stated(), "a:1 b:1");
}

#[test]
fn the_servers_configuration_goes_before_model_toml() {
    let mut scene = model("version_policy = { specific = [1, 2, 7] }");
    for file in ["1/f", "2/f", "3/f"] {
        scene.storage.write(file, "x");
    }
    scene.storage.write("model.toml", "version_policy = \"all\"\nplatform = \"onnx\"");
    scene.hour();
    assert_eq!(scene.stated(), "m:1,2");
    assert_eq!(scene.rescan().models["m"].platform.as_deref(), Some("onnx"));
    assert!(scene.troubles().contains("the version policy names what is not there: 7"));
    scene.storage.write("7/f", "x");
    assert!(scene.troubles().contains("the version policy names what is not finished yet: 7"));
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "m:1,2,7");
}

#[test]
fn a_policy_that_names_none_serves_none() {
    let mut scene = model("");
    scene.storage.write("1/f", "x");
    scene.hour();
    assert_eq!(scene.stated(), "m:1");
    scene.storage.write("model.toml", "version_policy = { specific = [] }");
    assert_eq!(scene.stated(), "m:");
    // One that is on its way does not take the other off before it is there.
    scene.storage.write("model.toml", "version_policy = { specific = [1] }");
    assert_eq!(scene.stated(), "m:1");
    scene.storage.write("2/f", "x");
    scene.storage.write("model.toml", "version_policy = { specific = [2] }");
    assert_eq!(scene.stated(), "m:1");
    scene.pass(SETTLE);
    assert_eq!(scene.stated(), "m:2");
}

#[test]
fn a_failed_version_gets_another_fingerprint_once_its_files_rest_again() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("b/1/f", "x");
    scene.hour();
    let before = scene.fingerprint("a");
    let failed = BTreeSet::from([id("a", 1), id("zzz", 3)]);
    scene.source.look_closely_at(&failed);
    assert_eq!(scene.fingerprint("a"), before);

    scene.storage.append("a/1/f", b"y");
    let rescan = scene.rescan();
    assert_eq!((in_words(&rescan).as_str(), rescan.look_again_in), ("a:1 b:1", Some(SETTLE)));
    assert_eq!(rescan.models["a"].versions[0].fingerprint, before);
    scene.pass(Duration::from_millis(300));
    scene.storage.append("a/1/f", b"y");
    scene.pass(Duration::from_millis(300));
    assert_eq!(scene.fingerprint("a"), before);
    scene.pass(Duration::from_millis(200));
    let after = scene.fingerprint("a");
    assert_ne!(after, before);

    scene.source.look_closely_at(&BTreeSet::new());
    scene.storage.append("a/1/f", b"y");
    scene.hour();
    assert_eq!(scene.fingerprint("a"), after);
}

#[test]
fn an_unchanged_repository_costs_one_listing_and_says_that_it_is_the_same() {
    let mut scene = repository();
    for model in 0..100 {
        scene.storage.write(&format!("m{model}/1/f"), "x");
    }
    for model in 0..10 {
        scene.storage.write(&format!("m{model}/model.toml"), "platform = \"onnx\"");
    }
    scene.hour();
    let first = scene.rescan();
    assert_eq!(scene.storage.take_calls(), MemoryCalls { lists: 201, stats: 0, reads: 10 });
    scene.pass(Duration::from_secs(1));
    let second = scene.rescan();
    assert_eq!(scene.storage.take_calls(), MemoryCalls { lists: 1, stats: 10, reads: 0 });
    assert!(Arc::ptr_eq(&first.models, &second.models));

    // One new version: only its model is listed again, and the others stay the same.
    scene.storage.write("m7/2/f", "x");
    scene.pass(SETTLE);
    let third = scene.rescan();
    assert_eq!(scene.storage.take_calls(), MemoryCalls { lists: 3, stats: 9, reads: 0 });
    assert!(!Arc::ptr_eq(&second.models["m7"], &third.models["m7"]));
    assert!(Arc::ptr_eq(&second.models["m8"], &third.models["m8"]));

    // Times are not believed for ever.
    scene.pass(limits::LISTING_AGE_MAX);
    scene.rescan();
    assert_eq!(scene.storage.take_calls().lists, 101);
}

#[test]
fn a_change_within_one_tick_of_the_clock_is_seen() {
    let mut scene = repository();
    scene.storage.write("a/1/f", "x");
    scene.storage.write("a/.tmp/f", "x");
    scene.hour();
    scene.storage.touch("a");
    assert_eq!(scene.stated(), "a:1");
    scene.storage.rename("a/.tmp", "a/2");
    scene.storage.touch("a");
    assert_eq!(scene.stated(), "a:2");
}

#[cfg(unix)]
mod on_disk {
    use std::fs::{create_dir, create_dir_all, remove_dir_all, remove_file, rename, write};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::storage::{DiskStorage, LinkPolicy};

    fn repository(root: &Path, links: LinkPolicy) -> RepositorySource {
        RepositorySource::new(Arc::new(DiskStorage::new(root.to_owned(), links)), SETTLE)
    }

    fn now_and(later: Duration) -> Now {
        let now = Now::read();
        Now { instant: now.instant + later, wall: now.wall + later }
    }

    fn later(source: &mut RepositorySource, by: Duration) -> String {
        in_words(&source.rescan(now_and(by)).unwrap())
    }

    #[test]
    fn a_copy_and_a_rename_into_place() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("m/1")).unwrap();
        write(dir.path().join("m/1/model.pkl"), b"half").unwrap();
        let mut source = repository(dir.path(), LinkPolicy::Within);
        let rescan = source.rescan(now_and(Duration::ZERO)).unwrap();
        assert_eq!(in_words(&rescan), "m:");
        assert!(rescan.look_again_in.unwrap() <= SETTLE);
        assert_eq!(later(&mut source, SETTLE), "m:1");

        create_dir(dir.path().join("m/.tmp")).unwrap();
        write(dir.path().join("m/.tmp/model.pkl"), b"whole").unwrap();
        assert_eq!(later(&mut source, SETTLE), "m:1");
        rename(dir.path().join("m/.tmp"), dir.path().join("m/2")).unwrap();
        assert_eq!(later(&mut source, SETTLE), "m:2");
        remove_dir_all(dir.path().join("m/2")).unwrap();
        assert_eq!(later(&mut source, SETTLE), "m:1");
        remove_dir_all(dir.path()).unwrap();
        assert!(source.rescan(now_and(SETTLE)).is_err());
    }

    #[test]
    fn versions_in_a_config_map_follow_its_swap() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m");
        let publish = |data: &str, version: &str| {
            create_dir_all(model.join(data).join(version)).unwrap();
            write(model.join(data).join(version).join("model.pkl"), version).unwrap();
            symlink(data, model.join("..data_tmp")).unwrap();
            rename(model.join("..data_tmp"), model.join("..data")).unwrap();
            symlink(format!("..data/{version}"), model.join(version)).unwrap();
        };
        publish("..2026_01", "1");
        let mut source = repository(dir.path(), LinkPolicy::Within);
        assert_eq!(later(&mut source, SETTLE), "m:1");
        publish("..2026_02", "2");
        remove_file(model.join("1")).unwrap();
        remove_dir_all(model.join("..2026_01")).unwrap();
        assert_eq!(later(&mut source, SETTLE), "m:2");
    }

    #[test]
    fn links_that_leave_are_said_and_followed_only_if_allowed() {
        let outside = tempfile::tempdir().unwrap();
        create_dir_all(outside.path().join("m/1")).unwrap();
        write(outside.path().join("m/1/f"), b"x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("n")).unwrap();
        symlink(outside.path().join("m"), dir.path().join("m")).unwrap();
        symlink(outside.path().join("m/1"), dir.path().join("n/1")).unwrap();

        let mut strict = repository(dir.path(), LinkPolicy::Within);
        let rescan = strict.rescan(now_and(SETTLE)).unwrap();
        assert_eq!(in_words(&rescan), "n:");
        let mut troubles: Vec<_> = rescan.troubles.iter().map(Trouble::to_string).collect();
        troubles.sort();
        assert!(troubles[0].starts_with("m cannot be reached: "), "{troubles:?}");
        assert!(troubles[0].contains("--follow_symlinks"), "{troubles:?}");
        assert!(
            troubles.iter().any(|said| said.starts_with("model n: version 1 cannot be reached: ")),
            "{troubles:?}"
        );

        let mut follow = repository(dir.path(), LinkPolicy::Follow);
        assert_eq!(later(&mut follow, SETTLE), "m:1 n:1");
        // The volume behind the links goes, and nothing is unloaded.
        rename(outside.path().join("m"), outside.path().join("gone")).unwrap();
        let rescan = follow.rescan(now_and(SETTLE)).unwrap();
        assert_eq!(in_words(&rescan), "m:1 n:1");
        let says_so = |trouble: &Trouble| trouble.message.contains("link that leads nowhere");
        assert!(rescan.troubles.iter().any(says_so), "{:?}", rescan.troubles);
    }
}
