//! Streams over several servers: cut anywhere and resumed elsewhere, left by their readers, their server killed. Nobody is shown
//! another text than the stored one.

use super::servers::Server as Redis;
use super::shown::{Shown, path_of};
use super::{ANSWERED_WITHIN, LEASE, durable};
use crate::client::Client;
use crate::process::Server;
use crate::writers::within;
use futures_util::future::{join, join_all};
use futures_util::{StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// What is asked: the answer has letters of one to three bytes.
const QUESTION: &str = "tai nghe dưới 3 triệu";

/// A lease for hundreds of turns at once, of which some are late on a busy machine: one that is late for its lease is taken up
/// elsewhere, or closed. Not longer, since one whose begin was told too late is taken up only then, and clients wait for 40 s.
const LONG: Duration = Duration::from_secs(15);

fn start(redis: &Redis, delay: &str, lease: Duration) -> Server {
    let lease = format!("{}s", lease.as_secs());
    let quotas = [("MESSAGE_QUOTA", "off"), ("GUEST_QUOTA", "off"), ("OWNER_MAX_SESSIONS", "20000")];
    let settings = [&quotas[..], &[("TURN_LEASE", &lease)]].concat();
    Server::start(&[&settings[..], &[("REDIS_URL", &redis.url()), ("AI_DEMO_DELAY", delay)]].concat())
}

fn message(key: &str) -> Value {
    json!({ "message": QUESTION, "client_message_id": key })
}

/// Exactly so many bytes, or all where there are fewer; then the client is gone.
async fn cut_after(mut response: Response, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let Some(more) = response.chunk().await.unwrap() else { return bytes };
        bytes.extend(more);
    }
    bytes.truncate(most);
    bytes
}

/// How many turns run at once.
const AT_ONCE: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_after_any_byte_goes_on_elsewhere() {
    let redis = durable();
    let (one, two) = (start(&redis, "1s", LONG), start(&redis, "1s", LONG));
    // One alone may not read so many streams along.
    let guests: Vec<_> = (0..8).map(|number| Client::guest(&one, &format!("device-{number:04}"))).collect();
    let (mut cuts, mut late) = (0, 0);
    loop {
        let cut_there = |cut: usize| {
            let here = &guests[cut / 2 % guests.len()];
            let (here, there) = (here.clone(), here.at(&two));
            let (here, there) = if cut.is_multiple_of(2) { (here, there) } else { (there, here) };
            tokio::spawn(surely_resumed(here, there, cut))
        };
        let ended = join_all((cuts..cuts + AT_ONCE).map(cut_there)).await;
        cuts += AT_ONCE;
        let ended: Vec<(Cut, usize)> = ended.into_iter().map(Result::unwrap).collect();
        late += ended.iter().map(|(_, late)| late).sum::<usize>();
        if ended.iter().any(|(cut, _)| *cut == Cut::Never) {
            break;
        }
    }
    println!("resumed after each of {cuts} bytes, {late} more were late");
    assert!(late <= cuts / 50, "{late} of {cuts} turns had to be taken up by another server");
    assert!(cuts > 4 * AT_ONCE, "a stream has {cuts} bytes");
}

/// What became of a stream that was to be cut.
#[derive(Debug, PartialEq)]
enum Cut {
    /// It was whole before.
    Never,
    Resumed,
    /// On a busy machine its server may be late for its lease: another takes its turn up, or closes it, and its reader begins anew.
    Late,
}

/// Other turns are cut there until one was not late; answers how many were.
async fn surely_resumed(here: Client, there: Client, cut: usize) -> (Cut, usize) {
    let mut late = 0;
    loop {
        match cut_and_resumed(&here, &there, cut, late).await {
            Cut::Late if late < 3 => late += 1,
            Cut::Late => panic!("four times a stream that was cut after {cut} bytes began anew"),
            ended => return (ended, late),
        }
    }
}

