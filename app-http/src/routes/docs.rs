//! The API's document, and the pages that show it.

use crate::openapi::pages;
use crate::problem::{Kind, Problem};
use crate::state::State;
use actix_web::http::header::{
    AcceptEncoding, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentEncoding, ContentType, Encoding, Header, VARY,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

/// What the pages may load: what this server gives, and what their scripts make themselves, which is styles, pictures in their
/// URLs, and ReDoc's search in a thread of its own.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// `GET /openapi.json`
pub(super) async fn openapi(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(state.document.clone())
}

/// `GET /docs`
pub(super) async fn swagger_ui() -> HttpResponse {
    page(pages::SWAGGER_UI)
}

/// `GET /redoc`
pub(super) async fn redoc() -> HttpResponse {
    page(pages::REDOC)
}

/// `GET /docs/{file}`
pub(super) async fn file(name: Path<String>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let file = pages::file(&name).ok_or_else(|| Problem::new(Kind::NotFound))?;
    let ways = [Encoding::gzip(), Encoding::identity()];
    let way = AcceptEncoding::parse(&request).ok().and_then(|accepted| accepted.negotiate(ways.iter()));
    let mut response = HttpResponse::Ok();
    response.content_type(file.media_type.as_ref());
    response.insert_header((CACHE_CONTROL, "max-age=3600")).insert_header((VARY, "Accept-Encoding"));
    let packed = file.gzip().filter(|_| way == Some(Encoding::gzip()));
    if packed.is_some() {
        response.insert_header(ContentEncoding::Gzip);
    }
    let bytes = packed.or_else(|| file.plain()).ok_or_else(|| Problem::new(Kind::Internal))?;
    Ok(response.body(bytes))
}

fn page(html: &'static str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::html()).insert_header((CONTENT_SECURITY_POLICY, POLICY)).body(html)
}
