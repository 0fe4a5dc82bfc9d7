//! The settings: read from pairs as from an environment.

use app_http::settings::{AiKind, Settings};
use app_kit::settings::table::all;
use app_kit::settings::{env_example, help, readme_table};
use std::time::Duration;

#[track_caller]
fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
    let faults = Settings::from_pairs(pairs.iter().copied()).unwrap_err();
    faults.all.iter().map(ToString::to_string).collect()
}

#[test]
fn all_faults_are_told_at_once_with_their_names_and_where_they_came_from() {
    let told = faults(&[
        ("PORT", "80000"),
        ("DEBUG", "perhaps"),
        ("STORE", "oracle"),
        ("BUS", "kafka"),
        ("AI", "native"),
        ("TURN_LEASE", "soon"),
        ("MESSAGE_QUOTA", "10"),
        ("MESSAGE_MAX_BYTES", "big"),
        ("LOG_LEVEL", "loud"),
        ("CORS_ALLOWED_ORIGINS", "shop.example"),
        ("USERS_FILE", "/does/not/exist"),
    ]);
    let mut names: Vec<_> = told.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    let expected = "AI_API_URL BUS CORS_ALLOWED_ORIGINS DEBUG LOG_LEVEL MESSAGE_MAX_BYTES MESSAGE_QUOTA PORT STORE \
                    TURN_LEASE USERS_FILE";
    assert_eq!(names.join(" "), expected, "{told:#?}");
    assert!(told.contains(&"PORT (environment): must be a port, 0 to 65535, not `80000`".to_owned()), "{told:#?}");
}

#[test]
fn rules_over_several_settings_are_told_with_all_other_faults() {
    let told = faults(&[
        ("MESSAGE_QUOTA", "x"),
        ("PORT", "x"),
        ("AI", "x"),
        ("SESSION_TTL", "1s"),
        ("BODY_MAX_BYTES", "1KiB"),
        ("JWT_SECRET", "x"),
    ]);
    for name in ["MESSAGE_QUOTA", "PORT", "AI", "SESSION_TTL", "BODY_MAX_BYTES"] {
        assert!(told.iter().any(|fault| fault.starts_with(&format!("{name} (environment)"))), "{name}: {told:#?}");
    }
}

/// A name that is misspelt may be why another one is missing.
#[test]
fn faults_come_with_the_names_that_look_like_settings() {
    let faults = Settings::from_pairs([("DEBUG", "false"), ("JWT_SECRET", "q8fK2mZ0pX7vL4nB9sT1wR6yH3dJ5gAc")]);
    let told = faults.unwrap_err().to_string();
    assert!(told.contains("JWT_SECRET_KEY (default): is missing"), "{told}");
    assert!(told.contains("JWT_SECRET (environment) is not a setting; is JWT_SECRET_KEY meant?"), "{told}");
}

/// Of an authority.
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../app-kit/src/settings/ca.pem");

#[test]
fn what_would_be_ignored_is_a_fault() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_str().unwrap();
    for (pairs, name) in [
        (&[("JWT_SECRET_KEY_FILE", path)][..], "JWT_SECRET_KEY_FILE"),
        (&[("AI_API_KEY_FILE", path)], "AI_API_KEY_FILE"),
        (&[("REDIS_URL", "redis://h:6379"), ("REDIS_PASSWORD", "hush")], "REDIS_PASSWORD"),
        (&[("REDIS_PASSWORD", "hush")], "REDIS_PASSWORD"),
        (&[("REDIS_DB", "3")], "REDIS_DB"),
        (&[("SESSION_MAX_MESSAGES", "1")], "SESSION_MAX_MESSAGES"),
        (&[("AI_API_KEY", "hush")], "AI_API_KEY"),
        (&[("AI_MODEL", "gpt")], "AI_MODEL"),
        (&[("AI_SYSTEM_PROMPT", "Be brief.")], "AI_SYSTEM_PROMPT"),
        (&[("AI_API_URL", "http://h/v1"), ("AI_MODEL", "gpt")], "AI_MODEL"),
        (&[("AI_API_URL", "http://h/v1"), ("AI_SYSTEM_PROMPT", "Be brief.")], "AI_SYSTEM_PROMPT"),
        (&[("RELAY", "on")], "RELAY"),
        (&[("KAFKA_SECURITY_PROTOCOL", "SSL")], "KAFKA_SECURITY_PROTOCOL"),
        (&[("KAFKA_BOOTSTRAP_SERVERS", "h:9092"), ("KAFKA_CA_FILE", CERTIFICATE)], "KAFKA_CA_FILE"),
    ] {
        let told = faults(pairs);
        assert!(told.len() == 1 && told[0].starts_with(&format!("{name} (environment)")), "{told:?}");
    }
    // Who says it knows it.
    assert!(Settings::from_pairs([("AI", "demo"), ("AI_API_KEY", "hush"), ("AI_MODEL", "gpt")]).is_ok());
    assert!(Settings::from_pairs([("AI", "native"), ("AI_API_URL", "http://h/v1"), ("AI_MODEL", "gpt")]).is_ok());
    assert!(Settings::from_pairs([("BUS", "local"), ("RELAY", "on")]).is_ok());
    let defaults =
        [("REDIS_PORT", "6379"), ("REDIS_DB", "0"), ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"), ("RELAY", "off")];
    assert!(Settings::from_pairs(defaults).is_ok(), "the defaults say nothing");
}

