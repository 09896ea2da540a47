//! [`Json`]: a document of a session.

use std::fmt;

use batchflow_core::Value;

/// A JSON document as its text.
///
/// The text is the server's to check: where it is no JSON, the session is refused with a `data`
/// error. Behind the feature `with-json-1`, a `serde_json::Value` converts. `Debug` shows the
/// length only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// The document's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Json> for Value {
    fn from(Json(text): Json) -> Self {
        Self::Json(text)
    }
}

#[cfg(feature = "with-json-1")]
impl From<serde_json::Value> for Json {
    fn from(document: serde_json::Value) -> Self {
        document.to_string().into()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}
