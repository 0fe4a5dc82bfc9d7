//! Streams: an answer as it comes, resumed from anywhere, stopped, read along; and a session from another tab.

use crate::app::{Answer, TestApp, send};
use crate::openapi::{documented, documented_event};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use socket2::SockRef;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Slow enough that a test can look while it is answered.
const SLOW: (&str, &str) = ("AI_DEMO_DELAY", "2s");
/// How long anything may take that comes at once.
const SOON: Duration = Duration::from_secs(20);

/// A stream that is being read.
struct Events {
    path: String,
    response: Response,
    unread: String,
}

/// Name, id and data.
pub(crate) type Event = (String, String, Value);

impl Events {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let path = response.url().path().to_owned();
        let method = if path == "/chat/message" { Method::POST } else { Method::GET };
        documented(&method, &path, &Answer { status: 200, headers: response.headers().clone(), text: String::new() });
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        Self { path, response, unread: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((whole, rest)) = self.unread.split_once("\n\n") {
                let (whole, rest) = (whole.to_owned(), rest.to_owned());
                self.unread = rest;
                match whole.as_str() {
                    ":" => continue,
                    whole => {
                        let event = parsed(whole);
                        documented_event(&self.path, &event);
                        return Some(event);
                    }
                }
            }
            match timeout(SOON, self.response.chunk()).await.unwrap().unwrap() {
                Some(bytes) => self.unread += std::str::from_utf8(&bytes).unwrap(),
                None => {
                    assert_eq!(self.unread, "", "a stream ends with a whole event");
                    return None;
                }
            }
        }
    }

    /// Reads until an event has this name; answers that one.
    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap();
            if event.0 == name {
                return event;
            }
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parsed(whole: &str) -> Event {
    let lines: Vec<&str> = whole.split('\n').collect();
    let [name, id, data] = lines[..] else { panic!("{whole:?}") };
    let of = |line: &str, field: &str| line.strip_prefix(field).unwrap_or_else(|| panic!("{whole:?}")).to_owned();
    (of(name, "event: "), of(id, "id: "), serde_json::from_str(&of(data, "data: ")).unwrap())
}

fn names(events: &[Event]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|(name, ..)| name.as_str()).collect();
    names.dedup();
    names
}

/// What a client shows that appends deltas, and forgets them at a restart.
fn text(events: &[Event]) -> String {
    events.iter().fold(String::new(), |text, (name, _, data)| match name.as_str() {
        "delta" => text + data["text"].as_str().unwrap(),
        "restart" => String::new(),
        _ => text,
    })
}

fn ask(app: &TestApp, body: &Value) -> RequestBuilder {
    app.authed(Method::POST, "/chat/message").json(body)
}

fn turn_path(turn: &Value, what: &str) -> String {
    let of = |name: &str| turn[name].as_str().unwrap().to_owned();
    format!("/chat/session/{}/turns/{}/{what}", of("session_id"), of("message_id"))
}