async fn cut_and_resumed(here: &Client, there: &Client, cut: usize, late: usize) -> Cut {
    let (message, mut shown) = (message(&format!("cut-{cut}-{late}")), Shown::default());
    let mut bytes = cut_after(here.stream("/chat/message", Some(&message), &[]).await, cut).await;
    let length = bytes.len();
    shown.take(&mut bytes);
    if shown.done.is_some() {
        return if length < cut { Cut::Never } else { Cut::Resumed };
    }
    shown.read_on(there, &message).await;
    shown.is_the_stored_text();
    match (shown.restarts, shown.done.unwrap()["status"].as_str()) {
        (0, Some("completed")) => Cut::Resumed,
        (_, Some("completed" | "failed")) => Cut::Late,
        other => panic!("{other:?}, cut after {cut}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_learns_that_the_server_of_a_turn_was_killed() {
    let redis = durable();
    let (mut dying, living) = (start(&redis, "20s", LEASE), start(&redis, "0", LEASE));
    let here = Client::login(&living).await;
    let there = here.at(&dying);
    // One turn is only read along; of another the message was sent again, so that there is somebody to answer it; of the third it
    // is sent again once the server is dead.
    let [read, sent, late] = ["read", "sent", "late"].map(message);
    let (mut askers, mut asked) = (Vec::new(), [(); 3].map(|()| Shown::default()));
    for (shown, message) in asked.iter_mut().zip([&read, &sent, &late]) {
        let mut asker = there.stream("/chat/message", Some(message), &[]).await;
        shown.read(&mut asker, |shown| shown.deltas > 2).await;
        askers.push(asker);
    }
    let path = format!("{}/stream", asked[0].path.as_ref().unwrap());
    let mut readers = [here.stream(&path, None, &[]).await, here.stream("/chat/message", Some(&sent), &[]).await];
    let mut shown = [Shown::default(), Shown::default()];
    for (shown, response) in shown.iter_mut().zip(&mut readers) {
        shown.read(response, |shown| shown.deltas > 0).await;
    }
    dying.kill();
    let ends = async {
        for (shown, response) in shown.iter_mut().zip(&mut readers) {
            shown.read(response, |_| false).await;
        }
    };
    let (late, ()) = within(LEASE + ANSWERED_WITHIN, join(here.ask(late), ends)).await;
    assert_eq!(late["status"], "completed");
    assert_eq!(Some(path_of(&late)), asked[2].path, "it is the same question");
    let [read_along, taken_up] = shown;
    let ends = [&read_along, &taken_up].map(|shown| {
        shown.is_the_stored_text();
        (shown.restarts, shown.done.as_ref().unwrap()["status"].clone())
    });
    assert_eq!(ends, [(0, json!("failed")), (1, json!("completed"))]);
    // The asker read a while, the reader until the server died.
    let (shown, kept) = (&asked[0].text, &read_along.text);
    assert!(shown.starts_with(kept) || kept.starts_with(shown), "what was shown was kept: {shown:?}, {kept:?}");
    assert!(!read_along.text.is_empty(), "{read_along:?}");
    let failed = read_along.done.unwrap();
    let next = json!({ "message": QUESTION, "session_id": failed["session_id"] });
    assert_eq!(here.ask(next).await["status"], "completed", "the session takes the next message");
    assert_eq!(here.ask(read).await, failed, "the same key has the same answer");
}

/// A server that stood still finds its turn answered by another. Who asked it reads the other's text, and is told where to go
/// on when the server ends before that.
#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_a_turn_that_changed_hands_is_told_that_the_first_server_stops() {
    let redis = durable();
    let (still, living) = (start(&redis, "15s", LEASE), start(&redis, "15s", LEASE));
    let here = Client::login(&living).await;
    let message = message("changes-hands");
    let (mut asked, mut taken_up) = (Shown::default(), Shown::default());
    let mut asker = here.at(&still).stream("/chat/message", Some(&message), &[]).await;
    asked.read(&mut asker, |shown| shown.deltas > 0).await;
    let mut again = here.stream("/chat/message", Some(&message), &[]).await;
    still.signal("-STOP");
    within(LEASE + ANSWERED_WITHIN, taken_up.read(&mut again, |shown| shown.restarts > 0)).await;
    still.signal("-CONT");
    within(LEASE + ANSWERED_WITHIN, asked.read(&mut asker, |shown| shown.restarts > 0)).await;
    still.signal("-TERM");
    within(ANSWERED_WITHIN, asked.read(&mut asker, |_| false)).await;
    assert!(asked.sent_on && asked.done.is_none(), "{asked:?}");
    join(asked.read_on(&here, &message), taken_up.read(&mut again, |_| false)).await;
    for shown in [&asked, &taken_up] {
        shown.is_the_stored_text();
        assert_eq!((shown.restarts, &shown.done), (1, &taken_up.done), "{shown:?}");
    }
    assert_eq!(taken_up.done.unwrap()["status"], "completed");
}

/// Its AI has fallen silent, so nothing but the store tells a turn's server.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_stopped_at_another_server_and_gives_way_to_a_message_there() {
    let redis = durable();
    let (slow, quick) = (start(&redis, "60s", LEASE), start(&redis, "0", LEASE));
    let here = Client::login(&quick).await;
    let there = here.at(&slow);
    let mut stopped = Shown::default();
    let mut asker = there.stream("/chat/message", Some(&message("stopped")), &[]).await;
    stopped.read(&mut asker, |shown| shown.deltas > 0).await;
    here.stop(stopped.path.as_ref().unwrap()).await;
    within(ANSWERED_WITHIN, stopped.read(&mut asker, |_| false)).await;
    let session = &stopped.done.as_ref().unwrap()["session_id"];
    let busy = json!({ "message": QUESTION, "session_id": session });
    let (mut gives_way, mut asker) = (Shown::default(), there.stream("/chat/message", Some(&busy), &[]).await);
    gives_way.read(&mut asker, |shown| shown.deltas > 0).await;
    let next = json!({ "message": QUESTION, "session_id": session, "on_busy": "cancel" });
    let (answer, _) = within(ANSWERED_WITHIN, join(here.ask(next), gives_way.read(&mut asker, |_| false))).await;
    assert_eq!(answer["status"], "completed");
    for shown in [stopped, gives_way] {
        shown.is_the_stored_text();
        assert_eq!(shown.done.unwrap()["status"], "cancelled");
    }
}

