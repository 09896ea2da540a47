//! `serde_json` 1.

use serde_json::Value as Document;

use crate::request::FromValue;
use crate::value::Value;

/// The document as its text. JSON's `null` is a document: use `None` for NULL.
impl From<Document> for Value {
    fn from(document: Document) -> Self {
        Self::Json(document.to_string().into())
    }
}

impl From<&Document> for Value {
    fn from(document: &Document) -> Self {
        Self::Json(document.to_string().into())
    }
}

arrays!(Document);

impl FromValue for Document {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Json(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::convert::tests::{beyond, both_ways};

    #[test]
    fn documents_convert_both_ways() {
        for (document, text) in [
            (json!(null), "null"),
            (
                json!({"a": [1, "\u{e9}\0", u64::MAX]}),
                r#"{"a":[1,"é\u0000",18446744073709551615]}"#,
            ),
        ] {
            both_ways(document, &Value::Json(text.into()));
        }
        beyond::<Document>(&Value::Json("{".into()));
    }
}
