//! Answers in pieces, in both formats: each piece at once, and no more than is allowed.

use crate::server::{Server, begin, read_request, sees_close, stream, with_headers};
use crate::support::{ai, ask, clock, config, openai, prompt, refusal};
use chatcore::message::AiReply;
use chatcore::port::{AiChunk, AiError, AiGateway};
use chatcore_ai_http::{HttpAi, HttpAiConfig};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use std::io::Write;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How long a busy machine may take.
const LONG: Duration = Duration::from_secs(20);

/// A format, how it says a text, and how it ends.
type Format = (fn(&str) -> HttpAiConfig, fn(&str) -> String, &'static str);

const NATIVE: Format =
    (config, |text| format!("event: delta\ndata: {{\"text\":\"{text}\"}}\n\n"), "event: done\ndata: {}\n\n");
const OPENAI: Format = (
    openai,
    |text| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"),
    "data: [DONE]\n\n",
);
const FORMATS: [Format; 2] = [NATIVE, OPENAI];

/// What a service answers in the native format with these events.
async fn told(events: &str) -> Result<(Vec<String>, AiReply), AiError> {
    ask(&ai(config(&Server::saying(stream(events)).await.url()))).await
}

#[tokio::test]
async fn a_native_answer_is_its_deltas_and_what_comes_with_done() {
    let delta = |text: &str| (NATIVE.1)(text);
    let done = r#"{"products":[{"price":1.50}],"intent":"x","confidence":0.5,"mine":[]}"#;
    let events = format!(
        ": begin\n\nevent: turn\ndata: {{}}\n\n{}{}{}data: none\n\nevent: done\ndata: {done}\n\n",
        delta("Có "),
        delta(""),
        delta("2")
    );
    let (texts, reply) = told(&events).await.unwrap();
    assert_eq!(texts, ["Có ", "2"]);
    assert_eq!(
        (reply.products.as_json(), reply.intent.as_deref(), reply.confidence),
        (r#"[{"price":1.50}]"#, Some("x"), Some(0.5))
    );

    let whole = |text: &str| format!("event: done\ndata: {{\"response\":\"{text}\"}}\n\n");
    let texts = async |events: String| told(&events).await.map(|(texts, _)| texts);
    assert_eq!(texts(whole("Có 2")).await.unwrap(), ["Có 2"], "without a delta");
    assert_eq!(texts(delta("Có ") + &whole("Có 2")).await.unwrap(), ["Có ", "2"], "with what was missing");
    assert_eq!(texts(delta("Có 2") + &whole("Có 2")).await.unwrap(), ["Có 2"], "said twice");
    assert!(texts(delta("Có 3") + &whole("Có 2")).await.unwrap_err().to_string().contains("not that of its pieces"));
}

#[tokio::test]
async fn a_native_error_says_whose_fault_it_is() {
    let error =
        async |data: &str| told(&format!("{}event: error\ndata: {data}\n\n", (NATIVE.1)("a"))).await.unwrap_err();
    let refused = AiError::Refused("the AI reports a fault (too_long, 422)".into());
    assert_eq!(
        error(r#"{"type":"https://ai.example/too-long","status":422,"code":"too_long","detail":"a"}"#).await,
        refused
    );
    assert_eq!(error(r#"{"status":503}"#).await, AiError::Failed("the AI reports a fault (503)".into()));
    assert_eq!(error("broken").await, AiError::Failed("the AI reports a fault".into()));
}

/// Sends a piece whenever it is told to, and tells whether the other side has hung up in the end.
async fn at_command(head: Vec<u8>, pieces: Vec<Vec<u8>>) -> (Server, mpsc::Sender<()>, mpsc::Receiver<bool>) {
    let (command, commands) = mpsc::channel(4);
    let (tell, told) = mpsc::channel(1);
    let script = std::sync::Mutex::new(Some((pieces, commands)));
    let server = Server::start(move |_, mut peer| {
        let (head, tell) = (head.clone(), tell.clone());
        let (pieces, mut commands) = script.lock().unwrap().take().unwrap();
        async move {
            peer.write_all(&head).await.unwrap();
            for piece in pieces {
                if commands.recv().await.is_some() {
                    peer.write_all(&piece).await.unwrap();
                }
            }
            // Not every test listens.
            let _ = tell.send(sees_close(&mut peer).await).await;
        }
    });
    (server.await, command, told)
}

#[tokio::test]
async fn each_piece_is_passed_on_as_soon_as_it_is_there_and_dropping_the_stream_hangs_up() {
    for (config, text, _) in FORMATS {
        for end in ["\n", "\r\n", "\r"] {
            let piece = |text_of: &str| text(text_of).replace('\n', end).into_bytes();
            let (server, command, mut told) =
                at_command(begin("Text/Event-Stream ; charset=utf-8"), vec![piece("a"), piece("b"), piece("c")]).await;
            let mut chunks = ai(config(&server.url())).answer(prompt());
            for expected in ["a", "b"] {
                command.send(()).await.unwrap();
                let chunk = tokio::time::timeout(LONG, chunks.next()).await.expect("before anything else comes");
                assert_eq!(chunk.unwrap(), Ok(AiChunk::Text(expected.into())), "{end:?}");
            }
            assert!(told.try_recv().is_err(), "the call is alive while the stream is");
            drop((chunks, command));
            assert_eq!(tokio::time::timeout(LONG, told.recv()).await.unwrap(), Some(true), "{end:?}");
        }
    }
}

#[tokio::test]
async fn a_compressed_piece_is_passed_on_as_soon_as_it_is_there() {
    for (config, text, end) in FORMATS {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut pieces = Vec::new();
        for part in [text("a"), text("b"), end.to_owned()] {
            gzip.write_all(part.as_bytes()).unwrap();
            gzip.flush().unwrap();
            pieces.push(std::mem::take(gzip.get_mut()));
        }
        let head =
            [&begin("text/event-stream")[..begin("text/event-stream").len() - 2], b"content-encoding: gzip\r\n\r\n"]
                .concat();
        let (server, command, _told) = at_command(head, pieces).await;
        let mut chunks = ai(config(&server.url())).answer(prompt());
        for expected in ["a", "b"] {
            command.send(()).await.unwrap();
            let chunk = tokio::time::timeout(LONG, chunks.next()).await.expect("before anything else comes");
            assert_eq!(chunk.unwrap(), Ok(AiChunk::Text(expected.into())));
        }
    }
}

#[tokio::test]
async fn a_whole_answer_leaves_its_connection_for_the_next_question() {
    for (config, text, end) in FORMATS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ai = ai(config(&format!("http://{}/", listener.local_addr().unwrap())));
        let events = text("yes") + end;
        let chunked = format!("{:x}\r\n{events}\r\n0\r\n\r\n", events.len());
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
        );
        let serve = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            for _ in 0..3 {
                assert!(read_request(&mut peer).await);
                peer.write_all(reply.as_bytes()).await.unwrap();
            }
        };
        let asking = async {
            for _ in 0..3 {
                assert_eq!(ask(&ai).await.unwrap().0, ["yes"]);
            }
        };
        tokio::time::timeout(LONG, async { tokio::join!(serve, asking) })
            .await
            .expect("one connection served all three");
    }
}

#[tokio::test]
async fn an_answer_ends_where_it_says_so_though_its_connection_does_not() {
    for (config, text, end) in FORMATS {
        let (server, command, mut told) =
            at_command(begin("text/event-stream"), vec![(text("yes") + end).into_bytes()]).await;
        command.send(()).await.unwrap();
        let ai = ai(config(&server.url()));
        let answer = tokio::time::timeout(LONG, ask(&ai)).await.expect("before the deadline of the call");
        assert_eq!(answer.unwrap().0, ["yes"]);
        assert_eq!(tokio::time::timeout(LONG, told.recv()).await.unwrap(), Some(true), "and then it is left");
    }
}

#[tokio::test]
async fn the_cap_is_on_an_event_and_on_the_text_and_not_on_what_is_between() {
    for (config, text, end) in FORMATS {
        let capped = |cap: usize| {
            move |url: &str| {
                let mut config = config(url);
                config.max_body = cap;
                config
            }
        };
        let long = "x".repeat(500);
        let many = (": wait\n\n".repeat(1000) + &text("")).repeat(10) + &text(&long) + &text(&long) + end;
        let server = Server::saying(stream(&many)).await;
        assert_eq!(ask(&ai(capped(1000)(&server.url()))).await.unwrap().0.concat(), long.repeat(2));
        assert!(refusal(&ai(capped(999)(&server.url()))).await.contains("larger than 999 bytes"), "the text");

        let server = Server::saying(stream(text("a") + &text(&long))).await;
        let chunks: Vec<_> = ai(capped(500)(&server.url())).answer(prompt()).collect().await;
        let [Ok(AiChunk::Text(first)), Err(error)] = chunks.as_slice() else { panic!("{chunks:?}") };
        assert!(first == "a" && error.to_string().contains("larger than 500 bytes"), "the event: {error}");
    }
}

#[tokio::test]
async fn a_line_that_never_ends_is_cut_off_and_one_that_grows_in_decompression_too() {
    for (config, _, _) in FORMATS {
        let (closed, mut seen) = mpsc::channel(1);
        let server = Server::start(move |_, mut peer| {
            let closed = closed.clone();
            async move {
                let mut written = peer.write_all(&[&begin("text/event-stream"), &b"data: "[..]].concat()).await;
                while written.is_ok() {
                    written = peer.write_all(&[b'x'; 16 * 1024]).await;
                }
                closed.send(()).await.unwrap();
            }
        });
        let reason = refusal(&ai(config(&server.await.url()))).await;
        assert!(reason.contains("larger than 1048576 bytes"), "{reason}");
        tokio::time::timeout(LONG, seen.recv()).await.expect("the connection is closed").unwrap();

        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(": ".repeat(16 * 1024 * 1024).as_bytes()).unwrap();
        let bomb =
            with_headers("content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", gzip.finish().unwrap());
        assert!(refusal(&ai(config(&Server::saying(bomb).await.url()))).await.contains("larger than 1048576 bytes"));
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_of_use_is_left_at_the_deadline() {
    for (config, text, _) in FORMATS {
        for drip in [": wait\n\n".to_owned(), text(""), text("a")] {
            let speaks = drip == text("a");
            let (left, mut seen) = mpsc::channel(1);
            let server = Server::start(move |_, mut peer| {
                let (left, drip) = (left.clone(), drip.clone());
                async move {
                    let mut written = peer.write_all(&begin("text/event-stream")).await;
                    while written.is_ok() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        written = peer.write_all(drip.as_bytes()).await;
                    }
                    left.send(()).await.unwrap();
                }
            });
            let server = server.await;
            let mut config = config(&server.url());
            config.timeout = Duration::from_millis(300);
            let chunks: Vec<_> = HttpAi::new(config, clock()).unwrap().answer(prompt()).collect().await;
            let error = chunks.last().unwrap().as_ref().unwrap_err();
            // One that speaks is well, and the answer too long: no fault that would keep others from asking.
            let told = if speaks {
                AiError::Refused("the AI's answer takes longer than 300ms".into())
            } else {
                AiError::Failed("the AI did not answer within 300ms".into())
            };
            assert_eq!(*error, told);
            tokio::time::timeout(LONG, seen.recv()).await.expect("the upstream call is over as well").unwrap();
        }
    }
}
