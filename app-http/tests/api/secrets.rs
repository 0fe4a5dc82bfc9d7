//! No secret is shown: not by `Debug`, not by what the program prints of its settings, not by a log of everything.

use crate::app::send;
use crate::process::{Running, output};
use app_http::dto::TokenOut;
use app_http::settings::Settings;
use app_kit::settings::table::all;
use chatcore::id::UserId;
use chatcore::login::LoggedIn;
use chatcore::port::User;
use chatcore_ai_http::HttpAiConfig;
use chatcore_auth::JwtConfig;
use chatcore_redis::RedisConfig;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// A part of every secret here.
const CANARY: &str = "canary";
/// Every target by name, so that none is left out.
const EVERYTHING: (&str, &str) = ("LOG_LEVEL", "trace,actix_http::h1::dispatcher=trace,actix_server=trace");
/// A port on which nobody listens.
const NOBODY: &str = "127.0.0.1:9";

/// A value for every setting that is a secret, such as a program accepts.
fn secrets() -> Vec<(&'static str, String)> {
    let value = |name: &str| match name {
        "REDIS_URL" => format!("redis://user:{CANARY}@{NOBODY}/0"),
        "OTEL_EXPORTER_OTLP_HEADERS" => format!("authorization=Bearer%20{CANARY}"),
        "MONGODB_URI" => format!("mongodb://user:{CANARY}@{NOBODY}/"),
        "AI_API_URL" | "WEBHOOK_URL" => format!("http://{NOBODY}/{CANARY}?key={CANARY}"),
        _ => format!("{CANARY}-{name}-of-more-than-thirty-two-bytes"),
    };
    let secrets: Vec<_> = all().filter(|spec| spec.secret).map(|spec| (spec.name, value(spec.name))).collect();
    let must = [
        "JWT_SECRET_KEY",
        "AI_API_KEY",
        "AI_API_URL",
        "WEBHOOK_URL",
        "REDIS_URL",
        "REDIS_PASSWORD",
        "KAFKA_SASL_PASSWORD",
        "WEBHOOK_SECRET",
    ];
    assert!(must.iter().all(|name| secrets.iter().any(|(secret, _)| secret == name)), "{secrets:?}");
    secrets
}

/// The settings that make use of them, so that each is read.
const USED: &[(&str, &str)] = &[
    ("KAFKA_BOOTSTRAP_SERVERS", NOBODY),
    ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
    ("KAFKA_SASL_USERNAME", "user"),
    ("SHUTDOWN_GRACE", "4s"),
    EVERYTHING,
    #[cfg(feature = "otlp")]
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
];

/// All that can be given at once: the password of Redis is in its URL, or beside its host.
fn with_secrets(secrets: &[(&'static str, String)]) -> [Vec<(&'static str, String)>; 2] {
    let but = |left_out: &'static str, host: Option<&str>| {
        let used = USED.iter().copied().chain(host.map(|host| ("REDIS_HOST", host)));
        let used = used.map(|(name, value)| (name, value.to_owned()));
        secrets.iter().filter(|(name, _)| *name != left_out).cloned().chain(used).collect()
    };
    [but("REDIS_PASSWORD", None), but("REDIS_URL", Some("127.0.0.1"))]
}

fn pairs<'a>(owned: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    owned.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[track_caller]
fn shows_none(what: &str, text: &str) {
    let at = text.find(CANARY).map(|at| &text[at.saturating_sub(200)..(at + 100).min(text.len())]);
    assert_eq!(at, None, "a secret in {what}");
}

#[test]
fn debug_shows_no_secret_of_any_settings_or_configuration() {
    for with in with_secrets(&secrets()) {
        let settings = Settings::from_pairs(pairs(&with)).unwrap();
        shows_none("the settings", &format!("{settings:?} {settings:#?}"));
        shows_none("what is printed of them", &settings.printed);
    }
    let mut ai = HttpAiConfig::new(&format!("http://{NOBODY}/{CANARY}?{CANARY}")).unwrap();
    ai.api_key = Some(chatcore_ai_http::Secret::new(CANARY));
    let redis = RedisConfig::new(format!("redis://:{CANARY}@{NOBODY}"));
    let jwt = JwtConfig { secret: CANARY.into(), issuer: None, audience: None };
    let (user, token) = (User { id: UserId::parse("user_1").unwrap(), name: "ann".into() }, CANARY.to_owned());
    let expires_in = Duration::from_secs(9);
    let token_out = TokenOut { access_token: token.clone(), token_type: "bearer", expires_in: 9 };
    let logged_in = LoggedIn { user, token, expires_in };
    let configurations: [(&str, &dyn Debug); 5] =
        [("ai", &ai), ("redis", &redis), ("jwt", &jwt), ("a login", &logged_in), ("its answer", &token_out)];
    for (name, configuration) in configurations {
        shows_none(name, &format!("{configuration:?} {configuration:#?}"));
    }
}

