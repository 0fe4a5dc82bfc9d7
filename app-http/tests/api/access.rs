//! Who may do what to which session: every route, with every kind of session, for every kind of caller, as one table.

use crate::app::{TestApp, send, token_of};
use actix_web::App;
use actix_web::introspection::IntrospectionTree;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::Data;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// The session is named by the path, or by the body of a message. A delete may be repeated by its owner, who may not have heard
/// of the first one's success.
const OF_A_SESSION: &str = "
                                                          own  foreign  absent  malformed  deleted  expired
DELETE /chat/session/{id}                          user   200      403     404        422      200      404
                                                   guest  200      403     404        422      200      404
                                                   none   401      401     401        401      401      401
GET /chat/session/{id}                             user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
GET /chat/session/{id}/events                      user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
GET /chat/session/{id}/messages                    user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
GET /chat/session/{id}/stream                      user   204      403     404        422      404      404
                                                   guest  204      403     404        422      404      404
                                                   none   401      401     401        401      401      401
GET /chat/session/{id}/turns/{message_id}/stream   user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
POST /chat/message                                 user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
POST /chat/session/{id}/turns/{message_id}/stop    user   200      403     404        422      404      404
                                                   guest  200      403     404        422      404      404
                                                   none   401      401     401        401      401      401
";

/// Routes that are about no session that the caller names.
const OF_NO_SESSION: &str = "
                      user  guest  none
GET /                  200    200   200
GET /chat/sessions     200    200   401
GET /docs              200    200   200
GET /docs/{file}       404    404   404
GET /health            200    200   200
GET /livez             200    200   200
GET /metrics           200    200   200
GET /openapi.json      200    200   200
GET /readyz            200    200   200
GET /redoc             200    200   200
HEAD /                 200    200   200
HEAD /docs             200    200   200
HEAD /docs/{file}      404    404   404
HEAD /health           200    200   200
HEAD /livez            200    200   200
HEAD /metrics          200    200   200
HEAD /openapi.json     200    200   200
HEAD /readyz           200    200   200
HEAD /redoc            200    200   200
POST /auth/login       200    200   200
";

const OBJECTS: [&str; 6] = ["own", "foreign", "absent", "malformed", "deleted", "expired"];
const CALLERS: [&str; 3] = ["user", "guest", "none"];
/// What nobody but its owner may ever read.
const CANARY: &str = "canary";

/// Every route as `METHOD /path`, asked of the router itself.
pub(crate) async fn routes() -> BTreeSet<String> {
    let service = init_service(App::new().configure(app_http::routes::configure)).await;
    let request = TestRequest::default().to_request();
    let answer = actix_web::dev::Service::call(&service, request).await.unwrap();
    let tree = answer.request().app_data::<Data<IntrospectionTree>>().unwrap();
    let (mut routes, mut nodes) = (BTreeSet::new(), vec![&tree.root]);
    while let Some(node) = nodes.pop() {
        routes.extend(node.methods.iter().map(|method| format!("{method} {}", node.full_path)));
        nodes.extend(&node.children);
    }
    routes
}

fn is_of_a_session(route: &str) -> bool {
    route.contains("{id}") || route == "POST /chat/message"
}

/// A request to a route by a caller.
fn request(app: &TestApp, route: &str, caller: &str, (session, message): &Ids) -> RequestBuilder {
    let (method, path) = route.split_once(' ').unwrap();
    let path = path.replace("{id}", session).replace("{message_id}", message);
    let request = by(app, caller, method.parse().unwrap(), &path);
    match route {
        "POST /chat/message" => request.json(&json!({ "message": "hi", "session_id": session })),
        "POST /auth/login" => request.json(&json!({ "username": "testuser", "password": "testpass" })),
        _ => request,
    }
}

/// Two of each kind call: the second owns what is foreign to the first.
fn by(app: &TestApp, caller: &str, method: Method, path: &str) -> RequestBuilder {
    match caller {
        "user" => app.authed(method, path),
        "another user" => app.request(method, path).bearer_auth(token_of("another")),
        "guest" | "another guest" => {
            app.request(method, path).header("x-device-id", caller.replace(' ', "-") + "-phone")
        }
        _ => app.request(method, path),
    }
}

/// A session and a message in it.
type Ids = (String, String);

