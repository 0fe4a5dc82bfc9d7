//! What can be set, and that no secret shows.

use crate::support::{clock, config};
use chatcore_ai_http::{ConfigError, HttpAi, HttpAiConfig, Secret};

#[test]
fn an_address_is_http_or_https_and_holds_no_password() {
    for good in ["http://ai", "https://ai.example/chat?tenant=7", "http://[::1]:8080/chat", "HTTP://127.0.0.1:1"] {
        assert!(HttpAiConfig::new(good).is_ok(), "{good}");
    }
    for bad in
        ["", "ai.example", "/chat", "http://", "ftp://ai/", "file:///etc", "http://u:secret@ai/", "https://secret@ai/"]
    {
        let error = HttpAiConfig::new(bad).expect_err(bad);
        assert!(
            matches!(error, ConfigError::Url(_)) && !format!("{error} {error:?}").contains("secret"),
            "{bad}: {error}"
        );
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_told_and_not_shown() {
    for bad in ["secret\n", "secret\0", "my secret", "secret\u{1f511}"] {
        let mut config = config("http://ai/");
        config.api_key = Some(Secret::new(bad));
        let error = HttpAi::new(config, clock()).map(drop);
        assert_eq!(error, Err(ConfigError::ApiKey), "{bad:?}");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn neither_the_key_nor_the_path_nor_the_query_shows_in_debug() {
    let mut config = config("https://ai.example/secret-path?key=secret");
    config.api_key = Some(Secret::new("secret"));
    let shown = format!("{config:?}");
    assert!(shown.contains("ai.example") && shown.contains("***") && !shown.contains("secret"), "{shown}");
    let shown = format!("{:?}", HttpAi::new(config, clock()).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}
