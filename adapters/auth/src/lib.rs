//! Who somebody is: JSON Web Tokens ([`JwtIssuer`]) and a file of users with argon2id hashes ([`UsersFile`]).
//!
//! Both are adapters of ports of `chatcore`: `TokenIssuer` and `UserDirectory`. Neither reads a clock or the environment.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

mod gate;
mod jwt;
mod password;
mod users;

pub use jwt::{JwtConfig, JwtIssuer};
pub use password::{HashError, MAX_PASSWORD, hash_password};
pub use users::{UsersFile, UsersFileError, UsersFileFault};
