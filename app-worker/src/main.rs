//! The worker: settings, logs, parts, run.

use app_kit::stop;
use app_kit::telemetry::{self, Console};
use app_worker::{Application, Cli, Settings};
use std::error::Error;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run(Cli::read()).await else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error + Send + Sync>> {
    let settings = Settings::load()?;
    if cli.did_with_settings(&settings).await? {
        return Ok(());
    }
    let _telemetry = telemetry::init(&settings.logs, settings.traces.as_ref(), Console::Stderr)?;
    let mut stop = pin!(stop::signals()?);
    let Some(built) = stop::unless(&mut stop, Application::build(&settings)).await else { return Ok(()) };
    built?.run(stop).await
}
