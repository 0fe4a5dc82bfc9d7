-- Version 1. Times are microseconds since 1970; ids are the 16 bytes of a UUID; an owner is 'user:<id>' or 'guest:<id>'.

-- A deleted session stays as a tombstone until it expires. Numbers are never used twice, since messages in the trash
-- outlive their session.
CREATE TABLE sessions (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    id            BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    owner         TEXT    NOT NULL,
    opener        TEXT    NOT NULL,             -- the owner who opened it
    first_key     TEXT,                         -- the key of its first message; NULL once it has expired
    created_at    INTEGER NOT NULL,
    last_activity INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    sweep_at      INTEGER NOT NULL,             -- when the sweeper looks again, not after it expires
    asked         INTEGER NOT NULL DEFAULT 0,   -- the newest question's seq; its answer, if it has one, is the next
    fence         INTEGER NOT NULL DEFAULT 0,
    deleted       INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Holds all that a list of sessions shows, so that listing reads nothing else of the table.
CREATE INDEX sessions_of_owner
    ON sessions (owner, last_activity, id, created_at, asked, expires_at, no) WHERE deleted = 0;
CREATE UNIQUE INDEX sessions_by_first_key ON sessions (opener, first_key);
-- By a time that questions do not move, so that a question need not write here.
CREATE INDEX sessions_to_sweep ON sessions (sweep_at, owner);

-- How many sessions an owner has that were not deleted or swept.
CREATE TABLE owners (
    owner    TEXT    PRIMARY KEY NOT NULL,
    sessions INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The messages, one behind the other as they come: those of many sessions that are written in one commit share a page or
-- two, which halves what a commit writes. A history is read by its places.
CREATE TABLE messages (
    no         INTEGER PRIMARY KEY,
    place      INTEGER NOT NULL UNIQUE,         -- its session's number times 2^24, plus its seq
    session    INTEGER NOT NULL,
    turn       BLOB    NOT NULL,
    key        TEXT,                            -- of a question
    body_hash  INTEGER,                         -- of a question
    content    TEXT    NOT NULL,
    products   TEXT,
    intent     TEXT,
    confidence REAL,
    status     TEXT    NOT NULL,                -- 'accepted' is a question; an answer follows its question at once
    fence      INTEGER,                         -- of an answer: whose live text it continues; 0 for none's
    at         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_key ON messages (session, key) WHERE key IS NOT NULL;
CREATE INDEX messages_by_turn ON messages (turn) WHERE key IS NOT NULL;

-- The open turns.
CREATE TABLE turns (
    session     INTEGER PRIMARY KEY,
    message     BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    attempt     BLOB    NOT NULL,
    resumed     INTEGER NOT NULL DEFAULT 0,
    stop        INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL,
    length      INTEGER NOT NULL DEFAULT 0,     -- bytes of live text
    request_id  TEXT
) STRICT;
CREATE INDEX turns_by_lease ON turns (lease_until);

-- The live text of the open turns, in pieces: what is written does not grow with what is there.
CREATE TABLE live (
    session INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (session, start)
) STRICT, WITHOUT ROWID;

-- Sessions whose messages are to be removed, a few at a time.
CREATE TABLE trash (
    session INTEGER PRIMARY KEY
) STRICT;

-- What was counted by a quota: questions under 'owner:', others under 'key:', those of them that are held under 'held:key:' as well.
CREATE TABLE takes (
    no    INTEGER PRIMARY KEY,
    key   TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    until INTEGER NOT NULL                      -- when it stops counting
) STRICT;
CREATE INDEX takes_by_key ON takes (key, at);
CREATE INDEX takes_by_end ON takes (until);

-- The log of events, which is the outbox too. Only the oldest are removed, and the newest never is: so numbers have no
-- gaps, none is used twice, and most of what is to be known of the log needs no count.
CREATE TABLE events (
    no         INTEGER PRIMARY KEY,
    session    BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    json       BLOB    NOT NULL,                -- bytes, so that a damaged text blocks nothing
    request_id TEXT,
    only_group TEXT,                            -- a replayed dead letter is for one group alone
    settled    INTEGER NOT NULL DEFAULT 0       -- the relay is done with it
) STRICT;
CREATE INDEX events_for_one ON events (only_group, no) WHERE only_group IS NOT NULL;
CREATE TABLE log (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    settled_to INTEGER NOT NULL,                -- the relay is done with all up to here
    ahead      INTEGER NOT NULL,                -- and with so many of those behind
    trimmed    INTEGER NOT NULL,                -- so many were removed since the relay was done with them
    synced     INTEGER NOT NULL                 -- grows with each step that waits for the disk: see wal.rs
) STRICT;
INSERT INTO log VALUES (1, 0, 0, 0, 0);

-- Written by whoever asks whether the file can be written.
CREATE TABLE probe (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    at   INTEGER NOT NULL,
    room BLOB    NOT NULL                       -- takes as much room as a question, and is new each time
) STRICT;
INSERT INTO probe VALUES (1, 0, x'');

-- The groups of consumers. A group has looked at all events up to its frontier; of those it keeps what is not worked
-- off: per session one lane with the event that comes next, and the events behind it.
CREATE TABLE groups (
    no       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    frontier INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE members (
    id          BLOB    PRIMARY KEY NOT NULL,
    grp         INTEGER NOT NULL,
    alive_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of_group ON members (grp, alive_until);
CREATE TABLE lanes (
    grp     INTEGER NOT NULL,
    session BLOB    NOT NULL,
    head    INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    member  BLOB,                               -- who works on it; NULL while nobody does
    PRIMARY KEY (grp, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_free ON lanes (grp, head) WHERE member IS NULL;
CREATE INDEX lanes_of_member ON lanes (member) WHERE member IS NOT NULL;
CREATE TABLE behind (
    grp     INTEGER NOT NULL,
    session BLOB    NOT NULL,
    event   INTEGER NOT NULL,
    PRIMARY KEY (grp, session, event)
) STRICT, WITHOUT ROWID;
CREATE TABLE letters (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    grp        TEXT    NOT NULL,
    session    BLOB    NOT NULL,
    at         INTEGER NOT NULL,                -- when its event happened
    json       BLOB    NOT NULL,
    request_id TEXT,
    reason     TEXT    NOT NULL
) STRICT;
