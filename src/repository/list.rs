//! A list of configured models, each in a place of its own, that can be replaced
//! while it is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Now;
use super::model::earlier;
use super::source::{
    AspiredModel, ModelPlace, ModelPlaces, ModelSource, Models, Rescan, Source, SourceError, Trouble,
};
use crate::ids::{ModelName, ServableId};

/// `--model_config_file`, `--model_base_path` and what ReloadConfig brings. No
/// model stops another: what cannot be looked at is stated as a trouble, with
/// what was stated of it last.
#[derive(Debug)]
pub struct ListSource {
    settle: Duration,
    edition: u64,
    listed: BTreeMap<ModelName, Listed>,
    closely: BTreeSet<ServableId>,
    models: Arc<Models>,
    is_changed: bool,
}

#[derive(Debug)]
struct Listed {
    source: ModelSource,
    location: String,
    /// What it stated last: a map of one.
    stated: Arc<Models>,
}

impl ListSource {
    /// A list that is empty until [`configure`](Source::configure) fills it; a
    /// version is finished when unchanged for `settle`.
    #[must_use]
    pub fn new(settle: Duration) -> Self {
        let (listed, closely) = (BTreeMap::new(), BTreeSet::new());
        Self { settle, edition: 0, listed, closely, models: Arc::default(), is_changed: false }
    }

    /// A model that has not been looked at has no versions, but is known.
    fn begin(&self, name: &ModelName, place: ModelPlace) -> Listed {
        let mut source = ModelSource::new(name.clone(), place.storage, place.settings, self.settle);
        source.look_closely_at(&self.closely);
        let stated = Arc::new([(name.clone(), Arc::new(AspiredModel::default()))].into());
        Listed { source, location: place.location, stated }
    }
}

impl Source for ListSource {
    fn rescan(&mut self, now: Now) -> Result<Rescan, SourceError> {
        let (mut troubles, mut look_again_in) = (Vec::new(), None);
        for (name, listed) in &mut self.listed {
            match listed.source.rescan(now) {
                Ok(rescan) => {
                    self.is_changed |= !Arc::ptr_eq(&listed.stated, &rescan.models);
                    listed.stated = rescan.models;
                    troubles.extend(rescan.troubles);
                    look_again_in = earlier(look_again_in, rescan.look_again_in);
                }
                Err(error) => {
                    let message = error.to_string();
                    troubles.push(Trouble { model: Some(name.clone()), message });
                }
            }
        }
        if std::mem::take(&mut self.is_changed) {
            let stated = self.listed.values().flat_map(|listed| &*listed.stated);
            self.models = Arc::new(stated.map(|(name, model)| (name.clone(), Arc::clone(model))).collect());
        }
        Ok(Rescan { models: Arc::clone(&self.models), troubles, look_again_in, edition: self.edition })
    }

    fn look_closely_at(&mut self, versions: &BTreeSet<ServableId>) {
        self.closely.clone_from(versions);
        for listed in self.listed.values_mut() {
            listed.source.look_closely_at(versions);
        }
    }

    fn configure(&mut self, places: ModelPlaces) {
        self.edition = places.edition;
        self.is_changed = true;
        self.listed.retain(|name, _| places.models.contains_key(name));
        for (name, place) in places.models {
            match self.listed.get_mut(&name) {
                Some(listed) => {
                    let moved = listed.location != place.location;
                    listed.source.reconfigure(moved.then_some(place.storage), place.settings);
                    listed.location = place.location;
                }
                None => {
                    let listed = self.begin(&name, place);
                    self.listed.insert(name, listed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::in_words;
    use crate::repository::{ModelSettings, VersionPolicy};
    use crate::storage::{MemoryStorage, Storage};

    struct Scene {
        storages: BTreeMap<&'static str, Arc<MemoryStorage>>,
        list: ListSource,
        now: Now,
    }

    impl Scene {
        fn new() -> Self {
            let storages = ["x", "y", "z"].map(|place| (place, Arc::new(MemoryStorage::new()))).into();
            let list = ListSource::new(Duration::from_millis(500));
            Self { storages, list, now: Now::read() }
        }

        fn configure(&mut self, edition: u64, models: &[(&str, &str, Option<VersionPolicy>)]) {
            let place = |(name, place, policy): &(&str, &str, Option<VersionPolicy>)| {
                let storage = Arc::clone(&self.storages[place]) as Arc<dyn Storage>;
                let settings = ModelSettings { version_policy: policy.clone(), ..Default::default() };
                let location = (*place).to_owned();
                (ModelName::new(name).unwrap(), ModelPlace { storage, location, settings })
            };
            self.list.configure(ModelPlaces { edition, models: models.iter().map(place).collect() });
        }

        fn look(&mut self) -> String {
            in_words(&self.list.rescan(self.now).unwrap())
        }
    }

    #[test]
    fn no_model_of_a_list_stops_another() {
        let mut scene = Scene::new();
        assert_eq!(scene.look(), "");
        scene.storages["x"].write("1/f", "x");
        scene.storages["y"].remove("");
        scene.configure(7, &[("a", "x", None), ("b", "y", None)]);
        let rescan = scene.list.rescan(scene.now).unwrap();
        assert_eq!((in_words(&rescan).as_str(), rescan.edition), ("a:1 b:", 7));
        assert_eq!(rescan.troubles[0].model.as_ref().map(ModelName::as_str), Some("b"));

        scene.storages["y"].write("2/f", "x");
        let both = scene.list.rescan(scene.now).unwrap();
        assert_eq!(in_words(&both), "a:1 b:2");
        assert!(Arc::ptr_eq(&scene.list.rescan(scene.now).unwrap().models, &both.models));
        scene.storages["x"].remove("");
        assert_eq!(scene.look(), "a:1 b:2");
    }

    #[test]
    fn a_list_is_replaced_while_it_is_served() {
        let mut scene = Scene::new();
        for (place, version) in [("x", 1), ("x", 2), ("y", 3)] {
            scene.storages[place].write(&format!("{version}/f"), "x");
        }
        scene.configure(1, &[("a", "x", None), ("b", "y", None)]);
        assert_eq!(scene.look(), "a:2 b:3");
        scene.configure(2, &[("a", "x", Some(VersionPolicy::All)), ("c", "y", None)]);
        assert_eq!(scene.look(), "a:1,2 c:3");
        // A new place that is empty, or not there, takes nothing away.
        scene.configure(3, &[("a", "z", Some(VersionPolicy::All)), ("c", "y", None)]);
        scene.storages["z"].remove("");
        assert_eq!(scene.look(), "a:1,2 c:3");
        scene.storages["z"].create_folder("not a version");
        assert_eq!(scene.look(), "a:1,2 c:3");
        scene.storages["z"].write("4/f", "x");
        assert_eq!(scene.look(), "a:4 c:3");
        scene.configure(4, &[]);
        assert_eq!(scene.look(), "");
    }
}
