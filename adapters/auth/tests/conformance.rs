//! The laws of the ports, for tokens, for the demo user and for a file of users.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, Version};
use chatcore::id::UserId;
use chatcore::port::{TokenIssuer, User};
use chatcore_auth::{JwtConfig, JwtIssuer, UsersFile};
use chatcore_ports::conformance::{TokenHarness, UsersHarness};
use std::sync::Arc;

fn user(id: &str, name: &str) -> User {
    User { id: UserId::parse(id).expect("an id"), name: name.into() }
}

mod plain_tokens {
    use super::*;

    fn issuer(secret: &[u8]) -> Arc<dyn TokenIssuer> {
        Arc::new(JwtIssuer::new(JwtConfig { secret: secret.to_vec(), issuer: None, audience: None }))
    }

    chatcore_ports::token_issuer_laws!(async { TokenHarness { issuer: issuer(&[1; 32]), stranger: issuer(&[2; 32]) } });
}

mod tokens_of_two_services_with_one_key {
    use super::*;

    fn issuer(issuer: &str, audience: &str) -> Arc<dyn TokenIssuer> {
        let (issuer, audience) = (Some(issuer.into()), Some(audience.into()));
        Arc::new(JwtIssuer::new(JwtConfig { secret: vec![1; 32], issuer, audience }))
    }

    chatcore_ports::token_issuer_laws!(async {
        TokenHarness { issuer: issuer("shop", "chat"), stranger: issuer("shop", "billing") }
    });
}

mod demo_user {
    use super::*;

    chatcore_ports::user_directory_laws!(async {
        let directory = Arc::new(UsersFile::demo());
        UsersHarness { directory, user: user("user_123", "testuser"), password: "testpass".into() }
    });
}

mod users_of_a_file {
    use super::*;

    /// A hash that costs little, but enough to tell by the time whether it was computed.
    fn hash(password: &str) -> String {
        let params = Params::new(2048, 1, 1, None).expect("parameters");
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: PasswordHash = hasher.hash_password(password.as_bytes()).expect("a hash");
        hash.to_string()
    }

    chatcore_ports::user_directory_laws!(async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users.txt");
        let password = "mật khẩu";
        let lines = ["anna:shop:7", "bao:user_8"].map(|user| format!("{user}:{}\n", hash(password)));
        std::fs::write(&path, lines.concat()).expect("a file");
        let directory = Arc::new(UsersFile::open(&path).expect("users"));
        UsersHarness { directory, user: user("user_8", "bao"), password: password.into() }
    });
}
