//! The HTTP server: settings, logs, parts, run.

use app_http::{Application, cli::Cli};
use app_kit::telemetry::{self, Console};
use app_kit::{program, stop};
use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// A turn makes some hundreds of small allocations, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::run(Builder::new_current_thread(), run(Cli::read()))
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Some(settings) = cli.settings().await? else { return Ok(()) };
    let _telemetry = telemetry::init(&settings.logs, settings.traces.as_ref(), Console::Stdout)?;
    let mut stop = pin!(stop::signals()?);
    let Some(built) = stop::unless(&mut stop, Application::build(settings)).await else { return Ok(()) };
    Ok(built?.run(stop).await?)
}
