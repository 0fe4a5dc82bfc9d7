//! Products: JSON objects that the core carries and never looks into.

use std::sync::Arc;

/// A JSON array of objects, kept as the AI sent it but for white space between its parts.
///
/// The core does not look inside, so members that it has never heard of survive store, history, event and answer. Only
/// the feature `serde` can make one from text, since only it can check the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Products(Option<Arc<str>>);

impl Products {
    /// The JSON text of the array, on one line.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("[]")
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// No products have one form only.
    #[cfg(feature = "serde")]
    fn of(json: String) -> Self {
        Self((json != "[]").then(|| json.into()))
    }
}

#[cfg(feature = "serde")]
mod json {
    use super::Products;
    use crate::error::Invalid;
    use serde_json::value::RawValue;
    use serde_json::{Map, Value};

    impl Products {
        /// Takes a JSON array of objects; `null` is an empty one.
        ///
        /// ```
        /// use chatcore::message::Products;
        ///
        /// let products = Products::from_json(r#"[ {"price": 29500000.10, "mine": [1, 2]} ]"#)?;
        /// assert_eq!(products.as_json(), r#"[{"price":29500000.10,"mine":[1,2]}]"#);
        /// # Ok::<_, chatcore::error::Invalid>(())
        /// ```
        ///
        /// # Errors
        /// The text is no JSON, something else than an array of objects, or nested deeper than 127 levels.
        pub fn from_json(text: &str) -> Result<Self, Invalid> {
            let checked = serde_json::from_str::<Option<Vec<Map<String, Value>>>>(text);
            let rule = "a JSON array of objects";
            match checked.map_err(|_| Invalid { what: "products", rule })? {
                Some(_) => Ok(Self::of(without_white_space(text))),
                None => Ok(Self::default()),
            }
        }

        /// Takes what [`as_json`](Self::as_json) gave once: for a store, which reads it for each message of a history. That
        /// it is JSON is looked at, that it is an array of objects is not.
        ///
        /// # Errors
        /// The text is no JSON.
        pub fn from_kept(json: String) -> Result<Self, Invalid> {
            let checked = serde_json::from_str::<&RawValue>(&json);
            checked.map_err(|_| Invalid { what: "products", rule: "JSON as it was kept" })?;
            Ok(Self::of(json))
        }
    }

    /// Valid JSON has white space that means something only inside strings.
    fn without_white_space(json: &str) -> String {
        let (mut inside, mut escaped) = (false, false);
        let keep = |letter: &u8| {
            let kept = inside || !letter.is_ascii_whitespace();
            inside ^= *letter == b'"' && !escaped;
            escaped = *letter == b'\\' && !escaped;
            kept
        };
        // Without some of its ASCII a text is still one.
        String::from_utf8(json.bytes().filter(keep).collect()).unwrap_or_default()
    }

    impl serde::Serialize for Products {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let raw: &RawValue = serde_json::from_str(self.as_json()).map_err(serde::ser::Error::custom)?;
            raw.serialize(serializer)
        }
    }

    impl<'de> serde::Deserialize<'de> for Products {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            Self::from_json(raw.get()).map_err(serde::de::Error::custom)
        }
    }
}
