//! The routes: what each takes and gives. Decisions are the core's.

mod auth;
mod chat;
mod health;
mod query;
mod sessions;

use actix_web::web::{ServiceConfig, delete, get, post, resource, scope};

/// All routes. Other methods get 405 with `Allow`, other paths 404.
pub fn configure(config: &mut ServiceConfig) {
    let chat = scope("/chat")
        .service(resource("/message").route(post().to(chat::message)))
        .service(resource("/sessions").route(get().to(sessions::list)))
        .service(resource("/session/{id}").route(get().to(sessions::show)).route(delete().to(sessions::delete)))
        .service(resource("/session/{id}/messages").route(get().to(sessions::messages)));
    config
        .service(resource("/").route(get().to(health::root)))
        .service(resource("/health").route(get().to(health::health)))
        .service(resource("/livez").route(get().to(health::livez)))
        .service(resource("/readyz").route(get().to(health::readyz)))
        .service(resource("/auth/login").route(post().to(auth::login)))
        .service(chat);
}
