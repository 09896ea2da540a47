//! [`ErrorKind`]: the one dictionary for retry, metrics and logs.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal, $class:ident;)+) => {
        /// What kind of failure it is: the one dictionary for retry, metrics and logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])+ $kind,)+
        }

        impl ErrorKind {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The kind's name in messages, metrics and dead letters.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What is done about it unless the flow has a classifier of its own.
            pub fn class(self) -> ErrorClass {
                match self {
                    $(Self::$kind => ErrorClass::$class,)+
                }
            }
        }
    };
}

kinds! {
    /// The flow was cancelled.
    Cancelled = "cancelled", Stop;
    /// The time given to the row, the flush or the close is over.
    Deadline = "deadline", Stop;
    /// A unique key already holds the row's value.
    DuplicateKey = "duplicate_key", Row;
    /// NOT NULL, CHECK, a foreign key, an exclusion.
    Constraint = "constraint", Row;
    /// A value does not fit its column.
    Data = "data", Row;
    /// The server chose this transaction to end a deadlock.
    Deadlock = "deadlock", Transient;
    /// The server asks for the transaction to be repeated.
    Serialization = "serialization", Transient;
    /// A lock was not to be had in time.
    LockTimeout = "lock_timeout", Transient;
    /// The attempt took longer than it may.
    Timeout = "timeout", Transient;
    /// No connection, or a lost one.
    Connection = "connection", Transient;
    /// A file or a device failed.
    Io = "io", Transient;
    /// The server takes no writes just now.
    ReadOnly = "read_only", Transient;
    /// The server is out of memory, disk or connections.
    Resource = "resource", Transient;
    /// The batch is larger than the server takes at once.
    TooLarge = "too_large", TooLarge;
    /// The user may not do this.
    Permission = "permission", Systemic;
    /// The table or a column is missing or unfit.
    Schema = "schema", Systemic;
    /// The server does not understand the statement.
    Syntax = "syntax", Systemic;
    /// The driver or the server cannot do this.
    Unsupported = "unsupported", Systemic;
    /// A fault of a driver or of user code, a panic among them.
    Internal = "internal", Row;
    /// The server gave an error that no table of codes knows.
    Other = "other", Row;
}

impl ErrorKind {
    /// Whether waiting and trying again may help, unless the flow has a classifier of its own.
    pub fn is_transient(self) -> bool {
        self.class() == ErrorClass::Transient
    }
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Wait and try again.
    Transient,
    /// A row is at fault: find it by halving, and write the others.
    Row,
    /// No row can be written: fail them all at once, without halving.
    Systemic,
    /// Try again in halves; a single row that is too large is rejected.
    TooLarge,
    /// The flow itself gave up: nothing is tried again.
    Stop,
}

impl ErrorClass {
    /// The class's name in tables and logs: `"transient"`, `"row"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Row => "row",
            Self::Systemic => "systemic",
            Self::TooLarge => "too_large",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// `docs/errors.md` shows every kind.
    #[test]
    fn the_documented_kinds_are_these() {
        let mut table = String::from("| kind | class |\n|---|---|\n");
        for kind in ErrorKind::ALL {
            let class = kind.class();
            writeln!(table, "| `{kind}` | {} |", class.as_str()).unwrap();
            assert_eq!(kind.is_transient(), class == ErrorClass::Transient);
        }
        let documented = include_str!("../../../docs/errors.md");
        assert!(documented.contains(&table), "docs/errors.md lacks:\n{table}");
    }
}
