//! A bad line to the broker: what goes over it arrives, but for some requests that arrive damaged, with what no
//! broker takes, or not at all.

use super::Broker;
use chatcore::id::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Of each of these the next records are damaged, once.
static DAMAGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The next request with records of this session arrives damaged. The broker takes none of the records that it holds, which
/// are those of one partition.
pub(crate) fn damage(session: SessionId) {
    DAMAGED.lock().unwrap_or_else(PoisonError::into_inner).insert(session.to_string());
}

/// What no request may hold that is to arrive as it was.
static SPOILED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// From now on a batch that holds this text arrives whole, and says of its records what no broker lets a client say.
pub(crate) fn spoil(text: &str) {
    SPOILED.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
}

/// Requests that are not to arrive: by a text in them, the numbers of their kinds.
static LOST: Mutex<BTreeMap<String, &[u8]>> = Mutex::new(BTreeMap::new());

/// What is asked of a partition's leader: to write, to read, and where the log ends.
pub(crate) const OF_LEADERS: &[u8] = &[0, 1, 2];
/// What is asked of a topic itself.
pub(crate) const OF_TOPICS: &[u8] = &[75];

/// How far a group is.
pub(crate) const OF_COMMITS: &[u8] = &[8];

/// From now on no request of these kinds arrives that holds this text.
pub(crate) fn lose(kinds: &'static [u8], text: &str) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), kinds);
}

/// From now on all of them do again.
pub(crate) fn lose_no_more(text: &str) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).remove(text);
}

/// Who asked for a place in a group: the texts of these requests.
static JOINS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// How often a place was asked for in this group.
pub(crate) fn joins(group: &str) -> usize {
    let joins = JOINS.lock().unwrap_or_else(PoisonError::into_inner);
    joins.iter().filter(|join| join.windows(group.len()).any(|bytes| bytes == group.as_bytes())).count()
}

/// In these groups a place that was given is told a little later.
static LATE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub(crate) fn tell_late(group: &str) {
    LATE.lock().unwrap_or_else(PoisonError::into_inner).insert(group.to_owned());
}

/// How many bytes of answers it has carried.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

pub(crate) fn answered() -> u64 {
    ANSWERED.load(Ordering::Relaxed)
}

/// Opens the line: the broker itself names its end to whoever comes by it.
pub(crate) fn open_line(broker: &Broker) {
    let (line, port) = (TcpListener::bind(("127.0.0.1", broker.line())).unwrap(), broker.line() - 1);
    spawn(move || {
        for client in line.incoming().map_while(Result::ok) {
            // An end that goes away takes the other with it.
            spawn(move || carry(&client, &TcpStream::connect(("127.0.0.1", port))?));
        }
    });
}

fn carry(client: &TcpStream, broker: &TcpStream) -> Result<()> {
    for end in [client, broker] {
        end.set_nodelay(true)?;
    }
    let (mut from, mut to) = (broker.try_clone()?, client.try_clone()?);
    spawn(move || {
        drop(answers(&mut from, &mut to));
        to.shutdown(std::net::Shutdown::Both)
    });
    requests(client, broker).and(broker.shutdown(std::net::Shutdown::Both))
}

fn answers(broker: &mut TcpStream, client: &mut TcpStream) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = broker.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        ANSWERED.fetch_add(length as u64, Ordering::Relaxed);
        client.write_all(&buffer[..length])?;
    }
}

/// A request is its length and so many bytes.
fn requests(mut client: &TcpStream, mut broker: &TcpStream) -> Result<()> {
    let mut length = [0; 4];
    while client.read_exact(&mut length).is_ok() {
        let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        client.read_exact(&mut request)?;
        let mut damaged = DAMAGED.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.retain(|session| {
            let key = request.windows(session.len()).position(|bytes| bytes == session.as_bytes());
            key.is_none_or(|at| {
                request[at] ^= 1;
                false
            })
        });
        drop(damaged);
        if request[..2] == [0, 11] {
            JOINS.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        }
        let holds = |text: &String| request.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        if request[..2] == [0, 14] && LATE.lock().unwrap_or_else(PoisonError::into_inner).iter().any(holds) {
            sleep(Duration::from_millis(100));
        }
        let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = lost.iter().any(|(text, kinds)| request[0] == 0 && kinds.contains(&request[1]) && holds(text));
        drop(lost);
        if is_lost {
            continue;
        }
        let spoiled = SPOILED.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = if spoiled.iter().any(holds) { batch_in(&request) } else { None };
        drop(spoiled);
        if let Some(batch) = batch {
            // Its first number, which is the broker's to give. The checksum is not over it.
            request[batch + 7] = 1;
        }
        broker.write_all(&[&length[..], &request].concat())?;
    }
    Ok(())
}

/// Where the batch begins that a request to produce ends with: its length stands before it, and once more in it.
fn batch_in(request: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_be_bytes(request.get(at..at + 4)?.try_into().ok()?) as usize);
    let begins = |at: &usize| {
        let rest = request.len() - at;
        number(at - 4) == Some(rest) && number(at + 8).is_some_and(|length| length + 12 == rest)
    };
    (4..request.len()).find(begins)
}
