//! How the worker's own small server is asked.

use app_kit::metrics::Metrics;
use app_worker::Pulse;
use app_worker::health::{Health, serve};
use chatcore_ports::tokio::TokioRuntime;
use reqwest::{Client, Method};
use std::net::TcpListener;
use std::sync::Arc;

#[tokio::test]
async fn head_is_answered_as_get_is_and_other_methods_are_told_that() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let pulse = Arc::new(Pulse::new(Arc::new(TokioRuntime::current())));
    let metrics = Metrics::of_process();
    metrics::counter!("a_test").increment(1);
    let server = serve(listener, Health { probes: Vec::new(), pulse, metrics }).unwrap();
    let handle = server.handle();
    tokio::spawn(server);
    let client = Client::new();
    let ask = async |method: Method, path: &str| client.request(method, format!("{base}{path}")).send().await.unwrap();
    for path in ["/livez", "/readyz", "/metrics"] {
        let (got, head) = (ask(Method::GET, path).await, ask(Method::HEAD, path).await);
        assert_eq!((got.status(), head.status()), (200.try_into().unwrap(), got.status()), "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.headers().get(name), got.headers().get(name), "{path}: {name}");
        }
        assert_eq!(head.bytes().await.unwrap(), "", "{path}");
        assert_ne!(got.text().await.unwrap(), "", "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let refused = ask(method.clone(), path).await;
            let allow = refused.headers().get("allow").map(|allow| allow.to_str().unwrap());
            assert_eq!((refused.status().as_u16(), allow), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    assert_eq!(ask(Method::GET, "/nowhere").await.status(), 404);
    handle.stop(false).await;
}
