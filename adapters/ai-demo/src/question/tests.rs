//! What sentences mean, in a table.

use super::*;

/// A question on one line: language, categories, names, price, pick, what else.
fn shown(question: &Question) -> String {
    let mut parts = vec![match question.language {
        Some(Language::Vietnamese) => "vi".to_owned(),
        Some(Language::English) => "en".to_owned(),
        None => "??".to_owned(),
    }];
    parts.extend(question.terms.categories.iter().map(ToString::to_string));
    parts.extend(question.terms.names.iter().map(|name| format!("[{}]", name.join(" "))));
    let limit = |limit: Option<u64>| limit.map_or(String::new(), |vnd| format!("{}k", vnd / 1000));
    if question.price.is_limited() {
        parts.push(format!("{}..{}", limit(question.price.min), limit(question.price.max)));
    }
    parts.extend(question.pick.map(|pick| format!("{pick:?}")));
    parts.extend(question.terms.everything.then(|| "all".to_owned()));
    parts.extend(question.goes_on.then(|| "on".to_owned()));
    parts.extend(question.talk.map(|talk| format!("{talk:?}")));
    parts.join(" ")
}

#[test]
fn sentences_of_both_languages_are_understood() {
    let catalogue = Catalogue::built_in();
    for (sentence, expected) in [
        ("Tìm iPhone 15 giá dưới 30 triệu", "vi [iphone 15] ..30000k"),
        ("tim iphone 15 gia duoi 30 trieu", "vi [iphone 15] ..30000k"),
        ("TÌM IPHONE15 DƯỚI 30TR!!!", "vi [iphone 15] ..30000k"),
        ("iphone 15 pro max bao nhiêu tiền?", "vi [iphone 15 pro max]"),
        ("ip15 pro", "?? [iphone 15 pro]"),
        ("điện thoại trên 10tr", "vi phone 10000k.."),
        ("dien thoai samsung duoi 10 trieu", "vi phone [samsung] ..10000k"),
        ("Điện thoại 5G khoảng 10 triệu", "vi phone [5g] 8500k..11500k"),
        ("laptop khoảng 20 triệu", "vi laptop 17000k..23000k"),
        ("laptop Dell hoặc Asus từ 15 đến 40 triệu", "vi laptop [dell] [asus] 15000k..40000k"),
        ("máy tính bảng dưới 10tr", "vi tablet ..10000k"),
        ("máy tính xách tay rẻ nhất", "vi laptop Cheapest"),
        ("tai nghe đắt nhất", "vi headphones Dearest"),
        ("Tai nghe không quá 2tr5", "vi headphones ..2500k"),
        ("dong ho apple", "vi watch [apple]"),
        ("tivi Samsung 55 inch", "vi tv [samsung 55]"),
        ("sạc dự phòng dưới 500k", "vi power_bank ..500k"),
        ("So sánh iPhone 15 và Galaxy S24 Ultra", "vi [iphone 15] [galaxy s24 ultra]"),
        ("cái nào rẻ nhất?", "vi Cheapest"),
        ("có cái nào rẻ hơn không", "vi Cheaper"),
        ("mac hon thi sao", "vi Dearer on"),
        ("còn Samsung thì sao?", "vi [samsung] on"),
        ("cho xem tất cả sản phẩm", "vi all"),
        ("iPhone 15 có mấy màu sắc?", "vi [iphone 15]"),
        ("xin chào", "vi Greeting"),
        ("Cảm ơn bạn nhé", "vi Thanks"),
        ("tạm biệt", "vi Goodbye"),
        ("bạn làm được gì?", "vi Help"),
        ("bạn là ai", "vi Smalltalk"),
        ("Xin chào, tìm giúp tôi MacBook Air dưới 26 triệu", "vi [macbook air] ..26000k Help"),
        ("find iPhone 15 under 30 million", "en [iphone 15] ..30000k"),
        ("laptop from 15 to 20 million", "en laptop 15000k..20000k"),
        ("Show me phones over 10 million", "en phone 10000k.."),
        ("under 500k", "en ..500k"),
        ("Samsung phone with 256 GB", "en phone [samsung] [256gb]"),
        ("do you have the Galaxy S24Ultra?", "en [galaxy s24 ultra]"),
        ("MacBook Pro 14 M3", "?? [macbook pro 14 m3]"),
        ("Sony WH-1000XM5", "?? [sony wh 1000xm5]"),
        ("the cheapest smartwatch", "en watch Cheapest"),
        ("cheaper ones?", "en Cheaper"),
        ("which is the most expensive?", "en Dearest"),
        ("what about Xiaomi?", "en [xiaomi] on"),
        ("iPhone 17 please", "?? [iphone 17]"),
        ("let's go to the max", "en"),
        ("hi there", "en Greeting"),
        ("thank you!", "en Thanks"),
        ("bye", "en Goodbye"),
        ("can you help me", "en Help"),
        ("who are you?", "en Smalltalk"),
        ("asdf qwer", "??"),
        ("", "??"),
        ("😀 ¿ 名前", "??"),
    ] {
        assert_eq!(shown(&Question::read(sentence, &catalogue)), expected, "{sentence}");
    }
}

#[test]
fn long_and_odd_sentences_end_in_a_question_and_no_panic() {
    let catalogue = Catalogue::built_in();
    let unit = ["5g", "iphone", "1a", "9.", "9,", "tr", "dưới ", "\u{301}", "- ", "gb ", "1 tb ", "màu sắc "];
    for piece in unit {
        let sentence = piece.repeat(32 * 1024 / piece.len());
        Question::read(&sentence, &catalogue);
    }
    let mut seed = 1_u64;
    for _ in 0..2000 {
        let mut sentence = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pieces =
                ["15", "tr", "5", " ", "-", "triệu", "từ ", " đến ", "iphone", ".", ",", "rưỡi", "khoảng ", "k", "<"];
            sentence.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        Question::read(&sentence, &catalogue);
    }
}
