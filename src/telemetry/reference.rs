//! The reference's metrics: its names, labels and buckets.
//! Source: TensorFlow Serving's `prometheus_exporter.cc`, and where each is recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Metrics;
use super::batches::BatchingSession;
use super::bounds::{BATCH_ROWS, EXAMPLES, MICROS, QUEUING_MICROS};
use super::cells::{Histogram, Totals};
use super::kinds::{CODES, Kind};
use super::models::{ModelMetrics, VersionMetrics, micros};
use super::page::{Kind as Is, Labels, Page};
use crate::error::Code;

type Models = [Arc<ModelMetrics>];
/// The values of a counter, by labels: what two models share counts once.
type Points = BTreeMap<Labels, u64>;
type Histograms<const N: usize> = BTreeMap<Labels, Totals<N>>;

type PointsOf = fn(&Models, &BatchingSession) -> Points;

/// Under the reference's own names.
const COUNTERS: [(&str, PointsOf); 7] = [
    ("/tensorflow/serving/request_count", |models, _| request_count(models)),
    ("/tensorflow/serving/request_example_count_total", |models, _| {
        let histograms = example_counts(models).into_iter();
        histograms.map(|(labels, totals)| (labels, totals.sum)).collect()
    }),
    ("/tensorflow/serving/request_log_count", |models, _| request_log_count(models)),
    ("/tensorflow/serving/model_warmup_records_read", |models, _| warm_up_records(models)),
    ("/tensorflow/serving/batching_session/wrapped_run_count", |_, batching| {
        Points::from([(vec![], batching.runs.load(Relaxed))])
    }),
    ("/tensorflow/cc/saved_model/load_attempt_count", |models, _| load_attempts(models)),
    ("/tensorflow/cc/saved_model/load_latency", |models, _| load_latency(models)),
];

/// What Prometheus knows it by: what is neither letter, digit nor `_` becomes `:`.
fn exported(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { ':' }).collect()
}

pub(super) fn write(page: &mut Page, models: &Models, batching: &BatchingSession) {
    for (name, points) in COUNTERS {
        page.family(&exported(name), Is::Counter, "");
        for (labels, value) in points(models, batching) {
            page.sample(&labels, value);
        }
    }
    histograms(page, "/tensorflow/serving/request_latency", request_latency(models));
    histograms(page, "/tensorflow/serving/runtime_latency", runtime_latency(models));
    histograms(page, "/tensorflow/serving/request_example_counts", example_counts(models));
    histograms(page, "/tensorflow/serving/model_warmup_latency", warm_up_latency(models));
    let of = |name: &str| format!("/tensorflow/serving/batching_session/{name}");
    let mut queuing = Totals::new(&QUEUING_MICROS);
    queuing.take(&batching.queuing);
    // The stock server names no pool here.
    let pool = vec![("thread_pool_name", String::new())];
    histograms(page, &of("queuing_latency"), [(pool, queuing)]);
    let padding = batching.padding();
    page.family(&exported(&of("padding_size")), Is::Histogram, "");
    for (size, totals) in &*padding {
        let size = size.map_or_else(String::new, |size| size.to_string());
        page.histogram(&[("execution_batch_size", size)], totals);
    }
    drop(padding);
    for (name, rows) in
        [("input_batch_size", &batching.input_rows), ("processed_batch_size", &batching.processed_rows)]
    {
        let mut totals = Totals::new(&BATCH_ROWS);
        totals.take(rows);
        histograms(page, &of(name), [(vec![], totals)]);
    }
}

fn histograms<const N: usize>(
    page: &mut Page,
    name: &str,
    all: impl IntoIterator<Item = (Labels, Totals<N>)>,
) {
    page.family(&exported(name), Is::Histogram, "");
    for (labels, totals) in all {
        if totals.count() > 0 {
            page.histogram(&labels, &totals);
        }
    }
}

fn take<'a, const N: usize>(
    into: &mut Histograms<N>,
    bounds: &'static super::bounds::Bounds<N>,
    labels: Labels,
    from: impl Iterator<Item = &'a Histogram<N>>,
) {
    let totals = into.entry(labels).or_insert_with(|| Totals::new(bounds));
    from.for_each(|one| totals.take(one));
}

fn request_count(models: &Models) -> Points {
    let mut points = Points::new();
    for model in models {
        for code in Code::ALL {
            let of_kind = |kind: Kind| match code {
                Code::Ok => model.answered.of(kind.place()).map(|one| one.ok.load(Relaxed)).sum::<u64>(),
                _ => model.refused.get(kind.place() * CODES + code as usize),
            };
            let count: u64 = Kind::all().filter(|kind| kind.is_counted_by_reference()).map(of_kind).sum();
            if count > 0 {
                let labels = vec![("model_name", model.name.clone()), ("status", code.name().to_owned())];
                *points.entry(labels).or_default() += count;
            }
        }
    }
    points
}

