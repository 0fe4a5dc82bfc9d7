//! The words that are understood: Vietnamese ones without their marks, and English ones.

/// What an amount is to a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Max,
    Min,
    Around,
}

/// What stands before an amount, and whether a small number behind it needs no unit.
pub(crate) const BOUNDS: &[(&str, Bound, bool)] = &[
    ("<", Bound::Max, true),
    ("duoi", Bound::Max, true),
    ("khong qua", Bound::Max, true),
    ("khong hon", Bound::Max, true),
    ("khong vuot qua", Bound::Max, true),
    ("toi da", Bound::Max, true),
    ("it hon", Bound::Max, true),
    ("nho hon", Bound::Max, true),
    ("thap hon", Bound::Max, true),
    ("re hon", Bound::Max, true),
    ("ngan sach", Bound::Max, true),
    ("den", Bound::Max, false),
    ("co", Bound::Max, false),
    ("voi", Bound::Max, false),
    ("under", Bound::Max, true),
    ("below", Bound::Max, true),
    ("less than", Bound::Max, true),
    ("lower than", Bound::Max, true),
    ("cheaper than", Bound::Max, true),
    ("at most", Bound::Max, true),
    ("no more than", Bound::Max, true),
    ("not more than", Bound::Max, true),
    ("up to", Bound::Max, true),
    ("maximum", Bound::Max, true),
    ("budget", Bound::Max, true),
    ("max", Bound::Max, false),
    ("have", Bound::Max, false),
    ("within", Bound::Max, false),
    ("with", Bound::Max, false),
    (">", Bound::Min, true),
    ("tren", Bound::Min, true),
    ("it nhat", Bound::Min, true),
    ("toi thieu", Bound::Min, true),
    ("khong duoi", Bound::Min, true),
    ("lon hon", Bound::Min, true),
    ("cao hon", Bound::Min, true),
    ("dat hon", Bound::Min, true),
    ("mac hon", Bound::Min, true),
    ("hon", Bound::Min, false),
    ("tu", Bound::Min, false),
    ("over", Bound::Min, true),
    ("above", Bound::Min, true),
    ("more than", Bound::Min, true),
    ("more expensive than", Bound::Min, true),
    ("at least", Bound::Min, true),
    ("not less than", Bound::Min, true),
    ("no less than", Bound::Min, true),
    ("minimum", Bound::Min, true),
    ("from", Bound::Min, false),
    ("~", Bound::Around, false),
    ("khoang", Bound::Around, false),
    ("tam", Bound::Around, false),
    ("gan", Bound::Around, false),
    ("xap xi", Bound::Around, false),
    ("quanh", Bound::Around, false),
    ("giua", Bound::Around, false),
    ("around", Bound::Around, false),
    ("about", Bound::Around, false),
    ("approximately", Bound::Around, false),
    ("roughly", Bound::Around, false),
    ("between", Bound::Around, false),
];

/// What stands behind an amount.
pub(crate) const AFTER: &[(&str, Bound)] = &[
    ("tro xuong", Bound::Max),
    ("tro lai", Bound::Max),
    ("do lai", Bound::Max),
    ("or less", Bound::Max),
    ("or below", Bound::Max),
    ("or under", Bound::Max),
    ("tro len", Bound::Min),
    ("or more", Bound::Min),
    ("or above", Bound::Min),
    ("and up", Bound::Min),
    ("and above", Bound::Min),
];

/// What may stand between a bound and its amount.
pub(crate) const FILLERS: &[&str] =
    &["gia", "muc", "tien", "la", "chi", "price", "priced", "at", "of", "the", "a", "an", "is"];

/// A number before one of these is no price.
pub(crate) const MEASURES: &[&str] = &[
    "inch", "inches", "gb", "tb", "mah", "mp", "hz", "mm", "cm", "kg", "w", "nam", "tuoi", "years", "usd", "dollars",
    "cai", "chiec", "nguoi", "people", "pieces",
];

