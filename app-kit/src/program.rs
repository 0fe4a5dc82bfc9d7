//! How a program runs to its end.

use std::fmt::Display;
use std::io::{Write, stderr};
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Runs a program on a runtime of its own, and says on stderr why it failed. What still blocks a thread when it ends is left
/// behind: a look-up of a name while DNS is away would hold up the end for longer than the grace.
pub fn run<E: Display + From<std::io::Error>>(
    mut builder: Builder,
    program: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    let ended = builder.enable_all().build().map_err(E::from).and_then(|runtime| {
        let ended = runtime.block_on(program);
        runtime.shutdown_background();
        ended
    });
    let Err(error) = ended else { return ExitCode::SUCCESS };
    let _ = writeln!(stderr(), "{error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
    fn a_thread_that_blocks_does_not_hold_up_the_end() {
        for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let since = Instant::now();
            let leaves_a_thread = async {
                let (blocks, blocked) = oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    let _ = blocks.send(());
                    std::thread::sleep(Duration::from_secs(30));
                });
                blocked.await.map_err(io::Error::other)
            };
            assert_eq!(run(builder, leaves_a_thread), ExitCode::SUCCESS);
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        }
        let fails = async { Err(io::Error::other("as the test wants it")) };
        assert_eq!(run(Builder::new_current_thread(), fails), ExitCode::FAILURE);
    }
}
