//! A stream behind nginx, which gathers and compresses what it passes on unless it is told not to.

use crate::client::Client;
use crate::process::{Server, free_port};
use flate2::read::GzDecoder;
use serde_json::json;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

struct Nginx {
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// As it comes, but that it compresses whatever it can.
    async fn before(server: &Server, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{ }} http {{ access_log off; {}
             gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {}; proxy_http_version 1.1; }} }} }}",
            temporary.concat(),
            server.url("")
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = command.stdin(Stdio::null()).spawn().expect("nginx is in the path (Debian: nginx-light)");
        let nginx = Self { process, _folder: folder };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return nginx;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("nginx does not come up");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
async fn a_stream_comes_piece_by_piece_through_a_proxy_that_compresses() {
    let (server, port) = (Server::start(&[("AI_DEMO_DELAY", "4s")]), free_port());
    let _nginx = Nginx::before(&server, port).await;
    let client = Client::login(&server).await.at_url(format!("http://127.0.0.1:{port}"));
    for compressed in [false, true] {
        let headers: &[_] = if compressed { &[("accept-encoding", "gzip")] } else { &[] };
        let message = json!({ "message": "tai nghe dưới 3 triệu" });
        let mut response = client.stream("/chat/message", Some(&message), headers).await;
        assert_eq!(response.headers().contains_key("content-encoding"), compressed);
        let (mut bytes, mut came) = (Vec::new(), Vec::new());
        while let Some(more) = response.chunk().await.unwrap() {
            bytes.extend(more);
            came.push(Instant::now());
        }
        let text = match compressed {
            true => {
                let mut text = String::new();
                GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                text
            }
            false => String::from_utf8(bytes).unwrap(),
        };
        assert!(text.contains("event: done") && text.matches("event: delta").count() > 5, "{text}");
        let spread = came[came.len() - 1] - came[0];
        assert!(came.len() > 5 && spread > Duration::from_secs(2), "{} pieces over {spread:?}", came.len());
    }
}
