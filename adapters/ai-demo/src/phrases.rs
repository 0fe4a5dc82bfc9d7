//! The texts of the answers, in both languages. None of them pretends that there is a shop.

use crate::answer::Found;
use crate::catalogue::Product;
use crate::question::{Language, Pick};
use crate::vocabulary;

use Language::{English, Vietnamese};

pub(crate) fn greeting(language: Language) -> String {
    match language {
        Vietnamese => {
            "Xin chào! Tôi là trợ lý mua sắm bản demo: sản phẩm và giá chỉ là ví dụ, không phải cửa hàng thật. \
                       Bạn thử hỏi: \"Tìm iPhone 15 giá dưới 30 triệu\"."
        }
        English => {
            "Hello! I am a demo shop assistant: products and prices are examples, not a real shop. \
                    Try asking: \"laptop from 15 to 20 million\"."
        }
    }
    .into()
}

pub(crate) fn thanks(language: Language) -> String {
    match language {
        Vietnamese => "Không có gì! Bạn cần tìm thêm gì trong danh mục demo không?",
        English => "You're welcome! Is there anything else to find in the demo catalogue?",
    }
    .into()
}

pub(crate) fn goodbye(language: Language) -> String {
    match language {
        Vietnamese => "Tạm biệt! Cảm ơn bạn đã dùng thử bản demo.",
        English => "Goodbye! Thank you for trying the demo.",
    }
    .into()
}

pub(crate) fn smalltalk(language: Language) -> String {
    match language {
        Vietnamese => {
            "Tôi là một chương trình demo nhỏ, không phải AI thật: tôi chỉ biết tìm sản phẩm ví dụ theo tên và giá."
        }
        English => "I am a small demo program, not a real AI: all I can do is find example products by name and price.",
    }
    .into()
}

pub(crate) fn help(language: Language) -> String {
    let kinds = kinds(language);
    match language {
        Vietnamese => format!(
            "Tôi tìm sản phẩm ví dụ theo tên, hãng, loại ({kinds}) và giá. Ví dụ: \"điện thoại trên 10tr\", \
             \"laptop khoảng 20 triệu\", rồi \"cái nào rẻ nhất?\"."
        ),
        English => format!(
            "I find example products by name, brand, kind ({kinds}) and price. For example: \"phones over 10 million\", \
             \"laptops around 20 million\", and then \"which is the cheapest?\"."
        ),
    }
}

pub(crate) fn unknown(language: Language) -> String {
    match language {
        Vietnamese => "Xin lỗi, tôi chưa hiểu. Bản demo này chỉ tìm sản phẩm theo tên, loại và giá, ví dụ: \"tai nghe dưới 3 triệu\".",
        English => "Sorry, I did not understand. This demo only finds products by name, kind and price, \
                    for example: \"headphones under 3 million\".",
    }
    .into()
}

/// Asks what a question goes on from.
pub(crate) fn which(language: Language) -> String {
    match language {
        Vietnamese => "Bạn đang hỏi về sản phẩm nào? Hãy cho tôi biết tên hoặc loại, ví dụ: \"laptop Dell\".",
        English => "Which products do you mean? Tell me a name or a kind, for example: \"Dell laptops\".",
    }
    .into()
}

/// Tells what was found.
pub(crate) fn listing(language: Language, found: &Found<'_>) -> String {
    let (Some(first), one) = (found.products.first(), found.products.len() == 1) else {
        return nothing(language, found);
    };
    match found.pick {
        Some(Pick::Cheapest) => return picked(language, "Rẻ nhất", "cheapest", first),
        Some(Pick::Dearest) => return picked(language, "Đắt nhất", "most expensive", first),
        _ => {}
    }
    let count = found.products.len() + found.left_out;
    let mut text = match language {
        Vietnamese if one => "Tôi tìm thấy 1 sản phẩm trong danh mục demo:".into(),
        Vietnamese => format!("Tôi tìm thấy {count} sản phẩm trong danh mục demo, từ rẻ đến đắt:"),
        English if one => "I found 1 product in the demo catalogue:".into(),
        English => format!("I found {count} products in the demo catalogue, cheapest first:"),
    };
    for product in &found.products {
        text.push_str("\n- ");
        text.push_str(&line(language, product));
    }
    if found.left_out > 0 {
        text.push_str(&match language {
            Vietnamese => format!("\nvà {} sản phẩm nữa.", found.left_out),
            English => format!("\nand {} more.", found.left_out),
        });
    }
    text
}

fn picked(language: Language, vietnamese: &str, english: &str, product: &Product) -> String {
    match language {
        Vietnamese => format!("{vietnamese} trong danh mục demo là {}.", line(language, product)),
        English => format!("The {english} in the demo catalogue is {}.", line(language, product)),
    }
}

fn nothing(language: Language, found: &Found<'_>) -> String {
    match (language, found.nearest) {
        (Vietnamese, Some(product)) => {
            format!("Không có sản phẩm nào trong danh mục demo ở mức giá đó. Gần nhất là {}.", line(language, product))
        }
        (English, Some(product)) => {
            format!("Nothing in the demo catalogue is at that price. The nearest is {}.", line(language, product))
        }
        (Vietnamese, None) => {
            format!("Không có sản phẩm nào như vậy trong danh mục demo. Ở đây có: {}.", kinds(language))
        }
        (English, None) => format!("There is nothing like that in the demo catalogue. It has: {}.", kinds(language)),
    }
}

fn line(language: Language, product: &Product) -> String {
    let Product { product_name, shop_name, .. } = product;
    match language {
        Vietnamese => format!("{product_name}: {}đ ({shop_name})", grouped(product.price, '.')),
        English => format!("{product_name}: {} VND ({shop_name})", grouped(product.price, ',')),
    }
}

fn kinds(language: Language) -> String {
    let (vietnamese, english) = vocabulary::category_names();
    match language {
        Vietnamese => vietnamese.join(", "),
        English => english.join(", "),
    }
}

/// A number with a mark between each three digits.
fn grouped(number: u64, mark: char) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text
}
