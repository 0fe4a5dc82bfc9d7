//! Whole conversations: what is answered, what goes on from what, and how the answer comes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::{AiReply, Answer, Message, Products, Status};
use chatcore::owner::Owner;
use chatcore::port::{AiChunk, AiGateway, Prompt, Runtime};
use chatcore::turn::TurnId;
use chatcore_ai_demo::DemoAi;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A runtime that writes down for how long it was asked to sleep, and sleeps not at all.
#[derive(Debug, Default)]
struct Sleeps(Mutex<Vec<Duration>>);

impl Runtime for Sleeps {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(time);
        Box::pin(async {})
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {
        panic!("nothing goes on in the background");
    }

    fn new_id(&self) -> Uuid {
        panic!("an answer holds no chance");
    }
}

/// A conversation with the demo.
struct Dialogue {
    ai: DemoAi,
    history: Vec<Message>,
}

impl Dialogue {
    fn new() -> Self {
        Self { ai: DemoAi::new(Duration::ZERO, Arc::new(Sleeps::default())), history: Vec::new() }
    }

    async fn pieces(&self, text: &str) -> (Vec<String>, AiReply) {
        let turn = TurnId { session: SessionId::from(Uuid::nil()), message: MessageId::from(Uuid::nil()) };
        let owner = Owner::User(UserId::parse("user_123").unwrap());
        let history = self.history.clone();
        let chunks = self.ai.answer(Prompt { turn, owner, request_id: None, text: text.into(), history });
        let mut chunks: Vec<AiChunk> = chunks.map(Result::unwrap).collect().await;
        let Some(AiChunk::Done(reply)) = chunks.pop() else { panic!("{text}: no end") };
        let pieces = chunks.into_iter().map(|chunk| match chunk {
            AiChunk::Text(text) => text,
            AiChunk::Done(_) => panic!("{text}: two ends"),
        });
        (pieces.collect(), reply)
    }

    /// Asks, and takes question and answer into the history.
    async fn ask(&mut self, text: &str) -> (String, AiReply) {
        let (pieces, reply) = self.pieces(text).await;
        let (turn, seq) = (MessageId::from(Uuid::nil()), self.history.len() as u64 + 1);
        let at = OffsetDateTime::UNIX_EPOCH;
        let answer = Answer { status: Status::Completed, content: pieces.concat(), reply: reply.clone() };
        self.history.push(Message::question(turn, seq, text.into(), at));
        self.history.push(Message::answer(turn, seq + 1, seq, answer, at));
        (pieces.concat(), reply)
    }

    /// Asks for products, and gives their names.
    async fn names(&mut self, text: &str) -> Vec<String> {
        let (_, reply) = self.ask(text).await;
        assert_eq!(reply.intent.as_deref(), Some("product_search"), "{text}");
        members(&reply.products, "product_name")
    }
}

fn members(products: &Products, member: &str) -> Vec<String> {
    let products: Vec<serde_json::Value> = serde_json::from_str(products.as_json()).unwrap();
    products.iter().map(|product| product[member].to_string().trim_matches('"').to_owned()).collect()
}

#[tokio::test]
async fn the_question_of_the_readme_gets_the_matching_products() {
    let (text, reply) = Dialogue::new().ask("Tìm iPhone 15 giá dưới 30 triệu").await;
    assert_eq!(reply.intent.as_deref(), Some("product_search"));
    assert_eq!(reply.confidence, Some(0.95));
    assert_eq!(
        members(&reply.products, "product_name"),
        ["iPhone 15 128GB", "iPhone 15 Plus 128GB", "iPhone 15 Pro 256GB"]
    );
    assert_eq!(members(&reply.products, "price"), ["19990000", "22990000", "27990000"]);
    assert_eq!(members(&reply.products, "shop_name"), ["Demo Mobile"; 3]);
    assert_eq!(members(&reply.products, "product_id"), ["demo-001", "demo-002", "demo-003"]);
    assert_eq!(
        text,
        "Tôi tìm thấy 3 sản phẩm trong danh mục demo, từ rẻ đến đắt:\n\
         - iPhone 15 128GB: 19.990.000đ (Demo Mobile)\n\
         - iPhone 15 Plus 128GB: 22.990.000đ (Demo Mobile)\n\
         - iPhone 15 Pro 256GB: 27.990.000đ (Demo Mobile)"
    );
}

