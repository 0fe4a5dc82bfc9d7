//! The lines of `.env`, each by itself, so that what is wrong with one hides none after it. A value ends on its line: quotes that
//! are not closed would swallow those that follow.

use super::source::is_ours;

/// What is wrong with a line, whatever it is: the line may hold a secret, which nobody is to see.
pub(super) const ADVICE: &str =
    "is malformed: put a value with spaces into quotes that close on the same line, one with $ into single quotes";

/// Stands in for `$` where dotenvy must not see one.
const DOLLAR: &str = "\u{e000}";

/// A name and its value, where the line has one.
type Pair = Option<(String, String)>;

/// What a line says; `None` where it is malformed. dotenvy puts other variables in for what follows a `$`, and cannot be told not to: a
/// setting that this would change is refused, or nobody would see that a password is another one.
pub(super) fn read(line: &str) -> Option<Pair> {
    let said = parse(line)?;
    let is_foreign = said.as_ref().is_some_and(|(name, _)| !is_ours(name));
    // Outside single quotes a `\` before it keeps it; there is none before what stands in for it.
    let kept = || without_dollars(line).or_else(|| without_dollars(&line.replace("\\$", "$")));
    (is_foreign || kept().as_ref() == Some(&said)).then_some(said)
}

/// What the line would say if a `$` were a letter like others.
fn without_dollars(line: &str) -> Option<Pair> {
    let said = parse(&line.replace('$', DOLLAR))?;
    Some(said.map(|(name, value)| (name, value.replace(DOLLAR, "$"))))
}

/// dotenvy takes an apostrophe in some comments for a quote: such a line is read without its comment.
fn parse(line: &str) -> Option<Pair> {
    let read = |line: &str| dotenvy::from_read_iter(line.trim_end().as_bytes()).next().transpose().ok();
    read(line).or_else(|| read(line.split_once(" #")?.0))
}

/// What a line that is malformed seems to give a value to.
pub(super) fn name(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_stands_there_or_it_is_refused() {
        for (line, value) in [
            ("APP_NAME=plain#1 # a comment with $HOME", Some("plain#1")),
            ("APP_NAME=plain  # it's a comment", Some("plain")),
            ("APP_NAME='a # b'", Some("a # b")),
            ("APP_NAME=\"a # b", None),
            ("APP_NAME='pa$$w0rd$x1'", Some("pa$$w0rd$x1")),
            (r"APP_NAME='back\$slash'", Some(r"back\$slash")),
            (r#"export APP_NAME="pa\$\$w0rd \\ \"x\"" "#, Some(r#"pa$$w0rd \ "x""#)),
            (r"APP_NAME=pa\$w0rd", Some("pa$w0rd")),
            ("APP_NAME=pa$$w0rd$x1", None),
            ("AI_MODEL=p#w$rd", None),
            ("APP_NAME=\"${HOME}\"", None),
            (r#"APP_NAME="a\$b$c""#, None),
            (r"APP_NAME='a\$b'$c", None),
            (r"APP_NAME=a\\$b", None),
            ("APP_NAME=ab${cd", None),
            ("APP_NAME=a$", None),
            ("APP_NAME=two words", None),
            ("APP_NAME=\"not closed", None),
            ("APP_NAME", None),
        ] {
            assert_eq!(read(line).map(|pair| pair.unwrap().1).as_deref(), value, "{line}");
            assert_eq!(name(line), if line.starts_with("AI") { "AI_MODEL" } else { "APP_NAME" });
        }
        assert!(["", "  ", " # $HOME 'not closed"].iter().all(|line| read(line) == Some(None)));
        let foreign = "COMPOSE_FILE=$HOME/compose.yml";
        assert!(
            read(foreign).flatten().is_some_and(|(name, _)| name == "COMPOSE_FILE"),
            "what others do with it is theirs"
        );
    }
}
