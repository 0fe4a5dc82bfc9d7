//! Texts around all limits of the document.

/// A session that is not there.
pub(crate) const SESSION: &str = "0190b6a0-abcd-4000-8000-000000000002";

/// Texts around all limits. None is invisible: that is said in words alone.
pub(crate) fn texts() -> Vec<String> {
    let lengths = [1, 7, 8, 9, 127, 128, 129, 254, 255, 256, 257, 999, 1000, 1001, 1023, 1024, 1025];
    let plain = lengths.map(|length| "x".repeat(length));
    let wide = [64, 65, 128, 129, 500, 501, 512, 513].map(|length| "ü".repeat(length));
    let cursors = [
        "0".repeat(47),
        "0".repeat(48),
        "0".repeat(49),
        format!("7{}", "f".repeat(47)),
        format!("8{}", "0".repeat(47)),
    ];
    let letters = (0x20..=0x7e_u8).map(|byte| format!("12345678{}", char::from(byte)));
    let strange =
        ["a\u{0}b2345678", "a\u{7f}b2345678", "a\u{80}b2345678", "a\u{9f}b2345678", "a\u{a0}b2345678", "a\nb2345678"];
    let ids = [
        SESSION.to_owned(),
        SESSION.to_uppercase(),
        SESSION.replace('-', ""),
        format!("{SESSION}0"),
        SESSION[1..].to_owned(),
    ];
    let words = ["reject", "cancel", "wait", "Wait", "later"];
    let strange = strange.into_iter().chain(words).map(str::to_owned);
    [String::new()]
        .into_iter()
        .chain(plain)
        .chain(wide)
        .chain(cursors)
        .chain(letters)
        .chain(strange)
        .chain(ids)
        .collect()
}

/// Ids of events, and what looks like one.
pub(crate) fn marks() -> impl Iterator<Item = String> {
    let nines = |length: usize| "9".repeat(length);
    let long = [19, 20].map(|length| [format!("{}-1", nines(length)), format!("1-{}", nines(length))]);
    let short = ["0-0", "7-3", "007-03", "7-end", "7-", "-3", "7", "7-x", "+7-3", "7-+3", "7-3-1", "7-END", "end"];
    short.map(str::to_owned).into_iter().chain(long.into_iter().flatten())
}

/// Keys in quotes, and such that are not.
pub(crate) fn keys() -> Vec<String> {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let texts = [r#""abc""#, r#""a\"b\\c""#, r#""abc"#, r#""a"b"#, r#""a\b""#, r#""""#, r#""a b""#, r#"""#, r#"abc""#];
    texts.map(str::to_owned).into_iter().chain([255, 256].map(long)).collect()
}
