//! Sees what a server runs.

use super::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// Sees what clients send, and what scripts run.
pub(crate) struct Monitor(BufReader<TcpStream>);

/// A command that was run.
pub(crate) struct Ran {
    /// By a script, and not sent by a client.
    pub(crate) by_script: bool,
    /// In small letters.
    pub(crate) name: String,
    /// All of it, its name included.
    pub(crate) words: Vec<Vec<u8>>,
}

impl Monitor {
    pub(crate) fn of(server: &Server) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut monitor = Self(BufReader::new(stream));
        assert_eq!(monitor.line().trim(), "+OK");
        monitor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// What was run until now.
    pub(crate) fn seen(mut self, server: &Server) -> Vec<Ran> {
        server.ask(&["ECHO", "the end"]);
        let mut seen = Vec::new();
        loop {
            let line = self.line();
            let (from, command) = line.split_once("] ").unwrap();
            let words = words(command.trim_end().as_bytes());
            let name = String::from_utf8_lossy(&words[0]).to_lowercase();
            if name == "echo" {
                return seen;
            }
            seen.push(Ran { by_script: from.ends_with("lua"), name, words });
        }
    }
}

/// Words in quotation marks, with what cannot be shown written as `\n` or `\x1f`.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut bytes) = (Vec::new(), line.iter().copied());
    while bytes.by_ref().any(|byte| byte == b'"') {
        let mut word = Vec::new();
        while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
            word.push(if byte == b'\\' { escaped(&mut bytes) } else { byte });
        }
        words.push(word);
    }
    words
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    match bytes.next().unwrap() {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'x' => {
            let digits: String = bytes.take(2).map(char::from).collect();
            u8::from_str_radix(&digits, 16).unwrap()
        }
        itself => itself,
    }
}
