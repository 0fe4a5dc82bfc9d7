//! The planted bugs.

/// A bug, planted by replacing some text of a file.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) file: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) finder: Finder,
}

/// What has to find it, and nothing else: a test that fails for another reason has found something else.
#[derive(Clone, Copy)]
pub(super) enum Finder {
    /// The seeds of the simulation, which have to name one of these invariants.
    Simulation(&'static [&'static str]),
    /// The tests of this name of an adapter, on a real server where it has one: this one of them.
    Test(&'static str, &'static str, &'static str),
    /// Of an adapter's tests without a server this one.
    Unit(&'static str, &'static str),
    /// The kill storm over Redis, which has to name one of these invariants.
    Storm(&'static [&'static str]),
}

const OVERLAP: &str = "a_reader_is_told_each_byte_once_where_pieces_overlap";
const JOINED: &str = "pieces_are_joined_where_nothing_is_between_them";

/// All of them.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a silent AI loses the lease",
        file: "domain/src/chat/keep.rs",
        from: "self.core.policy.lease / 3",
        to: "self.core.policy.lease * 3",
        finder: Finder::Simulation(&["I10:"]),
    },
    Mutant {
        name: "a begin whose reply was lost is not repeated",
        file: "domain/src/chat/run.rs",
        from: "Err(error) if error.may_pass() => said = Some(error),",
        to: "Err(error) if error.may_pass() => return Err(Some(error)),",
        finder: Finder::Simulation(&["I10:"]),
    },
    Mutant {
        name: "all calls are the same attempt",
        file: "domain/src/chat/message.rs",
        from: "AttemptId::from(self.runtime.new_id())",
        to: "AttemptId::from(uuid::Uuid::nil())",
        finder: Finder::Simulation(&["I1:", "I2:", "I9:"]),
    },
    Mutant {
        name: "a restart is not told",
        file: "domain/src/chat/tail.rs",
        from: "if restarted {",
        to: "if restarted && text.is_empty() {",
        finder: Finder::Simulation(&["I9:"]),
    },
    Mutant {
        name: "a fallback is not shown to those who read along",
        file: "domain/src/chat/run.rs",
        from: "live.update(|state| state.text.clone_from(&answer.content));\n        let since",
        to: "let since",
        finder: Finder::Simulation(&["I9:"]),
    },
    Mutant {
        name: "an event that the bus left is settled",
        file: "domain/src/relay.rs",
        from: "Published::Later(error) => Err(error),",
        to: "Published::Later(_) => Ok(Settled::Published),",
        finder: Finder::Simulation(&["I3:"]),
    },
    Mutant {
        name: "an event overtakes one of its session that the bus left",
        file: "domain/src/relay.rs",
        from: "entries.retain(|entry| !held.contains(&entry.event.session));",
        to: "entries.retain(|_| true);",
        finder: Finder::Simulation(&["I3:"]),
    },
    Mutant {
        name: "SQLite: a stale fence stores its answer",
        file: "adapters/sqlite/src/store/answer.rs",
        from: "if session.fence != turn.fence {",
        to: "if false {",
        finder: Finder::Test("sqlite", "conformance", "sessions::a_stale_fence_never_writes"),
    },
    Mutant {
        name: "Redis: a stale fence stores its answer",
        file: "adapters/redis/src/lua/store/finish.lua",
        from: "if fence ~= ARGV[5] then return {'FENCED'} end",
        to: "if open ~= '' then turn = open end",
        finder: Finder::Storm(&["I1:", "I2:", "I5:"]),
    },
    Mutant {
        name: "Redis: a key is not known again",
        file: "adapters/redis/src/lua/store/begin.lua",
        from: "not new and redis.call('HGET', of('i', sid), 'k' .. key)",
        to: "nil",
        finder: Finder::Storm(&["I2:", "I9:"]),
    },
    Mutant {
        name: "Redis: an answer brings a deleted session back",
        file: "adapters/redis/src/lua/store/finish.lua",
        from: "if not owner or gone or is_over(over) then return {'GONE'} end",
        to: "if not owner or is_over(over) then return {'GONE'} end\n\
             if gone then\n\
               redis.call('HDEL', S, 'x')\n\
               redis.call('HSET', S, 'cr', now, 'la', now)\n\
               n, fence, open, request = 0, ARGV[5], turn, ''\n\
             end",
        finder: Finder::Storm(&["I3:", "I5:"]),
    },
    Mutant {
        name: "Redis: an orphan is not closed",
        file: "adapters/redis/src/lua/store/close.lua",
        from: "if lease + ARGV[3] > now then return {'ALIVE'} end",
        to: "do return {'ALIVE'} end",
        finder: Finder::Storm(&["I4:"]),
    },
    Mutant {
        name: "Redis: a resumed reader misses a byte",
        file: "adapters/redis/src/lua/store/follow.lua",
        from: "redis.call('GETRANGE', L, from, -1)}",
        to: "redis.call('GETRANGE', L, from + 1, -1)}",
        finder: Finder::Storm(&["stream:"]),
    },
    Mutant {
        name: "Redis: who reads elsewhere is not told of an answer",
        file: "adapters/redis/src/lua/store/finish.lua",
        from: "wake(ARGV[9], sid, followed)\nreturn {'STORED'",
        to: "return {'STORED'",
        finder: Finder::Storm(&["stream:"]),
    },
    Mutant {
        name: "Redis: an adoption leaves all sessions but one in nobody's list",
        file: "adapters/redis/src/lua/store/move.lua",
        from: "redis.call('ZADD', u_index, s[2], id)",
        to: "if moved == 0 then redis.call('ZADD', u_index, s[2], id) end",
        finder: Finder::Storm(&["adoption:"]),
    },
    Mutant {
        name: "Redis: a piece is told with its place off by one",
        file: "adapters/redis/src/lua/store/extend.lua",
        from: "s[10], ARGV[5], ARGV[6]}",
        to: "s[10], math.max(from - 1, 0), ARGV[6]}",
        finder: Finder::Test("redis", "reading", OVERLAP),
    },
    Mutant {
        name: "Redis: live text is kept and not told",
        file: "adapters/redis/src/lua/store/extend.lua",
        from: "publish(ARGV[8] .. ARGV[2], told or '1')",
        to: "",
        finder: Finder::Test("redis", "reading", OVERLAP),
    },
    Mutant {
        name: "Redis: pieces are joined that overlap",
        file: "adapters/redis/src/store/told.rs",
        from: "let held = offset - piece.offset;",
        to: "let held = 0;",
        finder: Finder::Test("redis", "reading", OVERLAP),
    },
    Mutant {
        name: "Redis: pieces are joined of which one is missing",
        file: "adapters/redis/src/store/told.rs",
        from: "if !is_of_turn || piece.offset > offset {",
        to: "offset = offset.max(piece.offset);\nif !is_of_turn {",
        finder: Finder::Unit("redis", JOINED),
    },
    Mutant {
        name: "Redis: what is known of an attempt is believed of another",
        file: "adapters/redis/src/known.rs",
        from: "find(|(known, _)| known == place)",
        to: "find(|(known, _)| (&known.owner, known.after) == (&place.owner, place.after))",
        finder: Finder::Test("redis", "reading", "a_reader_of_an_attempt_that_is_over_begins_anew_at_once"),
    },
    Mutant {
        name: "Redis: a relay takes what another has",
        file: "adapters/redis/src/lua/lease/hold.lua",
        from: "if holder and holder ~= ARGV[1] then",
        to: "if false then",
        finder: Finder::Test("redis", "lease", "three_relays_at_once_publish_each_event_once"),
    },
    Mutant {
        name: "Redis: a relay gives back what another has",
        file: "adapters/redis/src/lua/lease/leave.lua",
        from: "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end",
        to: "",
        finder: Finder::Test("redis", "lease", "who_leaves_takes_nothing_from_another"),
    },
    Mutant {
        name: "Kafka: an event's offset is committed before its effect",
        file: "adapters/kafka/src/lanes.rs",
        from: "tenure.shown = tenure.shown.max(record.offset + 1);",
        to: "tenure.shown = tenure.shown.max(record.offset + 1);\ntenure.open.remove(&record.offset);\ntenure.dirty = true;",
        finder: Finder::Test("kafka", "conformance", "classic::an_unacked_delivery_comes_back"),
    },
    Mutant {
        name: "Kafka: a lane commits beyond an event that another has in hand",
        file: "adapters/kafka/src/lanes.rs",
        from: "tenure.bytes -= tenure.open.remove(&record.offset).unwrap_or_default();",
        to: "tenure.open.retain(|open, _| *open > record.offset);",
        finder: Finder::Test("kafka", "conformance", "classic::an_unacked_delivery_comes_back"),
    },
    Mutant {
        name: "Kafka: a record in hand commits in the log that was put in place of its own",
        file: "adapters/kafka/src/lanes.rs",
        from: "self.life += 1;",
        to: "",
        finder: Finder::Unit("kafka", "what_is_in_hand_when_the_client_goes_back"),
    },
    Mutant {
        name: "Kafka: an answer goes on though its question may not have been read",
        file: "adapters/kafka/src/merge.rs",
        from: "places.get(part).copied().flatten() >= Some(*end)",
        to: "*end >= 0",
        finder: Finder::Unit("kafka", "a_partition_is_caught_up_where_it_is_read_on"),
    },
    Mutant {
        name: "Kafka: a young record hides an older one of another session from the other topics",
        file: "adapters/kafka/src/lanes.rs",
        from: "take_while(younger).count();",
        to: "take_while(younger).count() * 0;",
        finder: Finder::Unit("kafka", "a_younger_record_of_another_session"),
    },
    Mutant {
        name: "Kafka: a record that a partition refused is told published",
        file: "adapters/kafka/src/publish.rs",
        from: "Err(failed) => Published::Later(failed.into()),",
        to: "Err(_) => Published::Done,",
        finder: Finder::Test("kafka", "conformance", "classic::once_an_event_of_a_session_fails"),
    },
    Mutant {
        name: "Kafka: an answer goes out though its question did not",
        file: "adapters/kafka/src/publish.rs",
        from: "Published::Later(error) => Some(",
        to: "Published::Later(error) if event.seq == 0 => Some(",
        finder: Finder::Test("kafka", "conformance", "classic::once_an_event_of_a_session_fails"),
    },
    Mutant {
        name: "Kafka: a key's hash loses its sign another way than in Java",
        file: "adapters/kafka/src/partition.rs",
        from: "(murmur2(key) & i32::MAX) % partitions.max(1)",
        to: "(murmur2(key).wrapping_abs() & i32::MAX) % partitions.max(1)",
        finder: Finder::Unit("kafka", "a_key_goes_where_a_java_producer_puts_it"),
    },
];
