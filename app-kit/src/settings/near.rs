//! Which setting a misspelt name may mean.

/// The known name that an unknown one resembles: another case, a slip or two, or a part left off or put on.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let upper = name.to_uppercase();
    let close = |candidate: &&&str| {
        let slips = distance(&upper, candidate);
        slips <= allowed(candidate) || is_part(&upper, candidate) || is_part(candidate, &upper)
    };
    known.iter().filter(close).min_by_key(|candidate| distance(&upper, candidate)).copied()
}

/// Short names are too near to what every environment holds: `PATH` is two letters from `PORT`.
fn allowed(name: &str) -> usize {
    match name.len() {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

fn is_part(short: &str, long: &str) -> bool {
    short.len() >= 6 && long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'))
}

/// How many letters must be changed, put in or taken out (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.chars().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_is_told_and_a_foreign_one_is_left_alone() {
        let known = ["PORT", "HOST", "AI", "JWT_SECRET_KEY", "SESSION_TTL", "AI_API_URL"];
        for (name, meant) in [
            ("port", Some("PORT")),
            ("PROT", None),
            ("PORTS", Some("PORT")),
            ("JWT_SECRET", Some("JWT_SECRET_KEY")),
            ("JWT_SECRT_KEY", Some("JWT_SECRET_KEY")),
            ("SESION_TLT", None),
            ("AI_URL_API", None),
            ("AI_API_URI", Some("AI_API_URL")),
            ("PATH", None),
            ("HOSTNAME", None),
            ("LANG", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
    }
}
