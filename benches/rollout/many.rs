//! Ten thousand models in one repository.

use std::thread;
use std::time::{Duration, Instant};

use longshore::proto::tensorflow::serving::model_spec::VersionChoice;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::common::sample;
use crate::common::server::Server;
use crate::common::verdict;
use crate::folders::Folders;
use crate::start::RESIDENT_MB;
use crate::{Outcome, client_runtime, connect, median, millis, resident};

const MODELS: usize = 10_000;
/// Starts; medians are over these.
const STARTS: usize = 5;
/// After the start, the second look and the setting up of watches.
const CALM_AFTER: Duration = Duration::from_secs(5);
/// How long the server is watched doing nothing.
const IDLE: Duration = Duration::from_secs(20);
/// Versions that are dropped in, of each kind.
const DROPS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// Process to first answer, with all models loaded, s.
const READY_S: f64 = 5.0;
/// What doing nothing costs, in hundredths of a core.
const IDLE_PERCENT: f64 = 1.0;

pub(crate) fn measure() -> Outcome<()> {
    let folders = Folders::new()?;
    let names: Vec<String> = (0..MODELS).map(|number| format!("model-{number:05}")).collect();
    let (kept, others) = names.split_last().ok_or("there are no models")?;
    folders.write(kept, 1)?;
    folders.settle();
    let runtime = client_runtime()?;
    let alone = resident(&Server::longshore(&folders.repository(), None, &folders.log(), &[])?)?;

    for name in others {
        folders.write(name, 1)?;
    }
    let dropped: Vec<&String> = names.iter().step_by(MODELS / (2 * DROPS)).take(2 * DROPS).collect();
    let (renamed, written) = dropped.split_at(DROPS);
    for name in renamed {
        folders.make_ready(name, 2)?;
    }
    folders.settle();

    let mut to_ready = Vec::new();
    let mut running = None;
    for _ in 0..STARTS {
        // The former one ends before the next begins.
        drop(running.take());
        let began = Instant::now();
        let server = Server::longshore(&folders.repository(), None, &folders.log(), &[])?;
        runtime.block_on(async {
            let mut client = connect(&server).await?;
            // The last one by name is no later than the rest: the port opens with all.
            match version_of(&mut client, kept).await? {
                Some(1) => Outcome::Ok(()),
                other => Err(format!("expected version 1 of {kept}, got {other:?}").into()),
            }
        })?;
        to_ready.push(began.elapsed().as_secs_f64());
        running = Some(server);
    }
    let server = running.ok_or("it was never started")?;
    thread::sleep(CALM_AFTER);
    let full = resident(&server)?;
    let (cpu, began) = (server.cpu_micros()?, Instant::now());
    thread::sleep(IDLE);
    let idle = (server.cpu_micros()? - cpu) / began.elapsed().as_secs_f64() / 1e6 * 100.0;

    let (after_renaming, after_writing, without) = runtime.block_on(async {
        let mut client = connect(&server).await?;
        let (mut after_renaming, mut after_writing) = (Vec::new(), Vec::new());
        for name in renamed {
            let began = Instant::now();
            folders.drop_in(name, 2)?;
            wait_for(&mut client, name, Some(2)).await?;
            after_renaming.push(millis(began.elapsed()));
        }
        for name in written {
            folders.write(name, 2)?;
            let began = Instant::now();
            wait_for(&mut client, name, Some(2)).await?;
            after_writing.push(millis(began.elapsed()));
        }
        for name in others {
            folders.remove(name)?;
        }
        for name in others {
            wait_for(&mut client, name, None).await?;
        }
        wait_for(&mut client, kept, Some(1)).await?;
        Outcome::Ok((after_renaming, after_writing, at_rest(&server)?))
    })?;

    println!("\n{MODELS} models, each a copy of the sample; medians of {STARTS} starts and {DROPS} drops");
    println!(
        "resident: {alone:.1} MB with one model, {full:.1} MB with all, {:.1} kB each",
        (full - alone) * 1e3 / MODELS as f64
    );
    println!(
        "one new version to its first answer: {:.0} ms after renaming it into place, {:.0} ms after writing it in place",
        median(after_renaming),
        median(after_writing)
    );
    verdict::tell("process to first answer", median(to_ready), "<=", READY_S, " s");
    verdict::tell("CPU while nothing happens, of a core", idle, "<=", IDLE_PERCENT, " %");
    verdict::tell("resident, all models but one removed", without, "<=", RESIDENT_MB, " MB");
    Ok(())
}

/// The version of a model that answers; `None` where there is no such model.
async fn version_of(client: &mut PredictionServiceClient<Channel>, model: &str) -> Outcome<Option<i64>> {
    match client.predict(sample::request(model)).await {
        Ok(answer) => {
            sample::check(answer.get_ref())?;
            match answer.into_inner().model_spec.and_then(|spec| spec.version_choice) {
                Some(VersionChoice::Version(version)) => Ok(Some(version)),
                other => Err(format!("expected an answer that tells its version, got {other:?}").into()),
            }
        }
        Err(status) if status.code() == Code::NotFound => Ok(None),
        // Known still, with no version left: on its way out.
        Err(status) if status.code() == Code::Unavailable => Ok(Some(0)),
        Err(status) => Err(status.into()),
    }
}

async fn wait_for(
    client: &mut PredictionServiceClient<Channel>,
    model: &str,
    wanted: Option<i64>,
) -> Outcome<()> {
    let began = Instant::now();
    loop {
        let found = version_of(client, model).await?;
        if found == wanted {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("expected version {wanted:?} of {model}, got {found:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Resident memory once it has stopped falling.
fn at_rest(server: &Server) -> Outcome<f64> {
    let mut least = resident(server)?;
    let mut since = Instant::now();
    while since.elapsed() < CALM_AFTER {
        thread::sleep(Duration::from_millis(250));
        let now = resident(server)?;
        if now < 0.99 * least {
            (least, since) = (now, Instant::now());
        }
    }
    resident(server)
}
