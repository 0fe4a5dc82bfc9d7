//! What the lanes promise, without a broker.

use super::*;
use crate::topic::Topic;

fn part(topic: Topic) -> Part {
    Part { number: 0, topic }
}

const ASKED: Topic = Topic::Requests;

/// A record of a key, at its offset; the time is the offset too.
fn record(topic: Topic, offset: i64, key: &str, seq: u64) -> Fetched {
    let headers = vec![("event-id".to_owned(), Some(format!("{key}-{seq}").into()))];
    let (key, value) = (Some(key.to_owned().into()), Some("value".into()));
    Fetched { part: part(topic), offset, life: 0, at: offset, key, value, headers, unreadable: None }
}

fn with(topics: &[Topic]) -> Lanes {
    let mut lanes = Lanes::default();
    topics.iter().for_each(|topic| lanes.assign(part(*topic), Some(0), Before::default()));
    lanes
}

fn feed(lanes: &mut Lanes, records: Vec<Fetched>) {
    lanes.fetched(records, |_| false);
    let all = lanes.assigned().into_iter().collect();
    lanes.admit(&all, Duration::ZERO);
}

fn take(lanes: &mut Lanes) -> Option<(u64, i64)> {
    lanes.take().map(|taken| (taken.number, taken.record.offset))
}

fn positions(commits: &[Commit]) -> Vec<i64> {
    commits.iter().map(|commit| commit.position).collect()
}

#[test]
fn keys_go_side_by_side_and_each_in_its_order() {
    let mut lanes = with(&[ASKED]);
    feed(&mut lanes, vec![record(ASKED, 0, "a", 1), record(ASKED, 1, "a", 2), record(ASKED, 2, "b", 1)]);
    let (first, offset) = take(&mut lanes).unwrap();
    assert_eq!((offset, take(&mut lanes).unwrap().1, take(&mut lanes)), (0, 2, None), "one of each key is in hand");
    assert!(lanes.done(first) && !lanes.done(first), "a hand is emptied once");
    assert_eq!(take(&mut lanes).unwrap().1, 1);
}

#[test]
fn only_what_is_done_without_a_gap_is_committed() {
    let mut lanes = with(&[ASKED]);
    feed(&mut lanes, (0..3).map(|offset| record(ASKED, offset, &offset.to_string(), 1)).collect());
    let hands: Vec<u64> = (0..3).map(|_| take(&mut lanes).unwrap().0).collect();
    lanes.done(hands[1]);
    assert_eq!(positions(&lanes.commits()), [0]);
    lanes.done(hands[0]);
    let commits = lanes.commits();
    assert_eq!((positions(&commits), &*commits[0].beside), (vec![2], "open 0"));
    assert_eq!(lanes.commits(), [], "nothing new");
    lanes.not_committed(&commits);
    assert_eq!(lanes.commits(), commits, "a commit that failed comes again");
    assert_eq!((lanes.lag(part(ASKED), 10), lanes.lag(part(Topic::Sessions), 10)), (Some(8), None));
    lanes.done(hands[2]);
    assert_eq!(positions(&lanes.commits()), [3]);
}

#[test]
fn a_partition_that_leaves_takes_along_what_is_not_in_hand() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    let answer = record(Topic::Responses, 9, "a", 2);
    feed(&mut lanes, vec![record(ASKED, 0, "a", 1), record(ASKED, 1, "b", 1), answer]);
    let (held, _) = take(&mut lanes).unwrap();
    lanes.leave(&[part(ASKED)]);
    assert_eq!(take(&mut lanes), None, "b's record is gone, and a's answer waits for the question in hand");
    lanes.fetched(vec![record(ASKED, 2, "c", 1)], |_| false);
    lanes.admit(&BTreeSet::from([part(Topic::Responses)]), Duration::ZERO);
    assert!(lanes.holds(&[part(ASKED)]) && take(&mut lanes).is_none());
    let last = lanes.release(&[part(ASKED)]);
    assert_eq!(last, [Commit { part: part(ASKED), position: 0, beside: "1 1".into() }], "0 was handed out once");
    assert!(!lanes.done(held), "it was revoked");
    assert_eq!(take(&mut lanes).unwrap().1, 9, "what stays goes on");
}

