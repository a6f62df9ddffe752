//! The whole of it: what is counted, and what the page then says.

use std::time::{Duration, Instant};

use super::*;
use crate::error::Code;
use crate::telemetry::models::micros;

fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn start(models: &[&str]) -> (Arc<Metrics>, Vec<Recorder>) {
    let (metrics, recorders) = Metrics::start(2);
    let names: Vec<_> = models.iter().map(|model| name(model)).collect();
    metrics.configure(names.iter());
    (metrics, recorders)
}

#[track_caller]
fn has(page: &str, line: &str) {
    assert!(page.lines().any(|own| own == line), "no line {line:?} in:\n{page}");
}

/// The lines that begin so.
fn count(page: &str, start: &str) -> usize {
    page.lines().filter(|line| line.starts_with(start)).count()
}

/// Answers a Predict that took 40 µs to read, waited for 5 ms and ran for 2 ms.
fn answer(recorder: &Recorder, by: &VersionMetrics) {
    let mut asked = recorder.asked(Rpc::Predict, Protocol::Grpc);
    asked.of_model("m");
    let entered = Instant::now() + Duration::from_micros(40);
    let returned = entered + Duration::from_millis(7);
    asked.answered_by(&Run { version: by, entered, returned, computed: Duration::from_millis(2) });
}

#[test]
fn a_request_is_told_in_the_references_words_and_in_ours() {
    let (metrics, recorders) = start(&["m"]);
    let one = metrics.version(&name("m"), version(3), || "/srv/m/3".to_owned());
    answer(&recorders[0], &one);
    answer(&recorders[1], &one);
    let page = metrics.page(&[]);
    has(&page, "# TYPE :tensorflow:serving:request_count counter");
    has(&page, ":tensorflow:serving:request_count{model_name=\"m\",status=\"OK\"} 2");
    has(
        &page,
        ":tensorflow:serving:request_latency_count{model_name=\"m\",API=\"Predict\",entrypoint=\"GRPC\"} 2",
    );
    let runtime = ":tensorflow:serving:runtime_latency";
    let labels = "model_name=\"m\",API=\"Predict\",runtime=\"TF1\"";
    has(&page, &format!("{runtime}_bucket{{{labels},le=\"1983.59\"}} 0"));
    has(&page, &format!("{runtime}_bucket{{{labels},le=\"2.52873e+08\"}} 2"));
    has(&page, &format!("{runtime}_sum{{{labels}}} 4000"));
    assert_eq!(count(&page, &format!("{runtime}_bucket{{")), 34);

    let own = "model=\"m\",version=\"3\",rpc=\"Predict\",protocol=\"gRPC\"";
    has(&page, "longshore_requests_total{model=\"m\",rpc=\"Predict\",protocol=\"gRPC\",code=\"OK\"} 2");
    has(&page, &format!("longshore_request_duration_seconds_count{{{own}}} 2"));
    let stage = "longshore_request_stage_duration_seconds";
    has(&page, &format!("{stage}_sum{{{own},stage=\"compute\"}} 0.004"));
    has(&page, &format!("{stage}_sum{{{own},stage=\"queue\"}} 0.01"));
    has(&page, &format!("{stage}_bucket{{{own},stage=\"queue\",le=\"0.0025\"}} 0"));
    has(&page, &format!("{stage}_bucket{{{own},stage=\"queue\",le=\"0.005\"}} 2"));
    has(&page, &format!("{stage}_count{{{own},stage=\"decode\"}} 2"));
}

#[test]
fn who_did_not_wait_is_not_among_those_who_did() {
    let (metrics, recorders) = start(&["m"]);
    let one = metrics.version(&name("m"), version(1), String::new);
    let mut asked = recorders[0].asked(Rpc::Predict, Protocol::Rest);
    let entered = Instant::now();
    let computed = Duration::from_micros(3);
    asked.answered_by(&Run { version: &one, entered, returned: entered + computed, computed });
    let page = metrics.page(&[]);
    assert_eq!(count(&page, "longshore_request_stage_duration_seconds_count"), 3);
    assert!(!page.contains("stage=\"queue\""));
    has(
        &page,
        ":tensorflow:serving:request_latency_count{model_name=\"m\",API=\"predict\",entrypoint=\"REST\"} 1",
    );
    has(
        &page,
        ":tensorflow:serving:runtime_latency_count{model_name=\"m\",API=\"Predict\",runtime=\"TF1\"} 1",
    );
}

