//! From PostgreSQL's SQLSTATE to [`ErrorKind`], as data.

use batchflow_core::ErrorKind;

/// Single codes first, then whole classes.
#[rustfmt::skip]
const CODES: &[(&str, ErrorKind)] = &[
    // 08: connections. What ends one in the middle of a statement comes as 08P01 from poolers.
    ("08", ErrorKind::Connection),
    // 0A: features.
    ("0A", ErrorKind::Unsupported),
    // 21: a second row of the statement has the key of a first.
    ("21", ErrorKind::DuplicateKey),
    // 22: values. Two that no value can cause: what we sent is not what the column reads.
    ("22P03", ErrorKind::Internal),
    ("22P04", ErrorKind::Internal),
    ("22", ErrorKind::Data),
    // 23: constraints.
    ("23505", ErrorKind::DuplicateKey),
    ("23", ErrorKind::Constraint),
    // 25: transactions in the wrong state.
    ("25006", ErrorKind::ReadOnly),
    ("25P03", ErrorKind::Timeout),
    ("25P04", ErrorKind::Timeout),
    ("25", ErrorKind::Internal),
    // 28: who may log in.
    ("28", ErrorKind::Permission),
    // 3D, 3F: a database, a schema that is missing.
    ("3D", ErrorKind::Schema),
    ("3F", ErrorKind::Schema),
    // 40: transactions to be repeated.
    ("40002", ErrorKind::Constraint),
    ("40003", ErrorKind::Connection),
    ("40P01", ErrorKind::Deadlock),
    ("40", ErrorKind::Serialization),
    // 42: what a statement names, and how it is written.
    ("42501", ErrorKind::Permission),
    ("42000", ErrorKind::Syntax),
    ("42601", ErrorKind::Syntax),
    ("42602", ErrorKind::Syntax),
    ("42622", ErrorKind::Syntax),
    ("42701", ErrorKind::Syntax),
    ("42702", ErrorKind::Syntax),
    ("42712", ErrorKind::Syntax),
    ("42725", ErrorKind::Syntax),
    ("42803", ErrorKind::Syntax),
    ("42939", ErrorKind::Syntax),
    ("42P02", ErrorKind::Syntax),
    ("42P03", ErrorKind::Syntax),
    ("42P05", ErrorKind::Syntax),
    ("42P08", ErrorKind::Syntax),
    ("42P09", ErrorKind::Syntax),
    ("42P18", ErrorKind::Syntax),
    ("42P19", ErrorKind::Syntax),
    ("42P20", ErrorKind::Syntax),
    ("42", ErrorKind::Schema),
    // 44: a view's WITH CHECK OPTION.
    ("44", ErrorKind::Constraint),
    // 53: memory, disk, connections.
    ("53", ErrorKind::Resource),
    // 54: limits; a row of its own may be too large as well.
    ("54011", ErrorKind::Schema),
    ("54023", ErrorKind::Unsupported),
    ("54", ErrorKind::TooLarge),
    // 55: objects in the wrong state.
    ("55006", ErrorKind::LockTimeout),
    ("55P02", ErrorKind::Unsupported),
    ("55P03", ErrorKind::LockTimeout),
    ("55P04", ErrorKind::Data),
    ("55", ErrorKind::Schema),
    // 57: someone stepped in: a time limit, an operator, a shutdown.
    ("57014", ErrorKind::Timeout),
    ("57P04", ErrorKind::Schema),
    ("57", ErrorKind::Connection),
    // 58: the system below.
    ("58", ErrorKind::Io),
    // 72: a snapshot too old.
    ("72", ErrorKind::Serialization),
    // P0: a trigger's own error.
    ("P0", ErrorKind::Other),
    // XX: the server's own faults; damaged data and indexes make a table unfit.
    ("XX001", ErrorKind::Schema),
    ("XX002", ErrorKind::Schema),
    ("XX", ErrorKind::Internal),
];

/// The kind of an error by its SQLSTATE; [`Other`](ErrorKind::Other) for one that is not known.
pub(crate) fn kind(code: &str) -> ErrorKind {
    let find = |wanted: &str| CODES.iter().find(|(code, _)| *code == wanted);
    let class = code.get(..2).unwrap_or_default();
    find(code).or_else(|| find(class)).map_or(ErrorKind::Other, |(_, kind)| *kind)
}

/// Codes with which a server answers a statement made for a table as it was before it was altered.
const CHANGED: &[&str] = &[
    "0A000", "22P03", "22P04", "3F000", "42703", "42704", "42804", "42846", "42883", "42P01",
    "42P10", "428C9", "42809", "XX000",
];

/// Whether the error may be one of a table that was altered since it was looked up.
pub(crate) fn may_be_altered(code: &str) -> bool {
    CHANGED.contains(&code)
}

/// Codes with which the functions that read a type's values refuse one, as if the statement were
/// at fault: those of `tsvector`, `tsquery` and `jsonpath`, and of `regclass` and its kin. Unlike
/// the statement's own errors they point at no place in it.
const READ: &[&str] = &["3F000", "42601", "42602", "42704", "42725", "42883", "42P01"];

