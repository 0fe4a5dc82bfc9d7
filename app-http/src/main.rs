//! The HTTP server: settings, logs, parts, run.

use app_http::{Application, cli::Cli};
use app_kit::stop;
use app_kit::telemetry::{self, Console};
use std::error::Error;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

/// A turn makes some hundreds of small allocations, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = run(Cli::read()).await else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Some(settings) = cli.settings().await? else { return Ok(()) };
    let _telemetry = telemetry::init(&settings.logs, settings.traces.as_ref(), Console::Stdout)?;
    let mut stop = pin!(stop::signals()?);
    let Some(built) = stop::unless(&mut stop, Application::build(settings)).await else { return Ok(()) };
    Ok(built?.run(stop).await?)
}