/// A guest logs in while his answer comes. His stream goes on; who reads along as the guest, elsewhere, may not any more, and
/// goes on as the user from where he was.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_adopted_while_its_answer_is_followed_elsewhere() {
    const DEVICE: &str = "device-0001";
    let redis = durable();
    let (one, two) = (start(&redis, "15s", LONG), start(&redis, "15s", LONG));
    let guest = Client::guest(&one, DEVICE);
    let message = message("adopted");
    let [mut asked, mut along, mut anew] = [(); 3].map(|()| Shown::default());
    let mut asker = guest.stream("/chat/message", Some(&message), &[]).await;
    asked.read(&mut asker, |shown| shown.deltas > 1).await;
    let path = format!("{}/stream", asked.path.as_ref().unwrap());
    let mut reader = guest.at(&two).stream(&path, None, &[]).await;
    along.read(&mut reader, |shown| shown.deltas > 1).await;

    let user = Client::login_of(&two, DEVICE).await;
    within(Duration::from_secs(5), along.read(&mut reader, |_| false)).await;
    let held = along.text.len();
    assert!(along.denied.is_some() && along.done.is_none(), "he is a guest no more: {along:?}");
    let mut whole = user.stream(&path, None, &[]).await;
    let ends = async { join(asked.read(&mut asker, |_| false), anew.read(&mut whole, |_| false)).await };
    join(ends, along.read_on(&user, &message)).await;
    assert!(0 < held && held < along.text.len(), "it was adopted after {held} bytes of {along:?}");
    for shown in [&asked, &along, &anew] {
        shown.is_the_stored_text();
        assert_eq!((shown.restarts, &shown.done), (0, &asked.done), "{shown:?}");
    }
    assert_eq!(asked.done.unwrap()["status"], "completed");
    assert_eq!(user.messages(path.split('/').nth(3).unwrap()).await[1]["content"], *anew.text);
}

/// How many clients hang up: all that were promised, or `DISCONNECTS=2000`.
fn disconnects() -> usize {
    std::env::var("DISCONNECTS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

/// Where clients hang up: `SEED=7` for the places of another run.
fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000))
}