async fn made(app: &TestApp, owner: &str) -> Ids {
    let asked = by(app, owner, Method::POST, "/chat/message").json(&json!({ "message": CANARY }));
    let answer = send(asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (id("session_id"), id("message_id"))
}

/// Sessions of this kind as this caller sees them. Who is nobody has none: what is `own` is then somebody's.
async fn objects(app: &TestApp, object: &str, caller: &str) -> Vec<Ids> {
    let owner = if caller == "none" { "user" } else { caller };
    match object {
        "foreign" => vec![made(app, "another user").await, made(app, "another guest").await],
        "absent" => {
            vec![("00000000-0000-4000-8000-000000000000".into(), "00000000-0000-4000-8000-000000000001".into())]
        }
        "malformed" => vec![("no-uuid".into(), "no-uuid".into())],
        "deleted" => {
            let ids = made(app, owner).await;
            assert_eq!(send(request(app, "DELETE /chat/session/{id}", owner, &ids)).await.status, 200);
            vec![ids]
        }
        "expired" => {
            let ids = made(app, owner).await;
            while send(request(app, "GET /chat/session/{id}", owner, &ids)).await.status == 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            vec![ids]
        }
        _ => vec![made(app, owner).await],
    }
}

/// The status; that of all, where there are several objects. Nothing of what is not the caller's is in the answer.
async fn cell(app: &TestApp, route: &str, caller: &str, object: &str, all: &[Ids]) -> u16 {
    let mut statuses = BTreeSet::new();
    for ids in all {
        let mut answer = request(app, route, caller, ids).send().await.unwrap();
        statuses.insert(answer.status().as_u16());
        // Of a stream that goes on its beginning has to do.
        let text = if route.ends_with("/events") && answer.status() == 200 {
            answer.chunk().await.unwrap().unwrap_or_default().into()
        } else {
            answer.bytes().await.unwrap().to_vec()
        };
        let text = String::from_utf8(text).unwrap();
        assert!(object == "own" && caller != "none" || !text.contains(CANARY), "{route}, {object}, {caller}: {text}");
    }
    assert_eq!(statuses.len(), 1, "{route}, {object}, {caller}: {statuses:?}");
    statuses.into_iter().next().unwrap()
}

#[tokio::test]
async fn every_route_with_every_session_for_every_caller_is_as_the_table_says() {
    let app = TestApp::with(&[("GUEST_QUOTA", "off")]).await;
    let brief = TestApp::brief(Duration::from_millis(600), &[("GUEST_QUOTA", "off")]).await;
    let mut expired = Vec::new();
    for caller in CALLERS {
        expired.push(objects(&brief, "expired", caller).await);
    }
    let mut found = format!("\n{:55}   own  foreign  absent  malformed  deleted  expired\n", "");
    for route in routes().await.iter().filter(|route| is_of_a_session(route)) {
        for (number, caller) in CALLERS.into_iter().enumerate() {
            let _ = write!(found, "{:50} {caller:5}", if number == 0 { route } else { "" });
            for object in OBJECTS {
                let status = match object {
                    "expired" => cell(&brief, route, caller, object, &expired[number]).await,
                    _ => cell(&app, route, caller, object, &objects(&app, object, caller).await).await,
                };
                let width = object.len().max(3);
                let _ = write!(found, "  {status:width$}");
            }
            found.push('\n');
        }
    }
    assert!(found == OF_A_SESSION, "it is:\n{found}\nand should be:\n{OF_A_SESSION}");
}

#[tokio::test]
async fn every_route_without_a_session_is_open_to_those_whom_the_table_names() {
    let app = TestApp::start().await;
    for owner in ["another user", "another guest"] {
        made(&app, owner).await;
    }
    let mut found = format!("\n{:20}  user  guest  none\n", "");
    for route in routes().await.iter().filter(|route| !is_of_a_session(route)) {
        let _ = write!(found, "{route:20}");
        for caller in CALLERS {
            let status = cell(&app, route, caller, "none", &[Ids::default()]).await;
            let width = caller.len();
            let _ = write!(found, "  {status:width$}");
        }
        found.push('\n');
    }
    assert!(found == OF_NO_SESSION, "it is:\n{found}\nand should be:\n{OF_NO_SESSION}");
}