fn request_log_count(models: &Models) -> Points {
    let of_model = |model: &Arc<ModelMetrics>| {
        let model = Arc::clone(model);
        Code::ALL.into_iter().filter_map(move |code| {
            let count = model.logged.get(code as usize);
            let labels = vec![("model_name", model.name.clone()), ("status_code", code.name().to_owned())];
            (count > 0).then_some((labels, count))
        })
    };
    models.iter().flat_map(of_model).collect()
}

fn request_latency(models: &Models) -> Histograms<33> {
    let mut all = Histograms::new();
    for model in models {
        for kind in Kind::all().filter(|kind| kind.is_counted_by_reference()) {
            let mut loops = model.answered.of(kind.place()).peekable();
            if loops.peek().is_some() {
                let (api, entrypoint) = kind.reference_labels();
                let labels = vec![
                    ("model_name", model.name.clone()),
                    ("API", api.to_owned()),
                    ("entrypoint", entrypoint.to_owned()),
                ];
                take(&mut all, &MICROS, labels, loops.map(|one| &one.latency));
            }
        }
    }
    all
}

fn runtime_latency(models: &Models) -> Histograms<33> {
    let mut all = Histograms::new();
    for model in models {
        for kind in Kind::all().filter(|kind| kind.is_inference()) {
            let mut loops = model.answered.of(kind.place()).peekable();
            if loops.peek().is_some() {
                let labels = vec![
                    ("model_name", model.name.clone()),
                    ("API", kind.rpc.name().to_owned()),
                    // The reference's word for its classic runtime, which dashboards ask for.
                    ("runtime", "TF1".to_owned()),
                ];
                take(&mut all, &MICROS, labels, loops.map(|one| &one.runtime));
            }
        }
    }
    all
}

fn example_counts(models: &Models) -> Histograms<15> {
    let mut all = Histograms::new();
    for model in models {
        if let Some(examples) = model.examples.get() {
            let labels = vec![("model", model.name.clone())];
            take(&mut all, &EXAMPLES, labels, std::iter::once(&**examples));
        }
    }
    all
}

fn versions(models: &Models) -> impl Iterator<Item = Arc<VersionMetrics>> {
    models.iter().flat_map(|model| model.versions())
}

fn path(version: &VersionMetrics) -> (&'static str, String) {
    ("model_path", version.path.clone())
}

fn load_attempts(models: &Models) -> Points {
    let mut points = Points::new();
    for version in versions(models) {
        let loads = version.loads();
        for (status, count) in [("success", loads.succeeded), ("fail", loads.failed)] {
            if count > 0 {
                *points.entry(vec![path(&version), ("status", status.to_owned())]).or_default() += count;
            }
        }
    }
    points
}

fn load_latency(models: &Models) -> Points {
    let mut points = Points::new();
    for version in versions(models) {
        let loads = version.loads();
        if loads.succeeded > 0 {
            *points.entry(vec![path(&version)]).or_default() += micros(loads.took);
        }
    }
    points
}

fn warm_up_records(models: &Models) -> Points {
    let mut points = Points::new();
    for version in versions(models) {
        for (status, warm_ups) in &version.loads().warm_ups {
            let labels = vec![path(&version), ("status", (*status).to_owned())];
            *points.entry(labels).or_default() += warm_ups.records;
        }
    }
    points
}

fn warm_up_latency(models: &Models) -> Histograms<33> {
    let mut all = Histograms::new();
    for version in versions(models) {
        for (status, warm_ups) in &version.loads().warm_ups {
            let labels = vec![path(&version), ("status", (*status).to_owned())];
            all.entry(labels).or_insert_with(|| Totals::new(&MICROS)).merge(&warm_ups.latency);
        }
    }
    all
}

/// By how much the reference's counters rise from one moment on.
#[derive(Debug)]
pub struct Increases {
    metrics: Arc<Metrics>,
    before: Vec<Points>,
}

impl Increases {
    pub(super) fn since_now(metrics: Arc<Metrics>) -> Self {
        let before = Self::counters(&metrics);
        Self { metrics, before }
    }

    fn counters(metrics: &Metrics) -> Vec<Points> {
        let models = metrics.all();
        COUNTERS.iter().map(|(_, points)| points(&models, &metrics.shared.batching)).collect()
    }

    /// By how much each of these has risen until now, all of its series together; 0
    /// for what is no counter of the reference's. Names are written as there,
    /// `/tensorflow/serving/request_count`, or as Prometheus knows them.
    #[must_use]
    pub fn of(&self, names: &[String]) -> Vec<i64> {
        let now = Self::counters(&self.metrics);
        let by_how_much = |at: usize| {
            // A series that went away meanwhile has not fallen.
            let rise = |(labels, &value): (&Labels, &u64)| {
                value.saturating_sub(*self.before[at].get(labels).unwrap_or(&0))
            };
            i64::try_from(now[at].iter().map(rise).sum::<u64>()).unwrap_or(i64::MAX)
        };
        let place = |name: &str| {
            let name = exported(name);
            COUNTERS.iter().position(|(own, _)| exported(own) == name)
        };
        names.iter().map(|name| place(name).map_or(0, by_how_much)).collect()
    }
}
