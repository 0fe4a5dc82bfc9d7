//! `app-http --check-config`: what it tells of settings that cannot be right, and that it makes nothing.

use crate::process::output;

#[test]
fn check_config_tells_all_faults_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), "PORT=http\nDEBUG=maybe\nTURN_LEESE=1s\n").unwrap();
    let (bad, _, stderr) = output(directory.path(), &[("DEBUG", "true"), ("STORE", "tape")], &["--check-config"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr.contains("PORT (.env)") && stderr.contains("STORE (environment)"), "{stderr}");
    assert!(!stderr.contains("DEBUG"), "the environment wins: {stderr}");
    let pairs = [("DEBUG", "true"), ("PORT", "0")];
    let (good, _, stderr) = output(directory.path(), &pairs, &["--check-config"]);
    assert_eq!(good.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("TURN_LEESE (.env) is not a setting; is TURN_LEASE meant?"), "{stderr}");
}

#[test]
fn check_config_tells_a_host_and_files_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), "HOST=\"no such host\"\n").unwrap();
    std::fs::write(directory.path().join("a-file"), "kept").unwrap();
    for file in ["nowhere/log", "a-file/log", "."] {
        let (bad, _, stderr) = output(directory.path(), &[("LOG_FILE", file)], &["--check-config"]);
        assert_eq!(bad.status.code(), Some(1), "{file}: {stderr}");
        assert!(stderr.contains("HOST (.env): must be an address"), "{stderr}");
        assert!(stderr.contains("LOG_FILE (environment): cannot be written: "), "{file}: {stderr}");
    }
    for (file, host) in [("log", "127.0.0.1"), ("a-file", "::1"), ("./log", "localhost"), ("/dev/null", "0.0.0.0")] {
        let pairs = [("LOG_FILE", file), ("HOST", host)];
        let (good, _, stderr) = output(directory.path(), &pairs, &["--check-config"]);
        assert_eq!(good.status.code(), Some(0), "{file}, {host}: {stderr}");
    }
    let pairs = [
        ("REDIS_URL", "rediss://a"),
        ("REDIS_CA_FILE", "nowhere"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092"),
        ("KAFKA_CA_FILE", "a-file"),
        ("AI_API_URL", "http://a"),
        ("AI_API_KEY", "kept \n"),
    ];
    let (bad, _, stderr) = output(directory.path(), &pairs, &["--check-config"]);
    assert!(bad.status.code() == Some(1) && !stderr.contains("kept"), "{stderr}");
    let named = |name| stderr.contains(&format!("{name} (environment): must be "));
    assert!(["REDIS_CA_FILE", "KAFKA_CA_FILE", "AI_API_KEY"].into_iter().all(named), "all at once: {stderr}");
    let (bad, _, stderr) = output(directory.path(), &[("USERS_FILE", "a-file"), ("HOST", "::1")], &["--check-config"]);
    assert!(bad.status.code() == Some(1) && stderr.contains("line 1") && !stderr.contains("kept"), "{stderr}");
    assert_eq!(std::fs::read_to_string(directory.path().join("a-file")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing was made");
}

#[test]
fn each_line_of_the_env_file_that_is_no_good_is_told_without_its_text() {
    let directory = tempfile::tempdir().unwrap();
    let lines = "JWT_SECRET_KEY=\"canary\n\nDEBUG=false\n  export AI_API_URL=http://a/ canary\r\nAI_MODEL=p#w$rd-canary\nAI=native\n\
                 canary\nSESSION_TTL=soon\nWEBHOOK_SECRET='pa$$w0rd$x1'\n";
    std::fs::write(directory.path().join(".env"), lines).unwrap();
    let (bad, _, stderr) = output(directory.path(), &[], &["--check-config"]);
    let advice =
        "is malformed: put a value with spaces into quotes that close on the same line, one with $ into single quotes";
    let expected = [(1, "JWT_SECRET_KEY"), (4, "AI_API_URL"), (5, "AI_MODEL"), (7, ".env")];
    let mut expected = expected.map(|(number, name)| format!("  {name} (.env): line {number} {advice}")).to_vec();
    let rule = "a time like 500ms, 30s, 5m, 24h, 7d, or a number of seconds";
    expected.push(format!("  SESSION_TTL (.env): must be {rule}, not `soon`"));
    let told: Vec<_> = stderr.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!((bad.status.code(), told), (Some(1), expected.iter().map(String::as_str).collect()), "{stderr}");
}

#[test]
fn check_config_tells_what_no_part_can_be_made_of() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users"), "ann").unwrap();
    let told = |pairs: &[(&str, &str)]| {
        let (output, _, stderr) = output(directory.path(), pairs, &["--check-config"]);
        assert!(!stderr.contains("canary"), "{stderr}");
        (output.status.code(), stderr)
    };
    for (name, value) in [
        ("REDIS_URL", "redis://:canary@127.0.0.1:abc/0"),
        ("REDIS_URL", "redis://:canary@h/0#x"),
        ("REDIS_URL", "redis://:canary@a/1,redis://b/1"),
        ("AI_API_URL", "http://ai:99999/canary"),
        ("USERS_FILE", "users"),
        ("DATA_DIR", "users"),
        ("DATA_DIR", "users/data"),
    ] {
        let (code, stderr) = told(&[(name, value)]);
        assert_eq!(code, Some(1), "{value}: {stderr}");
        assert!(stderr.contains(&format!("see {name}")) && !stderr.contains("are good"), "{value}: {stderr}");
    }
    for store in [("REDIS_URL", "redis://h/0#x"), ("DATA_DIR", "users")] {
        let pairs = [store, ("AI_API_URL", "http://ai:99999/"), ("USERS_FILE", "users")];
        let (_, stderr) = told(&pairs);
        assert!(pairs.iter().all(|(name, _)| stderr.contains(&format!("see {name}"))), "all at once: {stderr}");
    }
    // Nothing is kept there.
    assert_eq!(told(&[("DATA_DIR", "users"), ("STORE", "memory")]).0, Some(0));
    // Nobody is asked: where these are is nobody.
    let away = [("REDIS_URL", "redis://:canary@nowhere.invalid:1/3"), ("AI_API_URL", "http://nowhere.invalid/canary")];
    let (code, stderr) = told(&away);
    assert_eq!((code, stderr.as_str()), (Some(0), "the settings are good\n"));
}

/// What is no fault, and what a server would say in its log.
#[test]
fn check_config_tells_what_parts_warn_of() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users"), "# nobody yet\n").unwrap();
    let (good, _, stderr) = output(directory.path(), &[("USERS_FILE", "users")], &["--check-config"]);
    let told = "warning: nobody can log in: USERS_FILE names no user\nthe settings are good\n";
    assert_eq!((good.status.code(), stderr.as_str()), (Some(0), told));
}

