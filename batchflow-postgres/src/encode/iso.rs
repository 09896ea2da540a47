//! ISO 8601: the texts of dates and times that mean the same whatever the session's settings.

use batchflow_core::{Date, Time, Timestamp};

use super::refusal::Fit;
use super::temporal::{DAY_SECONDS, Moment};
use super::text::is_space;

const TEXT: &str = "it is not an ISO 8601 text";
pub(super) const NO_ZONE: &str = "it has no zone, and the session's may be any";
pub(super) const ZONE: &str = "it has a zone, which the column would drop";

/// `2024-02-29`, `2024-02-29 12:00:00.5`, `2024-02-29T12:00Z`, `infinity`.
pub(super) fn moment(text: &str) -> Fit<Moment> {
    read_moment(text.trim_matches(is_space)).ok_or(TEXT)
}

/// `12:00`, `12:00:00.123456789`.
pub(super) fn time(text: &str) -> Fit<Time> {
    let mut rest = text.trim_matches(is_space);
    let time = read_time(&mut rest).ok_or(TEXT)?;
    if rest.is_empty() { Ok(time) } else { Err(TEXT) }
}

fn read_moment(text: &str) -> Option<Moment> {
    let bare = text.strip_prefix('+').unwrap_or(text);
    if bare.eq_ignore_ascii_case("infinity") {
        return Some(Moment::Infinite { negative: false });
    }
    if text.eq_ignore_ascii_case("-infinity") {
        return Some(Moment::Infinite { negative: true });
    }
    let mut rest = text;
    let date = read_date(&mut rest)?;
    if rest.is_empty() {
        return Some(Moment::Date(date));
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let time = read_time(&mut rest)?;
    let local = Timestamp::from_parts(date, time);
    if rest.is_empty() {
        return Some(Moment::Local(local));
    }
    let seconds = local.unix_seconds().checked_sub(read_zone(rest)?)?;
    Timestamp::new(seconds, local.subsec_nanos()).map(Moment::Instant)
}

fn read_date(rest: &mut &str) -> Option<Date> {
    let (year, digits) = number(rest)?;
    if !(4..=6).contains(&digits) || year == 0 {
        return None;
    }
    *rest = rest.strip_prefix('-')?;
    let month = two_digits(rest)?;
    *rest = rest.strip_prefix('-')?;
    Date::from_ymd(i32::try_from(year).ok()?, month, two_digits(rest)?)
}

fn read_time(rest: &mut &str) -> Option<Time> {
    let hour = two_digits(rest)?;
    *rest = rest.strip_prefix(':')?;
    let minute = two_digits(rest)?;
    let mut second = 0;
    let mut nanos = 0;
    if let Some(after) = rest.strip_prefix(':') {
        *rest = after;
        second = two_digits(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            *rest = after;
            let (fraction, digits) = number(rest)?;
            nanos =
                u32::try_from(fraction).ok()? * 10_u32.checked_pow(9_u32.checked_sub(digits)?)?;
        }
    }
    if (hour, minute, second, nanos) == (24, 0, 0, 0) {
        return Time::from_nanos(DAY_SECONDS as u64 * 1_000_000_000);
    }
    Time::from_hms_nano(hour, minute, second, nanos)
}

/// Seconds east of Greenwich: `Z`, `+02`, `+0530`, `-05:30`.
fn read_zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, mut rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let hours = two_digits(&mut rest)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        rest = rest.strip_prefix(':').unwrap_or(rest);
        two_digits(&mut rest)?
    };
    let valid = rest.is_empty() && hours < 16 && minutes < 60;
    valid.then(|| sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

fn two_digits(rest: &mut &str) -> Option<u8> {
    let (digits, after) = rest.split_at_checked(2)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *rest = after;
    digits.parse().ok()
}

/// Digits up to the first other letter, and how many.
fn number(rest: &mut &str) -> Option<(u64, u32)> {
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    Some((digits.parse().ok()?, u32::try_from(end).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601_is_read_and_nothing_else() {
        let day = Date::from_ymd(2024, 2, 29).unwrap();
        let local = |hour, minute, second, nanos| {
            let time = Time::from_hms_nano(hour, minute, second, nanos).unwrap();
            Timestamp::from_parts(day, time)
        };
        for (text, expected) in [
            ("2024-02-29", Moment::Date(day)),
            (" 2024-02-29 12:00 ", Moment::Local(local(12, 0, 0, 0))),
            ("2024-02-29T12:00:00.000000001", Moment::Local(local(12, 0, 0, 1))),
            ("2024-02-29t12:00:00.5Z", Moment::Instant(local(12, 0, 0, 500_000_000))),
            ("2024-02-29 12:00:00-05:30", Moment::Instant(local(17, 30, 0, 0))),
            ("2024-02-29 12:00:00+0200", Moment::Instant(local(10, 0, 0, 0))),
            ("Infinity", Moment::Infinite { negative: false }),
            ("-infinity", Moment::Infinite { negative: true }),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "2024-2-9",
            "24-02-29",
            "2023-02-29",
            "2024-02-29 ",
            "now",
            "29.02.2024",
            "2024-02-29 25:00:00",
            "2024-02-29T12",
            "2024-02-29 12:00 Europe/Berlin",
            "2024-02-29 12:00:00+2",
            "2024-02-29 12:00:00.1234567890",
        ] {
            let read = moment(text);
            assert!(read.is_err() || text == "2024-02-29 ", "{text:?}: {read:?}");
        }
        assert_eq!(time("24:00:00").map(Time::nanos), Ok(86_400_000_000_000));
        assert!(time("24:00:01").is_err() && time("12:00:00Z").is_err());
    }
}
