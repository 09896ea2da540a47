#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::*;
use crate::unit::{clean_up, connect, run};

#[test]
fn only_what_is_surely_known_is_compared_here() {
    use Comparison as C;
    for (collation, varchar, char) in [
        ("utf8mb4_0900_ai_ci", C::PrintableNoCase, C::PrintableNoCaseTrimEnd),
        ("utf8mb4_general_ci", C::PrintableNoCaseTrimEnd, C::PrintableNoCaseTrimEnd),
        ("utf8mb4_uca1400_ai_ci", C::PrintableNoCaseTrimEnd, C::PrintableNoCaseTrimEnd),
        ("utf8mb4_unicode_nopad_ci", C::PrintableNoCase, C::PrintableNoCaseTrimEnd),
        ("utf8mb4_bin", C::TrimEnd, C::TrimEnd),
        ("utf8mb4_nopad_bin", C::Natural, C::TrimEnd),
        ("utf8mb4_0900_bin", C::Natural, C::TrimEnd),
        ("utf8mb4_0900_as_cs", C::Printable, C::PrintableTrimEnd),
        ("latin1_general_cs", C::PrintableTrimEnd, C::PrintableTrimEnd),
        ("latin1_swedish_ci", C::PrintableNoCaseTrimEnd, C::PrintableNoCaseTrimEnd),
        ("sjis_bin", C::PrintableTrimEnd, C::PrintableTrimEnd),
        ("utf8mb4_turkish_ci", C::Opaque, C::Opaque),
        ("utf8mb4_da_0900_ai_ci", C::Opaque, C::Opaque),
        ("utf8mb4_uca1400_czech_ai_ci", C::Opaque, C::Opaque),
        ("koi8u_general_ci", C::Opaque, C::Opaque),
        ("swe7_bin", C::Opaque, C::Opaque),
        ("utf8mb4_unheard_of_ci", C::Opaque, C::Opaque),
        ("binary", C::Natural, C::TrimEnd),
    ] {
        assert_eq!(comparison(collation, false), varchar, "{collation}");
        assert_eq!(comparison(collation, true), char, "{collation}");
    }
}

/// Every text of one or two printable ASCII characters that does not end in a space, beside its
/// text in small letters.
async fn fill(conn: &mut Conn) -> (u64, u64) {
    let letters = || (b' '..=b'~').map(char::from);
    let mut all: Vec<String> = letters().map(String::from).collect();
    all.extend(letters().flat_map(|a| letters().map(move |b| format!("{a}{b}"))));
    all.retain(|text| !text.ends_with(' '));
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap();
    let hex = |text: &str| -> String {
        text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    };
    let rows = all
        .iter()
        .map(|text| format!("(X'{}', X'{}')", hex(text), hex(&text.to_ascii_lowercase())));
    let rows: Vec<String> = rows.collect();
    run(conn, "CREATE TABLE texts (b VARBINARY(2), small VARBINARY(2))").await;
    run(conn, &format!("INSERT INTO texts VALUES {}", rows.join(","))).await;
    let counted: Option<(u64, u64)> = conn
        .query_first("SELECT COUNT(DISTINCT b), COUNT(DISTINCT small) FROM texts")
        .await
        .unwrap();
    counted.unwrap()
}

/// The collations of the server, with their character sets.
async fn collations(conn: &mut Conn) -> Vec<(String, String)> {
    let ask = |name: &str| {
        format!(
            "SELECT {name}, CHARACTER_SET_NAME \
             FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY ORDER BY 1"
        )
    };
    // Where one collation is for several character sets, MariaDB has its name with the set's.
    match conn.query(ask("FULL_COLLATION_NAME")).await {
        Ok(found) => found,
        Err(_) => conn.query(ask("COLLATION_NAME")).await.unwrap(),
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn what_is_said_of_a_collation_is_what_the_server_does() {
    let (mut conn, _) = connect().await;
    let (all, small) = fill(&mut conn).await;
    let mut known = 0;
    let mut faults = Vec::new();
    for (name, charset) in collations(&mut conn).await {
        let said = comparison(&name, false);
        if said == Comparison::Opaque || charset == "binary" {
            continue;
        }
        known += 1;
        let text = |bytes: &str| {
            format!(
                "CONVERT(CAST({bytes} AS CHAR CHARACTER SET ascii) USING {charset}) COLLATE {name}"
            )
        };
        let ask = format!(
            "SELECT COUNT(DISTINCT {}), COUNT(DISTINCT {}, small), {} = {} FROM texts",
            text("b"),
            text("b"),
            text("'a'"),
            text("'a '")
        );
        let found: Option<(u64, u64, bool)> = conn.query_first(ask).await.unwrap();
        let (distinct, pairs, pads) = found.unwrap();
        let uncased =
            matches!(said, Comparison::PrintableNoCase | Comparison::PrintableNoCaseTrimEnd);
        let trims = matches!(
            said,
            Comparison::TrimEnd | Comparison::PrintableTrimEnd | Comparison::PrintableNoCaseTrimEnd
        );
        let as_said = if uncased { distinct == small && pairs == small } else { distinct == all };
        if !as_said || pads != trims {
            faults.push(format!("{name}: {said:?}, but {distinct} {pairs}, pads: {pads}"));
        }
    }
    clean_up(conn).await;
    assert!(known > 80, "{known}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
