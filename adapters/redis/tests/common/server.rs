//! Real servers of the `redis-server` in the path: one, or a cluster of three, ended when they are dropped.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How many slots a cluster has.
const SLOTS: usize = 16_384;
/// How many times a server is looked for before it is given up.
const LOOKS: usize = 1000;
/// What makes a server a node of a cluster.
pub(crate) const NODE: &[&str] =
    &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
/// Runs the server until its own input is at its end, which comes with the end of the test at the latest, however it ends.
const GUARD: &str = r#"
trap '' TERM INT HUP
redis-server "$@" </dev/null >/dev/null 2>&1 &
server=$!
echo $server
read -r word
kill -9 $server
wait $server
[ "$word" = keep ] || rm -rf "$0"
"#;

/// A server in a directory of its own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    options: Vec<String>,
    directory: PathBuf,
    guard: Option<Child>,
    pid: String,
}

impl Server {
    /// A server that keeps nothing on the disk.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these options besides: `&["--appendonly", "yes"]`.
    pub(crate) fn with(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let directory = own_directory().keep();
        let mut server = Self { port: 0, options, directory, guard: None, pid: String::new() };
        let up = (0..3).any(|_| {
            server.port = free_port();
            server.comes_up()
        });
        assert!(up, "redis-server does not come up: is it in the path (Debian: redis-server)?");
        server
    }

    /// Runs it again, on its port and in its directory.
    pub(crate) fn run(&mut self) {
        assert!(self.comes_up(), "redis-server does not come up again");
    }

    fn comes_up(&mut self) -> bool {
        self.kill();
        let directory = self.directory.to_str().unwrap();
        let guard = Command::new("sh")
            .args(["-c", GUARD, directory])
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", directory])
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut guard = guard.expect("a shell");
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        (self.guard, self.pid) = (Some(guard), pid.trim().to_owned());
        (0..LOOKS).any(|_| {
            // Another test may have found the same port free, and its server may be the one that answers.
            let own = format!("process_id:{}\r", self.pid);
            let answer = self.try_ask(&["INFO", "server"]);
            let own = answer.is_some_and(|answer| answer.contains(&own) || answer.starts_with("NOAUTH"));
            // It tells about itself before it has read what is on its disk.
            let up = own && self.try_ask(&["PING"]).is_some_and(|answer| !answer.starts_with("LOADING"));
            if !up {
                std::thread::sleep(Duration::from_millis(10));
            }
            up
        })
    }

    /// Kills it at once; `run` starts it again, with what it has on the disk.
    pub(crate) fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            guard.stdin.take().unwrap().write_all(b"keep\n").ok();
            guard.wait().ok();
        }
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it answers, as text; the items of an array a line each.
    pub(crate) fn ask(&self, command: &[impl AsRef<[u8]>]) -> String {
        self.try_ask(command).expect("the server answers")
    }

    fn try_ask(&self, command: &[impl AsRef<[u8]>]) -> Option<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command.iter().map(AsRef::as_ref) {
            request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        (&stream).write_all(&request).ok()?;
        answer(&mut BufReader::new(&stream))
    }

    /// How long the server has worked on these commands.
    pub(crate) fn spent(&self, commands: &[&str]) -> Duration {
        let stats = self.ask(&["INFO", "commandstats"]);
        let of = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let micros = rest.split_once("usec=")?.1.split(',').next()?.parse().ok()?;
            commands.contains(&name).then_some(Duration::from_micros(micros))
        };
        stats.lines().filter_map(of).sum()
    }

    /// How often each command was run: `evalsha` 3, as `INFO commandstats` tells.
    pub(crate) fn commands(&self) -> Vec<(String, u64)> {
        let stats = self.ask(&["INFO", "commandstats"]);
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        stats.lines().filter_map(line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.guard.take() {
            Some(mut guard) => {
                drop(guard.stdin.take());
                guard.wait().ok();
            }
            None => drop(std::fs::remove_dir_all(&self.directory)),
        }
    }
}

/// In memory, where that can be had: nodes of a cluster write to the disk before they go on, and tests wait for no disk.
fn own_directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Waits for what comes soon.
fn until(what: &str, is_there: impl Fn() -> bool) {
    let comes = (0..LOOKS).any(|_| {
        let is_there = is_there();
        if !is_there {
            std::thread::sleep(Duration::from_millis(20));
        }
        is_there
    });
    assert!(comes, "there never is {what}");
}

/// One answer of the protocol.
fn answer(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (kind, rest) = line.trim_end().split_at_checked(1)?;
    match kind {
        "$" => {
            let Ok(length) = rest.parse::<usize>() else { return Some(String::new()) };
            let mut text = vec![0; length + 2];
            reader.read_exact(&mut text).ok()?;
            text.truncate(length);
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        "*" => {
            let items: Option<Vec<String>> = (0..rest.parse().unwrap_or(0)).map(|_| answer(reader)).collect();
            items.map(|items| items.join("\n"))
        }
        _ => Some(rest.to_owned()),
    }
}

/// A port that nobody listens on, and whose port on the cluster's bus is free, too.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let bus = port.checked_add(10_000).filter(|bus| TcpListener::bind(("127.0.0.1", *bus)).is_ok());
        if port < 55_000 && bus.is_some() {
            return port;
        }
    }
}

