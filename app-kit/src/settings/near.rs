//! Which setting a misspelt name may mean.

use strsim::osa_distance;

/// The known name that an unknown one resembles: another case, a slip or two, or a part left off or put on.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let upper = name.to_uppercase();
    let close = |candidate: &&&str| {
        // Letters changed, put in, taken out or swapped.
        let slips = osa_distance(&upper, candidate);
        slips <= allowed(candidate) || is_part(&upper, candidate) || is_part(candidate, &upper)
    };
    known.iter().filter(close).min_by_key(|candidate| osa_distance(&upper, candidate)).copied()
}

/// Short names are too near to what every environment holds: `PATH` is two slips from `PORT`.
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

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_is_told_and_a_foreign_one_is_left_alone() {
        let known = ["PORT", "HOST", "AI", "JWT_SECRET_KEY", "SESSION_TTL", "AI_API_URL"];
        for (name, meant) in [
            ("port", Some("PORT")),
            ("PROT", Some("PORT")),
            ("PROTS", None),
            ("PORTS", Some("PORT")),
            ("JWT_SECRET", Some("JWT_SECRET_KEY")),
            ("JWT_SECRT_KEY", Some("JWT_SECRET_KEY")),
            ("SESION_TLT", Some("SESSION_TTL")),
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
