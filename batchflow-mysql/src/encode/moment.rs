//! Dates, times and timestamps, as the client's own kinds.

use batchflow_core::{Date, Timestamp, ValueRef};
use mysql_async::Value;

use super::iso;
use super::refusal::{Fit, KIND, RANGE};

const MICRO: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// In microseconds.
const DAY: u64 = 86_400_000_000;

/// 838:59:59 in microseconds: the longest `time`.
const LONGEST: u64 = (838 * 3_600 + 59 * 60 + 59) * 1_000_000;

/// 0000-01-01 to 9999-12-31, as days since 1970. No day before the year 1000 is promised by the
/// servers' manuals, and all are stored.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// A date and time of the clock of UTC, for a column of so many digits of a second.
#[inline]
pub(super) fn datetime(value: ValueRef<'_>, digits: u8) -> Fit<Value> {
    let (days, micros) = rounded(instant(value)?, digits)?;
    Ok(civil(days, micros))
}

/// An instant from 1970 to the last second that a `timestamp` holds.
#[inline]
pub(super) fn timestamp(value: ValueRef<'_>, digits: u8, last: i64) -> Fit<Value> {
    let (days, micros) = rounded(instant(value)?, digits)?;
    let seconds = days * DAY_SECONDS + (micros / 1_000_000) as i64;
    if (1..=last).contains(&seconds) { Ok(civil(days, micros)) } else { Err(RANGE) }
}

/// A day; of a timestamp, its day in UTC.
#[inline]
pub(super) fn date(value: ValueRef<'_>) -> Fit<Value> {
    let days = match value {
        ValueRef::Date(date) => i64::from(date.unix_days()),
        ValueRef::Timestamp(moment) => moment.unix_seconds().div_euclid(DAY_SECONDS),
        ValueRef::Text(text) => i64::from(iso::date(text)?.unix_days()),
        _ => return Err(KIND),
    };
    if DAYS.contains(&days) { Ok(civil(days, 0)) } else { Err(RANGE) }
}

/// A time of day, or a text of a longer one.
#[inline]
pub(super) fn time(value: ValueRef<'_>, digits: u8) -> Fit<Value> {
    let (negative, nanos) = match value {
        ValueRef::Time(time) => (false, time.nanos()),
        ValueRef::Timestamp(moment) => {
            let seconds = moment.unix_seconds().rem_euclid(DAY_SECONDS).unsigned_abs();
            (false, seconds * SECOND + u64::from(moment.subsec_nanos()))
        }
        ValueRef::Text(text) => iso::duration(text)?,
        _ => return Err(KIND),
    };
    let micros = round(nanos, digits);
    if micros > LONGEST {
        return Err(RANGE);
    }
    let seconds = micros / 1_000_000;
    Ok(Value::Time(
        negative && micros > 0,
        (seconds / 86_400) as u32,
        (seconds / 3_600 % 24) as u8,
        (seconds / 60 % 60) as u8,
        (seconds % 60) as u8,
        (micros % 1_000_000) as u32,
    ))
}

#[inline]
fn instant(value: ValueRef<'_>) -> Fit<Timestamp> {
    match value {
        ValueRef::Timestamp(moment) => Ok(moment),
        ValueRef::Date(date) => {
            Timestamp::new(i64::from(date.unix_days()) * DAY_SECONDS, 0).ok_or(RANGE)
        }
        ValueRef::Text(text) => iso::moment(text),
        _ => Err(KIND),
    }
}

/// The day and the microseconds of it that a moment is rounded to.
#[inline]
fn rounded(moment: Timestamp, digits: u8) -> Fit<(i64, u64)> {
    let seconds = moment.unix_seconds();
    let days = seconds.div_euclid(DAY_SECONDS);
    let second = seconds.rem_euclid(DAY_SECONDS).unsigned_abs();
    let micros = round(second * SECOND + u64::from(moment.subsec_nanos()), digits);
    let (days, micros) = if micros >= DAY { (days + 1, micros - DAY) } else { (days, micros) };
    if DAYS.contains(&days) { Ok((days, micros)) } else { Err(RANGE) }
}

