//! The rows that are written, owned, as a program has them.

/// What a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    String,
    Expiring,
    Hash,
}

/// How long an expiring key lives, in seconds.
pub(crate) const TTL: u64 = 600;

pub(crate) const FIELDS: [&str; 5] = ["name", "email", "hits", "score", "note"];

/// A key, and 64 bytes.
pub(crate) type Pair = (i64, String);

/// A key, and 5 fields.
pub(crate) type Wide = (i64, String, String, i64, f64, String);

pub(crate) fn pairs(count: usize) -> Vec<Pair> {
    (0..count as i64).map(|id| (id, format!("{id:064}"))).collect()
}

pub(crate) fn wides(count: usize) -> Vec<Wide> {
    let wide = |id: i64| {
        (
            id,
            format!("user {id}"),
            format!("user{id}@example.com"),
            id % 1_000,
            id as f64 / 8.0,
            format!("a note about user {id}"),
        )
    };
    (0..count as i64).map(wide).collect()
}
