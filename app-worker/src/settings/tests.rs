//! What is a fault, and what is not.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, Faults> {
    Settings::from_pairs(pairs.iter().copied())
}

fn names(settings: &Settings) -> Vec<&'static str> {
    settings.handlers.iter().map(HandlerKind::name).collect()
}

#[test]
fn settings_of_the_server_do_not_concern_the_worker() {
    let settings = read(&[("PORT", "junk"), ("DEBUG", "false"), ("WORKER_LANES", "3")]).unwrap();
    assert_eq!((settings.lanes, names(&settings), settings.port), (3, vec!["log", "counters"], Some(8001)));
    assert!(settings.printed.contains("\nPORT=junk\n"), "{}", settings.printed);
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = [
        ("STORE", "memory"),
        ("WORKER_LANES", "0"),
        ("WORKER_TRIES", "0"),
        ("WORKER_PORT", "70000"),
        ("WORKER_HANDLERS", "log,fax"),
        ("ARCHIVE_MAX_BYTES", "much"),
        ("WEBHOOK_URL", "ftp://example.org"),
        ("MONGODB_URI", "mongodb+srv://example.org"),
        ("MONGODB_DATABASE", "a.b"),
    ];
    let told = read(&faults).unwrap_err().to_string();
    assert!(faults.iter().all(|(name, _)| told.contains(&format!("{name} ("))), "{told}");
}

#[test]
fn a_handler_needs_its_settings_and_stands_there_once() {
    let missing = |handlers| read(&[("WORKER_HANDLERS", handlers)]).unwrap_err().to_string();
    assert!(missing("archive").contains("ARCHIVE_DIR (default): is missing"));
    let told = missing("log,webhook");
    assert!(
        told.contains("WEBHOOK_URL (default): is missing") && told.contains("WEBHOOK_SECRET (default): is missing")
    );
    assert!(missing("mongodb").contains("MONGODB_URI (default): is missing"));
    assert!(missing("log,LOG").contains("each once"));
    assert_eq!(names(&read(&[("WORKER_HANDLERS", "none"), ("WORKER_PORT", "Off")]).unwrap()), [""; 0]);
}

/// Each event would be a dead letter.
#[test]
fn a_topic_that_the_archive_cannot_call_files_by_is_a_fault_where_it_is_archived() {
    let (longest, longer) = ("t".repeat(200), "t".repeat(201));
    let kafka = [("KAFKA_BOOTSTRAP_SERVERS", "b:9092"), ("ARCHIVE_DIR", "a")];
    for name in ["KAFKA_TOPIC_CHAT_REQUESTS", "KAFKA_TOPIC_CHAT_RESPONSES", "KAFKA_TOPIC_CHAT_SESSIONS"] {
        let read = |handlers, topic| read(&[&kafka[..], &[("WORKER_HANDLERS", handlers), (name, topic)]].concat());
        let told = read("log,archive", &longer).unwrap_err().to_string();
        assert!(told.contains(&format!("{name} (environment): is too long for the handler archive")), "{told}");
        assert!(read("log,archive", &longest).is_ok() && read("log", &longer).is_ok(), "{name}");
    }
    let unused = [("WORKER_HANDLERS", "archive"), ("ARCHIVE_DIR", "a"), ("KAFKA_TOPIC_CHAT_REQUESTS", &longer)];
    assert!(read(&unused).is_ok(), "there is no Kafka");
    let dlq = [("WORKER_HANDLERS", "archive"), ("KAFKA_TOPIC_DLQ", &longer)];
    assert!(read(&[&kafka[..], &dlq].concat()).is_ok(), "dead letters are not archived");
}

#[test]
fn the_secret_of_the_webhook_is_shown_nowhere_and_looked_at() {
    let with = |secret| {
        let url = ("WEBHOOK_URL", "https://hooks.example/chat");
        read(&[("WORKER_HANDLERS", " Webhook , archive"), url, ("WEBHOOK_SECRET", secret), ("ARCHIVE_DIR", "a")])
            .unwrap()
    };
    let settings = with("hush-hush");
    assert_eq!(names(&settings), ["webhook", "archive"]);
    assert!(!format!("{settings:?}").contains("hush-hush") && settings.printed.contains("\nWEBHOOK_SECRET=***\n"));
    assert!(settings.warnings[0].starts_with("WEBHOOK_SECRET is shorter than 32 bytes"), "{:?}", settings.warnings);
    assert_eq!(with("b7e151628aed2a6abf7158809cf4f3c7").warnings, [""; 0]);
}

#[test]
fn the_address_of_mongodb_is_shown_nowhere_and_a_build_without_it_says_so() {
    let uri = ("MONGODB_URI", "mongodb://ann:hush-hush@localhost");
    let read = read(&[("WORKER_HANDLERS", "log,mongodb"), uri]);
    if cfg!(feature = "mongodb") {
        let settings = read.unwrap();
        assert_eq!(names(&settings), ["log", "mongodb"]);
        assert!(!format!("{settings:?}").contains("hush") && settings.printed.contains("\nMONGODB_URI=***\n"));
    } else {
        let told = read.unwrap_err().to_string();
        assert!(told.contains("this build has no handler mongodb: build app-worker with --features mongodb"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn every_secret_is_printed_as_stars_and_no_debug_shows_one() {
    let value = |name: &str| match name {
        "REDIS_URL" => "redis://user:canary@localhost/0".to_owned(),
        "MONGODB_URI" => "mongodb://user:canary@localhost/".to_owned(),
        "OTEL_EXPORTER_OTLP_HEADERS" => "authorization=canary".to_owned(),
        "AI_API_URL" | "WEBHOOK_URL" => "https://hooks.example/canary?key=canary".to_owned(),
        _ => "canary-of-more-than-thirty-two-bytes".to_owned(),
    };
    let secrets: Vec<_> = t::all().filter(|spec| spec.secret).map(|spec| (spec.name, value(spec.name))).collect();
    let used = [
        ("WORKER_HANDLERS", "log,webhook"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_USERNAME", "user"),
        #[cfg(feature = "otlp")]
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
    ];
    // The password of Redis is in its URL, or beside its host.
    for (left_out, host) in [("REDIS_PASSWORD", None), ("REDIS_URL", Some(("REDIS_HOST", "localhost")))] {
        let secrets =
            || secrets.iter().map(|(name, value)| (*name, value.as_str())).filter(|(name, _)| *name != left_out);
        let settings = Settings::from_pairs(secrets().chain(used).chain(host)).unwrap();
        let printed = &settings.printed;
        assert!(secrets().all(|(name, _)| printed.contains(&format!("{name}=***\n"))), "{printed}");
        assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    }
}
