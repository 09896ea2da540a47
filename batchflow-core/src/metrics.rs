//! The `Metrics` trait and its events.
