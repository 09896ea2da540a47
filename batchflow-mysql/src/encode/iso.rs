//! ISO 8601: the texts of dates and times that mean the same whatever the session's settings.

use batchflow_core::{Date, Time, Timestamp};

use super::refusal::{Fit, RANGE};

const TEXT: &str = "it is not an ISO 8601 text";
const DAY: u64 = 86_400_000_000_000;

/// `2024-02-29`, `2024-02-29 12:00:00.5`, `2024-02-29T12:00Z`: without a zone, in UTC.
pub(super) fn moment(text: &str) -> Fit<Timestamp> {
    read_moment(text.trim_ascii()).ok_or(TEXT)
}

/// `2024-02-29`, or the day of a moment.
pub(super) fn date(text: &str) -> Fit<Date> {
    let (date, _) = moment(text)?.to_parts().ok_or(RANGE)?;
    Ok(date)
}

/// `12:00`, `-12:00:00.123456789`, `838:59:59`: whether it is negative, and its nanoseconds.
pub(super) fn duration(text: &str) -> Fit<(bool, u64)> {
    let text = text.trim_ascii();
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (hours, digits) = number(&mut rest).ok_or(TEXT)?;
    let nanos = read_minutes(&mut rest).ok_or(TEXT)?;
    if !rest.is_empty() || !(1..=3).contains(&digits) {
        return Err(TEXT);
    }
    Ok((negative, hours * 3_600_000_000_000 + nanos))
}

fn read_moment(text: &str) -> Option<Timestamp> {
    let mut rest = text;
    let date = read_date(&mut rest)?;
    if rest.is_empty() {
        return Some(Timestamp::from_parts(date, Time::from_nanos(0)?));
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = two_digits(&mut rest)?;
    let nanos = u64::from(hour) * 3_600_000_000_000 + read_minutes(&mut rest)?;
    // 24:00 is the next day's midnight, as ISO 8601 has it.
    let local = Timestamp::from_parts(date, Time::from_nanos(nanos).filter(|_| nanos <= DAY)?);
    let zone = if rest.is_empty() { 0 } else { read_zone(rest)? };
    Timestamp::new(local.unix_seconds().checked_sub(zone)?, local.subsec_nanos())
}

fn read_date(rest: &mut &str) -> Option<Date> {
    let (year, digits) = number(rest)?;
    if digits != 4 {
        return None;
    }
    *rest = rest.strip_prefix('-')?;
    let month = two_digits(rest)?;
    *rest = rest.strip_prefix('-')?;
    Date::from_ymd(i32::try_from(year).ok()?, month, two_digits(rest)?)
}

/// `:00`, `:00:00`, `:00:00.123`, as nanoseconds.
fn read_minutes(rest: &mut &str) -> Option<u64> {
    *rest = rest.strip_prefix(':')?;
    let minute = two_digits(rest)?;
    let (mut second, mut nanos) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        *rest = after;
        second = two_digits(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            *rest = after;
            let (fraction, digits) = number(rest)?;
            nanos = fraction * 10_u64.checked_pow(9_u32.checked_sub(digits)?)?;
        }
    }
    let valid = minute < 60 && second < 60;
    valid.then(|| (u64::from(minute) * 60 + u64::from(second)) * 1_000_000_000 + nanos)
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

/// Digits up to the first other letter, nine at most, and how many.
fn number(rest: &mut &str) -> Option<(u64, u32)> {
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    let count = u32::try_from(end).ok().filter(|count| *count <= 9)?;
    Some((digits.parse().ok()?, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601_is_read_and_nothing_else() {
        let at = |day, hour, minute, nanos| {
            let time = Time::from_hms_nano(hour, minute, 0, nanos).unwrap();
            Timestamp::from_parts(Date::from_ymd(2024, 2, day).unwrap(), time)
        };
        for (text, expected) in [
            ("2024-02-28", at(28, 0, 0, 0)),
            (" 2024-02-28 12:00 ", at(28, 12, 0, 0)),
            ("2024-02-28T12:00:00.000000001", at(28, 12, 0, 1)),
            ("2024-02-28t12:00:00.5Z", at(28, 12, 0, 500_000_000)),
            ("2024-02-28 12:00:00-05:30", at(28, 17, 30, 0)),
            ("2024-02-28 01:00:00+0200", at(27, 23, 0, 0)),
            ("2024-02-28 24:00", at(29, 0, 0, 0)),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "2024-2-9",
            "24-02-29",
            "2023-02-29",
            "now",
            "29.02.2024",
            "0000-00-00",
            "2024-00-10",
            "2024-02-29 25:00:00",
            "2024-02-29T12",
            "2024-02-29 12:00:00+2",
            "2024-02-29 12:00 Europe/Berlin",
            "2024-02-29 12:00:00.1234567890",
            "20240229",
            "12345-01-01",
            "2024-02-29 12:60",
        ] {
            assert!(moment(text).is_err(), "{text:?}");
        }
        assert_eq!(duration("-838:59:59.5"), Ok((true, 3_020_399_500_000_000)));
        assert_eq!(duration("1:02"), Ok((false, 3_720_000_000_000)));
        for text in ["", "12", "120000", "1 12:00:00", "12:00:60", "1000:00", "12:00Z"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
