//! Settings that cannot be right, and that no password is shown.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chatcore_mongodb::{MongoDb, MongoDbConfig, OpenError};
use chatcore_ports::tokio::TokioRuntime;
use std::sync::Arc;
use std::time::Duration;

/// By who opens it and by who only checks it.
async fn refused(config: MongoDbConfig) -> OpenError {
    let checked = config.check().unwrap_err();
    let opened = MongoDb::open(config, Arc::new(TokioRuntime::current())).await.unwrap_err();
    assert_eq!(format!("{checked:?}"), format!("{opened:?}"));
    checked
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_refused_without_a_password() {
    for uri in
        ["", "host:1", "mongodb://", "mongodb://u:hush/hush@host", "mongodb://u:hush@host:99999", "mongodb://h/?x=hush"]
            .into_iter()
            .chain(["mongodb+srv://u:hush@host.example.org", "mongodb://u:hush@hush@h", "mongodb://h/?tls=hush"])
    {
        let error = refused(MongoDbConfig::new(uri)).await;
        assert!(matches!(error, OpenError::Uri), "{uri}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
    assert!(matches!(refused(MongoDbConfig::new("mongodb://h/?w=0")).await, OpenError::Unacknowledged));
    for file in ["tlsCAFile", "tlsCertificateKeyFile"] {
        let no_file = refused(MongoDbConfig::new(format!("mongodb://h/?tls=true&{file}=/no/such/file"))).await;
        assert!(matches!(no_file, OpenError::Tls { .. }), "{no_file:?}");
    }
    for name in ["", "a b", "a.b", "a/b", "$a", &"x".repeat(64)] {
        let mut config = MongoDbConfig::new("mongodb://h");
        config.database = name.to_owned();
        assert!(matches!(refused(config).await, OpenError::Database { .. }), "{name}");
    }
    assert!(MongoDbConfig::new("mongodb://h/?loadBalanced=true").check().is_ok());
    let mut config = MongoDbConfig::new("mongodb://h");
    config.call_timeout = Duration::ZERO;
    assert!(matches!(refused(config).await, OpenError::Number { setting: "call_timeout" }));
}

#[tokio::test]
async fn a_password_is_shown_nowhere() {
    let config = MongoDbConfig::new("mongodb://ann:hush-hush@127.0.0.1:9");
    let handler = MongoDb::open(config.clone(), Arc::new(TokioRuntime::current())).await.unwrap();
    let shown = format!("{config:?} {handler:?}");
    assert!(shown.contains("chatcore") && !shown.contains("hush"), "{shown}");
}
