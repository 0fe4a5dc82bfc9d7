//! The laws of the port, with and without a delay.

use chatcore_ai_demo::DemoAi;
use chatcore_ports::conformance::AiHarness;
use chatcore_ports::tokio::TokioRuntime;
use std::sync::Arc;
use std::time::Duration;

fn harness(delay: Duration) -> AiHarness {
    AiHarness::new(Arc::new(DemoAi::new(delay, Arc::new(TokioRuntime::current()))))
}

mod at_once {
    use super::*;

    chatcore_ports::ai_gateway_laws!(async { harness(Duration::ZERO) });
}

mod word_by_word {
    use super::*;

    chatcore_ports::ai_gateway_laws!(async { harness(Duration::from_millis(50)) });
}
