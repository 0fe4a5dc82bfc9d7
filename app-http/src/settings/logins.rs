//! Who may log in, and how. No secret is a default.

use app_kit::settings::parse::{self, Parsed};
use app_kit::settings::{Reader, Secret, table as t};
use chatcore::policy::Quota;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// Who may log in, and how.
#[derive(Debug, Clone)]
pub struct Logins {
    /// What tokens are signed with; `None` for a made-up one.
    pub secret: Option<Secret>,
    /// How long a token is good for.
    pub ttl: Duration,
    /// The `iss` of tokens.
    pub issuer: Option<String>,
    /// The `aud` of tokens.
    pub audience: Option<String>,
    /// The file of users.
    pub users: Option<PathBuf>,
    /// Whether there is the demo user.
    pub demo_user: bool,
    /// Wrong passwords for a name; four times as many from an address.
    pub quota: Option<Quota>,
}

impl Logins {
    pub(super) fn read(reader: &mut Reader, debug: bool) -> Option<Self> {
        let secret = reader.optional(&t::JWT_SECRET_KEY, |text| Ok(Secret::new(text)));
        let ttl = reader.get(&t::JWT_TTL, whole_seconds);
        let issuer = reader.optional(&t::JWT_ISSUER, parse::text);
        let audience = reader.optional(&t::JWT_AUDIENCE, parse::text);
        let users = reader.optional(&t::USERS_FILE, readable);
        let quota = reader.get(&t::LOGIN_QUOTA, parse::quota);
        match &secret {
            Some(None) if !debug => {
                reader.fault(&t::JWT_SECRET_KEY, "is missing; it must be given where DEBUG is false")
            }
            Some(Some(secret)) if !debug => {
                let fault =
                    secret.weakness().map(|weakness| format!("{weakness}; that will not do where DEBUG is false"));
                fault.into_iter().for_each(|fault| reader.fault(&t::JWT_SECRET_KEY, fault));
            }
            _ => {}
        }
        let (secret, users) = (secret?, users?);
        let demo_user = debug && users.is_none();
        Some(Self { secret, ttl: ttl?, issuer: issuer?, audience: audience?, users, demo_user, quota: quota? })
    }

    pub(super) fn warnings(&self, debug: bool) -> Vec<String> {
        let weak = self.secret.as_ref().and_then(Secret::weakness);
        let weak = weak.map(|weakness| format!("JWT_SECRET_KEY {weakness}; it is refused where DEBUG is false"));
        let nobody = (!debug && self.users.is_none()).then(|| "nobody can log in: USERS_FILE is not set".to_owned());
        weak.into_iter().chain(nobody).collect()
    }
}

fn readable(text: &str) -> Parsed<PathBuf> {
    File::open(text).map(|_| PathBuf::from(text)).map_err(|_| "a file that can be read")
}

/// Tokens tell whole seconds.
fn whole_seconds(text: &str) -> Parsed<Duration> {
    parse::duration(text).ok().filter(|time| time.as_secs() >= 1).ok_or("a time of at least 1s, like 30m, 24h")
}