#[test]
fn made_up_answers_in_production_are_a_warning_unless_they_are_asked_for() {
    let warned = |pairs: &[(&str, &str)]| {
        let production = [("DEBUG", "false"), ("JWT_SECRET_KEY", "q8fK2mZ0pX7vL4nB9sT1wR6yH3dJ5gAc")];
        let settings = Settings::from_pairs(production.into_iter().chain(pairs.iter().copied())).unwrap();
        settings.warnings.iter().any(|warning| warning.contains("set AI_API_URL"))
    };
    assert!(warned(&[]));
    assert!(!warned(&[("AI", "demo")]) && !warned(&[("AI_API_URL", "http://ai.example/chat")]));
    assert_eq!(Settings::from_pairs([]).unwrap().warnings, [""; 0]);
}

#[test]
fn each_kind_of_ai_says_what_it_misses() {
    assert_eq!(faults(&[("AI", "native")]), ["AI_API_URL (default): is missing; AI=native needs it"]);
    let missing =
        ["AI_API_URL (default): is missing; AI=openai needs it", "AI_MODEL (default): is missing; AI=openai needs it"];
    assert_eq!(faults(&[("AI", "openai")]), missing);
    let address = ("AI_API_URL", "http://ai.example/v1");
    for bad in ["http://ann:hush@ai.example/v1", "http://ann@ai.example", "ftp://ai.example/hush"] {
        let rule = "AI_API_URL (environment): must be a URL like https://ai.example/chat, without user and password";
        assert_eq!(faults(&[("AI_API_URL", bad)]), [rule]);
    }
    assert_eq!(faults(&[("AI", "openai"), address]), missing[1..]);
    assert!(Settings::from_pairs([("AI", "native"), address]).is_ok());
    assert_eq!(faults(&[("AI", "gpt")]), ["AI (environment): must be demo, native or openai, not `gpt`"]);
}

#[test]
fn a_name_may_be_given_as_a_file_whose_last_newline_is_dropped() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef0123456789abcde\n\n").unwrap();
    let path = file.path().to_str().unwrap();
    let settings = Settings::from_pairs([("JWT_SECRET_KEY_FILE", path)]).unwrap();
    assert_eq!(settings.logins.secret.unwrap().expose(), "0123456789abcdef0123456789abcde\n");
    let told = faults(&[("JWT_SECRET_KEY_FILE", path), ("JWT_SECRET_KEY", "x"), ("PORT_FILE", "/does/not/exist")]);
    assert_eq!(told.len(), 2, "{told:#?}");
    std::fs::write(file.path(), "http").unwrap();
    let told = faults(&[("PORT_FILE", path)]);
    assert_eq!(told, ["PORT (the file of PORT_FILE): must be a port, 0 to 65535"]);
}

