//! An nginx as others run one, but that it compresses whatever it can.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::sleep;

pub(crate) struct Nginx {
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Passes what it is asked at this port on to a server.
    pub(crate) async fn before(url: &str, port: u16) -> Self {
        Self::listening(url, port, "").await
    }

    /// The same behind TLS, with a certificate whose key is in the file beside it.
    pub(crate) async fn with_tls(url: &str, port: u16, certificate: &Path) -> Self {
        let (certificate, key) = (certificate.display(), certificate.with_extension("key"));
        let tls = format!("ssl; ssl_certificate {certificate}; ssl_certificate_key {}", key.display());
        Self::listening(url, port, &tls).await
    }

    async fn listening(url: &str, port: u16, how: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{ }} http {{ access_log off; {}
             gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
             server {{ listen 127.0.0.1:{port} {how}; location / {{ proxy_pass {url}; proxy_http_version 1.1; }} }} }}",
            temporary.concat(),
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
