//! From the servers' error numbers to [`ErrorKind`], as data.

use batchflow_core::ErrorKind;

/// The numbers of each kind. MariaDB's own are 1900 to 1999, and from 4000 on; MySQL's own from
/// 3000 on. A number that the two use for different things stands here for what a write can meet.
#[rustfmt::skip]
const KINDS: &[(ErrorKind, &[u16])] = &[
    // A unique index has the value; of a foreign key's cascade, too.
    (ErrorKind::DuplicateKey, &[1022, 1062, 1169, 1557, 1586, 1761, 1762, 1859]),
    // NULL, no default, foreign keys, a view's or a table's CHECK, a partition that is missing.
    (ErrorKind::Constraint, &[
        1048, 1121, 1138, 1216, 1217, 1263, 1364, 1369, 1423, 1451, 1452, 1526, 1566, 1748, 3008,
        3673, 3819, 4025,
    ]),
    // Values: out of range, cut, of another form, of another character set, no JSON, no geometry,
    // no address, or one that an expression of the table cannot work with.
    (ErrorKind::Data, &[
        1139, 1210, 1256, 1264, 1265, 1292, 1299, 1300, 1301, 1365, 1366, 1367, 1406, 1411, 1416,
        1425, 1426, 1441, 1467, 1525, 1575, 1690, 1916, 1917, 1918, 1921, 1922, 1958, 1977, 3020,
        3033, 3037, 3045, 3048, 3049, 3055, 3064, 3069, 3070, 3071, 3140, 3141, 3142, 3143, 3144,
        3145, 3146, 3147, 3150, 3151, 3154, 3155, 3156, 3157, 3158, 3513, 3548, 3616, 3617, 3643,
        3669, 3685, 3688, 3689, 3691, 3692, 3693, 3694, 3696, 3697, 3751, 3752, 3854, 3903,
        3904, 3988, 4035, 4036, 4037, 4038, 4039, 4040, 4048, 4049, 4050, 4079, 6136, 6137, 6138,
    ]),
    (ErrorKind::Deadlock, &[1213, 1614, 3058, 3132]),
    // A record, a table's definition or a statement's plan changed in the middle, or a cluster's
    // other node was faster.
    (ErrorKind::Serialization, &[1020, 1297, 1412, 1613, 1615, 1637, 1964, 3101]),
    (ErrorKind::LockTimeout, &[1015, 1205, 1689, 3133, 3177, 3547, 3572]),
    // Someone, or a limit, ended the statement.
    (ErrorKind::Timeout, &[1317, 1931, 1969, 3024, 3699]),
    // The connection, or the server, is going away, or not ready.
    (ErrorKind::Connection, &[
        1042, 1043, 1047, 1053, 1077, 1078, 1079, 1080, 1081, 1152, 1154, 1155, 1156, 1157, 1158,
        1159, 1160, 1161, 1184, 1189, 1190, 1218, 1927, 2002, 2003, 2006, 2013, 2055, 3032, 3168,
        3169, 4031,
    ]),
    // Files: of the server's own library (1 to 19), and of engines.
    (ErrorKind::Io, &[
        1, 2, 3, 4, 6, 9, 13, 1004, 1016, 1023, 1024, 1025, 1026, 1030, 1180, 1296, 1376, 1627,
        1810, 1811, 1878,
    ]),
    (ErrorKind::ReadOnly, &[1036, 1207, 1223, 1290, 1792, 1836, 1874, 1881, 3098, 3100, 3989]),
    // Memory, disk, connections, statements, locks.
    (ErrorKind::Resource, &[
        5, 20, 23, 1021, 1037, 1038, 1040, 1041, 1114, 1135, 1203, 1206, 1226, 1257, 1461, 3015,
        3019, 3044, 3170, 3675,
    ]),
    // A packet, a row's place on a page, a transaction's log: halves may fit.
    (ErrorKind::TooLarge, &[1118, 1153, 1162, 1197, 1390, 1705, 1713, 3231]),
    // Who may log in, and what for.
    (ErrorKind::Permission, &[
        1044, 1045, 1095, 1129, 1130, 1142, 1143, 1227, 1251, 1275, 1370, 1410, 1449, 1524, 1698,
        1820, 1862, 1873, 3118, 3159, 3879, 4151,
    ]),
    // What a statement names is missing, or is not what it was.
    (ErrorKind::Schema, &[
        1017, 1033, 1034, 1035, 1046, 1049, 1051, 1054, 1072, 1082, 1102, 1103, 1109, 1136, 1146,
        1176, 1194, 1195, 1286, 1288, 1305, 1347, 1348, 1356, 1360, 1394, 1471, 1630, 1707, 1712,
        1747, 1808, 1812, 1814, 1817, 1877, 1906, 1932, 3003, 3105, 3161, 3162, 3503, 3566,
    ]),
    (ErrorKind::Syntax, &[
        1052, 1055, 1056, 1058, 1059, 1060, 1064, 1065, 1066, 1093, 1110, 1111, 1140, 1149, 1222,
        1241, 1247, 1248, 1267, 1270, 1271, 1582, 1583, 1584, 4078,
    ]),
    (ErrorKind::Unsupported, &[
        1031, 1112, 1115, 1148, 1193, 1231, 1235, 1289, 1295, 1568, 1661, 1662, 1663, 1664, 1665,
        1666, 1667, 1726, 1785, 3110, 3167, 3750, 3948, 4033, 4056, 4166,
    ]),
    (ErrorKind::Internal, &[1032, 1105, 1119, 1243, 1436, 1815, 1835, 3000]),
    // A trigger's own: raised by hand, or of what it looks up.
    (ErrorKind::Other, &[1172, 1242, 1329, 1422, 1424, 1442, 1456, 1642, 1643, 1644, 1645]),
];

