//! Which setting a misspelt name may mean.

use strsim::osa_distance;

/// What others call a setting of ours.
const ELSEWHERE: [(&str, &str); 2] =
    [("KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"), ("ALLOWED_ORIGINS", "CORS_ALLOWED_ORIGINS")];

/// The known name that an unknown one resembles: another case, a slip or two, or words left off or put on.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let upper = name.to_uppercase();
    let ours = ELSEWHERE.iter().find(|(other, _)| osa_distance(&upper, other) < 2).map(|(_, ours)| *ours);
    let close = |candidate: &&&str| {
        // Letters changed, put in, taken out or swapped.
        let slips = osa_distance(&upper, candidate);
        slips <= allowed(candidate)
            || is_part(&upper, candidate)
            || is_part(candidate, &upper)
            || is_short_for(&upper, candidate)
            || ours == Some(**candidate)
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

/// Whether all its words stand in the long one in this order, from the first on, whole or the beginning of one.
fn is_short_for(short: &str, long: &str) -> bool {
    let mut words = long.split('_');
    let mut short = short.split('_');
    let begins = short.next().is_some_and(|first| words.next() == Some(first));
    let mut rest = short.peekable();
    begins && rest.peek().is_some() && rest.all(|word| words.any(|other| is_form(word, other)))
}

/// Whether two words are the same but for their ends: `PASS` and `PASSWORD`, `PROXY` and `PROXIES`.
fn is_form(word: &str, other: &str) -> bool {
    let alike = word.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    word == other || (alike >= 4 && word.len() - alike <= 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_is_told_and_a_foreign_one_is_left_alone() {
        let known: Vec<_> = crate::settings::table::all().map(|spec| spec.name).collect();
        for (name, meant) in [
            ("port", Some("PORT")),
            ("PROT", Some("PORT")),
            ("PROTS", None),
            ("PORTS", Some("PORT")),
            ("JWT_SECRET", Some("JWT_SECRET_KEY")),
            ("JWT_SECRT_KEY", Some("JWT_SECRET_KEY")),
            ("SESION_TLT", Some("SESSION_TTL")),
            ("AI_URL_API", None),
            ("AI_URL", Some("AI_API_URL")),
            ("AI_KEY", Some("AI_API_KEY")),
            ("JWT_KEY", Some("JWT_SECRET_KEY")),
            ("TRUSTED_PROXY", Some("TRUSTED_PROXIES")),
            ("CORS_ORIGINS", Some("CORS_ALLOWED_ORIGINS")),
            ("CORS_ORIGIN", Some("CORS_ALLOWED_ORIGINS")),
            ("ALLOWED_ORIGINS", Some("CORS_ALLOWED_ORIGINS")),
            ("REDIS_PASS", Some("REDIS_PASSWORD")),
            ("KAFKA_BROKERS", Some("KAFKA_BOOTSTRAP_SERVERS")),
            ("KAFKA_BROKER", Some("KAFKA_BOOTSTRAP_SERVERS")),
            ("KAFKA_PASSWORD", Some("KAFKA_SASL_PASSWORD")),
            ("KAFKA_HOME", None),
            ("REDIS_SERVICE_HOST", None),
            ("HTTP_PROXY", None),
            ("DATABASE_URL", None),
            ("LOG_DIR", None),
            ("AI_API_URI", Some("AI_API_URL")),
            ("PATH", None),
            ("HOSTNAME", None),
            ("LANG", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
    }
}
