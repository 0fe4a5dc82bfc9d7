//! Asks a running program whether it is alive: the health check of a container, in which there is no other client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long it may take to connect, and then to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than the line in which an answer tells its status, in bytes.
const STATUS_LINE: u64 = 256;

/// Asks for `/livez` at the address that the program listens on.
///
/// # Errors
/// Nothing listens there, nothing answers in time, or what answers is not 200.
pub fn ask(host: &str, port: u16) -> io::Result<()> {
    let address = (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("HOST has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(stream.take(STATUS_LINE)).read_line(&mut status)?;
    let alive = status.starts_with("HTTP/1.1 200 ");
    if alive { Ok(()) } else { Err(io::Error::other(format!("{address} answered `{}`", status.trim_end()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn alive_is_who_answers_with_200_and_nobody_else() {
        for (answer, alive) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nalive\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("HTTP/1.1 2000\r\n\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 20];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            });
            // An answer to all addresses of the machine is one to this one too.
            assert_eq!(ask("0.0.0.0", port).is_ok(), alive, "{answer}");
            assert_eq!(&server.join().unwrap(), b"GET /livez HTTP/1.1\r");
        }
    }

    #[test]
    fn where_nothing_listens_nothing_is_alive() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(ask("127.0.0.1", port).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