#[test]
fn a_start_tells_all_faults_at_once_each_with_its_name_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users"), "ann").unwrap();
    let of_parts = [("AI_API_URL", "http://ai:99999/"), ("USERS_FILE", "users")];
    let of_settings = [("PORT", "http"), ("REDIS_PORT", "tcp://10.0.0.1:6379")];
    for (settings, arguments) in [(&of_settings[..], &[][..]), (&of_settings, &["--check-config"]), (&[], &[])] {
        let (bad, _, stderr) = output(directory.path(), &[&of_parts, settings].concat(), arguments);
        assert_eq!(bad.status.code(), Some(1), "{stderr}");
        let count = of_parts.len() + settings.len();
        assert!(stderr.starts_with(&format!("the settings have {count} faults:\n")), "{stderr}");
        assert!(of_parts.iter().all(|(name, _)| stderr.contains(&format!("see {name}"))), "{stderr}");
        assert!(settings.iter().all(|(name, _)| stderr.contains(&format!("  {name} (environment): must be a port"))));
        assert_eq!(stderr.contains("`enableServiceLinks: false`"), !settings.is_empty(), "{stderr}");
    }
    let of_data = [of_parts[0], ("DATA_DIR", "users")];
    for (settings, arguments) in
        [(&[][..], &[][..]), (&of_settings[..1], &[]), (&of_settings[..1], &["--check-config"])]
    {
        let (bad, _, stderr) = output(directory.path(), &[&of_data, settings].concat(), arguments);
        let count = of_data.len() + settings.len();
        assert!(bad.status.code() == Some(1) && stderr.starts_with(&format!("the settings have {count} faults:\n")));
        assert!(of_data.iter().all(|(name, _)| stderr.contains(&format!("see {name}"))), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "something was made");
}
