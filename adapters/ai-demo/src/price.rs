//! Price limits in a sentence: "dưới 30 triệu", "from 15 to 20 million", "khoảng 500k".

use crate::vocabulary::{AFTER, BOUNDS, Bound, FILLERS, MEASURES, unit};

/// From how much to how much, in VND, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
}

impl Price {
    /// Whether there is a limit at all.
    pub(crate) fn is_limited(&self) -> bool {
        *self != Self::default()
    }

    /// Whether a price keeps the limits.
    pub(crate) fn allows(&self, price: u64) -> bool {
        self.min.is_none_or(|min| price >= min) && self.max.is_none_or(|max| price <= max)
    }

    fn narrow(&mut self, other: Self) {
        self.min = self.min.max(other.min);
        self.max = self.max.into_iter().chain(other.max).min();
    }
}

/// Takes all limits out of the words; where they stood, a `,` stands.
pub(crate) fn take(words: &mut [String]) -> Price {
    let (mut price, mut at) = (Price::default(), 0);
    while at < words.len() {
        at = match range(words, at).or_else(|| single(words, at)) {
            Some(found) => {
                price.narrow(found.price);
                words[found.from..found.to].fill(",".into());
                found.to
            }
            None => at + 1,
        };
    }
    price
}

/// A limit, and which words say it.
struct Found {
    price: Price,
    from: usize,
    to: usize,
}

/// A number with the unit behind it, as far as there is one.
struct Amount {
    number: f64,
    unit: Option<f64>,
    end: usize,
}

/// "15-20tr", "from 15 to 20 million", "giữa 15tr và 20tr": one unit serves for both.
fn range(words: &[String], at: usize) -> Option<Found> {
    let low = amount(words, at)?;
    let between = at > 0 && matches!(words[at - 1].as_str(), "giua" | "between");
    match words.get(low.end)?.as_str() {
        "-" | "den" | "toi" | "to" => {}
        "va" | "and" if between => {}
        _ => return None,
    }
    let high = amount(words, low.end + 1)?;
    let large = |amount: &Amount| (amount.number >= 100_000.0).then_some(1.0);
    let low_price = vnd(low.number, low.unit.or(high.unit).or(large(&low))?);
    let high_price = vnd(high.number, high.unit.or(low.unit).or(large(&high))?);
    let price = Price { min: Some(low_price.min(high_price)), max: Some(low_price.max(high_price)) };
    let from = before(words, at).map_or(at, |before| before.from);
    Some(Found { price, from, to: high.end })
}

/// An amount with what stands before or behind it: "dưới 30tr", "20 million or more". Alone, it means about so much.
fn single(words: &[String], at: usize) -> Option<Found> {
    let amount = amount(words, at)?;
    let before = before(words, at);
    let unit = amount.unit.or_else(|| meant_unit(words, &amount, before.as_ref()))?;
    let price = vnd(amount.number, unit);
    let rest = &words[amount.end..];
    let after = AFTER.iter().find(|(phrase, _)| starts_with(rest, phrase));
    let bound = after.map(|(_, bound)| *bound).or(before.as_ref().map(|before| before.bound)).unwrap_or(Bound::Around);
    let price = match bound {
        Bound::Max => Price { min: None, max: Some(price) },
        Bound::Min => Price { min: Some(price), max: None },
        Bound::Around => {
            Price { min: Some(price - price / 100 * 15), max: Some(price.saturating_add(price / 100 * 15)) }
        }
    };
    let to = amount.end + after.map_or(0, |(phrase, _)| phrase.split(' ').count());
    Some(Found { price, from: before.map_or(at, |before| before.from), to })
}

/// What a number without a unit means: "dưới 30" is 30 million to anybody who asks for a phone.
fn meant_unit(words: &[String], amount: &Amount, before: Option<&Before>) -> Option<f64> {
    let measured = words.get(amount.end).is_some_and(|word| MEASURES.contains(&word.as_str()));
    match amount.number {
        _ if measured => None,
        100_000.0.. => Some(1.0),
        _ if !before.is_some_and(|before| before.bare) => None,
        ..100.0 => Some(1e6),
        ..1000.0 => Some(1e3),
        _ => Some(1.0),
    }
}

/// What stands before an amount.
struct Before {
    bound: Bound,
    /// A small number without a unit counts too.
    bare: bool,
    from: usize,
}

fn before(words: &[String], at: usize) -> Option<Before> {
    let filled = words[..at].iter().rev().take(3).take_while(|word| FILLERS.contains(&word.as_str())).count();
    let words = &words[..at - filled];
    let found =
        BOUNDS.iter().filter(|(phrase, ..)| ends_with(words, phrase)).max_by_key(|(phrase, ..)| phrase.len())?;
    let (phrase, bound, bare) = *found;
    let from = words.len() - phrase.split(' ').count();
    let this = Before { bound, bare, from };
    // "dưới khoảng 30 triệu" is a limit all the same.
    match before(words, from) {
        Some(outer) if bound == Bound::Around && outer.bound != Bound::Around => Some(outer),
        _ => Some(this),
    }
}