#[test]
fn models_that_nobody_configured_share_their_series() {
    let (metrics, recorders) = start(&["m"]);
    for model in ["nothing", "\"x\n", "m", ""] {
        let mut asked = recorders[0].asked(Rpc::Predict, Protocol::Grpc);
        asked.of_model(model);
        asked.refused(Code::NotFound);
    }
    for model in 0..100 {
        metrics.model(&name(&format!("made up {model}"))).request_logged(Code::Ok);
    }
    let page = metrics.page(&[]);
    has(&page, ":tensorflow:serving:request_count{model_name=\".unknown\",status=\"NOT_FOUND\"} 2");
    has(&page, ":tensorflow:serving:request_count{model_name=\"m\",status=\"NOT_FOUND\"} 1");
    has(&page, ":tensorflow:serving:request_count{model_name=\"\",status=\"NOT_FOUND\"} 1");
    has(&page, ":tensorflow:serving:request_log_count{model_name=\".unknown\",status_code=\"OK\"} 100");
    assert_eq!(count(&page, "longshore_requests_total{"), 3);
    assert!(ModelName::new(UNKNOWN_MODEL).is_err(), "a model of this name would be mixed with the unknown");
}

#[test]
fn a_caller_that_leaves_is_counted_as_such() {
    let (metrics, recorders) = start(&["m"]);
    let mut asked = recorders[0].asked(Rpc::Regress, Protocol::Grpc);
    asked.of_model("m");
    drop(asked);
    recorders[0].asked(Rpc::Other, Protocol::Rest).is_not_counted();
    let page = metrics.page(&[]);
    has(
        &page,
        "longshore_requests_total{model=\"m\",rpc=\"Regress\",protocol=\"gRPC\",code=\"CANCELLED\"} 1",
    );
    assert_eq!(count(&page, "longshore_requests_total{"), 1);
}

#[test]
fn what_the_reference_does_not_count_is_ours_alone() {
    let (metrics, recorders) = start(&["m"]);
    for (rpc, protocol) in [
        (Rpc::GetModelStatus, Protocol::Grpc),
        (Rpc::GetModelStatus, Protocol::Rest),
        (Rpc::GetModelMetadata, Protocol::Rest),
    ] {
        let mut asked = recorders[0].asked(rpc, protocol);
        asked.of_model("m");
        asked.answered();
    }
    let page = metrics.page(&[]);
    has(&page, ":tensorflow:serving:request_count{model_name=\"m\",status=\"OK\"} 2");
    has(&page, ":tensorflow:serving:request_latency_count{model_name=\"m\",API=\"\",entrypoint=\"REST\"} 2");
    assert_eq!(count(&page, "longshore_requests_total{"), 3);
}

#[test]
fn the_series_of_a_version_end_with_it_and_the_models_go_on() {
    let (metrics, recorders) = start(&["m"]);
    let first = metrics.version(&name("m"), version(1), || "/srv/m/1".to_owned());
    first.loaded(Duration::from_millis(250), 1234);
    answer(&recorders[0], &first);
    let again = metrics.version(&name("m"), version(1), || unreachable!("it is there"));
    assert!(Arc::ptr_eq(&first, &again));
    let page = metrics.page(&[VersionState { model: name("m"), version: version(1), state: 30 }]);
    has(&page, "longshore_model_version_bytes{model=\"m\",version=\"1\"} 1234");
    has(&page, "longshore_model_version_load_seconds{model=\"m\",version=\"1\"} 0.25");
    has(&page, "longshore_model_version_state{model=\"m\",version=\"1\"} 30");
    has(&page, ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/srv/m/1\",status=\"success\"} 1");
    has(&page, ":tensorflow:cc:saved_model:load_latency{model_path=\"/srv/m/1\"} 250000");

    drop((first, again));
    let page = metrics.page(&[]);
    assert!(!page.contains("version=\"1\"") && !page.contains("/srv/m/1"), "{page}");
    has(&page, ":tensorflow:serving:request_count{model_name=\"m\",status=\"OK\"} 1");
    has(&page, "longshore_model_loads_total{model=\"m\",outcome=\"success\"} 1");

    // A list with the same model keeps its series, one without it drops them.
    metrics.configure([name("m"), name("n")].iter());
    assert!(metrics.page(&[]).contains("model_name=\"m\""));
    metrics.configure([name("n")].iter());
    assert!(!metrics.page(&[]).contains("model_name=\"m\""));
}

#[test]
fn two_models_of_one_folder_have_one_series_of_its_path() {
    let (metrics, _) = start(&["a", "b"]);
    let of = |model: &str| metrics.version(&name(model), version(1), || "/srv/x/1".to_owned());
    let (a, b) = (of("a"), of("b"));
    for one in [&a, &b] {
        one.failed_to_load();
        one.loaded(Duration::from_micros(20), 1);
        one.warmed_up(Code::Ok, 7, Duration::from_micros(15));
    }
    a.warmed_up(Code::InvalidArgument, 1, Duration::from_secs(1));
    let page = metrics.page(&[]);
    let path = "model_path=\"/srv/x/1\"";
    has(&page, &format!(":tensorflow:cc:saved_model:load_attempt_count{{{path},status=\"fail\"}} 2"));
    has(&page, &format!(":tensorflow:cc:saved_model:load_attempt_count{{{path},status=\"success\"}} 2"));
    has(&page, &format!(":tensorflow:cc:saved_model:load_latency{{{path}}} 40"));
    let warm_up = ":tensorflow:serving:model_warmup";
    has(&page, &format!("{warm_up}_records_read{{{path},status=\"OK\"}} 14"));
    has(&page, &format!("{warm_up}_records_read{{{path},status=\"INVALID_ARGUMENT\"}} 1"));
    has(&page, &format!("{warm_up}_latency_bucket{{{path},status=\"OK\",le=\"18\"}} 2"));
    has(&page, &format!("{warm_up}_latency_sum{{{path},status=\"OK\"}} 30"));
    has(&page, "longshore_model_loads_total{model=\"a\",outcome=\"failure\"} 1");
}

