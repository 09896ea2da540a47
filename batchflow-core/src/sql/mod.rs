//! Statements and quoting that every SQL driver shares through a small `Dialect`.