/// How many VND a unit is.
pub(crate) fn unit(word: &str) -> Option<f64> {
    match word {
        "trieu" | "tr" | "m" | "mil" | "mio" | "million" | "millions" => Some(1e6),
        "k" | "nghin" | "ngan" | "thousand" => Some(1e3),
        "ty" | "billion" => Some(1e9),
        "d" | "dong" | "vnd" => Some(1.0),
        _ => None,
    }
}

/// A category of the catalogue: its name there, in Vietnamese, in English, and what people say for it.
type Category = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CATEGORIES: &[Category] = &[
    (
        "phone",
        "điện thoại",
        "phones",
        &["dien thoai", "di dong", "dtdd", "smartphone", "smartphones", "phone", "phones"],
    ),
    (
        "laptop",
        "laptop",
        "laptops",
        &["laptop", "laptops", "may tinh xach tay", "may tinh", "notebook", "notebooks", "computer", "computers"],
    ),
    ("tablet", "máy tính bảng", "tablets", &["may tinh bang", "tablet", "tablets"]),
    (
        "headphones",
        "tai nghe",
        "headphones",
        &["tai nghe", "headphone", "headphones", "earphones", "earbuds", "headset", "headsets"],
    ),
    ("watch", "đồng hồ", "watches", &["dong ho", "vong deo tay", "watch", "watches", "smartwatch", "smartwatches"]),
    ("tv", "tivi", "TVs", &["tivi", "ti vi", "tv", "tvs", "television", "televisions"]),
    ("speaker", "loa", "speakers", &["loa", "speaker", "speakers"]),
    ("mouse", "chuột", "mice", &["chuot", "mouse", "mice"]),
    ("keyboard", "bàn phím", "keyboards", &["ban phim", "keyboard", "keyboards"]),
    ("charger", "sạc", "chargers", &["cu sac", "bo sac", "sac", "charger", "chargers"]),
    (
        "power_bank",
        "sạc dự phòng",
        "power banks",
        &["sac du phong", "pin du phong", "power bank", "power banks", "powerbank"],
    ),
];

/// Every phrase for a category with the category's name in the catalogue, longest first, so that "máy tính bảng" is no
/// "máy tính".
pub(crate) fn category_phrases() -> Vec<(&'static str, &'static str)> {
    let phrases = CATEGORIES.iter().flat_map(|(id, _, _, phrases)| phrases.iter().map(move |phrase| (*phrase, *id)));
    let mut phrases: Vec<_> = phrases.collect();
    phrases.sort_by_key(|(phrase, _)| std::cmp::Reverse(phrase.len()));
    phrases
}

/// All categories by name, in Vietnamese and in English.
pub(crate) fn category_names() -> (Vec<&'static str>, Vec<&'static str>) {
    CATEGORIES.iter().map(|category| (category.1, category.2)).unzip()
}

/// Words of product names that are everyday words too: they count only right behind another word of a name.
pub(crate) const WEAK: &[&str] = &[
    "air", "band", "crystal", "go", "max", "mi", "nano", "note", "pad", "plus", "pro", "series", "slim", "tab", "tune",
    "ultra",
];

/// Short and plural forms of words of product names.
pub(crate) const ALIASES: &[(&str, &str)] = &[
    ("ip", "iphone"),
    ("iphones", "iphone"),
    ("ipads", "ipad"),
    ("mac", "macbook"),
    ("macbooks", "macbook"),
    ("airpod", "airpods"),
];

/// These part two products: "iPhone 15 hay Galaxy S24".
pub(crate) const OR: &[&str] = &[",", "hay", "hoac", "va", "voi", "or", "and", "vs", "versus", "with"];

pub(crate) const CHEAPEST: &[&str] =
    &["re nhat", "thap nhat", "cheapest", "least expensive", "lowest price", "most affordable"];
pub(crate) const DEAREST: &[&str] =
    &["dat nhat", "mac nhat", "cao nhat", "most expensive", "highest price", "priciest"];