fn session_path(turn: &Value, what: &str) -> String {
    format!("/chat/session/{}/{what}", turn["session_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_message_is_answered_as_a_stream_by_who_asks_for_one() {
    let app = TestApp::with(&[("AI_DEMO_DELAY", "300ms"), ("MESSAGE_QUOTA", "10/60s")]).await;
    let body = json!({ "message": "tai nghe dưới 3 triệu", "client_message_id": "k" });
    let stream = Events::of(ask(&app, &body)).await;
    let headers = stream.response.headers().clone();
    assert_eq!(headers["ratelimit"], "\"chat\";r=9;t=60");
    assert!(!headers.contains_key("idempotency-replayed"));
    let events = stream.rest().await;
    assert_eq!(names(&events), ["turn", "delta", "done"]);
    assert!(events.len() > 5, "piece by piece: {events:?}");
    let whole = app.message(&body).await;
    assert_eq!(whole.header("idempotency-replayed"), Some("true"));
    let ((_, start, turn), (_, end, done)) = (&events[0], &events[events.len() - 1]);
    assert_eq!((done, &text(&events)), (&whole.json(), &done["ai_response"].as_str().unwrap().to_owned()));
    let of_done = json!({ "message_id": done["message_id"], "session_id": done["session_id"], "seq": 1 });
    assert_eq!(*turn, of_done);
    let fence = start.strip_suffix("-0").unwrap();
    assert_eq!(*end, format!("{fence}-end"));
    let mut offset = 0;
    for (_, id, data) in &events[1..events.len() - 1] {
        offset += data["text"].as_str().unwrap().len();
        assert_eq!(*id, format!("{fence}-{offset}"));
    }
    let again = Events::of(ask(&app, &body)).await;
    assert_eq!(again.response.headers()["idempotency-replayed"], "true");
    let again = again.rest().await;
    assert_eq!((text(&again), &again[again.len() - 1].2), (text(&events), done));
}

/// Of an answer that is stored; while it runs see the scenarios over several servers.
#[tokio::test]
async fn a_stream_is_resumed_from_every_byte() {
    let app = TestApp::start().await;
    let done = app.say("tai nghe dưới 3 triệu").await;
    let (path, whole) = (turn_path(&done, "stream"), done["ai_response"].as_str().unwrap());
    let fresh = Events::of(app.authed(Method::GET, &path)).await.rest().await;
    assert_eq!((names(&fresh), text(&fresh)), (vec!["turn", "delta", "done"], whole.to_owned()));
    assert_eq!(fresh[fresh.len() - 1].2, done);
    let fence = fresh[0].1.strip_suffix("-0").unwrap();
    for offset in 0..=whole.len() {
        let id = format!("{fence}-{offset}");
        let by_header = app.authed(Method::GET, &path).header("last-event-id", &id);
        let by_query = app.authed(Method::GET, &format!("{path}?last_event_id={id}"));
        let request = if offset % 2 == 0 { by_header } else { by_query };
        let events = Events::of(request).await.rest().await;
        match whole.get(offset..) {
            Some("") => assert_eq!(names(&events), ["done"]),
            Some(rest) => assert_eq!((names(&events), text(&events).as_str()), (vec!["delta", "done"], rest)),
            None => assert_eq!((names(&events), text(&events).as_str()), (vec!["restart", "delta", "done"], whole)),
        }
    }
    // Who read along with whatever ran comes back to the same place, or is told all of what came after.
    let live = session_path(&done, "stream");
    let marks = [
        (format!("{fence}-3"), vec!["delta", "done"], &whole[3..]),
        ("999-3".into(), vec!["turn", "restart", "delta", "done"], whole),
    ];
    for (mark, told, rest) in marks {
        let events = Events::of(app.authed(Method::GET, &live).header("last-event-id", &mark)).await.rest().await;
        assert_eq!((names(&events), text(&events).as_str()), (told, rest), "{mark}");
    }
    let ended = send(app.authed(Method::GET, &live).header("last-event-id", format!("{fence}-end"))).await;
    assert_eq!(ended.status, 204);
    let ended = send(app.authed(Method::GET, &path).header("last-event-id", format!("{fence}-end"))).await;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    let another = app.authed(Method::GET, &path).header("last-event-id", "999-3");
    let another = Events::of(another).await.rest().await;
    assert_eq!((names(&another), text(&another).as_str()), (vec!["restart", "delta", "done"], whole));
}

/// Else each would be held back for as long as its reader takes to acknowledge what came before, which is a whole way there and
/// back: here the reader's system waits with it.
#[tokio::test]
async fn a_piece_goes_out_although_the_one_before_was_not_acknowledged() {
    let app = TestApp::with(&[("AI_DEMO_DELAY", "120ms")]).await;
    let body = json!({ "message": "tai nghe dưới 3 triệu" }).to_string();
    let address = app.url.trim_start_matches("http://");
    let request = format!(
        "POST /chat/message HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        app.token(),
        body.len()
    );
    let mut together = Vec::new();
    for _ in 0..5 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let (mut pieces, mut clumps, mut read) = (0, 0, vec![0; 1 << 16]);
        loop {
            SockRef::from(&connection).set_tcp_quickack(false).unwrap();
            let length = connection.read(&mut read).await.unwrap();
            if length == 0 {
                break;
            }
            let came = String::from_utf8_lossy(&read[..length]).matches("event: delta").count();
            (pieces, clumps) = (pieces + came, clumps + usize::from(came > 1));
        }
        assert!(pieces > 10, "{pieces} pieces");
        together.push(clumps);
    }
    // On a busy machine some come late.
    assert!(together.iter().any(|clumps| *clumps <= 2), "so often several pieces came together: {together:?}");
}

#[tokio::test]
async fn a_turn_goes_on_when_its_reader_hangs_up_and_is_read_along_by_others() {
    let app = TestApp::with(&[SLOW]).await;
    let body = json!({ "message": "tai nghe dưới 3 triệu", "client_message_id": "k" });
    let mut asker = Events::of(ask(&app, &body)).await;
    let (_, _, turn) = asker.until("turn").await;
    asker.until("delta").await;
    let live = Events::of(app.authed(Method::GET, &session_path(&turn, "stream"))).await;
    let same_key = Events::of(ask(&app, &body)).await;
    assert!(!same_key.response.headers().contains_key("idempotency-replayed"), "it is being answered");
    drop(asker);
    let (live, same_key) = tokio::join!(live.rest(), same_key.rest());
    let done = &live[live.len() - 1].2;
    assert_eq!((done["status"].as_str(), done["ai_response"].as_str().unwrap()), (Some("completed"), &*text(&live)));
    assert_eq!((text(&same_key), &same_key[same_key.len() - 1]), (text(&live), &live[live.len() - 1]));
    assert_eq!((names(&live), names(&same_key)), (vec!["turn", "delta", "done"], vec!["turn", "delta", "done"]));
    let nothing = app.get(&session_path(&turn, "stream")).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""), "no turn runs");
}

