//! SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// One message for each SIGTERM or SIGINT from now on. The first asks the server
/// to drain, the next to hurry.
///
/// # Errors
/// When the system refuses the handlers.
pub fn stop_signals() -> std::io::Result<mpsc::Receiver<()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                got = term.recv() => got.map(|()| "SIGTERM"),
                got = int.recv() => got.map(|()| "SIGINT"),
            };
            let Some(name) = name else { return };
            tracing::info!(signal = name, "asked to stop");
            if tell.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(told)
}
