//! Files of users: what is read, and what is told of a faulty one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, Version};
use chatcore::port::{Credentials, User, UserDirectory};
use chatcore_auth::{MAX_PASSWORD, UsersFile, UsersFileError, hash_password};
use std::io::Write;

/// A hash that costs next to nothing.
fn cheap(algorithm: Algorithm, password: &str) -> String {
    let hasher = Argon2::new(algorithm, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: PasswordHash = hasher.hash_password_with_salt(password.as_bytes(), b"a salt of 16 by.").unwrap();
    hash.to_string()
}

fn open(text: impl AsRef<[u8]>) -> Result<UsersFile, UsersFileError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_ref()).unwrap();
    UsersFile::open(file.path())
}

async fn login(users: &UsersFile, name: &str, password: &str) -> Option<User> {
    users.authenticate(&Credentials { name: name.into(), password: password.into() }).await.unwrap()
}

#[tokio::test]
async fn each_user_of_a_file_logs_in_with_the_own_password_alone() {
    let (anna, bao) = (cheap(Algorithm::Argon2id, "a:1"), cheap(Algorithm::Argon2id, "mật khẩu"));
    let text = format!("\u{feff}# our users\r\n\r\nanna:shop:7:{anna}\r\n  Bảo:user_8:{bao}");
    let users = open(text).unwrap();
    let user = login(&users, "anna", "a:1").await.expect("anna's password");
    assert_eq!((user.id.as_str(), user.name.as_str()), ("shop:7", "anna"));
    assert_eq!(login(&users, "Bảo", "mật khẩu").await.expect("Bảo's password").id.as_str(), "user_8");
    for (name, password) in [
        ("anna", "mật khẩu"),
        ("Bảo", "a:1"),
        ("Anna", "a:1"),
        ("anna ", "a:1"),
        ("nobody", "a:1"),
        ("", ""),
        ("anna", ""),
        ("# our users", ""),
    ] {
        assert_eq!(login(&users, name, password).await, None, "{name} {password}");
    }
}

#[tokio::test]
async fn an_unknown_name_with_the_password_of_another_is_nobody() {
    assert!(login(&UsersFile::demo(), "testuser", "testpass").await.is_some_and(|user| user.id.as_str() == "user_123"));
    assert_eq!(login(&UsersFile::demo(), "nobody", "testpass").await, None);
}

#[tokio::test]
async fn a_file_without_users_lets_nobody_in() {
    assert_eq!(login(&open("# nobody yet\n").unwrap(), "testuser", "testpass").await, None);
}

#[tokio::test]
async fn the_longest_password_is_one_and_a_longer_one_is_not() {
    let longest = "x".repeat(MAX_PASSWORD);
    let longer = format!("{longest}x");
    let text = ["a", "b"].map(|name| {
        let password = if name == "a" { &longest } else { &longer };
        format!("{name}:id:{}\n", cheap(Algorithm::Argon2id, password))
    });
    let users = open(text.concat()).unwrap();
    assert!(login(&users, "a", &longest).await.is_some());
    assert_eq!(login(&users, "b", &longer).await, None);
}

#[tokio::test]
async fn a_hash_of_hash_password_serves_in_a_file() {
    let users = open(format!("anna:user_7:{}", hash_password("correct horse").unwrap())).unwrap();
    assert!(login(&users, "anna", "correct horse").await.is_some());
}

#[test]
fn all_faults_of_a_file_are_told_at_once_and_none_shows_a_hash() {
    let good = cheap(Algorithm::Argon2id, "x");
    let (salt, value) = good.rsplit_once('$').map(|(rest, value)| (rest.rsplit_once('$').unwrap().1, value)).unwrap();
    let lines: Vec<(Vec<u8>, &str)> = vec![
        (b"# a comment".into(), ""),
        (b"anna".into(), "is not name:id:hash"),
        (format!("anna:{good}").into(), "is not name:id:hash"),
        (format!(":id:{good}").into(), "the name is empty"),
        (format!("bao::{good}").into(), "user id must be 1 to 128 bytes"),
        (b"chi:user_9:testpass".into(), "is not of the form"),
        (format!("dung:id:{}", cheap(Algorithm::Argon2i, "x")).into(), "not an argon2id one"),
        (b"em:id:$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".into(), "the hash"),
        (b"giang:id:$argon2id$v=19$m=8,t=1,p=1".into(), "lacks v=19, its salt or its value"),
        (format!("hoa:id:$argon2id$v=16$m=8,t=1,p=1${salt}${value}").into(), "lacks v=19"),
        (format!("huy:id:$argon2id$v=19$m=99999999,t=1,p=1${salt}${value}").into(), "asks for more"),
        (format!("khoa:id:$argon2id$v=19$m=8,t=999,p=1${salt}${value}").into(), "asks for more"),
        (format!("lan:id:$argon2id$v=19$x=1${salt}${value}").into(), "parameters"),
        (b"m\xff:id:hash".into(), "is not UTF-8"),
        (format!("nam:id:{good}").into(), ""),
        (format!("nam:id:{good}").into(), "stands on an earlier line too"),
    ];
    let text = lines.iter().map(|(line, _)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
    let error = open(text).expect_err("a faulty file");
    let shown = error.to_string();
    assert!(!shown.contains(value) && !format!("{error:?}").contains(value), "{shown}");
    let UsersFileError::Faulty { faults, .. } = error else { panic!("{error:?}") };
    let mut faults = faults.iter();
    for (index, (_, expected)) in lines.iter().enumerate().filter(|(_, (_, expected))| !expected.is_empty()) {
        let fault = faults.next().expect("a fault for each");
        assert_eq!(fault.line, index + 1, "{fault}");
        assert!(fault.what.contains(expected), "{fault}");
        assert!(shown.contains(&fault.to_string()), "{shown}");
    }
    assert_eq!(faults.next(), None);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = UsersFile::open("/nowhere/users.txt".as_ref()).expect_err("no such file");
    assert!(error.to_string().starts_with("/nowhere/users.txt cannot be read: "), "{error}");
}
