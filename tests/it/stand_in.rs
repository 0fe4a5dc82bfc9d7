//! Stands in for what the programs work with: an AI service, and whoever issues tokens.

use axum::Router;
use chatcore::id::UserId;
use chatcore::port::{Claims, Runtime, TokenIssuer};
use chatcore_auth::{JwtConfig, JwtIssuer};
use chatcore_ports::tokio::TokioRuntime;
use std::time::Duration;

/// Serves on a free port for as long as the test runs; answers where, without a slash at the end.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A token as a login gives it, without the time and the memory that a password's hash takes.
pub(crate) fn token(secret: &str, user: &str) -> String {
    let issuer = JwtIssuer::new(JwtConfig { secret: secret.into(), issuer: None, audience: None });
    let (subject, issued_at) = (UserId::parse(user).unwrap(), TokioRuntime::current().now());
    issuer.issue(&Claims { subject, issued_at, expires_at: issued_at + Duration::from_secs(86_400) }).unwrap()
}
