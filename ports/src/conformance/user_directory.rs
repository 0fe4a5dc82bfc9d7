//! The laws of `UserDirectory`.

use super::law::laws;
use chatcore::port::{Credentials, User, UserDirectory};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

laws! {
    $
    /// Makes one test of each law of [`UserDirectory`](chatcore::port::UserDirectory). Takes an async expression that
    /// gives a [`UsersHarness`](crate::conformance::UsersHarness), or an `Option` of one.
    user_directory_laws, user_directory, UsersHarness:
    the_right_password_gives_the_user,
}

/// A directory, and one user of it.
#[derive(Debug, Clone)]
pub struct UsersHarness {
    /// The directory.
    pub directory: Arc<dyn UserDirectory>,
    /// Somebody in it.
    pub user: User,
    /// The password of that user.
    pub password: String,
}

impl UsersHarness {
    async fn authenticate(&self, name: &str, password: &str) -> Option<User> {
        let credentials = Credentials { name: name.to_owned(), password: password.to_owned() };
        self.directory.authenticate(&credentials).await.expect("authenticate answers")
    }

    /// The quickest of three, so that what else the machine does is left out.
    #[expect(clippy::disallowed_methods, reason = "how long a hash takes is real time")]
    async fn time(&self, name: &str, password: &str) -> Duration {
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            self.authenticate(name, password).await;
            quickest = quickest.min(start.elapsed());
        }
        quickest
    }
}

/// A wrong one and an unknown name give nobody, in about the same time.
pub async fn the_right_password_gives_the_user(harness: &UsersHarness) {
    let UsersHarness { user, password, .. } = harness;
    let long = "x".repeat(10_000);
    for _ in 0..2 {
        assert_eq!(harness.authenticate(&user.name, password).await.as_ref(), Some(user), "the right password");
    }
    let wrong = [format!("{password}x"), format!(" {password}"), password[1..].to_owned(), String::new(), long];
    for wrong in &wrong {
        assert_eq!(harness.authenticate(&user.name, wrong).await, None, "a wrong password");
    }
    let nobody = [format!("{}x", user.name), format!("{} ", user.name), String::new(), user.id.to_string()];
    for name in nobody.iter().filter(|name| **name != user.name) {
        assert_eq!(harness.authenticate(name, password).await, None, "an unknown name: {name:?}");
    }
    let (wrong, unknown) =
        (harness.time(&user.name, "wrong").await, harness.time("nobody-of-this-name", "wrong").await);
    // What takes less than two milliseconds hashes nothing, and tells nothing over a network.
    let (short, long) = (wrong.min(unknown), wrong.max(unknown));
    let alike = long < Duration::from_millis(2) || long < short * 3;
    assert!(alike, "a wrong password takes {wrong:?}, an unknown name {unknown:?}");
}
