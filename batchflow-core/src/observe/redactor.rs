//! [`Redactor`]: which fields stay hidden where values are shown.

use std::fmt;

/// Says which fields stay hidden where values are shown on request: in a
/// [preview](crate::BatchFlow::preview_values). Any closure over a column's name is one.
pub trait Redactor: Send + Sync {
    /// Whether the values of a column of this name stay hidden.
    fn hides(&self, column: &str) -> bool;
}

impl<F> Redactor for F
where
    F: Fn(&str) -> bool + Send + Sync,
{
    fn hides(&self, column: &str) -> bool {
        self(column)
    }
}

/// Hides every field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everything;

impl Redactor for Everything {
    fn hides(&self, _column: &str) -> bool {
        true
    }
}

/// Parts of names that mostly name a secret, or a person.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "auth",
    "session",
    "cookie",
    "signature",
    "salt",
    "hash",
    "pin",
    "otp",
    "email",
    "mail",
    "phone",
    "mobile",
    "ssn",
    "iban",
    "card",
    "cvv",
    "birth",
    "address",
    "firstname",
    "lastname",
    "surname",
    "ipaddr",
];

/// Hides columns by their names: those that hold a word which mostly names a secret or a person
/// (`password`, `token`, `email`, `phone`, …), in any case, with or without underscores, and the
/// words added. It hides too much rather than too little.
///
/// ```
/// use batchflow_core::observe::{Redactor, SecretNames};
///
/// let names = SecretNames::new().and(["salary"]);
/// assert!(names.hides("Api_Key") && names.hides("userEmail") && names.hides("base_salary"));
/// assert!(!names.hides("amount"));
/// ```
#[derive(Clone, Default)]
pub struct SecretNames {
    more: Vec<String>,
}

impl SecretNames {
    /// The words that it has by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hides columns whose names hold one of these words, too.
    #[must_use]
    pub fn and<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.more.extend(words.into_iter().map(|word| plain(word.as_ref())));
        self
    }
}

impl Redactor for SecretNames {
    fn hides(&self, column: &str) -> bool {
        let name = plain(column);
        let more = self.more.iter().map(String::as_str);
        SECRET.iter().copied().chain(more).any(|word| name.contains(word))
    }
}

impl fmt::Debug for SecretNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretNames").field("more", &self.more).finish_non_exhaustive()
    }
}

/// A name in small letters, without what joins its words.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
