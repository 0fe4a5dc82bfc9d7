//! The table of settings as people read it: in the help, as `.env.example`, in the README, and with the
//! values of this start.

use super::table::{Spec, TABLE, all};
use std::fmt::Write;

/// Every setting, a line each; `***` where there is a value that is not to be shown.
pub(super) fn print<'a>(value: impl Fn(&'static Spec) -> Option<&'a str>) -> String {
    all().fold(String::new(), |mut lines, spec| {
        let shown = value(spec).map_or_else(|| "***".to_owned(), quoted);
        let _ = writeln!(lines, "{}={shown}", spec.name);
        lines
    })
}

/// What `--help` says of the settings.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "Settings come from the environment and from .env; each NAME may also be given as NAME_FILE, the path of a file\n\
         that holds the value. Times: 500ms, 30s, 5m, 24h, 7d, or a number of seconds.\n",
    );
    for group in TABLE {
        let _ = writeln!(text, "\n{}:", group.title);
        for spec in group.specs {
            let default = if spec.default.is_empty() { String::new() } else { format!(" [{}]", spec.default) };
            let _ = writeln!(text, "  {:<22} {}{default}", spec.name, spec.about);
        }
    }
    text
}

/// The file `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Settings: copy this file to .env and take the # away from what you want to change. Every NAME may also be given\n\
         # as NAME_FILE, the path of a file that holds the value. `app-http --check-config` tells what is wrong with them.\n\
         # A value with spaces stands in quotes that close on its line, one with $ in single quotes: 'a b', 'pa$$word'.\n",
    );
    for group in TABLE {
        let _ = writeln!(text, "\n## {}", group.title);
        for spec in group.specs {
            let _ = writeln!(text, "\n# {}\n#{}={}", spec.about, spec.name, quoted(spec.default));
        }
    }
    text
}

/// The table in the README, as Markdown.
#[must_use]
pub fn readme_table() -> String {
    let mut text = String::from("| setting | unless given | what it is for |\n|---|---|---|\n");
    for group in TABLE {
        let _ = writeln!(text, "| **{}** | | |", group.title);
        for spec in group.specs {
            let default = if spec.default.is_empty() { String::new() } else { format!("`{}`", spec.default) };
            let secret = if spec.secret { " Secret: it is shown as `***`." } else { "" };
            let _ = writeln!(text, "| `{}` | {default} | {}{secret} |", spec.name, spec.about.replace('|', "\\|"));
        }
    }
    text
}

/// As `.env` takes it: in quotes where there is anything but plain characters.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/,*=@+".contains(&byte);
    if value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n"))
}