pub(crate) const CHEAPER: &[&str] = &["re hon", "thap hon", "cheaper", "less expensive", "more affordable"];
pub(crate) const DEARER: &[&str] = &["dat hon", "mac hon", "cao hon", "more expensive", "pricier"];

/// These take up what was asked before: "còn Samsung thì sao?".
pub(crate) const GOES_ON: &[&str] = &["thi sao", "the con", "what about", "how about", "and what of"];

/// These do so too, as whole sentences: with a name beside them they ask for that.
pub(crate) const PRICE_ALONE: &[&str] =
    &["gia bao nhieu", "bao nhieu", "bao nhieu tien", "gia sao", "how much", "how much is it", "how much are they"];

/// These ask for goods, whatever they are.
pub(crate) const SEEKS: &[&str] = &[
    "tim",
    "mua",
    "co ban",
    "goi y",
    "tu van",
    "bao nhieu",
    "find",
    "search",
    "show me",
    "show",
    "buy",
    "looking for",
    "recommend",
    "suggest",
    "do you sell",
    "do you have",
    "how much",
];

/// These mean the whole catalogue.
pub(crate) const EVERYTHING: &[&str] = &[
    "san pham",
    "mat hang",
    "tat ca",
    "co gi",
    "products",
    "catalogue",
    "catalog",
    "everything",
    "what do you have",
    "what do you sell",
];

pub(crate) const GREETINGS: &[&str] =
    &["chao", "alo", "hello", "hi", "hey", "good morning", "good afternoon", "good evening", "greetings"];
pub(crate) const THANKS: &[&str] = &["cam on", "thank", "thanks", "thx", "many thanks"];
pub(crate) const GOODBYES: &[&str] = &["tam biet", "hen gap lai", "bye", "goodbye", "good bye", "see you"];
pub(crate) const HELP: &[&str] = &[
    "giup",
    "tro giup",
    "huong dan",
    "lam duoc gi",
    "lam gi",
    "help",
    "what can you do",
    "how does this work",
    "how do i",
    "how to",
];
pub(crate) const SMALLTALK: &[&str] = &[
    "ban la ai",
    "ban ten gi",
    "ban khoe khong",
    "khoe khong",
    "who are you",
    "how are you",
    "what are you",
    "your name",
    "are you a bot",
    "are you human",
    "are you real",
];

/// Words that only a sentence in that language has, once its marks are gone.
pub(crate) const VIETNAMESE: &[&str] = &[
    "alo", "ban", "bao", "biet", "cai", "cam", "can", "chao", "chiec", "chuot", "con", "dat", "den", "dien", "dong",
    "duoi", "duoc", "gia", "giua", "giup", "goi", "hay", "ho", "hoac", "hon", "khoang", "khong", "loa", "loai", "may",
    "mua", "muon", "nao", "nghe", "nghin", "ngan", "nhat", "phim", "qua", "re", "sac", "san", "sao", "tai", "tam",
    "thi", "thoai", "tim", "tivi", "toi", "tren", "trieu", "tu", "va", "voi", "xin",
];
pub(crate) const ENGLISH: &[&str] = &[
    "a",
    "about",
    "above",
    "and",
    "any",
    "around",
    "at",
    "below",
    "between",
    "buy",
    "bye",
    "can",
    "cheap",
    "cheaper",
    "cheapest",
    "expensive",
    "find",
    "for",
    "from",
    "good",
    "have",
    "hello",
    "help",
    "hey",
    "hi",
    "how",
    "i",
    "is",
    "less",
    "looking",
    "me",
    "million",
    "more",
    "most",
    "need",
    "of",
    "one",
    "ones",
    "or",
    "over",
    "phone",
    "phones",
    "price",
    "search",
    "show",
    "some",
    "thank",
    "thanks",
    "than",
    "that",
    "the",
    "them",
    "these",
    "those",
    "thousand",
    "to",
    "under",
    "want",
    "what",
    "which",
    "who",
    "with",
    "you",
];