#[tokio::test]
async fn who_names_an_event_of_an_earlier_turn_reads_the_one_that_runs_from_its_beginning() {
    let app = TestApp::with(&[SLOW]).await;
    let first = Events::of(ask(&app, &json!({ "message": "xin chào" }))).await.rest().await;
    let (_, id, first) = &first[first.len() - 2];
    assert!(first["text"].is_string(), "{first}");
    let of_first = app.get("/chat/sessions").await.json()[0].clone();
    let body = json!({ "message": "tai nghe dưới 3 triệu", "session_id": of_first["session_id"] });
    let mut second = Events::of(ask(&app, &body)).await;
    let (_, _, turn) = second.until("turn").await;
    let resumed = app.authed(Method::GET, &session_path(&turn, "stream")).header("last-event-id", id);
    let resumed = Events::of(resumed).await.rest().await;
    assert_eq!((names(&resumed), &resumed[0].2), (vec!["turn", "restart", "delta", "done"], &turn));
    assert_eq!(text(&resumed), resumed[resumed.len() - 1].2["ai_response"].as_str().unwrap());
}

#[tokio::test]
async fn a_turn_is_stopped_with_its_text_so_far() {
    let app = TestApp::with(&[SLOW]).await;
    let mut events = Events::of(ask(&app, &json!({ "message": "tai nghe dưới 3 triệu" }))).await;
    let (_, _, turn) = events.until("turn").await;
    let (_, _, first) = events.until("delta").await;
    let stop = || app.authed(Method::POST, &turn_path(&turn, "stop"));
    let stopping = send(stop()).await;
    let said = |status| json!({ "message_id": turn["message_id"], "session_id": turn["session_id"], "status": status });
    assert_eq!((stopping.status, stopping.json()), (202, said("stopping")));
    let rest = events.rest().await;
    let (_, _, done) = &rest[rest.len() - 1];
    let whole = first["text"].as_str().unwrap().to_owned() + &text(&rest);
    assert_eq!((done["status"].as_str(), done["ai_response"].as_str()), (Some("cancelled"), Some(&*whole)));
    let ended = send(stop()).await;
    assert_eq!((ended.status, ended.json()), (200, said("ended")));
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_told_before_it_begins() {
    let mut app = TestApp::start().await;
    let done = app.say("hi").await;
    let paths = [turn_path(&done, "stream"), session_path(&done, "stream"), session_path(&done, "events")];
    for path in &paths {
        send(app.request(Method::GET, path)).await.is_problem(401, "not_authenticated");
        let malformed = app.authed(Method::GET, path).header("last-event-id", "nonsense");
        send(malformed).await.points_to(&["Last-Event-ID"]);
        app.get(&format!("{path}?last_event_id=7-x")).await.points_to(&["last_event_id"]);
    }
    app.get(&format!("{}?after=-1", paths[2])).await.points_to(&["after"]);
    let unknown = json!({ "session_id": done["session_id"], "message_id": uuid::Uuid::from_u128(7) });
    app.get(&turn_path(&unknown, "stream")).await.is_problem(404, "turn_not_found");
    send(app.authed(Method::POST, &turn_path(&unknown, "stop"))).await.is_problem(404, "turn_not_found");
    let malformed = json!({ "session_id": done["session_id"], "message_id": "x" });
    app.get(&turn_path(&malformed, "stream")).await.points_to(&["message_id"]);
    ask_as_stream(&app, &json!({ "message": " " })).await.points_to(&["#/message"]);
    app.be("mallory");
    for path in &paths {
        app.get(path).await.is_problem(403, "access_denied");
    }
    send(app.authed(Method::POST, &turn_path(&done, "stop"))).await.is_problem(403, "access_denied");
    let foreign = json!({ "message": "hi", "session_id": done["session_id"] });
    ask_as_stream(&app, &foreign).await.is_problem(403, "access_denied");
}

async fn ask_as_stream(app: &TestApp, body: &Value) -> Answer {
    send(ask(app, body).header("accept", "text/event-stream")).await
}

#[tokio::test]
async fn a_busy_session_refuses_cancels_or_lets_wait() {
    let app = TestApp::with(&[SLOW, ("ON_BUSY", "cancel"), ("QUEUE_WAIT", "20s")]).await;
    let mut first = Events::of(ask(&app, &json!({ "message": "tai nghe dưới 3 triệu" }))).await;
    let (_, _, turn) = first.until("turn").await;
    let more = |on_busy: &str| json!({ "message": "xin chào", "session_id": turn["session_id"], "on_busy": on_busy });
    let refused = app.message(&more("reject")).await.is_problem(409, "turn_in_progress");
    assert_eq!(refused["message_id"], turn["message_id"]);
    app.message(&more("later")).await.points_to(&["#/on_busy"]);
    let waited = app.message(&more("wait")).await.json();
    assert_eq!((&waited["message_seq"], &waited["status"]), (&json!(3), &json!("completed")));
    assert_eq!(first.rest().await.last().unwrap().2["status"], "completed", "the first had its time");
    let mut third = Events::of(ask(&app, &more("reject"))).await;
    third.until("delta").await;
    let silent = json!({ "message": "xin chào", "session_id": turn["session_id"] });
    let fourth = app.message(&silent).await.json();
    assert_eq!((&fourth["message_seq"], &fourth["status"]), (&json!(7), &json!("completed")), "as ON_BUSY says");
    assert_eq!(third.rest().await.last().unwrap().2["status"], "cancelled");
}

#[tokio::test]
async fn a_session_is_followed_from_another_tab() {
    let app = TestApp::with(&[("AI_DEMO_DELAY", "100ms")]).await;
    let first = app.say("xin chào").await;
    let path = session_path(&first, "events");
    let mut tab = Events::of(app.authed(Method::GET, &format!("{path}?after=1"))).await;
    let (name, id, answer) = tab.next().await.unwrap();
    assert_eq!((name.as_str(), id.as_str(), &answer["content"]), ("message", "2", &first["ai_response"]));
    let body = json!({ "message": "tai nghe dưới 3 triệu", "session_id": first["session_id"] });
    let second = app.message(&body).await.json();
    let (_, id, question) = tab.next().await.unwrap();
    assert_eq!((id.as_str(), &question["content"], &question["role"]), ("3", &body["message"], &json!("user")));
    let (_, id, answer) = tab.next().await.unwrap();
    assert_eq!((id.as_str(), &answer["content"], &answer["reply_to"]), ("4", &second["ai_response"], &json!(3)));
    let history = app.get(&session_path(&first, "messages")).await.json();
    let mut resumed =
        Events::of(app.authed(Method::GET, &format!("{path}?after=3")).header("last-event-id", "0")).await;
    for message in history.as_array().unwrap() {
        assert_eq!(resumed.next().await.unwrap().2, *message, "as in the history");
    }
    app.delete(session_path(&first, "").trim_end_matches('/')).await;
    for mut tab in [tab, resumed] {
        let (name, id, problem) = tab.next().await.unwrap();
        assert_eq!((name.as_str(), id.as_str(), &problem["code"]), ("error", "4", &json!("session_not_found")));
        assert_eq!(tab.next().await, None);
    }
}

#[tokio::test]
async fn a_session_is_followed_as_long_as_the_token_is_good() {
    let secret = ("JWT_SECRET_KEY", "shared");
    let (mut app, hasty) = (TestApp::with(&[secret]).await, TestApp::with(&[secret, ("JWT_TTL", "3s")]).await);
    let token_of = async |app: &TestApp| app.login("testuser", "testpass").await.json()["access_token"].clone();
    app.have(token_of(&app).await.as_str().unwrap());
    let said = app.say("xin chào").await;
    app.have(token_of(&hasty).await.as_str().unwrap());
    let mut tab = Events::of(app.authed(Method::GET, &session_path(&said, "events?after=1"))).await;
    assert_eq!(tab.next().await.unwrap().0, "message");
    let (name, id, problem) = tab.next().await.unwrap();
    assert_eq!((name.as_str(), id.as_str(), &problem["code"]), ("error", "2", &json!("token_expired")));
    assert_eq!(tab.next().await, None);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_own_answers_and_sends_readers_to_another() {
    let app = TestApp::with(&[SLOW]).await;
    let mut asker = Events::of(ask(&app, &json!({ "message": "tai nghe dưới 3 triệu" }))).await;
    let (_, _, turn) = asker.until("turn").await;
    let mut reader = Events::of(app.authed(Method::GET, &turn_path(&turn, "stream"))).await;
    let (_, id, _) = reader.until("delta").await;
    // Whoever has more than is kept yet waits for it, and is told nothing until then.
    let far = format!("{}-9999", id.split_once('-').unwrap().0);
    let ahead = Events::of(app.authed(Method::GET, &turn_path(&turn, "stream")).header("last-event-id", &far)).await;
    let tab = Events::of(app.authed(Method::GET, &session_path(&turn, "events"))).await;
    let stopping = tokio::spawn(app.stop());
    let (asker, reader, ahead, tab) = tokio::join!(asker.rest(), reader.rest(), ahead.rest(), tab.rest());
    assert_eq!(asker[asker.len() - 1].2["status"], "completed");
    let (name, id, problem) = &reader[reader.len() - 1];
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("stopping")));
    assert_eq!(problem["message_id"], turn["message_id"]);
    assert!(id.split_once('-').unwrap().1.parse::<usize>().unwrap() > 0, "where to go on: {id}");
    let ahead: Vec<_> = ahead.iter().map(|(name, id, _)| (name.as_str(), id.as_str())).collect();
    assert_eq!(ahead, [("error", far.as_str())], "where it was");
    assert_eq!((names(&tab), &tab[tab.len() - 1].2["code"]), (vec!["message", "error"], &json!("stopping")));
    stopping.await.unwrap();
}