#[test]
fn what_may_be_a_secret_is_not_shown_where_another_setting_should_stand() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2").unwrap();
    let path = file.path().to_str().unwrap();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@h:4318"),
        ("CORS_ALLOWED_ORIGINS", "https://shop.example/?key=hunter2"),
        ("REDIS_HOST", "u:hunter2@h"),
        ("REDIS_HOST", "redis://hunter2"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka://u:hunter2@h:9092"),
        ("KAFKA_BOOTSTRAP_SERVERS", "h:9092,u:hunter2@h:9092"),
        ("PORT_FILE", path),
    ] {
        let told = faults(&[(name, value)]).join("\n");
        assert!(told.starts_with(name.trim_end_matches("_FILE")), "{name}={value}: {told}");
        // A host that only has a scheme before it is shown: it is no secret.
        assert_eq!(told.contains("hunter2"), value == "redis://hunter2", "{name}={value}: {told}");
    }
    for (name, value) in [("APP_NAME_FILE", path), ("APP_NAME", "u:hunter2@h"), ("WORKER_PORT_FILE", path)] {
        let printed = Settings::from_pairs([(name, value)]).unwrap().printed;
        let line = format!("{}=***", name.trim_end_matches("_FILE"));
        assert!(printed.lines().any(|printed| printed == line) && !printed.contains("hunter2"), "{name}: {printed}");
    }
    assert!(Settings::from_pairs([("WORKER_PORT_FILE", "/not/here")]).is_ok(), "the worker's files are its own");
}

#[test]
fn there_is_no_default_secret_and_a_weak_one_is_refused_in_production() {
    let production = |secret: &str| Settings::from_pairs([("DEBUG", "False"), ("JWT_SECRET_KEY", secret)]);
    let examples = [
        "",
        "tiny-key",
        "super-secret-key-change-in-production-min-32-chars",
        "your-secret-key-here-which-is-long-enough",
        "your-256-bit-secret-your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "my-32-character-ultra-secure-and-ultra-long-secret",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "                                        ",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ];
    for weak in examples {
        let faults = production(weak).unwrap_err();
        assert_eq!(faults.all.len(), 1, "{weak}: {faults}");
        assert_eq!(faults.all[0].name, "JWT_SECRET_KEY");
        assert!(weak.is_empty() || !faults.to_string().contains(weak), "a secret in a fault: {faults}");
        assert!(Settings::from_pairs([("JWT_SECRET_KEY", weak)]).is_ok(), "while DEBUG is on it is a warning");
    }
    let told = faults(&[("DEBUG", "False"), ("PORT", "80000")]).join("\n");
    assert!(told.contains("PORT (") && told.contains("JWT_SECRET_KEY (default): is missing"), "{told}");
    let settings = production("q8fK2mZ0pX7vL4nB9sT1wR6yH3dJ5gAc").unwrap();
    assert!(!settings.logins.demo_user);
    assert_eq!(settings.warnings[0], "nobody can log in: USERS_FILE is not set");
    assert_eq!(settings.server.origins, Some(vec![]));
}

#[test]
fn a_misspelt_name_is_a_warning_and_one_of_the_worker_is_not() {
    let settings = Settings::from_pairs([("PROT", "1"), ("JWT_SECRET", "x"), ("WORKER_LANES", "4"), ("PATH", "/bin")]);
    let meant = |name, meant| format!("{name} (environment) is not a setting; is {meant} meant?");
    assert_eq!(settings.unwrap().warnings, [meant("JWT_SECRET", "JWT_SECRET_KEY"), meant("PROT", "PORT")]);
    let by_file = Settings::from_pairs([("JWT_SECRT_KEY_FILE", "x"), ("SSH_AUTH_FILE", "x")]).unwrap();
    assert_eq!(by_file.warnings, [meant("JWT_SECRT_KEY_FILE", "JWT_SECRET_KEY_FILE")]);
}

#[test]
fn what_is_set_decides_what_is_picked() {
    assert_eq!(Settings::from_pairs([]).unwrap().ai.kind, AiKind::Demo);
    let native = Settings::from_pairs([("AI_API_URL", "http://ai.example/chat"), ("AI_TIMEOUT", "1500ms")]).unwrap();
    assert_eq!((native.ai.kind, native.ai.timeout), (AiKind::Native, Duration::from_millis(1500)));
    let pairs = [("AI", "OpenAI"), ("AI_API_URL", "http://ai.example/v1"), ("AI_MODEL", "m"), ("AI_STREAM", "no")];
    let openai = Settings::from_pairs(pairs).unwrap().ai;
    assert_eq!((openai.kind, openai.model.as_deref(), openai.stream), (AiKind::OpenAi, Some("m"), false));
    let empty = Settings::from_pairs([("AI_API_URL", ""), ("PORT", "")]).unwrap();
    assert_eq!((empty.ai.kind, empty.server.port), (AiKind::Demo, 8000), "an empty value is none");
}

#[test]
fn every_setting_is_printed_used_or_not_and_no_secret_is() {
    let secrets = [("JWT_SECRET_KEY", "canary-1-canary-1-canary-1-canary-1"), ("AI_API_KEY", "canary-2")];
    let settings = Settings::from_pairs(secrets.into_iter().chain([("AI", "demo")])).unwrap();
    let printed = settings.printed.clone();
    let names: Vec<_> = printed.lines().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, all().map(|spec| spec.name).collect::<Vec<_>>());
    for line in
        ["JWT_SECRET_KEY=***", "AI_API_KEY=***", "PORT=8000", "STORE=sqlite", "BUS=local", "AI=demo", "DEBUG=true"]
    {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    for text in [printed, format!("{settings:?}")] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn the_help_and_the_example_name_every_setting_and_the_example_is_in_step() {
    let (help, example) = (help(), env_example());
    for spec in all() {
        assert!(help.contains(&format!("\n  {} ", spec.name)), "{}", spec.name);
        assert!(example.contains(&format!("\n#{}=", spec.name)), "{}", spec.name);
    }
    let kept = include_str!("../../../.env.example");
    assert!(kept == example, "bring .env.example in step: cargo run -p app-http -- --env-example > .env.example");
}

#[test]
fn the_readme_shows_every_setting_as_the_table_has_it() {
    let (readme, table) = (include_str!("../../../README.md"), readme_table());
    for spec in all() {
        assert!(table.contains(&format!("\n| `{}` | ", spec.name)), "{}", spec.name);
    }
    let shown = readme.split_once("<!-- settings -->\n").unwrap().1.split_once("<!-- end of settings -->").unwrap().0;
    assert!(
        shown == table,
        "put this between `settings` and its end in README.md: cargo run -p app-http -- --readme-table"
    );
}

#[test]
fn the_example_read_as_it_stands_is_the_default() {
    let is_setting =
        |line: &&str| line.starts_with('#') && line[1..].starts_with(|letter: char| letter.is_ascii_uppercase());
    let uncommented =
        env_example().lines().filter(is_setting).map(|line| format!("{}\n", &line[1..])).collect::<String>();
    let pairs: Vec<_> = dotenvy::from_read_iter(uncommented.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(pairs.len(), all().count());
    let read = Settings::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))).unwrap();
    assert_eq!(read.printed, Settings::from_pairs([]).unwrap().printed);
}