/// "30 triệu", "30tr", "2tr5", "15 triệu rưỡi", "30.000.000đ", "1,5 million", or a bare "30".
fn amount(words: &[String], at: usize) -> Option<Amount> {
    let word = words.get(at)?;
    let (digits, rest) = word.split_at(word.find(|letter: char| letter.is_ascii_lowercase()).unwrap_or(word.len()));
    let (letters, tail) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(rest.len()));
    let mut amount = Amount { number: number(digits)?, unit: None, end: at + 1 };
    if letters.is_empty() {
        amount.unit = words.get(at + 1).and_then(|next| unit(next));
        amount.end += usize::from(amount.unit.is_some());
    } else {
        amount.unit = Some(unit(letters)?);
        if !tail.is_empty() {
            amount.number += format!("0.{tail}").parse::<f64>().ok()?;
        }
    }
    let next = |end: usize| words.get(end).map_or("", String::as_str);
    if amount.unit.is_some() && next(amount.end) == "ruoi" {
        amount.number += 0.5;
        amount.end += 1;
    }
    if amount.unit.is_some() && matches!(next(amount.end), "dong" | "vnd" | "d") {
        amount.end += 1;
    }
    Some(amount)
}

/// Groups of three digits behind dots or commas are thousands, anything else behind a single one is a fraction.
fn number(digits: &str) -> Option<f64> {
    let mut groups = digits.split(['.', ',']);
    let first = groups.next().filter(|first| first.starts_with(|letter: char| letter.is_ascii_digit()))?;
    let rest: Vec<&str> = groups.collect();
    match rest.as_slice() {
        [] => first.parse().ok(),
        rest if rest.iter().all(|group| group.len() == 3) => format!("{first}{}", rest.concat()).parse().ok(),
        [fraction] => format!("{first}.{fraction}").parse().ok(),
        _ => None,
    }
}

/// A cast of a float ends at the largest number, however large the float is.
fn vnd(number: f64, unit: f64) -> u64 {
    (number * unit).round() as u64
}

fn starts_with(words: &[String], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase.split(' ').all(|part| words.next().is_some_and(|word| word == part))
}

fn ends_with(words: &[String], phrase: &str) -> bool {
    let mut words = words.iter().rev();
    phrase.rsplit(' ').all(|part| words.next().is_some_and(|word| word == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_understood_in_both_languages() {
        let million = |number: f64| Some((number * 1e6) as u64);
        for (text, min, max) in [
            ("dưới 30 triệu", None, million(30.0)),
            ("gia duoi 30tr", None, million(30.0)),
            ("dưới mức giá khoảng 30 triệu đồng", None, million(30.0)),
            ("không quá 500k", None, million(0.5)),
            ("tối đa 30.000.000đ", None, million(30.0)),
            ("15 triệu rưỡi trở xuống", None, million(15.5)),
            ("ngân sách 20tr", None, million(20.0)),
            ("tôi có 20 triệu", None, million(20.0)),
            ("< 1,5 triệu", None, million(1.5)),
            ("dưới 30", None, million(30.0)),
            ("dưới 800", None, million(0.8)),
            ("under 500k", None, million(0.5)),
            ("up to 30,000,000 VND", None, million(30.0)),
            ("a budget of 2.5 million", None, million(2.5)),
            ("20 million or less", None, million(20.0)),
            ("trên 10tr", million(10.0), None),
            ("hơn 2tr5", million(2.5), None),
            ("từ 10 triệu", million(10.0), None),
            ("10 triệu trở lên", million(10.0), None),
            ("more than 1.200.000", million(1.2), None),
            ("at least 20m", million(20.0), None),
            ("không dưới 20 triệu", million(20.0), None),
            ("từ 15 đến 20 triệu", million(15.0), million(20.0)),
            ("15-20tr", million(15.0), million(20.0)),
            ("giữa 15tr và 20tr", million(15.0), million(20.0)),
            ("from 15 to 20 million", million(15.0), million(20.0)),
            ("between 500k and 1 million", million(0.5), million(1.0)),
            ("20 – 15 triệu", million(15.0), million(20.0)),
            ("trên 15 triệu nhưng dưới 20 triệu", million(15.0), million(20.0)),
            ("khoảng 20 triệu", million(17.0), million(23.0)),
            ("around 20 million", million(17.0), million(23.0)),
            ("20 triệu", million(17.0), million(23.0)),
            ("dưới 1 tỷ", None, million(1000.0)),
            ("dưới 99999999999999999999999999 tỷ", None, Some(u64::MAX)),
            ("trên 55 inch", None, None),
            ("iPhone 15 Pro 256GB, 5G, 20W, M2", None, None),
            ("iPhone 13 - 15", None, None),
            ("about 2 phones", None, None),
            ("1.2.3 triệu", None, None),
            ("", None, None),
        ] {
            assert_eq!(take(&mut crate::text::words(text)), Price { min, max }, "{text}");
        }
    }

    #[test]
    fn the_words_of_a_limit_are_taken_out() {
        let mut words = crate::text::words("laptop giá từ 15 đến 20 triệu của Dell");
        take(&mut words);
        assert_eq!(words.join(" "), "laptop gia , , , , , cua dell");
    }
}