#[test]
fn what_is_given_back_comes_first() {
    let mut lanes = with(&[ASKED]);
    feed(&mut lanes, vec![record(ASKED, 0, "a", 1), record(ASKED, 1, "a", 2)]);
    let (first, _) = take(&mut lanes).unwrap();
    lanes.give_back(first);
    assert!(!lanes.done(first));
    assert_eq!(take(&mut lanes).unwrap().1, 0);
}

#[test]
fn what_is_for_others_is_done_at_once() {
    let mut lanes = with(&[ASKED]);
    let read = vec![record(ASKED, 0, "a", 1), record(ASKED, 1, "b", 1)];
    assert!(lanes.fetched(read, |record| record.offset == 1), "there is something to commit");
    lanes.admit(&BTreeSet::new(), Duration::ZERO);
    let (held, _) = take(&mut lanes).unwrap();
    assert_eq!(take(&mut lanes), None);
    lanes.done(held);
    assert_eq!(positions(&lanes.commits()), [2]);
}

#[test]
fn a_full_partition_is_not_fetched_from_until_half_of_it_is_done() {
    let mut lanes = with(&[ASKED]);
    let full = i64::try_from(FULL).unwrap();
    feed(&mut lanes, (0..full).map(|offset| record(ASKED, offset, &offset.to_string(), 1)).collect());
    assert_eq!(lanes.flow(), [(part(ASKED), true)]);
    let mut done = 0;
    while lanes.flow().is_empty() {
        let (number, _) = take(&mut lanes).unwrap();
        lanes.done(number);
        done += 1;
    }
    assert_eq!(done, FULL / 2 + 1);
    let large = Fetched { value: Some(vec![0; FULL_BYTES].into()), ..record(ASKED, full, "large", 1) };
    feed(&mut lanes, vec![large]);
    assert_eq!(lanes.flow(), [(part(ASKED), true)], "a few large ones fill it too");
}

#[test]
fn a_question_waits_for_no_answer_but_an_answer_for_its_question() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    lanes.fetched(vec![record(Topic::Responses, 5, "a", 2)], |_| false);
    lanes.admit(&BTreeSet::new(), Duration::ZERO);
    assert_eq!(take(&mut lanes), None, "there may be an older question");
    lanes.fetched(vec![record(ASKED, 4, "a", 1)], |_| false);
    lanes.admit(&BTreeSet::new(), Duration::ZERO);
    let (question, offset) = take(&mut lanes).unwrap();
    assert_eq!((offset, take(&mut lanes)), (4, None));
    lanes.done(question);
    lanes.admit(&BTreeSet::from([part(ASKED)]), Duration::ZERO);
    let (answer, offset) = take(&mut lanes).unwrap();
    assert_eq!(offset, 5, "no more questions are there");
    lanes.done(answer);
    lanes.fetched(vec![record(Topic::Responses, 6, "b", 2)], |_| false);
    lanes.admit(&BTreeSet::new(), Duration::from_secs(7));
    assert_eq!(take(&mut lanes), None);
    lanes.admit(&BTreeSet::new(), Duration::from_secs(8));
    assert_eq!(take(&mut lanes).unwrap().1, 6, "it waits for a second at most");
}

