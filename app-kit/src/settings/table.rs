//! The one table of settings, of both programs: what they are called, what they are unless given, what they are for. `--help`,
//! `--print-config`, `.env.example` and the README's table are made from it.

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Its name in the environment.
    pub name: &'static str,
    /// What it is unless given; empty for nothing.
    pub default: &'static str,
    /// Whether its value is shown to nobody.
    pub secret: bool,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
}

/// Settings that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The settings.
    pub specs: &'static [Spec],
}

macro_rules! table {
    ($($title:literal { $($name:ident = $default:literal $($secret:ident)?, $about:literal;)* })*) => {
        /// All settings, in the order in which they are shown.
        pub const TABLE: &[Group] = &[$(Group { title: $title, specs: &[$($name),*] }),*];

        $($(
            #[doc = $about]
            pub const $name: Spec =
                Spec { name: stringify!($name), default: $default, secret: table!(@secret $($secret)?), about: $about };
        )*)*
    };
    (@secret) => { false };
    (@secret secret) => { true };
}

table! {
    "The program" {
        APP_NAME = "chatcore", "What `GET /` calls the program.";
        APP_VERSION = "", "The version that `GET /` tells; this build's unless given.";
        DEBUG = "true", "Eases development: a demo user, any CORS origin, a made-up JWT secret. Set it to false in production.";
        HOST = "127.0.0.1", "The address to listen on; 0.0.0.0 for all.";
        PORT = "8000", "The port to listen on; 0 for any free one.";
        HTTP_WORKERS = "", "Threads that serve HTTP; one for each core unless given.";
        HTTP_MAX_CONNECTIONS = "10000", "Connections at once, shared out among HTTP_WORKERS and rounded up for each; further ones wait until some are closed. Each takes two open files and a third while the AI is asked, of which the system may allow fewer: then the log says so. In memory it takes 12 kB, some 50 kB while a request is served, and what has come of a body besides.";
        HTTP_KEEP_ALIVE = "75s", "How long a connection is kept without a request. Longer than a proxy in front keeps it, which would send a request just when it ends.";
        DATA_DIR = "./data", "The directory of the SQLite file and of a made-up JWT secret.";
        SHUTDOWN_GRACE = "30s", "How long the program may take to end after SIGTERM. Open turns go on for all of it but 3.5s, in which their answers go out.";
        SHUTDOWN_DELAY = "0s", "How much of that time HTTP is served as before, so that a load balancer sees /readyz fail before anybody is refused. Every answer then closes its connection.";
        TRUSTED_PROXIES = "", "Addresses and networks of proxies, as in `10.0.0.0/8, ::1`, whose `X-Forwarded-For` says where a request comes from.";
        CORS_ALLOWED_ORIGINS = "", "Origins that browsers may call from, with commas between; `*` for all, `none`. `*` unless DEBUG is false.";
    }
    "Logs" {
        LOG_LEVEL = "info", "error, warn, info, debug, trace or off; also by target, as in `info,chatcore=debug`.";
        LOG_FORMAT = "auto", "`json`, `text`, or `auto`: text on a terminal.";
        LOG_FILE = "", "A file to append the logs to; stdout unless given, and stderr for the worker.";
    }
    "Traces" {
        OTEL_EXPORTER_OTLP_ENDPOINT = "", "Where traces go, in OTLP over HTTP, as in `http://localhost:4318`; `/v1/traces` is added. None are made unless given. The build needs `--features otlp`.";
        OTEL_EXPORTER_OTLP_HEADERS = "" secret, "Headers that go along with them, as in `authorization=Bearer%20abc,x-tenant=7`.";
        OTEL_SERVICE_NAME = "", "What the program is called there; `app-http` or `app-worker` unless given.";
        OTEL_TRACES_SAMPLER = "parentbased_always_on", "Which requests have a trace: `always_on`, `always_off`, `traceidratio`, or these behind `parentbased_`, where a caller's `traceparent` decides first.";
        OTEL_TRACES_SAMPLER_ARG = "1.0", "For `traceidratio`: the share of them, 0 to 1.";
    }
    "The parts" {
        STORE = "", "Where sessions live: `sqlite` (a file under DATA_DIR; the default), `memory`, or `redis` (default once REDIS_URL or REDIS_HOST is set).";
        BUS = "", "Where events go: `local`, the store's own log (the default), or `kafka` (default once KAFKA_BOOTSTRAP_SERVERS is set).";
        AI = "", "Who answers: `demo`, `native` (default once AI_API_URL is set), or `openai`: a service of models that speaks OpenAI's format.";
    }
    "Redis" {
        REDIS_URL = "" secret, "`redis://user:password@host:6379/0`, or `rediss://` for TLS; several with commas between are nodes of one cluster.";
        REDIS_HOST = "", "Instead of REDIS_URL: where it listens.";
        REDIS_PORT = "6379", "Beside REDIS_HOST: its port.";
        REDIS_PASSWORD = "" secret, "Beside REDIS_HOST: its password.";
        REDIS_DB = "0", "Beside REDIS_HOST: the number of the database.";
        REDIS_CA_FILE = "", "The certificates to trust with `rediss://`, as PEM; those of the system unless given.";
        REDIS_KEY_PREFIX = "c:", "What every key's name begins with; several systems can share a Redis.";
    }
    "Kafka" {
        KAFKA_BOOTSTRAP_SERVERS = "", "Some of the brokers, `host:port` with commas between.";
        KAFKA_TOPIC_CHAT_REQUESTS = "chat-requests", "The topic of questions.";
        KAFKA_TOPIC_CHAT_RESPONSES = "chat-responses", "The topic of answers.";
        KAFKA_TOPIC_CHAT_SESSIONS = "chat-sessions", "The topic of deletions.";
        KAFKA_TOPIC_DLQ = "chat-dlq", "The topic of dead letters.";
        KAFKA_TOPIC_PARTITIONS = "3", "Partitions of a topic that is missing and made.";
        KAFKA_REPLICATION = "1", "Copies of a topic that is missing and made.";
        KAFKA_CONSUMER_GROUP = "chatcore-workers", "The group that workers are members of.";
        KAFKA_GROUP_PROTOCOL = "classic", "How its members agree: `classic`, or `consumer` (Kafka 4 and newer).";
        KAFKA_SECURITY_PROTOCOL = "PLAINTEXT", "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.";
        KAFKA_SASL_MECHANISM = "PLAIN", "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.";
        KAFKA_SASL_USERNAME = "", "The name for SASL.";
        KAFKA_SASL_PASSWORD = "" secret, "The password for SASL.";
        KAFKA_CA_FILE = "", "The certificates to trust, as PEM; those that browsers trust unless given.";
        KAFKA_COMPRESSION = "gzip", "`gzip` or `none`. Without it, a batch between 8 and 64 KB can wait 40 ms for an acknowledgement of TCP.";
        RELAY = "", "Whether this program moves events from the store to Kafka: on in the server, off in the worker, unless given. With SQLite let one program do it: of two, each publishes every event.";
    }
    "Logging in" {
        JWT_SECRET_KEY = "" secret, "What tokens are signed with, 32 bytes or more. Without it a random one is made once and kept in the store: under DATA_DIR, or in Redis.";
        JWT_TTL = "24h", "How long a token is good for.";
        JWT_ISSUER = "", "The `iss` that tokens carry and must carry; none unless given.";
        JWT_AUDIENCE = "", "The `aud` that tokens carry and must carry; none unless given.";
        USERS_FILE = "", "The file of users, as in `anna:user_7:<hash>`; `app-http hash-password` makes the hash. Without it, and unless DEBUG is false, there is the demo user `testuser`.";
        LOGIN_QUOTA = "5/60s", "Wrong passwords for a name in any such time, and four times as many from an address; `off`.";
    }
    "The AI" {
        AI_API_URL = "" secret, "The address of the AI service. For `openai` it mostly ends in `/v1`; `/chat/completions` is added.";
        AI_API_KEY = "" secret, "Sent to the AI service as a bearer token.";
        AI_MODEL = "", "For `openai`: which model answers.";
        AI_SYSTEM_PROMPT = "", "For `openai`: what the model is told before all messages.";
        AI_STREAM = "on", "Whether the AI service is asked to answer in pieces.";
        AI_TIMEOUT = "30s", "How long one answer may take, from the question to its last word; what has come by then is kept as `failed`.";
        AI_FALLBACK_MESSAGE = "Xin lỗi, tôi đang gặp sự cố. Vui lòng thử lại sau.", "Stands in for an answer where the AI gives none.";
        AI_SEND_CONTEXT = "on", "Whether the history and, to a `native` one, the user's id go to the AI service along with the message.";
        AI_DEMO_DELAY = "0", "How long the demo AI thinks.";
    }
    "The chat" {
        SESSION_TTL = "24h", "How long a session lives after its newest question.";
        TURN_LEASE = "15s", "How long a turn stays open after its server died; the same for all servers of a store. Longer than a failover of the store.";
        MAX_RUNNING_TURNS = "10000", "Turns that run at once in this process; more are refused.";
        ON_BUSY = "reject", "What a message does while another of its session is answered, where it does not say: `reject`, `cancel` (stop the other), `wait`.";
        QUEUE_WAIT = "30s", "How long such a message waits at most.";
        MESSAGE_QUOTA = "10/60s", "Messages that an owner may send in any such time, as in `10/60s`; `off`.";
        GUESTS = "on", "Whether somebody without a token may chat under a device id.";
        GUEST_QUOTA = "30/60s", "Messages that all guests of an address may send in any such time; `off`.";
        MESSAGE_MAX_BYTES = "32KiB", "The longest message.";
        BODY_MAX_BYTES = "256KiB", "The longest body of a message: at least MESSAGE_MAX_BYTES and 2KiB; six times as much where clients write letters as `\\u0041`. That of a login is 16KiB at most.";
        ANSWER_MAX_BYTES = "256KiB", "The longest answer.";
        SESSION_MAX_MESSAGES = "100000", "Messages that a session holds, answers included.";
        OWNER_MAX_SESSIONS = "10000", "Living sessions that an owner has.";
        OUTBOX_MAX = "1000000", "Events that the store keeps: of its own log the oldest are dropped; with Kafka away, messages are refused.";
    }
    "The worker" {
        WORKER_HANDLERS = "log,counters", "What is done with each event, in this order and with commas between: `log` (a line on stdout), `counters` (on /metrics), `archive`, `webhook`, `mongodb` (where it was built in); or `none`.";
        WORKER_LANES = "8", "Events that are worked off at once; those of a session always one after the other.";
        WORKER_TRIES = "5", "How often a handler may fail at an event, with growing pauses, before the event goes to the dead letters. What is away does not count: it is waited for.";
        WORKER_PORT = "8001", "The port of the worker's /livez, /readyz and /metrics, on HOST; 0 for any free one, `off` for none.";
        ARCHIVE_DIR = "", "The directory of the handler `archive`: JSON lines in `<topic>-<partition>-<date>-<n>.jsonl`. Workers may share it.";
        ARCHIVE_MAX_BYTES = "64MiB", "How large a file of the archive becomes before the next one begins.";
        WEBHOOK_URL = "" secret, "Where the handler `webhook` posts events to.";
        WEBHOOK_SECRET = "" secret, "What it signs them with: `X-Chatcore-Signature` is `t=<unix seconds>,v1=<hex of HMAC-SHA256 of t.body>`.";
        MONGODB_URI = "" secret, "Where the handler `mongodb` keeps messages: `mongodb://user:password@host:27017/?options`. The build needs `--features mongodb`.";
        MONGODB_DATABASE = "chatcore", "The database for them.";
    }
}

/// Every setting.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    TABLE.iter().flat_map(|group| group.specs)
}