#[test]
fn a_session_outlives_its_answer_and_the_time_in_which_that_is_stored() {
    let faults = Settings::from_pairs([("SESSION_TTL", "90s"), ("AI_TIMEOUT", "30s")]).unwrap_err().to_string();
    assert!(faults.contains("SESSION_TTL (environment): must be more than AI_TIMEOUT and 60s"), "{faults}");
    assert!(Settings::from_pairs([("SESSION_TTL", "91s"), ("AI_TIMEOUT", "30s")]).is_ok());
}

#[test]
fn the_longest_message_fits_into_the_longest_body() {
    let faults = Settings::from_pairs([("MESSAGE_MAX_BYTES", "6KiB"), ("BODY_MAX_BYTES", "8191")]).unwrap_err();
    assert!(faults.to_string().contains("BODY_MAX_BYTES (environment): must be at least 2048 more than"), "{faults}");
    assert!(Settings::from_pairs([("MESSAGE_MAX_BYTES", "6KiB"), ("BODY_MAX_BYTES", "8KiB")]).is_ok());
    let faults = Settings::from_pairs([("MESSAGE_MAX_BYTES", "255KiB")]).unwrap_err();
    assert!(faults.to_string().contains("BODY_MAX_BYTES (default): must be"), "{faults}");
}

#[test]
fn a_server_that_leaves_has_time_for_its_open_turns() {
    let faults = Settings::from_pairs([("SHUTDOWN_DELAY", "16s")]).unwrap_err().to_string();
    assert!(faults.contains("SHUTDOWN_DELAY (environment): must be at most half of SHUTDOWN_GRACE"), "{faults}");
    assert!(Settings::from_pairs([("SHUTDOWN_DELAY", "15s")]).is_ok());
}
