//! What is told when the store is opened, and that the user of the README may do all that is needed, and no less.

mod common;

use chatcore::port::Probe;
use chatcore::turn::Target;
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{OpenError, Redis, RedisConfig};
use common::chat::{finish, one_of_each, question, start};
use common::{NODE, Server, certificate, config, free_port, open, user_of_the_readme};
use std::sync::Arc;
use std::time::Duration;

async fn opened(config: &RedisConfig) -> Result<Redis, OpenError> {
    Redis::open(config.clone(), Arc::new(TokioRuntime::current())).await
}

#[tokio::test]
async fn another_number_of_partitions_than_the_data_has_is_refused() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.partitions = 8;
    opened(&config).await.unwrap();
    config.partitions = 16;
    let told = opened(&config).await.unwrap_err().to_string();
    assert!(told.contains("spread over 8 partitions, not 16"), "{told}");
    config.key_prefix = "other:".into();
    opened(&config).await.unwrap();
}

#[tokio::test]
async fn a_wrong_configuration_is_told_without_its_password() {
    let mut wrong = RedisConfig::new("http://:hunter2@127.0.0.1");
    let told = opened(&wrong).await.unwrap_err().to_string();
    assert!(told.contains("http://***@127.0.0.1") && !told.contains("hunter2"), "{told}");
    assert!(!format!("{wrong:?}").contains("hunter2"));
    // Else the rest of the password would be lost, or an option that is not there be asked for.
    wrong.urls = vec!["rediss://127.0.0.1/#insecure".into()];
    let told = opened(&wrong).await.unwrap_err().to_string();
    assert!(told.contains("%23"), "{told}");
    wrong.urls = vec!["redis://127.0.0.1".into()];
    wrong.key_prefix = "a{b}".into();
    assert!(matches!(opened(&wrong).await, Err(OpenError::Prefix { .. })));
    (wrong.key_prefix, wrong.partitions) = ("c:".into(), 17);
    assert!(matches!(opened(&wrong).await, Err(OpenError::Partitions { partitions: 17 })));
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once_and_not_as_an_outage() {
    let server = Server::with(&["--requirepass", "right"]);
    for url in [server.url(), format!("redis://:wrong@127.0.0.1:{}", server.port)] {
        let refused = opened(&config(&[url])).await;
        assert!(matches!(refused, Err(OpenError::Denied { .. })), "{refused:?}");
    }
    opened(&config(&[format!("redis://:right@127.0.0.1:{}/3", server.port)])).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_at_once_and_not_as_an_outage() {
    let (server, node) = (Server::start(), Server::with(NODE));
    let of_two = [server.url(), format!("{}/3", node.url())];
    for urls in [vec![format!("{}/99", server.url())], vec![format!("{}/3", node.url())], of_two.to_vec()] {
        let refused = opened(&config(&urls)).await;
        assert!(matches!(refused, Err(OpenError::Database { .. })), "{urls:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_server_with_tls_is_believed_for_the_certificate_that_was_named() {
    let files = tempfile::tempdir().unwrap();
    let [mine, others] = ["mine", "others"].map(|name| certificate(files.path(), name));
    let (certificate, key) = (mine.to_str().unwrap(), mine.with_extension("key"));
    let tls_port = free_port();
    let server = Server::with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key.to_str().unwrap(),
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
    ]);
    let mut config = config(&[format!("rediss://127.0.0.1:{tls_port}")]);
    for (ca_file, is_believed) in [(Some(mine), true), (Some(others), false), (None, false)] {
        config.ca_file = ca_file;
        let store = open(&config).await;
        let checked = store.check().await;
        assert_eq!(checked.is_ok(), is_believed, "{config:?}: {checked:?}");
        let told = checked.err().map(|error| error.source.to_string());
        assert!(told.iter().all(|told| told.contains("certificate")), "{told:?}");
        if is_believed {
            one_of_each(&*store).await;
            assert!(server.ask(&["CLIENT", "LIST"]).contains(&format!("laddr=127.0.0.1:{tls_port}")));
        }
    }
    let broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    let texts =
        [("none.pem", None), ("empty.pem", Some("")), ("text.pem", Some("not one")), ("broken.pem", Some(broken))];
    for (path, text) in texts {
        let path = files.path().join(path);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        config.ca_file = Some(path);
        assert!(matches!(opened(&config).await, Err(OpenError::CaFile { .. })), "{config:?}");
    }
}

#[tokio::test]
async fn a_server_that_throws_keys_away_is_refused_unless_it_may() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let mut config = config(&[server.url()]);
    opened(&config).await.unwrap();
    config.may_evict = false;
    let told = opened(&config).await.unwrap_err().to_string();
    assert!(told.contains("maxmemory-policy allkeys-lru"), "{told}");
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    opened(&config).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_when_it_comes() {
    let mut server = Server::start();
    let config = config(&[server.url()]);
    server.kill();
    let store = open(&config).await;
    assert!(store.check().await.unwrap_err().may_pass());
    server.run();
    tokio::time::sleep(Duration::from_millis(300)).await;
    store.check().await.unwrap();
}

/// As in a program whose threads wait for a call each, and know nothing of tokio.
#[test]
fn a_thread_without_a_runtime_may_call() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, new) = runtime.block_on(async { (open(&config(&[server.url()])).await, question(Target::New, "k")) });
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    futures_executor::block_on(async { finish(&*store, &start(&*store, &new).await).await });
}

#[tokio::test]
async fn the_user_of_the_readme_may_do_all_that_is_needed() {
    let server = Server::start();
    let mut config = user_of_the_readme(&server);
    one_of_each(&*open(&config).await).await;
    config.key_prefix = "d:".into();
    assert!(matches!(opened(&config).await, Err(OpenError::Denied { .. })), "another prefix is not its own");
}

/// Not with its first message, of which a part would be written.
#[tokio::test]
async fn a_user_who_lacks_a_right_is_refused_at_the_opening_and_told_by_the_probe() {
    let server = Server::start();
    let config = user_of_the_readme(&server);
    let store = open(&config).await;
    let set = |right: &str| assert_eq!(server.ask(&["ACL", "SETUSER", "chat", right]), "OK", "{right}");
    let rights = [
        ("resetchannels", "&c:*", "PUBLISH on c:wake:0"),
        ("-publish", "+publish", "PUBLISH on c:n:"),
        ("-subscribe", "+subscribe", "SUBSCRIBE to c:wake:0"),
        ("-evalsha", "+evalsha", "evalsha"),
        ("-eval", "+eval", "EVAL"),
        ("-zadd", "+zadd", "ZADD"),
        ("resetkeys", "~c:*", "keys"),
    ];
    for (withdrawn, granted, lacks) in rights {
        set(withdrawn);
        match opened(&config).await {
            Err(OpenError::Denied { why }) => assert!(why.contains(lacks), "{withdrawn}: {why}"),
            other => panic!("{withdrawn}: {other:?}"),
        }
        let told = store.check().await.unwrap_err();
        assert!(!told.may_pass() && told.source.to_string().contains(lacks), "{withdrawn}: {}", told.source);
        set(granted);
        store.check().await.unwrap();
    }
    one_of_each(&*open(&config).await).await;
}