/// The kind of an error by its number, or where that is not known, by its SQLSTATE;
/// [`Other`](ErrorKind::Other) where neither is.
pub(crate) fn kind(code: u16, state: &str) -> ErrorKind {
    let known = KINDS.iter().find(|(_, codes)| codes.contains(&code));
    known.map_or_else(|| by_state(state), |(kind, _)| *kind)
}

/// The kinds of states of numbers that are not known. Only classes that mean one thing: most states
/// are `HY000`, and `42000` is anything.
const STATES: &[(&str, ErrorKind)] = &[
    ("08", ErrorKind::Connection),
    ("22", ErrorKind::Data),
    ("23", ErrorKind::Constraint),
    ("28", ErrorKind::Permission),
    ("40", ErrorKind::Serialization),
];

fn by_state(state: &str) -> ErrorKind {
    let known = STATES.iter().find(|(class, _)| state.starts_with(class));
    known.map_or(ErrorKind::Other, |(_, kind)| *kind)
}

/// What the driver itself can say about a number, without what the server said.
pub(crate) fn explain(code: u16) -> Option<&'static str> {
    Some(match code {
        1040 => "the server takes no more connections",
        1044 | 1142 | 1143 | 1227 => "this user may not do this",
        1045 | 1698 => "the server does not let this user in",
        1046 => "no database is chosen",
        1047 => "the server's cluster is not ready",
        1048 => "the column may not be NULL",
        1049 => "there is no such database",
        1053 => "the server is going down",
        1054 => "the table has no such column",
        1114 | 1021 | 3675 => "the server's table space or disk is full",
        1129 | 1130 => "the server does not let this host in",
        1146 => "there is no such table",
        1153 => "it is more than the server's max_allowed_packet",
        1197 => "the transaction is more than the server's max_binlog_cache_size",
        1203 | 1226 => "this user has no more connections or statements",
        1205 | 3572 => "a lock was not to be had in time",
        1206 => "the server has no room for more locks",
        1213 => "the server ended the transaction to end a deadlock",
        1216 | 1452 => "a foreign key refers to a row that is not there",
        1217 | 1451 => "a foreign key of another row refers to it",
        1264 | 1690 => "a value is out of its column's range",
        1290 | 1792 | 1836 | 1874 | 3989 => {
            "the server takes no writes: it is a replica, or set to read only"
        }
        1317 => "the statement was ended from outside",
        1364 => "the column is left unset and has no default",
        1369 => "the view's CHECK OPTION refuses the row",
        1406 => "a value is longer than its column",
        1461 => "the server has no room for more prepared statements",
        1526 => "the table has no partition for the row",
        1644 => "a trigger refuses the row",
        1661..=1667 => "the write cannot be logged under the server's binlog_format",
        1906 | 3105 => "it is a generated column, which no row may set",
        1820 | 1862 => "this user's password has expired",
        1927 | 3169 => "the connection was ended by a KILL",
        1969 | 3024 => "the statement took longer than the server lets it",
        3100 | 3098 => "a plugin of the server refuses the transaction",
        3118 | 4151 => "this user is locked",
        3140 => "a value is no JSON document",
        3159 => "the server asks for encryption",
        3819 | 4025 => "a CHECK constraint refuses the row",
        4033 => "the server's binlog_format takes nothing that is sent in bulk",
        3948 | 4166 | 1148 => "the server does not take LOAD DATA LOCAL INFILE",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "../../xtask/shared/documented.rs"]
mod documented;

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/errors.md` shows the numbers and states of each kind.
    #[test]
    fn the_documented_codes_are_these() {
        documented::assert_documented("MySQL and MariaDB\n", |kind| {
            let numbers = KINDS.iter().filter(|(of, _)| *of == kind);
            let numbers = numbers.flat_map(|(_, codes)| *codes).map(u16::to_string);
            let states = STATES.iter().filter(|(_, of)| *of == kind);
            numbers.chain(states.map(|(class, _)| format!("{class}…"))).collect()
        });
    }

    #[test]
    fn no_number_has_two_kinds() {
        let mut seen = std::collections::HashMap::new();
        for (kind, codes) in KINDS {
            for code in *codes {
                let before = seen.insert(code, kind);
                assert_eq!(before, None, "{code}");
            }
        }
        assert!(seen.len() > 300, "{}", seen.len());
    }

    #[test]
    fn each_number_that_a_write_may_meet_has_its_kind() {
        use ErrorKind as K;
        for (expected, codes) in [
            (K::DuplicateKey, &[1062_u16, 1586, 1859, 1022][..]),
            (K::Constraint, &[1048, 1364, 1216, 1217, 1451, 1452, 3819, 4025, 1526, 1369]),
            (
                K::Data,
                &[1264, 1265, 1292, 1366, 1406, 1411, 1416, 1441, 1690, 1977, 3140, 3988, 4038],
            ),
            (K::Deadlock, &[1213]),
            (K::Serialization, &[1020, 1412, 1615, 3101]),
            (K::LockTimeout, &[1205, 3547, 3572]),
            (K::Timeout, &[1317, 1969, 3024]),
            (K::Connection, &[1053, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 3169, 1047, 4031]),
            (K::Io, &[3, 1026, 1030]),
            (K::ReadOnly, &[1290, 1792, 1836, 1874, 3100]),
            (K::Resource, &[1021, 1037, 1040, 1114, 1203, 1206, 1226, 1461]),
            (K::TooLarge, &[1118, 1153, 1197]),
            (K::Permission, &[1044, 1045, 1142, 1143, 1227, 1698, 1820, 3118, 4151]),
            (K::Schema, &[1046, 1049, 1054, 1136, 1146, 1906, 1932, 3105]),
            (K::Syntax, &[1064, 1149, 1110]),
            (K::Unsupported, &[1148, 1235, 1295, 1661, 1665, 1667, 3948, 4033, 4166, 1785]),
            (K::Internal, &[1105, 1815]),
            (K::Other, &[1242, 1644, 9_999]),
        ] {
            for code in codes {
                assert_eq!(kind(*code, "HY000"), expected, "{code}");
            }
        }
    }

    #[test]
    fn an_unknown_number_has_its_states_kind_where_that_means_one_thing() {
        use ErrorKind as K;
        for (state, expected) in [
            ("08S01", K::Connection),
            ("22007", K::Data),
            ("23000", K::Constraint),
            ("28000", K::Permission),
            ("40000", K::Serialization),
            ("42000", K::Other),
            ("HY000", K::Other),
            ("", K::Other),
        ] {
            assert_eq!(kind(60_000, state), expected, "{state}");
        }
    }
}
