//! Passwords and their argon2id hashes.

use argon2::password_hash::Error as Failure;
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};

/// The longest password, in bytes. A longer one is nobody's, and is not hashed.
pub const MAX_PASSWORD: usize = 1024;

/// The most that a stored hash may ask for: 256 MiB, 16 passes, 16 lanes. A typing error must not eat the machine.
const MAX_COST: (u32, u32, u32) = (256 * 1024, 16, 16);

/// Why a password has no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// It is empty, or longer than [`MAX_PASSWORD`].
    #[error("a password must be 1 to {MAX_PASSWORD} bytes")]
    Length,
    /// There is no memory, or no chance for the salt.
    #[error("the password cannot be hashed: {0}")]
    Failed(String),
}

/// The hash of a password as it stands in a file of users: argon2id with 19 MiB, 2 passes and 1 lane, under a random salt.
///
/// It takes a core for about 50 ms; call it where that does not matter.
///
/// ```
/// let hash = chatcore_auth::hash_password("correct horse")?;
/// assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
/// # Ok::<_, chatcore_auth::HashError>(())
/// ```
///
/// # Errors
/// The password is empty or too long, or the system has no memory or no randomness.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(HashError::Length);
    }
    let hash: Result<PasswordHash, _> = hasher().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| HashError::Failed(error.to_string()))
}

/// Whether the hash is this password's.
pub(crate) fn is_right(password: &str, hash: &PasswordHash) -> Result<bool, Failure> {
    match hasher().verify_password(password.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(Failure::PasswordInvalid) => Ok(false),
        Err(other) => Err(other),
    }
}

/// A stored hash, if it is one that can be verified here. The error says what is wrong and never shows the hash.
pub(crate) fn read_hash(text: &str) -> Result<PasswordHash, &'static str> {
    let hash =
        PasswordHash::new(text).map_err(|_| "the hash is not of the form $argon2id$v=19$m=...,t=...,p=...$...$...")?;
    if hash.algorithm != ARGON2ID_IDENT {
        return Err("the hash is not an argon2id one");
    }
    if hash.version != Some(Version::V0x13.into()) || hash.salt.is_none() || hash.hash.is_none() {
        return Err("the hash lacks v=19, its salt or its value");
    }
    let params = Params::try_from(&hash).map_err(|_| "the hash has parameters that argon2id does not know")?;
    let (memory, passes, lanes) = MAX_COST;
    if params.m_cost() > memory || params.t_cost() > passes || params.p_cost() > lanes {
        return Err("the hash asks for more than m=262144,t=16,p=16");
    }
    Ok(hash)
}

/// argon2id, version 19, m=19456, t=2, p=1: the defaults, which the tests hold.
fn hasher() -> Argon2<'static> {
    Argon2::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_for_its_own_hash_alone() {
        let text = hash_password("mật khẩu").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert_ne!(text, hash_password("mật khẩu").unwrap(), "each hash has a salt of its own");
        let hash = read_hash(&text).unwrap();
        assert!(is_right("mật khẩu", &hash).unwrap());
        assert!(!is_right("mat khau", &hash).unwrap());
    }

    #[test]
    fn a_password_that_nobody_could_log_in_with_gets_no_hash() {
        assert_eq!(hash_password(""), Err(HashError::Length));
        assert_eq!(hash_password(&"x".repeat(MAX_PASSWORD + 1)), Err(HashError::Length));
    }
}