#[tokio::test]
async fn a_search_finds_what_matches_and_nothing_else() {
    for (text, expected) in [
        ("laptop from 15 to 17 million", &["Dell Inspiron 15 512GB", "HP Pavilion 14 512GB"][..]),
        ("cheapest samsung phone", &["Samsung Galaxy A15 128GB"]),
        ("tai nghe dat nhat", &["Sony WH-1000XM5"]),
        ("iPhone 13 hoặc Galaxy S24 Ultra", &["iPhone 13 128GB", "Samsung Galaxy S24 Ultra 256GB"]),
        ("điện thoại Xiaomi dưới 5 triệu", &["Xiaomi Redmi Note 13 128GB"]),
        ("đồng hồ apple", &["Apple Watch Series 9 41mm"]),
        ("phone under 5m", &["Xiaomi Redmi Note 13 128GB", "Samsung Galaxy A15 128GB"]),
        ("under 350k", &["Anker Nano 20W", "Logitech M331"]),
        ("rẻ nhất", &["Anker Nano 20W"]),
        ("iPhone 17", &[]),
        ("iPhone dưới 5 triệu", &[]),
        ("tìm máy bay trực thăng", &[]),
        ("laptop dưới 5 triệu trên 10 triệu", &[]),
    ] {
        assert_eq!(Dialogue::new().names(text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_price_that_nothing_has_is_answered_with_the_nearest() {
    let (text, _) = Dialogue::new().ask("iPhone dưới 5 triệu").await;
    assert!(text.ends_with("Gần nhất là iPhone 13 128GB: 13.290.000đ (Demo Outlet)."), "{text}");
    let (text, _) = Dialogue::new().ask("headphones over 50 million").await;
    assert!(text.ends_with("The nearest is Sony WH-1000XM5: 7,490,000 VND (Demo Sound)."), "{text}");
}

#[tokio::test]
async fn a_long_list_is_cut_and_says_so() {
    let (text, reply) = Dialogue::new().ask("show me all products").await;
    assert_eq!(members(&reply.products, "price").len(), 8);
    assert!(text.starts_with("I found 46 products") && text.ends_with("and 38 more."), "{text}");
}

#[tokio::test]
async fn a_question_goes_on_from_the_products_before_it() {
    let mut dialogue = Dialogue::new();
    assert_eq!(dialogue.names("Tìm iPhone 15 giá dưới 30 triệu").await.len(), 3);
    assert_eq!(dialogue.names("cái nào rẻ nhất?").await, ["iPhone 15 128GB"]);
    let cheaper = dialogue.names("có cái nào rẻ hơn không?").await;
    assert_eq!(cheaper.len(), 8);
    assert!(cheaper.contains(&"iPhone 14 128GB".into()) && !cheaper.contains(&"iPhone 15 128GB".into()), "{cheaper:?}");

    let mut dialogue = Dialogue::new();
    dialogue.names("laptop from 15 to 20 million").await;
    let (text, _) = dialogue.ask("Thanks! Which is the most expensive?").await;
    assert_eq!(
        text,
        "The most expensive in the demo catalogue is Acer Nitro 5 512GB: 19,490,000 VND (Demo Computers)."
    );
    assert_eq!(dialogue.names("under 12 million?").await, ["Lenovo IdeaPad Slim 3 256GB"]);

    let mut dialogue = Dialogue::new();
    dialogue.names("iPhone 13").await;
    assert_eq!(dialogue.names("bao nhiêu tiền?").await, ["iPhone 13 128GB"]);
    assert!(dialogue.names("tìm máy bay").await.is_empty(), "an unknown kind is not the kind before");

    let mut dialogue = Dialogue::new();
    dialogue.names("điện thoại dưới 5 triệu").await;
    assert_eq!(dialogue.names("còn Samsung thì sao?").await, ["Samsung Galaxy A15 128GB"]);
    assert_eq!(dialogue.names("thế còn Xiaomi?").await, ["Xiaomi Redmi Note 13 128GB"]);
    assert_eq!(dialogue.ask("cảm ơn").await.1.intent.as_deref(), Some("thanks"));
    assert_eq!(dialogue.names("cheaper headphones").await.len(), 4, "a new kind begins anew");
}

#[tokio::test]
async fn a_history_of_another_ai_does_no_harm() {
    let mut dialogue = Dialogue::new();
    let reply = |json: &str| AiReply { products: Products::from_json(json).unwrap(), intent: None, confidence: None };
    for json in [r#"[{"product_id": "theirs"}]"#, r#"[{"product_id": 7}]"#, "[{}]", "[]"] {
        let answer = Answer { status: Status::Completed, content: "Hm.".into(), reply: reply(json) };
        let (turn, at) = (MessageId::from(Uuid::nil()), OffsetDateTime::UNIX_EPOCH);
        dialogue.history = vec![Message::answer(turn, 2, 1, answer, at)];
        let (text, reply) = dialogue.ask("cheaper ones?").await;
        assert_eq!(reply.intent.as_deref(), Some("unknown"));
        assert!(text.starts_with("Which products do you mean?"), "{text}");
    }
}

#[tokio::test]
async fn talk_is_answered_in_its_language_and_as_a_demo() {
    for (text, intent, beginning) in [
        ("Xin chào!", "greeting", "Xin chào! Tôi là trợ lý mua sắm bản demo"),
        ("hello", "greeting", "Hello! I am a demo shop assistant"),
        ("cam on nhe", "thanks", "Không có gì!"),
        ("thanks a lot", "thanks", "You're welcome!"),
        ("tạm biệt", "goodbye", "Tạm biệt!"),
        ("see you", "goodbye", "Goodbye!"),
        ("bạn làm được gì?", "help", "Tôi tìm sản phẩm ví dụ"),
        ("help me", "help", "I find example products"),
        ("bạn là ai?", "smalltalk", "Tôi là một chương trình demo"),
        ("who are you", "smalltalk", "I am a small demo program"),
        ("xyzzy", "unknown", "Xin lỗi, tôi chưa hiểu. Bản demo"),
        ("what is the weather", "unknown", "Sorry, I did not understand. This demo"),
        ("", "unknown", "Xin lỗi"),
    ] {
        let (answer, reply) = Dialogue::new().ask(text).await;
        assert_eq!(reply.intent.as_deref(), Some(intent), "{text}");
        assert!(answer.starts_with(beginning), "{text}: {answer}");
        assert!(
            reply.products.is_empty() && reply.confidence.is_some_and(|sure| (0.0..=1.0).contains(&sure)),
            "{text}"
        );
    }
    let mut dialogue = Dialogue::new();
    dialogue.ask("show me phones under 5 million").await;
    let (text, _) = dialogue.ask("iPhone 13").await;
    assert!(text.starts_with("I found 1 product"), "a bare name is answered in the language before it: {text}");
}

#[tokio::test]
async fn an_answer_comes_word_by_word_over_its_delay_and_at_once_without_one() {
    let sleeps = Arc::new(Sleeps::default());
    let mut dialogue = Dialogue { ai: DemoAi::new(Duration::from_secs(3), sleeps.clone()), history: Vec::new() };
    let (slow, reply) = dialogue.pieces("Tìm iPhone 15 giá dưới 30 triệu").await;
    assert!(slow.len() >= 20, "{slow:?}");
    let slept = std::mem::take(&mut *sleeps.0.lock().unwrap());
    assert_eq!(slept.len(), slow.len(), "before each word");
    let total: Duration = slept.iter().sum();
    assert!(total <= Duration::from_secs(3) && total > Duration::from_millis(2900), "{total:?}");

    dialogue.ai = DemoAi::new(Duration::ZERO, sleeps.clone());
    assert_eq!(dialogue.pieces("Tìm iPhone 15 giá dưới 30 triệu").await, (slow, reply), "the same words");
    assert!(sleeps.0.lock().unwrap().is_empty());
}