#[test]
fn the_program_prints_no_secret_of_its_settings_good_or_bad() {
    let (directory, secrets) = (tempfile::tempdir().unwrap(), secrets());
    let printed = |pairs: &[(&str, &str)], argument: &str| {
        let (ended, stdout, stderr) = output(directory.path(), pairs, &[argument]);
        shows_none(argument, &(stdout.clone() + &stderr));
        (ended.status.code(), stdout + &stderr)
    };
    let by_file: Vec<_> = secrets.iter().map(|(name, value)| (format!("{name}_FILE"), value)).collect();
    for (name, value) in &by_file {
        std::fs::write(directory.path().join(name), value).unwrap();
    }
    for given in with_secrets(&secrets) {
        let is_secret = |name: &str| secrets.iter().any(|(secret, _)| *secret == name);
        let names: Vec<_> = given.iter().map(|(name, _)| *name).filter(|name| is_secret(name)).collect();
        let by_file: Vec<_> = names.iter().map(|name| format!("{name}_FILE")).collect();
        let by_file = by_file.iter().map(|name| (name.as_str(), name.as_str()));
        let others = pairs(&given).into_iter().filter(|(name, _)| !is_secret(name));
        for given in [pairs(&given), others.chain(by_file).collect()] {
            let (code, text) = printed(&given, "--print-config");
            assert_eq!(code, Some(0), "{text}");
            for name in &names {
                assert!(text.contains(&format!("{name}=***\n")), "{name}: {text}");
            }
            assert_eq!(printed(&given, "--check-config").0, Some(0));
        }
    }
    // Each secret is wrong here, or stands where another setting should: the faults tell their names.
    let mut wrong: Vec<_> = secrets.iter().map(|(name, _)| (*name, CANARY)).collect();
    wrong.extend([
        ("DEBUG", "false"),
        ("REDIS_HOST", "x"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("JWT_SECRET", CANARY),
    ]);
    let (code, text) = printed(&wrong, "--check-config");
    assert!(code == Some(1) && text.contains("REDIS_URL") && text.contains("JWT_SECRET_KEY"), "{text}");
    // A line of .env that can't be read is told without its text.
    std::fs::write(directory.path().join(".env"), format!("JWT_SECRET_KEY=\"{CANARY}\n")).unwrap();
    assert_eq!(printed(&[], "--check-config").0, Some(1));
}

/// Logins good and bad, a user's and a guest's messages, in one piece and as a stream, forged tokens, other's sessions.
async fn session(server: &Running) -> Vec<String> {
    let to = |method: Method, path: &str| server.client.request(method, format!("{}{path}", server.url));
    let login = |password: &str, device: Option<&str>| {
        let body = json!({ "username": "testuser", "password": password, "device_id": device });
        send(to(Method::POST, "/auth/login").json(&body))
    };
    let guest = |request: RequestBuilder| request.header("x-device-id", "canary-device");
    let say = |text: &str, session: &Value| json!({ "message": format!("{CANARY} {text}"), "session_id": session });
    login(CANARY, None).await;
    let token = login("testpass", None).await.json()["access_token"].as_str().unwrap_or_default().to_owned();
    let mut sessions = Vec::new();
    for request in [guest(to(Method::POST, "/chat/message")), to(Method::POST, "/chat/message").bearer_auth(&token)] {
        let again = request.try_clone().unwrap().header("accept", "text/event-stream");
        let first = send(request.json(&say("first", &Value::Null))).await;
        let id = serde_json::from_str::<Value>(&first.text).unwrap()["session_id"].clone();
        send(again.json(&say("second", &id))).await;
        sessions.push(id);
    }
    for id in sessions.iter().filter_map(Value::as_str) {
        let path = format!("/chat/session/{id}/messages?{CANARY}={CANARY}");
        send(guest(to(Method::GET, &path))).await;
        send(to(Method::GET, &path).bearer_auth(&token)).await;
        send(to(Method::GET, &path).bearer_auth(format!("{token}{CANARY}"))).await;
        send(to(Method::DELETE, &format!("/chat/session/{id}")).bearer_auth(&token)).await;
    }
    login("testpass", Some("canary-device")).await;
    send(to(Method::GET, "/health")).await;
    vec![token]
}

async fn log_of(pairs: &[(&str, &str)]) -> (String, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), pairs);
    let tokens = session(&server).await;
    server.signal("TERM");
    (server.end().1, tokens)
}

#[tokio::test]
async fn a_log_of_everything_holds_no_secret_no_credentials_and_no_text() {
    let jwt = format!("{CANARY}-of-more-than-thirty-two-bytes");
    let pairs = [("STORE", "memory"), ("JWT_SECRET_KEY", &jwt), ("SHUTDOWN_GRACE", "4s"), EVERYTHING];
    let (log, tokens) = log_of(&pairs).await;
    assert!(log.contains("\"TRACE\"") && log.contains("/chat/message"), "{log}");
    assert!(tokens.iter().all(|token| token.len() > 100 && !log.contains(token)), "a token in the log");
    for secret in ["testpass", "eyJ"] {
        assert!(!log.contains(secret), "{secret}");
    }
    shows_none("the log", &log);
}

/// Every dependency is away, so that each complains as loudly as it can.
#[tokio::test]
async fn what_is_told_of_dependencies_that_are_away_holds_no_secret() {
    for all in with_secrets(&secrets()) {
        let (log, _) = log_of(&pairs(&all)).await;
        assert!(log.contains("redis") && log.contains("kafka"), "{log}");
        shows_none("the log", &log);
    }
}
