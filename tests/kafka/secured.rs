//! A Kafka that asks who comes and encrypts: the programs reach it by their settings alone.

use crate::brokers::{Broker, broker};
use crate::client::Client;
use crate::field::{Field, LONG, pairs, settings};
use crate::printer::Printed;
use crate::process::{Server, command, free_port};
use crate::talk::say;
use crate::worker_process::eventually;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};

const WRONG: &str = "a wrong password, never shown";

/// A user who has this password, by the listener with TLS.
fn by_scram(broker: &Broker, password: &str) -> [(&'static str, String); 6] {
    [
        ("KAFKA_BOOTSTRAP_SERVERS", format!("localhost:{}", broker.port + 2)),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL".into()),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512".into()),
        ("KAFKA_SASL_USERNAME", "scram512".into()),
        ("KAFKA_SASL_PASSWORD", password.into()),
        ("KAFKA_CA_FILE", broker.dir.join("ca.pem").to_str().unwrap().into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_reach_a_broker_with_sasl_and_tls_by_their_settings() {
    let Some(broker) = broker().await else { return };
    let secured = by_scram(broker, "scram512-secret");
    let (field, printed) = (Field::new(broker, "secured", &pairs(&secured)), Printed::default());
    let _worker = field.worker_with(&printed, &pairs(&secured));
    let session = say(&Client::login(&field.server).await, None).await;
    printed.wait_for(2, LONG).await;
    printed.are_those_of(&[(session, 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_by_readiness_the_log_and_the_doctor_and_is_shown_by_none() {
    let Some(broker) = broker().await else { return };
    let (ours, secured) = (settings(broker, "wrong"), by_scram(broker, WRONG));
    let settings = [&pairs(&ours)[..], &pairs(&secured)].concat();
    let server = Server::start(&settings);
    let dir = server.folder();
    // The chat goes on without it; a worker can do nothing.
    for (program, port_is, serves) in [("app-http", "PORT", true), ("app-worker", "WORKER_PORT", false)] {
        let log = Logged::start(program, dir, &settings, port_is);
        let ready = log.readiness().await;
        assert_eq!(ready.starts_with("200"), serves, "{program}: {ready}");
        let refused =
            || log.text().to_lowercase().lines().any(|line| line.contains("kafka") && is_why(line)).then_some(());
        eventually(refused, || format!("{program} does not say why: {}", log.text())).await;
        assert!(!log.text().contains(WRONG), "{program}: {}", log.text());
    }
    say(&Client::login(&server).await, None).await;
    // A probe has a second: on a busy machine that is over before the broker has said anything.
    eventually(|| says_why(&doctor(dir, &settings)).then_some(()), || doctor(dir, &settings)).await;
}

/// What the doctor says, who finds that something is to be mended.
fn doctor(dir: &Path, settings: &[(&str, &str)]) -> String {
    let found = command("app-http", dir).arg("doctor").envs(settings.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success() && !said.contains(WRONG), "{said}");
    said
}

fn says_why(doctor: &str) -> bool {
    let told = doctor.lines().find(|line| line.starts_with("MEND   kafka:"));
    told.is_some_and(|told| is_why(&told.to_lowercase()) && told.contains("KAFKA_SASL_PASSWORD"))
}

fn is_why(line: &str) -> bool {
    line.contains("authentication")
}

/// A program whose log is kept.
struct Logged {
    process: Child,
    log: std::path::PathBuf,
    port: u16,
}

impl Logged {
    fn start(program: &str, dir: &Path, settings: &[(&str, &str)], port_is: &str) -> Self {
        let (log, port) = (dir.join(program).with_extension("log"), free_port());
        let file = File::create(&log).unwrap();
        let mut command: Command = command(program, dir);
        command.envs(settings.iter().copied()).env(port_is, port.to_string());
        // A second server on one folder.
        command.env("DATA_DIR", dir.join(program)).stdout(file.try_clone().unwrap()).stderr(file);
        Self { process: command.spawn().unwrap(), log, port }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its status and text, once Kafka is told to be unhealthy.
    async fn readiness(&self) -> String {
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        let told = async {
            loop {
                let answer = reqwest::get(&url).await;
                if let Ok(answer) = answer {
                    let text = format!("{} {}", answer.status(), answer.text().await.unwrap());
                    if text.contains("kafka: unhealthy") {
                        return text;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let told = tokio::time::timeout(LONG, told).await;
        told.unwrap_or_else(|_| panic!("readiness never said it: {}", self.text()))
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