/// As a relay leaves it that had to catch up: what two sessions did side by side is written session after session.
#[test]
fn a_younger_record_of_another_session_hides_no_older_one_from_the_other_topics() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    let records = |topic, of: &[(i64, &str, u64)]| {
        let record = |(offset, (at, key, seq)): (i64, &(i64, &str, u64))| Fetched {
            at: *at,
            ..record(topic, offset, key, *seq)
        };
        (0..).zip(of).map(record).collect::<Vec<_>>()
    };
    // The last one comes from a server whose clock is behind.
    let asked = records(ASKED, &[(539, "a", 1), (702, "b", 1), (622, "a", 5), (610, "b", 3)]);
    let answers = records(Topic::Responses, &[(552, "a", 2), (704, "c", 2), (606, "a", 4), (669, "a", 6)]);
    lanes.fetched([asked, answers].concat(), |_| false);
    let mut taken = Vec::new();
    // First with what goes before it is known whether there is more, then with the rest.
    for caught_up in [Vec::new(), lanes.assigned()] {
        lanes.admit(&caught_up.into_iter().collect(), Duration::ZERO);
        while let Some(hand) = lanes.take() {
            taken.push((hand.record.key_text(), hand.record.seq().unwrap()));
            lanes.done(hand.number);
        }
    }
    let of = |key: &str| taken.iter().filter(|(of, _)| of == key).map(|(_, seq)| *seq).collect::<Vec<_>>();
    assert_eq!((of("a"), of("b")), (vec![1, 2, 4, 5, 6], vec![1, 3]));
}

/// Else a member that has much to read would give up the order once a second.
#[test]
fn a_partition_of_which_something_comes_is_waited_for_anew() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    let nobody = BTreeSet::new();
    lanes.fetched(vec![record(Topic::Responses, 5, "a", 2)], |_| false);
    lanes.admit(&nobody, Duration::ZERO);
    lanes.fetched(vec![record(ASKED, 4, "a", 1)], |_| false);
    lanes.admit(&nobody, Duration::from_millis(600));
    let (question, _) = take(&mut lanes).unwrap();
    lanes.done(question);
    lanes.admit(&nobody, Duration::from_millis(1100));
    assert_eq!(take(&mut lanes), None, "the next may be an older question");
    lanes.admit(&nobody, Duration::from_millis(1600));
    assert_eq!(take(&mut lanes).unwrap().1, 5);
}

/// As where a broker is away, and others have so much that the hands get new work all the time.
#[test]
fn a_partition_of_which_nothing_comes_is_waited_for_no_longer_where_others_are_busy() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    let elsewhere = Part { number: 1, topic: ASKED };
    lanes.assign(elsewhere, Some(0), Before::default());
    lanes.fetched(vec![record(Topic::Responses, 5, "answer", 2)], |_| false);
    let mut came = Vec::new();
    for step in 0..12_u64 {
        let more = Fetched { part: elsewhere, ..record(ASKED, step as i64, &step.to_string(), 1) };
        lanes.fetched(vec![more], |_| false);
        // Every other time the hands have work.
        if !lanes.admit_certain(true).is_empty() {
            lanes.admit(&BTreeSet::new(), Duration::from_millis(100 * step));
        }
        if step % 2 == 1 {
            while let Some(hand) = lanes.take() {
                came.extend((hand.record.part == part(Topic::Responses)).then_some(step));
                lanes.done(hand.number);
            }
        }
    }
    assert_eq!(came, [11], "after a second");
}

#[test]
fn a_partition_of_which_something_comes_late_is_waited_for_anew() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    lanes.fetched(vec![record(Topic::Responses, 5, "a", 2)], |_| false);
    lanes.admit(&BTreeSet::new(), Duration::ZERO);
    assert_eq!((lanes.admit_certain(false), take(&mut lanes)), (vec![part(ASKED)], None));
    // Perhaps not the last one.
    lanes.fetched(vec![record(ASKED, 3, "a", 1)], |_| false);
    lanes.admit(&BTreeSet::new(), Duration::from_secs(5));
    let (question, offset) = take(&mut lanes).unwrap();
    lanes.done(question);
    assert_eq!((offset, take(&mut lanes)), (3, None), "the next one is waited for anew");
    lanes.admit(&BTreeSet::new(), Duration::from_secs(6));
    assert_eq!(take(&mut lanes).unwrap().1, 5);
}

