//! What a law is, and how laws are run: as tests, or from a program that wants to know which of them are broken.

use futures_core::future::BoxFuture;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Longer than the slowest law takes on a busy machine; a call that hangs ends here.
const BOUND: Duration = Duration::from_secs(60);

/// A law of a port: its name, and a test that fails where an adapter breaks it.
#[derive(Debug)]
pub struct Law<H> {
    /// The phrase in the docs of the port, with `_` between the words.
    pub name: &'static str,
    /// Panics with what was expected and what came.
    pub run: for<'a> fn(&'a H) -> BoxFuture<'a, ()>,
}

/// A law that an adapter broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub law: &'static str,
    /// What the test said.
    pub says: String,
}

/// Runs one law by its name on a harness made for it. A harness of `None` skips the law and says so on stderr: for
/// tests that need a server which is not there.
///
/// # Panics
/// The law is broken, takes longer than a minute, or is not in the list.
pub fn check<H, M: Into<Option<H>>>(name: &str, laws: &[Law<H>], make: impl Future<Output = M>) {
    let law = laws.iter().find(|law| law.name == name).expect("a law of this name");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match make.await.into() {
            Some(harness) => tokio::time::timeout(BOUND, (law.run)(&harness)).await.expect("an end within a minute"),
            None => eprintln!("{name}: skipped"),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Runs all laws of a list at once, each on a harness of its own, and answers which are broken. For programs and doc
/// tests; a test suite calls the port's macro, which makes one test of each law.
pub fn broken<H, M, F>(laws: &[Law<H>], make: impl Fn() -> F + Sync) -> Vec<Broken>
where
    M: Into<Option<H>>,
    F: Future<Output = M>,
{
    std::thread::scope(|scope| {
        let run = |law: &Law<H>| {
            let (law, make) = (law.name, &make);
            (law, scope.spawn(move || check(law, laws, make())))
        };
        let running: Vec<_> = laws.iter().map(run).collect();
        let ended = running.into_iter().map(|(law, thread)| (law, thread.join()));
        ended.filter_map(|(law, end)| end.err().map(|panic| Broken { law, says: said(&*panic) })).collect()
    })
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// How a harness lets time pass, for the store as for the law.
pub(super) type Wait = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Real time.
pub(super) fn real_time() -> Wait {
    Arc::new(|time| Box::pin(tokio::time::sleep(time)))
}

/// Tries with longer and longer times, until the machine was quick enough to see what has to be seen within one of them.
pub(super) async fn quick_enough<F: Future<Output = bool>>(sees: impl Fn(Duration) -> F, otherwise: &str) {
    for time in [400, 1600, 6400].map(Duration::from_millis) {
        if sees(time).await {
            return;
        }
    }
    panic!("{otherwise}");
}

/// The list of a port's laws, once: from it come `LAWS` and the macro that makes a test of each.
macro_rules! laws {
    ($d:tt $(#[$doc:meta])* $macro:ident, $module:ident, $harness:ty: $($law:ident),+ $(,)?) => {
        /// Every law of the port.
        pub const LAWS: &[$crate::conformance::Law<$harness>] = &[
            $($crate::conformance::Law { name: stringify!($law), run: |harness| Box::pin($law(harness)) }),+
        ];

        $(#[$doc])*
        #[macro_export]
        macro_rules! $macro {
            ($d harness:expr) => {
                $(
                    #[test]
                    fn $law() {
                        $crate::conformance::check(
                            stringify!($law),
                            $crate::conformance::$module::LAWS,
                            $d harness,
                        );
                    }
                )+
            };
        }
    };
}

pub(super) use laws;