/// Where in this answer a client hangs up: at any byte, or at one of its head, or just before it is told the end.
fn place(random: &mut fastrand::Rng, whole: &[u8]) -> usize {
    let find = |text: &[u8]| whole.windows(text.len()).position(|part| part == text).unwrap();
    let (head, done) = (find(b"\r\n\r\n"), find(b"event: done"));
    match random.u8(..3) {
        0 => random.usize(..whole.len()),
        1 => random.usize(..head),
        _ => random.usize(done - 100..done + 20),
    }
}

/// How many messages Redis holds.
const STORED: &str = "local stored = 0
for _, key in ipairs(redis.call('KEYS', '*:m:*')) do stored = stored + redis.call('LLEN', key) end
return stored";

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_anywhere_leave_one_answer_to_each_question() {
    let redis = durable();
    let (one, two) = (start(&redis, "200ms", LONG), start(&redis, "200ms", LONG));
    let client = Client::login(&one).await;
    let clients = [client.clone(), client.at(&two)];
    let whole = loop {
        let answer = client.cut_after(&message("whole"), usize::MAX).await;
        // As on a busy machine, where the store may be late.
        if String::from_utf8_lossy(&answer).contains("event: done") {
            break answer;
        }
    };
    let (count, seed) = (disconnects(), seed());
    println!("{count} clients hang up, with SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let hang_up = |number: usize| {
        let (client, message) = (clients[number % 2].clone(), message(&format!("gone-{number}")));
        let cut = place(&mut random, &whole);
        async move {
            let (mut answer, mut refused) = (client.cut_after(&message, cut).await, 0);
            while answer.starts_with(b"HTTP/1.1 503") {
                refused = 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer = client.cut_after(&message, cut).await;
            }
            // Whether it was taken, who saw no head does not know, and sends it again.
            let was_taken = answer.starts_with(b"HTTP/1.1 200");
            (refused, (!was_taken).then_some(message))
        }
    };
    let gone: Vec<_> = stream::iter((0..count).map(hang_up)).buffer_unordered(200).collect().await;
    let (refused, unsure): (Vec<usize>, Vec<_>) = gone.into_iter().unzip();
    let again = unsure.into_iter().flatten().map(|message| client.ask(message));
    let again: Vec<_> = stream::iter(again).buffer_unordered(50).collect().await;
    println!("{} saw no head", again.len());
    // The last of them go on without their readers.
    let ended = within(LONG + Duration::from_secs(20), async {
        loop {
            let sessions = client.all_sessions().await;
            if sessions.iter().all(|session| session["message_count"] == 2) {
                return sessions;
            }
        }
    })
    .await;
    assert_eq!(ended.len(), count + 1);
    let since = Instant::now();
    let status_of = |session: Value| {
        let client = &client;
        async move {
            let messages = client.messages(session["session_id"].as_str().unwrap()).await;
            let told: Vec<_> = messages.iter().map(|message| (&message["role"], &message["reply_to"])).collect();
            assert_eq!(told, [(&json!("user"), &Value::Null), (&json!("assistant"), &json!(1))], "{messages:?}");
            messages[1]["status"].clone()
        }
    };
    let answers: Vec<_> = stream::iter(ended.into_iter().map(status_of)).buffer_unordered(50).collect().await;
    let failed = answers.iter().filter(|status| **status == "failed").count();
    println!("each has one answer, of which {failed} failed, as was looked in {:?}", since.elapsed());
    assert_eq!(answers.iter().filter(|status| **status == "completed").count(), answers.len() - failed, "{answers:?}");
    assert_eq!(redis.ask(&["EVAL", STORED, "0"]), (2 * answers.len()).to_string(), "and none that history hides");
    // Of a question that was taken although its client was told that the store is late, nobody may have waited for the answer;
    // and on a very busy machine a turn may lose its lease.
    let may_fail = refused.iter().sum::<usize>() + again.iter().filter(|answer| answer["status"] == "failed").count();
    assert!(failed <= may_fail + count / 500, "{failed} failed, of {may_fail} that may");
}