/// Whether a statement's error without a position may be one of reading a value.
pub(crate) fn may_be_of_a_value(code: &str) -> bool {
    READ.contains(&code)
}

/// What the driver itself can say about a code, without what the server said.
pub(crate) fn explain(code: &str) -> Option<&'static str> {
    Some(match code {
        "21000" => "two rows of the batch have one key to the server",
        "25006" => "the server takes no writes: it is a standby, or set to read only",
        "28000" => "the server does not let this user in from here, or not with this `sslmode`",
        "28P01" => "the server does not let this user in",
        "3D000" => "there is no such database",
        "40001" => "the server asks for the transaction to be repeated",
        "40P01" => "the server ended the transaction to end a deadlock",
        "428C9" => "a column that the server computes or numbers was set",
        "42501" => "this user may not do this",
        "42P10" => "no unique index fits the key",
        "53100" => "the server's disk is full",
        "53200" => "the server is out of memory",
        "53300" => "the server takes no more connections",
        "55P03" => "a lock was not to be had in time",
        "57014" => "the statement was cancelled: its time was over, or someone cancelled it",
        "57P01" | "57P02" => "the server ended the connection: it is going down, or was told to",
        "57P03" => "the server is starting or going down",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "../../xtask/shared/documented.rs"]
mod documented;

#[cfg(test)]
mod tests {
    use batchflow_core::ErrorClass;

    use super::*;

    /// `docs/errors.md` shows the codes of each kind.
    #[test]
    fn the_documented_codes_are_these() {
        documented::assert_documented("PostgreSQL\n", |kind| {
            let own = CODES.iter().filter(|(_, of)| *of == kind);
            own.map(|(code, _)| (*code).to_owned()).collect()
        });
    }

    /// Every code that PostgreSQL's `errcodes.txt` has in these classes.
    #[test]
    fn every_code_of_the_known_classes_has_its_kind() {
        use ErrorKind as K;
        let cases: &[(ErrorKind, &[&str])] = &[
            (K::Connection, &["08000", "08003", "08006", "08001", "08004", "08007", "08P01"]),
            (K::DuplicateKey, &["21000", "23505"]),
            (
                K::Data,
                &[
                    "22000", "2202E", "22021", "22008", "22012", "22005", "2200B", "22022",
                    "22015", "2201E", "22014", "22016", "2201F", "2201G", "22018", "22007",
                    "22019", "2200D", "22025", "22P06", "22010", "22023", "22013", "2201B",
                    "2201W", "2201X", "2202H", "2202G", "22009", "2200C", "2200G", "22004",
                    "22002", "22003", "2200H", "22026", "22001", "22011", "22027", "22024",
                    "2200F", "22P01", "22P02", "22P05", "2200L", "2200M", "2200N", "2200S",
                    "2200T", "22030", "22031", "22032", "22033", "22034", "22035", "22036",
                    "22037", "22038", "22039", "2203A", "2203B", "2203C", "2203D", "2203E",
                    "2203F", "2203G", "55P04",
                ],
            ),
            (K::Internal, &["22P03", "22P04", "25000", "25001", "25002", "25008", "25003"]),
            (K::Internal, &["25004", "25005", "25007", "25P01", "25P02", "XX000"]),
            (K::Constraint, &["23000", "23001", "23502", "23503", "23514", "23P01", "40002"]),
            (K::Constraint, &["44000"]),
            (K::ReadOnly, &["25006"]),
            (K::Timeout, &["25P03", "25P04", "57014"]),
            (K::Serialization, &["40000", "40001"]),
            (K::Deadlock, &["40P01"]),
            (K::Permission, &["42501", "28000", "28P01"]),
            (
                K::Syntax,
                &[
                    "42000", "42601", "42602", "42622", "42939", "42702", "42725", "42P08",
                    "42P09", "42701", "42712", "42P03", "42P05", "42803", "42P20", "42P19",
                    "42P18", "42P02",
                ],
            ),
            (
                K::Schema,
                &[
                    "42846", "42830", "42804", "42P21", "42P22", "42809", "428C9", "42703",
                    "42883", "42P01", "42704", "42723", "42P04", "42P06", "42P07", "42710",
                    "42P10", "42611", "42P11", "42P12", "42P13", "42P14", "42P15", "42P16",
                    "42P17", "3D000", "3F000", "54011", "55000", "57P04", "XX001", "XX002",
                ],
            ),
            (K::Resource, &["53000", "53100", "53200", "53300", "53400"]),
            (K::TooLarge, &["54000", "54001"]),
            (K::Unsupported, &["54023", "55P02", "0A000"]),
            (K::LockTimeout, &["55006", "55P03"]),
            (K::Connection, &["57000", "57P01", "57P02", "57P03", "57P05", "40003"]),
            (K::Io, &["58000", "58030", "58P01", "58P02", "58P03"]),
            (K::Other, &["P0000", "P0001", "P0002", "P0003", "P0004", "ZZ123", "", "x"]),
        ];
        for (expected, codes) in cases {
            for code in *codes {
                assert_eq!(kind(code), *expected, "{code}");
            }
        }
        assert_eq!(kind("P0001").class(), ErrorClass::Row);
        assert_eq!(kind("53300").class(), ErrorClass::Transient);
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
    }
}