/// A certificate for this machine that nobody else has signed, and beside it its key.
pub(crate) fn certificate(folder: &Path, name: &str) -> PathBuf {
    let (path, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", "3650", "-keyout"])
        .args([&key, Path::new("-out"), &path])
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

/// A cluster of three, each with a third of the slots; and perhaps a replica of each.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    pub(crate) replicas: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<Server> = (0..3).map(|_| Server::with(NODE)).collect();
        let first = nodes[0].port;
        Self::of(nodes, first)
    }

    /// Each node with a replica, which has its data and takes its place when it is away for two seconds.
    pub(crate) fn with_replicas() -> Self {
        let mut cluster = Self::start();
        for node in &cluster.nodes {
            let replica = Server::with(NODE);
            replica.ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]);
            let id = node.ask(&["CLUSTER", "MYID"]);
            until("a replica", || replica.ask(&["CLUSTER", "REPLICATE", &id]) == "OK");
            cluster.replicas.push(replica);
        }
        let all = || cluster.nodes.iter().chain(&cluster.replicas);
        until("replicas", || all().all(|node| node.ask(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:6")));
        until("a replica that is up to date", || {
            cluster.replicas.iter().all(|replica| replica.ask(&["INFO", "replication"]).contains("link_status:up"))
        });
        cluster
    }

    /// Nodes that share the slots. They meet at this port of the first.
    pub(crate) fn of(nodes: Vec<Server>, first_port: u16) -> Self {
        for (index, node) in nodes.iter().enumerate() {
            let (first, after) = (index * SLOTS / 3, (index + 1) * SLOTS / 3);
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(after - 1).to_string()]);
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &first_port.to_string()]);
        }
        until("nodes that agree", || {
            nodes.iter().map(|node| node.ask(&["CLUSTER", "INFO"])).all(|info| {
                ["state:ok", "known_nodes:3", "slots_assigned:16384"].iter().all(|part| info.contains(part))
            })
        });
        Self { nodes, replicas: Vec::new() }
    }

    /// Waits until a node's replica has what the node has.
    pub(crate) fn are_alike(&self, node: usize) {
        let offset = |server: &Server| {
            let told = server.ask(&["INFO", "replication"]);
            told.lines().find_map(|line| line.strip_prefix("master_repl_offset:").map(str::to_owned))
        };
        until("a replica that has all", || offset(&self.nodes[node]) == offset(&self.replicas[node]));
    }

    /// The slot of a session, and which node has it at first.
    pub(crate) fn slot_of(&self, session: &str) -> (String, usize) {
        let partition = u8::from_str_radix(&session[session.len() - 1..], 16).unwrap();
        let slot = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", &format!("{{p{partition}}}")]);
        let node = Self::has(&slot);
        (slot, node)
    }

    /// Which node has a key at first.
    pub(crate) fn node_of(&self, key: &str) -> usize {
        Self::has(&self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]))
    }

    fn has(slot: &str) -> usize {
        (0..3).rfind(|node| node * SLOTS / 3 <= slot.parse().unwrap()).unwrap()
    }

    /// Moves a slot from one node to another, a key with each step; the last step makes it known.
    pub(crate) fn move_slot(&self, slot: &str, from: usize, to: usize) -> impl Iterator<Item = ()> {
        self.move_slot_from(slot, from, to, "")
    }

    /// The same, those keys first that have one of these letters for their kind.
    pub(crate) fn move_slot_from(&self, slot: &str, from: usize, to: usize, kinds: &str) -> impl Iterator<Item = ()> {
        let is_first = move |key: &str| key.split(':').rev().nth(2).is_some_and(|kind| kinds.contains(kind));
        let id = |node: usize| self.nodes[node].ask(&["CLUSTER", "MYID"]);
        let (source, target, new) = (&self.nodes[from], &self.nodes[to], id(to));
        assert_eq!(target.ask(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]), "OK");
        assert_eq!(source.ask(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &new]), "OK");
        let mut done = false;
        std::iter::from_fn(move || {
            let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", slot, "1000"]);
            if let Some(key) = keys.lines().find(|key| is_first(key)).or_else(|| keys.lines().next()) {
                source.ask(&["MIGRATE", "127.0.0.1", &target.port.to_string(), key, "0", "5000"]);
                return Some(());
            }
            for node in [target, source] {
                assert_eq!(node.ask(&["CLUSTER", "SETSLOT", slot, "NODE", &new]), "OK");
            }
            (!std::mem::replace(&mut done, true)).then_some(())
        })
    }

    /// All slots of a node are another one's from now on, without their keys.
    pub(crate) fn give_all(&self, from: usize, to: usize) {
        let (first, after) = (from * SLOTS / 3, (from + 1) * SLOTS / 3);
        let (first, last) = (first.to_string(), (after - 1).to_string());
        for node in [from, to] {
            assert_eq!(self.nodes[node].ask(&["CLUSTER", "DELSLOTSRANGE", &first, &last]), "OK");
        }
        assert_eq!(self.nodes[to].ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]), "OK");
        self.nodes[to].ask(&["CLUSTER", "BUMPEPOCH"]);
    }

    /// Waits until all nodes say the same of who has which slot: before that a slot that moved may not move again.
    pub(crate) fn agrees(&self) {
        let told = |node: &Server| {
            let info = node.ask(&["CLUSTER", "INFO"]);
            let epoch = info.lines().find(|line| line.starts_with("cluster_current_epoch")).map(str::to_owned);
            (node.ask(&["CLUSTER", "SLOTS"]), epoch)
        };
        until("nodes that agree", || self.nodes.windows(2).all(|pair| told(&pair[0]) == told(&pair[1])));
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }
}