#[test]
fn what_there_is_no_room_for_is_waited_for_however_long_that_takes() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    let full = i64::try_from(FULL).unwrap();
    feed(&mut lanes, (0..full).map(|offset| record(ASKED, offset, &offset.to_string(), 1)).collect());
    let hands: Vec<u64> = (0..full).map(|_| take(&mut lanes).unwrap().0).collect();
    assert_eq!(lanes.flow(), [(part(ASKED), true)]);
    lanes.fetched(vec![record(Topic::Responses, full + 1, "a", 2)], |_| false);
    let at = |lanes: &mut Lanes, ms| {
        let awaited = lanes.admit_certain(false);
        lanes.admit(&BTreeSet::new(), Duration::from_millis(ms));
        (awaited == [part(ASKED)], take(lanes).is_none())
    };
    assert_eq!([0, 5000, 10_000].map(|ms| at(&mut lanes, ms)), [(true, true); 3]);
    hands.into_iter().for_each(|hand| assert!(lanes.done(hand)));
    assert_eq!(lanes.flow(), [(part(ASKED), false)], "there is room again");
    assert_eq!(at(&mut lanes, 10_900), (true, true), "which does not mean that it was read at once");
    assert_eq!(at(&mut lanes, 11_100), (true, false));
}

#[test]
fn a_client_that_goes_back_is_noticed() {
    let mut lanes = with(&[ASKED, Topic::Responses]);
    feed(&mut lanes, (0..3).map(|offset| record(ASKED, offset, "a", 1)).collect());
    lanes.stands_at(part(ASKED), 3);
    lanes.stands_at(part(Topic::Responses), 0);
    assert_eq!(lanes.went_back, BTreeSet::new(), "each is where it was read up to");
    lanes.stands_at(part(ASKED), 2);
    assert_eq!(std::mem::take(&mut lanes.went_back), BTreeSet::from([ASKED]), "by its place");
    feed(&mut lanes, vec![record(ASKED, 1, "b", 1)]);
    assert_eq!(lanes.went_back, BTreeSet::from([ASKED]), "by a record");
    assert_eq!(lanes.begin_anew(ASKED), [part(ASKED)]);
    lanes.went_back.clear();
    feed(&mut lanes, vec![record(ASKED, 0, "c", 1)]);
    assert_eq!(lanes.went_back, BTreeSet::new(), "it was told to begin anew");
}

#[test]
fn what_is_in_hand_when_the_client_goes_back_commits_nothing_that_others_now_stand_for() {
    let mut lanes = with(&[ASKED]);
    feed(&mut lanes, (0..4).map(|offset| record(ASKED, offset, &format!("old{offset}"), 1)).collect());
    let old: Vec<u64> = (0..4).map(|_| take(&mut lanes).unwrap().0).collect();
    // The log was cut off behind its second record, and others were written.
    feed(&mut lanes, (2..4).map(|offset| record(ASKED, offset, &format!("new{offset}"), 1)).collect());
    old.iter().for_each(|hand| assert!(lanes.done(*hand)));
    assert_eq!(lanes.commits(), [], "it may be another topic");
    lanes.went_back.clear();
    assert_eq!(positions(&lanes.commits()), [2], "those before are done, and the new ones are not");
    lanes.went_back.insert(ASKED);
    while let Some((number, _)) = take(&mut lanes) {
        assert!(lanes.done(number));
    }
    assert_eq!(lanes.parts[&part(ASKED)].bytes, 0);
    assert_eq!(lanes.release(&[part(ASKED)]), [], "nor is it committed at the last before it is known");
}

#[test]
fn what_is_in_hand_of_a_topic_that_was_made_anew_commits_nothing_in_the_new_one() {
    let mut lanes = with(&[ASKED]);
    feed(&mut lanes, (0..3).map(|offset| record(ASKED, 980 + offset, "a", offset as u64 + 1)).collect());
    let (old, _) = take(&mut lanes).unwrap();
    assert_eq!(lanes.begin_anew(ASKED), [part(ASKED)]);
    assert_eq!(positions(&lanes.commits()), [0], "the start of the new one");
    feed(&mut lanes, (0..2).map(|offset| record(ASKED, offset, "b", offset as u64 + 1)).collect());
    assert!(lanes.done(old));
    assert_eq!(positions(&lanes.commits()), [] as [i64; 0]);
    while let Some((number, _)) = take(&mut lanes) {
        assert!(lanes.done(number), "the rest of the old one is worked off as well");
    }
    assert_eq!(positions(&lanes.commits()), [2]);
}
