//! Opening the file: made if it is new, refused with a reason if it is unfit, brought to the newest version if it is old.

use crate::config::SqliteConfig;
use crate::error::OpenError;
use crate::place::beside;
use crate::wal;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The steps from one version to the next; `user_version` says how many a file has seen.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// Marks a file as ours: `chat` in ASCII.
const APPLICATION: i64 = 0x6368_6174;

/// Larger files are not checked page by page when they are opened, since that takes a second for each half gigabyte.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// Pages that are written to the log before they are moved into the file: 16 MiB. A turn's pages are mostly those of the
/// turn before, so moving them less often saves most of the work.
const CHECKPOINT_PAGES: i64 = 4096;

/// How much of the file a connection keeps in memory: 4 MiB. Negative, as SQLite wants it for KiB. A larger cache costs more
/// than it saves: SQLite walks through all of it at each commit that has split a page, and the system caches the file too.
const CACHE_KIB: i64 = -4 * 1024;

/// How many changed pages a step may hold in memory beyond that before they go to the log: 16 MiB, so that a batch writes each
/// page once.
const SPILL_PAGES: i64 = 4096;

/// The ends of the tables that grow.
const LOOK: &str = "SELECT (SELECT at FROM probe), (SELECT max(no) FROM sessions), (SELECT max(no) FROM messages),
    (SELECT min(no) FROM events), (SELECT max(no) FROM events)";

/// Opens the file for writing, and leaves it fit for every other connection.
pub(crate) fn open(config: &SqliteConfig) -> Result<Connection, OpenError> {
    let path = &config.path;
    if wal::is_orphan(path) {
        let detail = "it is missing or empty, though its -wal is there".to_owned();
        return Err(OpenError::Corrupt { path: path.clone(), detail });
    }
    make(path)?;
    prepare(config).map_err(|error| OpenError::of(path.clone(), error))?
}

/// One more connection to a file that [`open`] has prepared.
pub(crate) fn connect(config: &SqliteConfig) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(&config.path)?;
    // The other process holds its lock for one commit; who sleeps longer than the gaps between commits never gets in.
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(Duration::from_millis(1));
        tries < 1000
    }))?;
    // Else this build of SQLite plans a statement anew for each new value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // What a savepoint may have to undo stays in memory, not in a temporary file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "cache_spill", SPILL_PAGES)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}

/// One more connection that only reads.
pub(crate) fn connect_reader(config: &SqliteConfig) -> Result<Connection, OpenError> {
    let connect = || {
        let connection = connect(config)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    connect().map_err(|error| OpenError::of(config.path.clone(), error))
}

/// Reads here and there as a process would that has just come: what another connection has in memory is not asked.
pub(crate) fn read_anew(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.query_row(LOOK, [], |_| Ok(()))
}

/// Makes the directory and an empty file that only its owner may read, unless they are there. A file that is there is not
/// touched: to close it again would drop the locks that this process holds on it.
fn make(path: &Path) -> Result<(), OpenError> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::Unwritable { path: path.to_owned(), source: Some(error.into()) })
        }
        _ => Ok(()),
    }
}

fn prepare(config: &SqliteConfig) -> rusqlite::Result<Result<Connection, OpenError>> {
    let path = config.path.clone();
    let mut connection = connect(config)?;
    // What is refused stays as it is, its log too.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if connection.is_readonly("main")? {
        return Ok(Err(OpenError::Unwritable { path, source: None }));
    }
    if let Some(error) = unfit(&connection, &path)? {
        return Ok(Err(error));
    }
    if !share_log(&connection)? {
        return Ok(Err(OpenError::NoSharedLog { path }));
    }
    match log_damage(&connection, &path)? {
        Err(source) => return Ok(Err(OpenError::Other { path, source: source.into() })),
        Ok(Some(detail)) => return Ok(Err(OpenError::Corrupt { path, detail })),
        Ok(None) => {}
    }
    if let Some(detail) = damage(&connection)? {
        return Ok(Err(OpenError::Corrupt { path, detail }));
    }
    migrate(&mut connection)?;
    move_log(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    if let Some(bytes) = config.max_bytes {
        let page = number(&connection, "page_size")?.max(1);
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page;
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(Ok(connection))
}

/// Whose file it is, before anything is written to it.
fn unfit(connection: &Connection, path: &Path) -> rusqlite::Result<Option<OpenError>> {
    let path = path.to_owned();
    let (application, found) = (number(connection, "application_id")?, number(connection, "user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application, found, tables) != (0, 0, 0) {
        return Ok(Some(OpenError::Foreign { path }));
    }
    let known = MIGRATIONS.len() as i64;
    Ok((found > known).then_some(OpenError::Newer { path, found, known }))
}

/// Whether readers and the writers of several processes can share a log. While another process opens the file too, the
/// switch may find it busy without asking the busy handler.
fn share_log(connection: &Connection) -> rusqlite::Result<bool> {
    let mut tries = 0;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < 500 => {
                std::thread::sleep(Duration::from_millis(10));
                tries += 1;
            }
            mode => return Ok(mode? == "wal"),
        }
    }
}

/// What is broken in the log. Where another process holds the lock all the time, it has looked.
fn log_damage(connection: &Connection, path: &Path) -> rusqlite::Result<io::Result<Option<String>>> {
    match connection.execute_batch("BEGIN IMMEDIATE") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Ok(Ok(None)),
        begun => begun?,
    }
    let page = "SELECT rootpage FROM sqlite_schema WHERE name = 'log'";
    let mark = connection.query_row(page, [], |row| row.get(0)).optional()?;
    let damage = wal::damage(&beside(path, "-wal"), mark);
    connection.execute_batch("ROLLBACK").map(|()| damage)
}

/// Moves what the log holds into the file: from here on the file is of use without its log, and only what comes now is in
/// the log alone. Where there is no room for that, it stays there.
fn move_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
        moved => moved,
    }
}

/// What is broken in the file, as far as it can be looked through in no time.
fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let bytes = number(connection, "page_count")? * number(connection, "page_size")?;
    if bytes.unsigned_abs() > CHECKED_BYTES {
        return Ok(None);
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// Runs the steps that the file has not seen, all or none; a process that opens it at the same time waits and finds them done.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if number(connection, "user_version")? == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let seen = usize::try_from(number(&transaction, "user_version")?).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(seen) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
