//! [`ConfigError`]: a setting that cannot be used.

use std::fmt;

/// A setting that cannot be used, named by its field.
///
/// ```
/// use batchflow_core::ConfigError;
///
/// let error = ConfigError::new("flush_size", "must be at least 1");
/// assert_eq!(error.to_string(), "`flush_size`: must be at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    why: String,
}

impl ConfigError {
    /// The setting `field` cannot be used. `why` is shown, so it must hold no URL or password.
    pub fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }

    /// The setting at fault, as its builder method is called.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.why)
    }
}

impl std::error::Error for ConfigError {}