/// Nanoseconds in microseconds, rounded as the server rounds them: to whole microseconds first,
/// then to the column's digits, halves up both times.
#[inline]
fn round(nanos: u64, digits: u8) -> u64 {
    let micros = (nanos + MICRO / 2) / MICRO;
    if digits >= 6 {
        return micros;
    }
    let unit = 10_u64.pow(6 - u32::from(digits));
    (micros + unit / 2) / unit * unit
}

#[inline]
fn civil(days: i64, micros: u64) -> Value {
    let (year, month, day) = Date::from_unix_days(days as i32).to_ymd();
    let seconds = micros / 1_000_000;
    Value::Date(
        year as u16,
        month,
        day,
        (seconds / 3_600) as u8,
        (seconds / 60 % 60) as u8,
        (seconds % 60) as u8,
        (micros % 1_000_000) as u32,
    )
}

#[cfg(test)]
mod tests {
    use batchflow_core::Time;

    use super::*;

    fn at(seconds: i64, nanos: u32) -> ValueRef<'static> {
        ValueRef::Timestamp(Timestamp::new(seconds, nanos).unwrap())
    }

    #[test]
    fn fractions_are_rounded_twice_and_halves_up() {
        for (nanos, digits, expected) in [
            (0, 6, 0),
            (499, 6, 0),
            (500, 6, 1),
            (123_456_499, 6, 123_456),
            (499_999_499, 0, 0),
            (499_999_500, 0, 1_000_000),
            (123_499_510, 3, 124_000),
            (999_950_000, 4, 1_000_000),
        ] {
            assert_eq!(round(nanos, digits), expected, "{nanos} {digits}");
        }
        let next = datetime(at(86_399, 999_999_999), 6);
        assert_eq!(next, Ok(Value::Date(1970, 1, 2, 0, 0, 0, 0)));
        let last = Time::from_hms_nano(23, 59, 59, 999_999_999).unwrap();
        assert_eq!(time(ValueRef::Time(last), 6), Ok(Value::Time(false, 1, 0, 0, 0, 0)));
    }

    #[test]
    fn only_what_a_column_holds_is_in_range() {
        let text = ValueRef::Text;
        for (value, digits, fits) in [
            (text("0000-01-01"), 0, true),
            (text("9999-12-31 23:59:59.4"), 0, true),
            (text("9999-12-31 23:59:59.5"), 0, false),
            (text("9999-12-31 23:59:59.999999"), 6, true),
            (text("9999-12-31 23:59:59.9999995"), 6, false),
            (at(i64::MAX, 0), 6, false),
            (at(-62_167_219_201, 0), 6, false),
            (ValueRef::I64(20_240_101), 6, false),
        ] {
            assert_eq!(datetime(value, digits).is_ok(), fits, "{value:?} {digits}");
        }
        for last in [i64::from(i32::MAX), i64::from(u32::MAX)] {
            for (value, fits) in [
                (at(0, 999_999_000), false),
                (at(1, 0), true),
                (at(last, 999_999_000), true),
                (at(last, 999_999_500), false),
                (at(last + 1, 0), false),
            ] {
                assert_eq!(timestamp(value, 6, last).is_ok(), fits, "{value:?}");
            }
        }
        for (value, fits) in [
            (text("838:59:59"), true),
            (text("-838:59:59"), true),
            (text("838:59:59.4"), true),
            (text("838:59:59.5"), false),
            (text("839:00"), false),
        ] {
            assert_eq!(time(value, 0).is_ok(), fits, "{value:?}");
        }
        assert_eq!(date(ValueRef::Date(Date::from_unix_days(2_932_897))), Err(RANGE));
        assert_eq!(date(at(-1, 5)), Ok(Value::Date(1969, 12, 31, 0, 0, 0, 0)));
    }
}