#[test]
fn batches_and_queues_are_counted() {
    let (metrics, _) = start(&["m"]);
    let one = metrics.version(&name("m"), version(1), String::new);
    one.loaded(Duration::ZERO, 1);
    let now = Instant::now();
    let (first, second) = (one.waiting(now), one.waiting(now));
    has(&metrics.page(&[]), "longshore_queue_depth{model=\"m\",version=\"1\"} 2");
    first.joins_batch(now + Duration::from_micros(130));
    drop(second);
    one.batch_ran(&Batch { requests: &[1, 2], inputs: 2, padded_rows: 4 });
    one.rejected(Rejection::QueueFull);
    let page = metrics.page(&[]);
    has(&page, "longshore_queue_depth{model=\"m\",version=\"1\"} 0");
    let session = ":tensorflow:serving:batching_session";
    has(&page, &format!("{session}:queuing_latency_bucket{{thread_pool_name=\"\",le=\"120\"}} 0"));
    has(&page, &format!("{session}:queuing_latency_bucket{{thread_pool_name=\"\",le=\"144\"}} 1"));
    assert_eq!(count(&page, &format!("{session}:queuing_latency_bucket")), 53);
    has(&page, &format!("{session}:wrapped_run_count 1"));
    has(&page, &format!("{session}:padding_size_sum{{execution_batch_size=\"4\"}} 1"));
    has(&page, &format!("{session}:input_batch_size_count 4"));
    has(&page, &format!("{session}:input_batch_size_sum 6"));
    has(&page, &format!("{session}:processed_batch_size_bucket{{le=\"2\"}} 0"));
    has(&page, &format!("{session}:processed_batch_size_bucket{{le=\"4\"}} 1"));
    has(&page, "longshore_batch_rows_sum{model=\"m\",version=\"1\"} 3");
    has(&page, "longshore_batch_requests_sum{model=\"m\",version=\"1\"} 2");
    has(&page, "longshore_batch_padding_rows_total{model=\"m\",version=\"1\"} 1");
    has(&page, "longshore_rejections_total{model=\"m\",reason=\"queue_full\"} 1");
}

#[test]
fn batch_sizes_without_end_do_not_make_series_without_end() {
    let (metrics, _) = start(&["m"]);
    let one = metrics.version(&name("m"), version(1), String::new);
    for rows in 1..=1000 {
        one.batch_ran(&Batch { requests: &[rows], inputs: 1, padded_rows: rows });
    }
    let page = metrics.page(&[]);
    let series = ":tensorflow:serving:batching_session:padding_size_count";
    assert_eq!(count(&page, series), crate::limits::METRICS_BATCH_SIZES_MAX + 1);
    has(&page, &format!("{series}{{execution_batch_size=\"\"}} 936"));
}

#[test]
fn the_rise_of_a_counter_is_that_of_all_its_series() {
    let (metrics, recorders) = start(&["m"]);
    let refuse = |model: &str| {
        let mut asked = recorders[0].asked(Rpc::Predict, Protocol::Grpc);
        asked.of_model(model);
        asked.refused(Code::NotFound);
    };
    let one = metrics.version(&name("m"), version(1), || "/m/1".to_owned());
    one.loaded(Duration::from_millis(3), 1);
    refuse("m");
    let rises = metrics.increases();
    // The series of its path go away, which is no fall.
    drop(one);
    let two = metrics.version(&name("m"), version(2), || "/m/2".to_owned());
    two.loaded(Duration::from_millis(5), 1);
    (0..3).for_each(|_| refuse("m"));
    refuse("unknown");
    let names = [
        "/tensorflow/serving/request_count",
        ":tensorflow:serving:request_count",
        "/tensorflow/cc/saved_model/load_attempt_count",
        "/tensorflow/cc/saved_model/load_latency",
        "/tensorflow/serving/request_latency",
        "",
    ];
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(rises.of(&names), [4, 4, 1, 5000, 0, 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_tells_of_itself() {
    let page = start(&[]).0.page(&[]);
    let value = |name: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - value("process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "{age}");
    assert!(value("process_cpu_seconds_total") >= 0.0 && value("process_threads") >= 1.0);
}

#[test]
fn microseconds_never_overflow() {
    assert_eq!(micros(Duration::MAX), u64::MAX);
}
