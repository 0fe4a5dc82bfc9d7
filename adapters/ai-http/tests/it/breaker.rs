//! The laws of the breaker, on a clock that stands still until all wait.

use crate::support::{Act, Script, ask, clock, prompt, refusal};
use chatcore::port::AiGateway;
use chatcore_ai_http::{Breaker, BreakerPolicy};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;

const REST: &str = "given a rest";
const PAUSE: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(1);

fn breaker(script: &Script) -> Breaker<Script> {
    Breaker::new(script.clone(), BreakerPolicy::default(), clock())
}

/// One whose script has already made it open.
async fn opened(script: &Script) -> Breaker<Script> {
    script.then(Act::Fail, 5);
    let breaker = breaker(script);
    for _ in 0..5 {
        assert_eq!(refusal(&breaker).await, "scripted");
    }
    assert!(breaker.refuses());
    breaker
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_five_faults_in_a_row_and_then_calls_nobody() {
    let script = Script::default();
    let breaker = opened(&script).await;
    tokio::time::sleep(PAUSE - MOMENT).await;
    for _ in 0..100 {
        assert!(refusal(&breaker).await.contains(REST));
    }
    assert_eq!(script.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_refused_do_not_open_it() {
    let script = Script::default();
    script.then(Act::Fail, 4).then(Act::Refuse, 100).then(Act::Fail, 4);
    let breaker = breaker(&script);
    for _ in 0..108 {
        assert_eq!(refusal(&breaker).await, "scripted");
    }
    assert!(!breaker.refuses());
}

#[tokio::test(start_paused = true)]
async fn a_success_sets_the_count_to_zero() {
    let script = Script::default();
    let breaker = breaker(&script);
    for _ in 0..10 {
        script.then(Act::Fail, 4).then(Act::Answer, 1);
    }
    for call in 0..50 {
        assert_eq!(ask(&breaker).await.is_ok(), call % 5 == 4, "call {call}");
    }
    assert!(!breaker.refuses());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_is_a_fault_and_its_text_is_passed_on() {
    let script = Script::default();
    script.then(Act::BreakOff, 5);
    let breaker = breaker(&script);
    for _ in 0..5 {
        let chunks: Vec<_> = breaker.answer(prompt()).collect().await;
        assert!(matches!(chunks.as_slice(), [Ok(_)]), "{chunks:?}");
    }
    assert!(breaker.refuses());
}

#[tokio::test(start_paused = true)]
async fn after_the_pause_one_call_tries_and_its_success_closes() {
    let script = Script::default();
    let breaker = opened(&script).await;
    script.then(Act::AnswerLate(3), 1);
    tokio::time::sleep(PAUSE).await;
    let others = async {
        tokio::time::sleep(MOMENT).await;
        for _ in 0..10 {
            assert!(refusal(&breaker).await.contains(REST), "only one tries");
        }
    };
    let (tried, ()) = tokio::join!(ask(&breaker), others);
    assert!(tried.is_ok());
    assert_eq!(script.calls(), 6);

    // As good as new: four more faults do not open it.
    script.then(Act::Fail, 4);
    for _ in 0..4 {
        assert_eq!(refusal(&breaker).await, "scripted");
    }
    assert!(ask(&breaker).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_try_that_fails_opens_it_for_another_pause() {
    let script = Script::default();
    let breaker = opened(&script).await;
    script.then(Act::Fail, 3);
    for tries in 1..=3 {
        tokio::time::sleep(PAUSE - MOMENT).await;
        assert!(refusal(&breaker).await.contains(REST));
        tokio::time::sleep(MOMENT).await;
        assert_eq!(refusal(&breaker).await, "scripted");
        assert_eq!(script.calls(), 5 + tries);
    }
    tokio::time::sleep(PAUSE).await;
    assert!(ask(&breaker).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_try_that_is_dropped_leaves_the_next_call_to_try() {
    let script = Script::default();
    let breaker = opened(&script).await;
    script.then(Act::FailLate(1000), 3);
    tokio::time::sleep(PAUSE).await;
    for _ in 0..3 {
        let mut trying = breaker.answer(prompt());
        assert!(trying.next().now_or_never().is_none());
        assert!(breaker.refuses() && refusal(&breaker).await.contains(REST));
        drop(trying);
        assert!(!breaker.refuses());
    }
    assert!(ask(&breaker).await.is_ok());
    assert_eq!(script.calls(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_speaks_keeps_nobody_out_and_until_an_answer_is_whole_one_fault_opens_it_again() {
    let script = Script::default();
    let breaker = opened(&script).await;
    script.then(Act::Hang, 1).then(Act::Fail, 1).then(Act::Answer, 1).then(Act::Fail, 5);
    tokio::time::sleep(PAUSE).await;
    let mut long = breaker.answer(prompt());
    assert!(long.next().await.unwrap().is_ok());
    assert_eq!(refusal(&breaker).await, "scripted", "asked while the try goes on");
    assert!(breaker.refuses());
    tokio::time::sleep(PAUSE).await;
    assert!(ask(&breaker).await.is_ok());
    for _ in 0..4 {
        assert_eq!(refusal(&breaker).await, "scripted");
    }
    assert!(!breaker.refuses(), "a whole answer set the count to zero");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_is_neither_a_fault_nor_a_success() {
    let script = Script::default();
    script.then(Act::Hang, 20).then(Act::Fail, 4).then(Act::Hang, 1).then(Act::Fail, 1);
    let breaker = breaker(&script);
    let hang_up = async || drop(breaker.answer(prompt()).next().await);
    for _ in 0..20 {
        hang_up().await;
    }
    for _ in 0..4 {
        refusal(&breaker).await;
    }
    assert!(!breaker.refuses(), "hanging up is no fault");
    hang_up().await;
    refusal(&breaker).await;
    assert!(breaker.refuses(), "and no success");
}

#[tokio::test(start_paused = true)]
async fn calls_of_before_it_opened_change_nothing_when_they_end() {
    let script = Script::default();
    script.then(Act::AnswerLate(2), 1).then(Act::FailLate(4), 1);
    let breaker = breaker(&script);
    let (mut answers, mut fails) = (breaker.answer(prompt()), breaker.answer(prompt()));
    let old = async { tokio::join!(answers.next(), fails.next()) };
    let fresh = async {
        tokio::time::sleep(MOMENT).await;
        script.then(Act::Fail, 5);
        for _ in 0..5 {
            refusal(&breaker).await;
        }
        for second in 1..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(breaker.refuses(), "{second} s: an old success does not close it");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!breaker.refuses(), "an old fault does not make the pause longer");
    };
    let ((answered, failed), ()) = tokio::join!(old, fresh);
    assert!(answered.unwrap().is_ok() && failed.unwrap().is_err());
}
