//! `app-worker dead-letters`: shows what could not be worked off, or gives it back.

use chatcore::error::BackendError;
use chatcore::port::{DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Replay};
use clap::Subcommand;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{self, Write, stderr, stdout};

/// How many are asked for at once.
const PAGE: usize = 100;

/// So many faults in a row that may pass are not those of the letters: what holds them is away.
const AWAY: usize = 3;

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum LettersCommand {
    /// Shows dead letters, the oldest first: id, group, session and reason, with tabs between.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
        limit: usize,
        /// As JSON, one object a line, with the record itself: it holds the text of a message.
        #[arg(long)]
        json: bool,
        /// Those of the store's outbox: what Kafka refuses for good, as what is too large for it.
        #[arg(long)]
        outbox: bool,
    },
    /// Gives dead letters back to the group that parked them. They come to all its handlers again, as new records. On Kafka those of
    /// another group than KAFKA_CONSUMER_GROUP, or of a topic that is none of the settings, stay: it may be that nobody reads for it.
    Replay {
        /// Which, as `list` shows them.
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All that are there now.
        #[arg(long)]
        all: bool,
        /// Those of the store's outbox, as `list --outbox` shows them. They go to Kafka again.
        #[arg(long)]
        outbox: bool,
        /// Those of other groups and topics too; KAFKA_CONSUMER_GROUP gets them, in the topic of their kind, as after one was renamed.
        #[arg(long, conflicts_with = "outbox")]
        take_over: bool,
    },
}

impl LettersCommand {
    /// Whether it is about what never got to the bus.
    pub(crate) fn of_outbox(&self) -> bool {
        matches!(self, Self::List { outbox: true, .. } | Self::Replay { outbox: true, .. })
    }

    /// Whether letters of all groups go to the group of the settings.
    pub(crate) fn takes_over(&self) -> bool {
        matches!(self, Self::Replay { take_over: true, .. })
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Does it.
pub(crate) async fn run(command: &LettersCommand, letters: &dyn DeadLetters) -> Result<(), Failure> {
    match command {
        LettersCommand::List { limit, json, .. } => list(letters, *limit, *json).await,
        LettersCommand::Replay { ids, all: false, .. } => {
            let ids: Vec<_> = ids.iter().cloned().map(DeadLetterId).collect();
            match replay(letters, &ids).await? {
                0 => Ok(()),
                missing => Err(format!("{missing} of {} were not there", ids.len()).into()),
            }
        }
        LettersCommand::Replay { all: true, .. } => {
            // Gathered before the first goes back: what is parked again meanwhile is not replayed for ever.
            let mut ids = Vec::new();
            let gather = |letter: DeadLetter| {
                ids.push(letter.id);
                Ok(())
            };
            walk(letters, usize::MAX, gather).await?;
            // One that is gone meanwhile was replayed by another.
            replay(letters, &ids).await?;
            Ok(())
        }
    }
}

async fn list(letters: &dyn DeadLetters, limit: usize, as_json: bool) -> Result<(), Failure> {
    let mut shown = 0;
    let more = walk(letters, limit, |letter| {
        shown += 1;
        writeln!(stdout(), "{}", if as_json { object(&letter).to_string() } else { line(&letter) })
    });
    if more.await? {
        writeln!(stderr(), "these are {shown}, and there may be more: --limit")?;
    } else if shown == 0 {
        writeln!(stderr(), "no dead letters")?;
    }
    Ok(())
}

/// Goes through the letters, at most `limit`; whether there may be more.
async fn walk(
    letters: &dyn DeadLetters,
    limit: usize,
    mut each: impl FnMut(DeadLetter) -> io::Result<()>,
) -> Result<bool, Failure> {
    let (mut after, mut left) = (None, limit);
    while left > 0 {
        let asked = PAGE.min(left);
        let page = letters.list(&DeadLettersPage { after: after.take(), limit: asked }).await.map_err(told)?;
        let (found, last) = (page.len(), page.last().map(|letter| letter.id.clone()));
        page.into_iter().try_for_each(&mut each)?;
        if found < asked {
            return Ok(false);
        }
        (after, left) = (last, left - found);
    }
    Ok(true)
}

/// How many of them there were not.
async fn replay(letters: &dyn DeadLetters, ids: &[DeadLetterId]) -> Result<usize, Failure> {
    let (mut missing, mut left, mut in_a_row) = (0, 0, 0);
    for id in ids {
        let done = letters.replay(id).await;
        in_a_row = if done.as_ref().is_err_and(BackendError::may_pass) { in_a_row + 1 } else { 0 };
        match done {
            Ok(Replay::Queued) => writeln!(stdout(), "{} goes back", id.0)?,
            Ok(_) => {
                missing += 1;
                writeln!(stderr(), "{}: no such dead letter", id.0)?;
            }
            Err(error) if in_a_row == AWAY => return Err(format!("{}: {}", id.0, told(error)).into()),
            // The next may be another matter.
            Err(error) => {
                left += 1;
                writeln!(stderr(), "{}: {}", id.0, error.source)?;
            }
        }
    }
    if left == 0 { Ok(missing) } else { Err(format!("{left} of {} did not go back", ids.len()).into()) }
}

/// An operator wants to know what the technology said.
fn told(error: BackendError) -> Failure {
    format!("{error}: {}", error.source).into()
}

/// A reason may be any text; here it is one line.
fn line(letter: &DeadLetter) -> String {
    let plain = |text: &str| text.replace(char::is_control, " ");
    let DeadLetter { id, key, group, reason, .. } = letter;
    format!("{}\t{}\t{}\t{}", id.0, plain(group), plain(key), plain(reason))
}

/// The record as JSON where it is, else as text.
fn object(letter: &DeadLetter) -> Value {
    let DeadLetter { id, key, group, reason, raw } = letter;
    let record = serde_json::from_slice(raw).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(raw)));
    json!({ "id": id.0, "group": group, "key": key, "reason": reason, "record": record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Holds ten letters, some of which stay.
    #[derive(Debug)]
    struct Stubborn {
        stay: Vec<usize>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl DeadLetters for Stubborn {
        async fn list(&self, _: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
            let id = |number: usize| DeadLetterId(number.to_string());
            let [key, group, reason] = [const { String::new() }; 3];
            let letter = DeadLetter { id: id(0), key, group, reason, raw: Vec::new() };
            Ok((0..10).map(|number| DeadLetter { id: id(number), ..letter.clone() }).collect())
        }

        async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.stay.contains(&id.0.parse().unwrap()) {
                Err(BackendError::later("fake", "no leader"))
            } else {
                Ok(Replay::Queued)
            }
        }
    }

    #[tokio::test]
    async fn a_letter_that_stays_keeps_no_other_from_going_back() {
        let all = LettersCommand::Replay { ids: Vec::new(), all: true, outbox: false, take_over: false };
        let bus_is_away = (4..10).collect();
        let given = [(vec![2, 3, 7], 10, "3 of 10 did not go back"), (bus_is_away, 7, "6: fake failed: no leader")];
        for (stay, asked, told) in given {
            let letters = Stubborn { stay, asked: AtomicUsize::new(0) };
            let failed = run(&all, &letters).await.unwrap_err();
            assert_eq!((letters.asked.into_inner(), &*failed.to_string()), (asked, told));
        }
    }
}
