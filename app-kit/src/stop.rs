//! How a program is told to stop.

use futures_util::future::{Either, select};
use std::io;
use std::pin::pin;
use tokio::signal::unix::{SignalKind, signal};

/// Listens for SIGTERM and SIGINT from now on; the future is done at the first of them. Called inside a tokio runtime.
///
/// # Errors
/// The process cannot listen for signals.
pub fn signals() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        match select(pin!(terminate.recv()), pin!(interrupt.recv())).await {
            Either::Left(_) => tracing::info!("SIGTERM: stopping"),
            Either::Right(_) => tracing::info!("SIGINT: stopping"),
        }
    })
}

/// What work comes to; `None` where `stop` is done before it.
pub async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(stop), pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((done, _)) => Some(done),
    }
}
