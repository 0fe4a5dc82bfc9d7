//! `app-worker --check-config`, as a process.

use std::process::Command;

#[test]
fn check_config_tells_what_no_part_can_be_made_of() {
    let directory = tempfile::tempdir().unwrap();
    for (url, status) in [
        ("redis://:canary@127.0.0.1:abc/0", 1),
        ("redis://:canary@h/0#x", 1),
        ("redis://:canary@a/1,redis://b/1", 1),
        ("redis://:canary@nowhere.invalid:1/3", 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_app-worker"));
        command.env_clear().env("REDIS_URL", url).current_dir(directory.path()).arg("--check-config");
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{url}: {told}");
        assert!(told.contains(if status == 0 { "are good" } else { "see REDIS_URL" }), "{url}: {told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

/// In what cannot be written nothing can be kept: the store, unless another has it, and the archive.
#[test]
fn directories_that_are_none_are_told_all_at_once_and_by_name_and_a_start_tells_the_same() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a-file"), "kept").unwrap();
    let told = |pairs: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_app-worker"));
        command.env_clear().env("WORKER_PORT", "off").envs(pairs.iter().copied());
        command.current_dir(directory.path()).args(arguments);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let archive = [("WORKER_HANDLERS", "archive"), ("ARCHIVE_DIR", "a-file/archive"), ("DATA_DIR", "a-file")];
    for arguments in [&["--check-config"][..], &[]] {
        let (code, stderr) = told(&archive, arguments);
        assert!(code == Some(1) && stderr.contains("the settings have 2 faults:\n"), "{stderr}");
        assert!(stderr.contains("see ARCHIVE_DIR") && stderr.contains("see DATA_DIR"), "{stderr}");
    }
    // On Kafka a worker opens no store, unless it relays.
    let kafka = [("KAFKA_BOOTSTRAP_SERVERS", "nowhere.invalid:9092"), ("DATA_DIR", "a-file")];
    assert_eq!(told(&kafka, &["--check-config"]), (Some(0), "the settings are good\n".to_owned()));
    let (code, stderr) = told(&[&kafka[..], &[("RELAY", "on")]].concat(), &["--check-config"]);
    assert!(code == Some(1) && stderr.contains("see DATA_DIR"), "{stderr}");
    let good = [("WORKER_HANDLERS", "archive"), ("ARCHIVE_DIR", "not/yet")];
    assert_eq!(told(&good, &["--check-config"]).0, Some(0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "something was made");
}

/// What the driver cannot read, without the password; at a start with whatever else is wrong.
#[cfg(feature = "mongodb")]
#[test]
fn an_address_of_mongodb_that_its_driver_cannot_read_is_told_with_all_else() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a-file"), "kept").unwrap();
    let told = |uri: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_app-worker"));
        command.env_clear().env("WORKER_PORT", "off").env("MONGODB_URI", uri).env("DATA_DIR", "a-file");
        command.env("WORKER_HANDLERS", "log,mongodb").current_dir(directory.path()).args(arguments);
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && !told.contains("canary"), "{uri}: {told}");
        told
    };
    for uri in [
        "mongodb://ann:p@canary@h:27017",
        "mongodb://ann:canary@h:x",
        "mongodb://ann:canary@h:70000",
        "mongodb://ann:canary@h/?tls=maybe",
        "mongodb://ann:canary@h/?w=0",
        "mongodb://ann:canary@h/?tls=true&tlsCAFile=nowhere",
        "mongodb://ann:canary@h/?tls=true&tlsCertificateKeyFile=nowhere",
        "mongodb://ann:canary@h,i/?directConnection=true",
    ] {
        for arguments in [&["--check-config"][..], &[]] {
            let told = told(uri, arguments);
            assert!(
                told.contains("the settings have 2 faults:\n") && told.contains("see MONGODB_URI"),
                "{uri}: {told}"
            );
        }
    }
    let good = told("mongodb://ann:canary@nowhere.invalid:27017/?replicaSet=rs0", &["--check-config"]);
    assert!(good.contains("the settings have 1 fault:\n") && good.contains("see DATA_DIR"), "nobody is asked: {good}");
}
