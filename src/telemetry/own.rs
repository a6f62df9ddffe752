//! Our metrics, in Prometheus' conventions: base units, `_total`, a version beside
//! the model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::VersionState;
use super::batches::VersionBatches;
use super::bounds::{BATCH_ROWS, SECONDS};
use super::cells::{Histogram, Totals};
use super::kinds::{CODES, Kind, Outcome, Rejection};
use super::models::{ModelMetrics, STAGES, Stages, VersionMetrics};
use super::page::{Kind as Is, Labels, Page};
use crate::error::Code;

pub(super) fn write(page: &mut Page, models: &[Arc<ModelMetrics>], states: &[VersionState]) {
    page.family("longshore_build_info", Is::Gauge, "1; the label tells which release this is.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION").to_owned())], 1);
    requests(page, models);
    rejections(page, models);
    let versions: Vec<_> = models.iter().flat_map(|model| model.versions()).collect();
    durations(page, &versions);
    queues(page, &versions);
    batches(page, &versions);
    loads(page, models, &versions);
    page.family(
        "longshore_model_version_state",
        Is::Gauge,
        "Where a version stands: 10 START, 20 LOADING, 30 AVAILABLE, 40 UNLOADING, 50 failed to load.",
    );
    for VersionState { model, version, state } in states {
        page.sample(&[("model", model.as_str().to_owned()), ("version", version.to_string())], state);
    }
}

fn requests(page: &mut Page, models: &[Arc<ModelMetrics>]) {
    page.family("longshore_requests_total", Is::Counter, "Requests, by what they were answered.");
    for model in models {
        for kind in Kind::all() {
            for code in Code::ALL {
                let count = match code {
                    Code::Ok => model.answered.of(kind.place()).map(|one| one.ok.load(Relaxed)).sum(),
                    _ => model.refused.get(kind.place() * CODES + code as usize),
                };
                if count > 0 {
                    let mut labels = vec![("model", model.name.clone())];
                    labels.extend(of_kind(kind));
                    labels.push(("code", code.name().to_owned()));
                    page.sample(&labels, count);
                }
            }
        }
    }
}

fn rejections(page: &mut Page, models: &[Arc<ModelMetrics>]) {
    page.family(
        "longshore_rejections_total",
        Is::Counter,
        "Requests that fitted the model and were turned away or given up, by reason.",
    );
    for model in models {
        for reason in Rejection::ALL {
            let count = model.rejected.get(reason as usize);
            if count > 0 {
                page.sample(&[("model", model.name.clone()), ("reason", reason.name().to_owned())], count);
            }
        }
    }
}

fn of_kind(kind: Kind) -> [(&'static str, String); 2] {
    [("rpc", kind.rpc.name().to_owned()), ("protocol", kind.protocol.name().to_owned())]
}

fn of_version(version: &VersionMetrics) -> Labels {
    vec![("model", version.model.name.clone()), ("version", version.version.to_string())]
}

fn durations(page: &mut Page, versions: &[Arc<VersionMetrics>]) {
    let mut wholes: Vec<(Labels, Totals<19>)> = Vec::new();
    let mut stages: Vec<(Labels, Totals<19>)> = Vec::new();
    for version in versions {
        for kind in Kind::all() {
            let total = |of: &dyn Fn(&Stages) -> &Histogram<19>| {
                let mut totals = Totals::new(&SECONDS);
                version.answered.of(kind.place()).for_each(|one| totals.take(of(one)));
                totals
            };
            let mut labels = of_version(version);
            labels.extend(of_kind(kind));
            let whole = total(&|one| &one.whole);
            if whole.count() == 0 {
                continue;
            }
            for (i, stage) in STAGES.into_iter().enumerate() {
                let totals = total(&|one| &one.stages[i]);
                if totals.count() > 0 {
                    let mut labels = labels.clone();
                    labels.push(("stage", stage.to_owned()));
                    stages.push((labels, totals));
                }
            }
            wholes.push((labels, whole));
        }
    }
    page.family(
        "longshore_request_duration_seconds",
        Is::Histogram,
        "From the whole request to the whole answer, of requests that had one.",
    );
    wholes.iter().for_each(|(labels, totals)| page.histogram(labels, totals));
    page.family(
        "longshore_request_stage_duration_seconds",
        Is::Histogram,
        "The same in its stages: decode, queue (of those that waited), compute, encode.",
    );
    stages.iter().for_each(|(labels, totals)| page.histogram(labels, totals));
}

fn queues(page: &mut Page, versions: &[Arc<VersionMetrics>]) {
    page.family(
        "longshore_queue_depth",
        Is::Gauge,
        "Requests that wait for a compute thread or in a batching queue.",
    );
    for version in versions {
        // Those that are loaded: others have no queue.
        if version.loads().last.is_some() {
            page.sample(&of_version(version), version.queued.load(Relaxed).max(0));
        }
    }
}

fn batches(page: &mut Page, versions: &[Arc<VersionMetrics>]) {
    let batched =
        || versions.iter().filter_map(|version| Some((of_version(version), version.batches.get()?)));
    type Of = fn(&VersionBatches) -> &Histogram<14>;
    let histograms: [(_, _, Of); 2] = [
        ("longshore_batch_rows", "Rows of the batches that were run, as they were asked for.", |one| {
            &one.rows
        }),
        ("longshore_batch_requests", "Requests of the batches that were run.", |one| &one.requests),
    ];
    for (name, help, of) in histograms {
        page.family(name, Is::Histogram, help);
        for (labels, batches) in batched() {
            let mut totals = Totals::new(&BATCH_ROWS);
            totals.take(of(batches));
            page.histogram(&labels, &totals);
        }
    }
    page.family(
        "longshore_batch_padding_rows_total",
        Is::Counter,
        "Rows that filled batches up to an allowed size.",
    );
    for (labels, batches) in batched() {
        page.sample(&labels, batches.added_rows.load(Relaxed));
    }
}

fn loads(page: &mut Page, models: &[Arc<ModelMetrics>], versions: &[Arc<VersionMetrics>]) {
    page.family(
        "longshore_model_loads_total",
        Is::Counter,
        "Loads of a model's versions, tries counted singly.",
    );
    for model in models {
        for outcome in Outcome::ALL {
            let count = model.loads.get(outcome as usize);
            if count > 0 {
                page.sample(&[("model", model.name.clone()), ("outcome", outcome.name().to_owned())], count);
            }
        }
    }
    let loaded: BTreeMap<Labels, _> =
        versions.iter().filter_map(|one| Some((of_version(one), one.loads().last?))).collect();
    page.family(
        "longshore_model_version_load_seconds",
        Is::Gauge,
        "How long it took to read, build and warm up the version.",
    );
    for (labels, (took, _)) in &loaded {
        page.sample(labels, took.as_secs_f64());
    }
    page.family("longshore_model_version_bytes", Is::Gauge, "The files in the version's folder.");
    for (labels, (_, bytes)) in &loaded {
        page.sample(labels, bytes);
    }
}
