//! The products: a small catalogue with made-up prices, built in.

use crate::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A product as it stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) product_id: String,
    pub(crate) product_name: String,
    pub(crate) brand: String,
    pub(crate) category: String,
    /// In VND.
    pub(crate) price: u64,
    pub(crate) shop_name: String,
}

/// All products, and the words of their names.
#[derive(Debug)]
pub(crate) struct Catalogue {
    products: Vec<Item>,
    words: BTreeSet<String>,
}

#[derive(Debug)]
struct Item {
    product: Product,
    words: BTreeSet<String>,
}

impl Catalogue {
    /// The one that is built in. A test sees to it that the file can be read.
    pub(crate) fn built_in() -> Self {
        let products: Vec<Product> = serde_json::from_str(include_str!("catalogue.json")).unwrap_or_default();
        let products: Vec<Item> = products.into_iter().map(Item::new).collect();
        let words = products.iter().flat_map(|item| item.words.iter().cloned()).collect();
        Self { products, words }
    }

    /// Whether some product has this word in its name or brand.
    pub(crate) fn knows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Each product with the words of its name and brand, cheapest first.
    pub(crate) fn by_price(&self) -> Vec<(&Product, &BTreeSet<String>)> {
        let mut items: Vec<_> = self.products.iter().map(|item| (&item.product, &item.words)).collect();
        items.sort_by_key(|(product, _)| (product.price, &product.product_id));
        items
    }

    /// The product of this id.
    pub(crate) fn product(&self, id: &str) -> Option<&Product> {
        self.products.iter().map(|item| &item.product).find(|product| product.product_id == id)
    }
}

impl Item {
    fn new(product: Product) -> Self {
        let name = format!("{} {}", product.brand, product.product_name);
        let words = text::words(&name).into_iter().filter(|word| !matches!(word.as_str(), "-" | "inch")).collect();
        Self { product, words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_of_the_file_is_read_and_complete() {
        let catalogue = Catalogue::built_in();
        assert!(catalogue.products.len() >= 40);
        let ids: BTreeSet<_> = catalogue.products.iter().map(|item| &item.product.product_id).collect();
        assert_eq!(ids.len(), catalogue.products.len(), "ids are unique");
        let categories = crate::vocabulary::category_phrases();
        for Item { product, .. } in &catalogue.products {
            assert!((100_000..100_000_000).contains(&product.price), "{product:?}");
            assert!(product.shop_name.starts_with("Demo "), "a demo shop: {product:?}");
            assert!(categories.iter().any(|(_, category)| *category == product.category), "{product:?}");
        }
    }
}
