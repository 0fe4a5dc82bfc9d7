//! The worker: settings, logs, parts, run.

use app_kit::telemetry::{self, Console};
use app_kit::{program, stop};
use app_worker::{Application, Cli};
use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    program::run(Builder::new_multi_thread(), run(Cli::read()))
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error + Send + Sync>> {
    let settings = cli.settings()?;
    if cli.did_with_settings(&settings).await? {
        return Ok(());
    }
    let _telemetry = telemetry::init(&settings.logs, settings.traces.as_ref(), Console::Stderr)?;
    let mut stop = pin!(stop::signals()?);
    let Some(built) = stop::unless(&mut stop, Application::build(&settings)).await else { return Ok(()) };
    built?.run(stop).await
}
