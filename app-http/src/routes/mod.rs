//! The routes: what each takes and gives. Decisions are the core's.

mod auth;
mod chat;
mod docs;
mod health;
pub(crate) mod query;
mod sessions;
mod stream;

use actix_web::dev::Handler;
use actix_web::web::{ServiceConfig, delete, get, head, post, resource, scope};
use actix_web::{FromRequest, Resource, Responder};

/// All routes. Other methods get 405 with `Allow`, other paths 404.
pub fn configure(config: &mut ServiceConfig) {
    let chat = scope("/chat")
        .service(resource("/message").route(post().to(chat::message)))
        .service(resource("/sessions").route(get().to(sessions::list)))
        .service(resource("/session/{id}").route(get().to(sessions::show)).route(delete().to(sessions::delete)))
        .service(resource("/session/{id}/messages").route(get().to(sessions::messages)))
        .service(resource("/session/{id}/events").route(get().to(stream::newer)))
        .service(resource("/session/{id}/stream").route(get().to(stream::live)))
        .service(resource("/session/{id}/turns/{message_id}/stream").route(get().to(stream::turn)))
        .service(resource("/session/{id}/turns/{message_id}/stop").route(post().to(stream::stop)));
    config
        .service(looked_at("/", health::root))
        .service(looked_at("/health", health::health))
        .service(looked_at("/livez", health::livez))
        .service(looked_at("/readyz", health::readyz))
        .service(looked_at("/metrics", health::metrics))
        .service(looked_at("/openapi.json", docs::openapi))
        .service(looked_at("/docs", docs::swagger_ui))
        .service(looked_at("/docs/{file}", docs::file))
        .service(looked_at("/redoc", docs::redoc))
        .service(resource("/auth/login").route(post().to(auth::login)))
        .service(chat);
}

/// Answers HEAD as well, which load balancers like to ask; the framework leaves the body away.
fn looked_at<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A> + Clone,
    F::Output: Responder + 'static,
    A: FromRequest + 'static,
{
    resource(path).route(get().to(handler.clone())).route(head().to(handler))
}
