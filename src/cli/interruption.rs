//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until this process is asked to stop: Ctrl-C, a job that CI ends, a terminal that closes. For ever, where
/// signals cannot be heard: then the kernel ends the process, and steps with it.
pub(super) async fn interruption() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
