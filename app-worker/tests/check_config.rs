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
