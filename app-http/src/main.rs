//! The HTTP server: settings, logs, parts, run.

use app_http::{Application, cli::Cli, settings::Settings};
use app_kit::{stop, telemetry, telemetry::Console};
use std::error::Error;
use std::io::Write;
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
    if cli.did_without_settings()? {
        return Ok(());
    }
    let (settings, stop) = (Settings::load()?, stop::signals()?);
    if cli.did_with_settings(&settings).await? {
        return Ok(());
    }
    let _telemetry = telemetry::init(&settings.logs, settings.traces.as_ref(), Console::Stdout)?;
    Ok(Application::build(settings).await?.run(stop).await?)
}
