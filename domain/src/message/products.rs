//! Products: JSON objects that the core carries and never looks into.

use std::sync::Arc;

/// A JSON array of objects, kept as the AI sent it but for white space between its parts.
///
/// The core does not look inside, so members that it has never heard of survive store, history, event and answer. Only
/// the feature `serde` can make one from text, since only it can check the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Products(Arc<str>);

impl Products {
    /// The JSON text of the array, on one line.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        &*self.0 == "[]"
    }
}

impl Default for Products {
    fn default() -> Self {
        Self("[]".into())
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
                Some(_) => Ok(Self(without_white_space(text).into())),
                None => Ok(Self::default()),
            }
        }
    }

    /// Valid JSON has white space that means something only inside strings.
    fn without_white_space(json: &str) -> String {
        let (mut inside, mut escaped) = (false, false);
        let keep = |letter: &char| {
            let kept = inside || !letter.is_ascii_whitespace();
            inside ^= *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            kept
        };
        json.chars().filter(keep).collect()
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
