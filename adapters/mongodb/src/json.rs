//! JSON to BSON, as it stands there: members keep their order, and none has a special meaning. (The driver's own reading takes
//! `{"$oid": ..}` for an id; here it may be a product's.)

use mongodb::bson::{Bson, Document};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The document that is written as this JSON object.
pub(crate) fn document(json: &str) -> Result<Document, serde_json::Error> {
    match serde_json::from_str(json)? {
        Json(Bson::Document(document)) => Ok(document),
        Json(_) => Err(serde::de::Error::custom("no object")),
    }
}

struct Json(Bson);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson).map(Self)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Bson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bson, E> {
        Ok(whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bson, E> {
        #[expect(clippy::cast_precision_loss, reason = "BSON has no larger whole number; readers of JSON do the same")]
        let double = Bson::Double(value as f64);
        Ok(i64::try_from(value).map_or(double, whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Bson, A::Error> {
        let mut array = Vec::new();
        while let Some(Json(part)) = parts.next_element()? {
            array.push(part);
        }
        Ok(Bson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bson, A::Error> {
        let mut document = Document::new();
        while let Some((name, Json(value))) = members.next_entry::<String, _>()? {
            document.insert(name, value);
        }
        Ok(Bson::Document(document))
    }
}

/// The smallest that holds it, as other writers of JSON to MongoDB do.
fn whole(value: i64) -> Bson {
    i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{bson, doc};

    #[test]
    fn members_keep_their_order_and_mean_nothing_special() {
        let json = r#"{"z": {"$oid": "1"}, "a": [1, -3000000000, 29500000.10, null, true, {"$date": 7}], "b": "x.y"}"#;
        let expected = doc! {
            "z": {"$oid": "1"},
            "a": [1_i32, -3_000_000_000_i64, 29_500_000.1_f64, bson!(null), true, {"$date": 7_i32}],
            "b": "x.y",
        };
        assert_eq!(document(json).unwrap(), expected);
        assert_eq!(document(json).unwrap().keys().collect::<Vec<_>>(), ["z", "a", "b"]);
        assert_eq!(document(r#"{"n": 18446744073709551615}"#).unwrap(), doc! {"n": 18_446_744_073_709_551_615_f64});
        assert!(document("[1]").is_err() && document("{").is_err());
    }
}
