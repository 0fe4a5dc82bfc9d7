//! Test: every statement goes by an index, and a list of sessions reads its index alone.

use crate::{bus, letters, log, outbox, store, takes};
use rusqlite::Connection;

fn plan(connection: &Connection, sql: &str) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
    let steps = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

fn schema() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("schema.sql")).unwrap();
    connection
}

#[test]
fn no_statement_scans_a_table() {
    let connection = schema();
    let others = [
        takes::NEWEST,
        takes::COUNT,
        takes::GIVE_BACK,
        takes::SWEEP,
        log::DROP,
        log::BOUNDS,
        log::UNSETTLED,
        log::TRIM,
        outbox::OLDEST,
        outbox::SINCE,
        outbox::ENTRY,
        letters::PAGE,
        letters::TAKE,
        letters::DROP,
    ];
    for sql in others.iter().chain(&store::STATEMENTS).chain(&bus::STATEMENTS) {
        let plan = plan(&connection, sql);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}

#[test]
fn a_list_of_sessions_reads_its_index_alone() {
    let connection = schema();
    for sql in store::PAGES {
        let plan = plan(&connection, sql);
        assert!(plan.contains("SEARCH s USING COVERING INDEX sessions_of_owner"), "{sql}\n{plan}");
    }
}
