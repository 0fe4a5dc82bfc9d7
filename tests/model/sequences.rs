//! How sequences are made, so that calls meet often: few owners, few keys, and mostly the newest of everything. The simplest
//! choice stands first, since that is what a sequence is shortened to.

use crate::op::{From, Holder, Limits, Op, Pick, Place, Sequence, Span, Who, Words};
use chatcore::message::Status;
use proptest::collection::vec;
use proptest::prelude::*;

/// How many operations a sequence has at most.
const LONGEST: usize = 80;

/// Sequences. Where a call is cut off while its slot moves, there are more of these, and more that such a call is about: deletions,
/// and turns with a text, of whose sessions all keys are there.
pub(crate) fn sequences(moves: bool) -> impl Strategy<Value = Sequence> {
    (limits(), vec(op(moves), 1..LONGEST))
}

fn limits() -> impl Strategy<Value = Limits> {
    let rarely = |strategy: std::ops::Range<u64>| prop_oneof![3 => Just(None), 1 => strategy.prop_map(Some)];
    let limits = (rarely(2..6), rarely(1..4), rarely(4..12));
    limits.prop_map(|(messages, sessions, queue)| Limits { messages, sessions, queue })
}

fn op(moves: bool) -> impl Strategy<Value = Op> {
    let [extends, deletes, amids] = if moves { [12, 8, 16] } else { [8, 2, 4] };
    let (resend, finish) = ((pick(), rarely(), lease(), ttl()), (holder(), words(), status(), rarely()));
    prop_oneof![
        3 => look(),
        8 => ask(),
        6 => resend.prop_map(|(call, other, lease, ttl)| Op::Resend { call, other, lease, ttl }),
        3 => pick().prop_map(|call| Op::Repeat { call }),
        extends => extend(),
        6 => finish.prop_map(|(right, words, status, products)| Op::Finish { right, words, status, products }),
        2 => (who(), pick()).prop_map(|(who, turn)| Op::Stop { who, turn }),
        6 => (who(), pick(), from()).prop_map(|(who, turn, from)| Op::Follow { who, turn, from }),
        deletes => (who(), pick()).prop_map(|(who, session)| Op::Delete { who, session }),
        2 => any::<bool>().prop_map(|ann| Op::Adopt { ann }),
        3 => (grace(), any::<bool>()).prop_map(|(grace, one)| Op::CloseOrphans { grace, one }),
        2 => (any::<u8>(), rarely()).prop_map(|(which, refused)| Op::Settle { which, refused }),
        4 => Just(Op::Pass),
        1 => Just(Op::Crash),
        amids => prop_oneof![0u16..6, 0u16..400].prop_map(Op::CrashAmid),
    ]
}

fn ask() -> impl Strategy<Value = Op> {
    let opener = prop_oneof![Just(Who::Ann), Just(Who::Bob), Just(Who::Guest)];
    let place = prop_oneof![
        3 => opener.prop_map(Place::New),
        4 => pick().prop_map(Place::Session),
        1 => Just(Place::Unknown),
    ];
    let key = prop_oneof![3 => Just(0u8), 2 => 1u8..4];
    (who(), place, key, rarely(), lease(), ttl(), 0usize..4, rarely()).prop_map(
        |(who, place, key, other, lease, ttl, window, free)| Op::Ask {
            who,
            place,
            key,
            other,
            lease,
            ttl,
            window,
            free,
        },
    )
}

fn extend() -> impl Strategy<Value = Op> {
    let skip = prop_oneof![4 => Just(0i8), 2 => -3i8..0, 1 => 1i8..3];
    (holder(), skip, 0usize..6, lease()).prop_map(|(right, skip, length, lease)| Op::Extend {
        right,
        skip,
        length,
        lease,
    })
}

fn look() -> impl Strategy<Value = Op> {
    let before = prop_oneof![Just(None), (0u64..8).prop_map(Some), Just(Some(u64::MAX))];
    prop_oneof![
        (who(), pick()).prop_map(|(who, session)| Op::Session { who, session }),
        (who(), 1usize..4).prop_map(|(who, limit)| Op::Sessions { who, limit }),
        (who(), pick(), before, 0usize..4).prop_map(|(who, session, before, limit)| Op::Messages {
            who,
            session,
            before,
            limit
        }),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![8 => Just(Who::Theirs), 1 => Just(Who::Ann), 2 => Just(Who::Bob), 3 => Just(Who::Guest)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![4 => Just(0u8), 3 => 1u8..3, 1 => 3u8..12]
}

fn holder() -> impl Strategy<Value = Holder> {
    prop_oneof![5 => pick().prop_map(Holder::Any), 1 => pick().prop_map(Holder::Replaced)]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop_oneof![5 => Just(false), 1 => Just(true)]
}

fn lease() -> impl Strategy<Value = Span> {
    prop_oneof![4 => Just(Span::Short), 1 => Just(Span::Long)]
}

fn ttl() -> impl Strategy<Value = Span> {
    prop_oneof![10 => Just(Span::Long), 1 => Just(Span::Double), 1 => Just(Span::Short)]
}

fn grace() -> impl Strategy<Value = Span> {
    prop_oneof![2 => Just(Span::None), 2 => Just(Span::Short), 1 => Just(Span::Long)]
}

fn words() -> impl Strategy<Value = Words> {
    prop_oneof![2 => Just(Words::Shown), 2 => (-2i8..4).prop_map(Words::Than), 1 => Just(Words::Other)]
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Completed), Just(Status::Fallback), Just(Status::Failed), Just(Status::Cancelled)]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        1 => Just(From::Start),
        4 => (pick(), 0usize..16).prop_map(|(right, offset)| From::Of(right, offset)),
        1 => (0usize..16).prop_map(From::Replaced),
    ]
}
