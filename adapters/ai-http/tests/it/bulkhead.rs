//! The laws of the bulkhead, on a clock that stands still until all wait.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::support::{Act, Script, ask, clock, prompt, refusal};
use chatcore::port::AiGateway;
use chatcore_ai_http::{Bulkhead, BulkheadPolicy};
use futures_util::future::{self, FutureExt};
use futures_util::{StreamExt, poll};
use std::time::Duration;

fn bulkhead(script: &Script, running: usize, waiting: usize) -> Bulkhead<Script> {
    let mut policy = BulkheadPolicy::default();
    (policy.running, policy.waiting, policy.patience) = (running, waiting, Duration::from_secs(10));
    Bulkhead::new(script.clone(), policy, clock())
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_and_the_others_follow_when_these_end() {
    let script = Script::default();
    script.then(Act::AnswerLate(2), 9);
    let bulkhead = bulkhead(&script, 3, 6);
    let all = future::join_all((0..9).map(|_| ask(&bulkhead)));
    let count = async {
        for expected in [3, 6, 9] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(script.calls(), expected);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (answers, ()) = tokio::join!(all, count);
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn one_that_finds_no_place_to_wait_in_is_refused_at_once() {
    let script = Script::default();
    script.then(Act::Hang, 2);
    let bulkhead = bulkhead(&script, 1, 1);
    let (mut runs, mut waits) = (bulkhead.answer(prompt()), bulkhead.answer(prompt()));
    assert!(runs.next().await.unwrap().is_ok());
    assert!(poll!(waits.next()).is_pending());

    let refused = ask(&bulkhead).now_or_never().expect("at once").unwrap_err();
    assert!(refused.to_string().contains("too many calls"), "{refused}");
    drop(waits);
    assert!(ask(&bulkhead).now_or_never().is_none(), "who waited and left has left its place");
    assert_eq!(script.calls(), 1, "none of these reached the AI");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_too_long_is_refused() {
    let script = Script::default();
    script.then(Act::Hang, 1);
    let bulkhead = bulkhead(&script, 1, 5);
    let mut runs = bulkhead.answer(prompt());
    assert!(runs.next().await.unwrap().is_ok());
    let begun = tokio::time::Instant::now();
    assert!(refusal(&bulkhead).await.contains("no place for this call in time"));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_at_the_end_of_an_answer_and_when_a_stream_is_dropped() {
    let script = Script::default();
    let bulkhead = bulkhead(&script, 1, 0);
    script.then(Act::Answer, 1).then(Act::Fail, 1).then(Act::BreakOff, 1).then(Act::Hang, 1);
    let mut ended = Vec::new();
    for length in [2, 2, 2] {
        let mut chunks = bulkhead.answer(prompt());
        for _ in 0..length {
            chunks.next().await;
        }
        ended.push(chunks);
    }
    let mut hangs = bulkhead.answer(prompt());
    assert!(hangs.next().await.unwrap().is_ok(), "though the ended streams are still held");
    assert!(refusal(&bulkhead).await.contains("too many calls"));
    drop(hangs);
    assert!(ask(&bulkhead).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_polled_takes_no_place() {
    let bulkhead = bulkhead(&Script::default(), 1, 0);
    let _unpolled = (bulkhead.answer(prompt()), bulkhead.answer(prompt()));
    assert!(ask(&bulkhead).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn limits_beyond_reason_do_not_panic() {
    for (running, waiting) in [(0, 0), (usize::MAX, usize::MAX)] {
        assert!(ask(&bulkhead(&Script::default(), running, waiting)).await.is_ok());
    }
}
