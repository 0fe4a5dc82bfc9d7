//! `app-http doctor`: what it finds where all is well, and what where something is to be mended.

use crate::process::{command, output};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Where nobody listens.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

#[test]
fn the_doctor_finds_nothing_where_all_is_well() {
    let directory = tempfile::tempdir().unwrap();
    // Fewer connections than any system allows files.
    let pairs = [("PORT", "0"), ("LOG_LEVEL", "off"), ("HTTP_MAX_CONNECTIONS", "10")];
    let (output, stdout, stderr) = output(directory.path(), &pairs, &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    for line in ["ok     settings: ", "ok     port: ", "ok     sqlite: ./data/chat.db is made at", "ok     ai: "] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "a look makes nothing");
}

#[test]
fn the_doctor_names_all_that_is_to_be_mended_and_where() {
    let (directory, taken) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = taken.local_addr().unwrap().port().to_string();
    let (redis, kafka, ai) = (nobody(), nobody(), nobody());
    let (redis, ai) = (format!("redis://chat:hunter2@{redis}"), format!("http://{ai}/chat"));
    let users = directory.path().join("users");
    std::fs::write(&users, "ann").unwrap();
    let pairs = [
        ("PORT", port.as_str()),
        ("REDIS_URL", &redis),
        ("KAFKA_BOOTSTRAP_SERVERS", &kafka),
        ("AI_API_URL", &ai),
        ("USERS_FILE", users.to_str().unwrap()),
        ("JWT_SECRETKEY", "short"),
    ];
    let (output, stdout, stderr) = output(directory.path(), &pairs, &["doctor"]);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    for part in [
        "look   settings: JWT_SECRETKEY",
        "MEND   users: ",
        "see USERS_FILE",
        "look   port: ",
        "MEND   redis: ",
        "see REDIS_URL",
        "REDIS_CA_FILE",
        "MEND   kafka: ",
        "see KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_CA_FILE, KAFKA_SASL_MECHANISM",
        "their events wait",
        "MEND   ai: ",
        "see AI_API_URL",
        "AI_FALLBACK_MESSAGE",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"), "{stdout}{stderr}");
    assert!(!stdout.contains("look   redis: "), "it is told once: {stdout}");
    assert!(stderr.contains("there is something to mend"), "{stderr}");
}

#[test]
fn a_store_that_cannot_be_opened_keeps_the_doctor_from_looking_at_nothing_else() {
    let (directory, ai) = (tempfile::tempdir().unwrap(), format!("http://{}/chat", nobody()));
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("data/chat.db"), "no database ".repeat(1000)).unwrap();
    let kafka = nobody();
    let pairs = [("PORT", "0"), ("AI_API_URL", &*ai), ("KAFKA_BOOTSTRAP_SERVERS", &*kafka)];
    // What is no database, and what is no directory for one, which a first start could not make either.
    let program = std::env::current_exe().unwrap();
    for data in ["data", program.to_str().unwrap()] {
        let pairs = [&pairs[..], &[("DATA_DIR", data)]].concat();
        let (output, stdout, stderr) = output(directory.path(), &pairs, &["doctor"]);
        assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
        for part in ["MEND   sqlite: ", "see DATA_DIR", "MEND   kafka: ", "MEND   ai: "] {
            assert!(stdout.contains(part), "{data}: {part} in {stdout}");
        }
    }
}

/// What the server made once, and others have changed, it does not start with.
#[test]
fn the_doctor_looks_at_the_secret_that_was_made_once() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("data/jwt-secret"), "short").unwrap();
    let (output, stdout, stderr) = output(directory.path(), &[("PORT", "0")], &["doctor"]);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("MEND   secret: ") && stdout.contains("see DATA_DIR"), "{stdout}");
}

/// What a server would say in its log.
#[test]
fn the_doctor_tells_what_parts_warn_of() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users"), "# nobody yet\n").unwrap();
    let pairs = [("PORT", "0"), ("USERS_FILE", "users"), ("HTTP_MAX_CONNECTIONS", "1000"), ("LOG_LEVEL", "off")];
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -n 400 && exec \"$0\" doctor", env!("CARGO_BIN_EXE_app-http")]);
    let found = few.env_clear().envs(pairs).current_dir(&directory).output().unwrap();
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success() && !said.contains("no warning"), "{said}");
    for told in
        ["nobody can log in: USERS_FILE names no user", "HTTP_MAX_CONNECTIONS is more than the limit of open files"]
    {
        assert!(said.contains(&format!("look   settings: {told}")), "{told} in {said}");
    }
}

/// While it waits for a service that says nothing.
#[test]
fn the_doctor_ends_when_it_is_told_to() {
    let (directory, silent) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let mut doctor = command(directory.path(), &[("PORT", "0"), ("REDIS_URL", &url)]).arg("doctor").spawn().unwrap();
    let _asked = silent.accept().unwrap();
    assert!(Command::new("kill").args(["-TERM", &doctor.id().to_string()]).status().unwrap().success());
    assert_eq!(doctor.wait().unwrap().signal(), Some(15), "it did not go on to its end");
}
