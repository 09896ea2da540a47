//! Dates, times and timestamps: days and microseconds, counted from 2000-01-01.

use std::fmt;

use batchflow_core::{Date, Time, Timestamp, ValueRef};

use super::iso;
use super::refusal::{Fit, KIND, RANGE};

/// Days and seconds from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_SECONDS: i64 = EPOCH_DAYS * DAY_SECONDS;
pub(super) const DAY_SECONDS: i64 = 86_400;
const DAY_MICROS: i64 = DAY_SECONDS * SECOND;
const SECOND: i64 = 1_000_000;

/// 4714-11-24 BC to 5874897-12-31.
const DAYS: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// The same beginning, to 294276-12-31.
const MICROS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// What stands for the infinities.
const INFINITE_DAYS: [i32; 2] = [i32::MIN, i32::MAX];
const INFINITE_MICROS: [i64; 2] = [i64::MIN, i64::MAX];

/// A moment as a text has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Infinite {
        negative: bool,
    },
    Date(Date),
    /// Without a zone.
    Local(Timestamp),
    /// With one.
    Instant(Timestamp),
}

/// Days since 2000-01-01. A timestamp counts as its day in UTC.
#[inline]
pub(super) fn date(value: ValueRef<'_>) -> Fit<i32> {
    let days = match value {
        ValueRef::Date(date) => i64::from(date.unix_days()),
        ValueRef::Timestamp(moment) => instant(moment)?.div_euclid(DAY_MICROS) + EPOCH_DAYS,
        ValueRef::Text(text) => match iso::moment(text)? {
            Moment::Infinite { negative } => return Ok(INFINITE_DAYS[usize::from(!negative)]),
            Moment::Date(date) => i64::from(date.unix_days()),
            Moment::Local(moment) => moment.unix_seconds().div_euclid(DAY_SECONDS),
            Moment::Instant(_) => return Err(iso::ZONE),
        },
        _ => return Err(KIND),
    };
    let days = days - EPOCH_DAYS;
    if DAYS.contains(&days) { Ok(days as i32) } else { Err(RANGE) }
}

/// Microseconds since midnight. A timestamp counts as its time in UTC.
#[inline]
pub(super) fn time(value: ValueRef<'_>) -> Fit<i64> {
    match value {
        ValueRef::Time(time) => Ok(micros_of(time)),
        ValueRef::Timestamp(moment) => Ok(instant(moment)?.rem_euclid(DAY_MICROS)),
        ValueRef::Text(text) => iso::time(text).map(micros_of),
        _ => Err(KIND),
    }
}

/// Microseconds since 2000-01-01T00:00:00, by the clock of UTC.
#[inline]
pub(super) fn timestamp(value: ValueRef<'_>) -> Fit<i64> {
    match value {
        ValueRef::Timestamp(moment) => instant(moment),
        ValueRef::Date(date) => instant(midnight(date)?),
        ValueRef::Text(text) => match iso::moment(text)? {
            Moment::Infinite { negative } => Ok(INFINITE_MICROS[usize::from(!negative)]),
            Moment::Date(date) => instant(midnight(date)?),
            Moment::Local(moment) => instant(moment),
            Moment::Instant(_) => Err(iso::ZONE),
        },
        _ => Err(KIND),
    }
}

/// Microseconds since 2000-01-01T00:00:00Z. What has no zone is refused: the server would read it
/// in the session's.
#[inline]
pub(super) fn timestamptz(value: ValueRef<'_>) -> Fit<i64> {
    match value {
        ValueRef::Timestamp(moment) => instant(moment),
        ValueRef::Text(text) => match iso::moment(text)? {
            Moment::Infinite { negative } => Ok(INFINITE_MICROS[usize::from(!negative)]),
            Moment::Instant(moment) => instant(moment),
            Moment::Date(_) | Moment::Local(_) => Err(iso::NO_ZONE),
        },
        ValueRef::Date(_) => Err(iso::NO_ZONE),
        _ => Err(KIND),
    }
}

fn midnight(date: Date) -> Fit<Timestamp> {
    Timestamp::new(i64::from(date.unix_days()) * DAY_SECONDS, 0).ok_or(RANGE)
}

#[inline]
fn instant(moment: Timestamp) -> Fit<i64> {
    let seconds = moment.unix_seconds().checked_sub(EPOCH_SECONDS);
    let micros = seconds
        .and_then(|seconds| seconds.checked_mul(SECOND))
        .and_then(|whole| whole.checked_add(micros(moment.subsec_nanos())));
    micros.filter(|micros| MICROS.contains(micros)).ok_or(RANGE)
}

fn micros_of(time: Time) -> i64 {
    let nanos = time.nanos();
    (nanos / 1_000_000_000) as i64 * SECOND + micros((nanos % 1_000_000_000) as u32)
}

/// A fraction of a second in microseconds, rounded as the server rounds the text of one: through
/// a double, halves to even.
#[inline]
fn micros(nanos: u32) -> i64 {
    if nanos.is_multiple_of(1_000) {
        i64::from(nanos / 1_000)
    } else {
        (f64::from(nanos) / 1e9 * 1e6).round_ties_even() as i64
    }
}

/// Writes a date as PostgreSQL reads it.
pub(super) fn write_date(days: i32, out: &mut impl fmt::Write) -> fmt::Result {
    if let Some(at) = INFINITE_DAYS.iter().position(|infinite| *infinite == days) {
        return write_infinity(at == 0, out);
    }
    let era = write_day(i64::from(days) + EPOCH_DAYS, out)?;
    out.write_str(era)
}

/// Writes a time of day.
pub(super) fn write_time(micros: i64, out: &mut impl fmt::Write) -> fmt::Result {
    let (seconds, micros) = (micros / SECOND, micros % SECOND);
    write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
    if micros == 0 {
        return Ok(());
    }
    let (mut digits, mut width) = (micros, 6);
    while digits % 10 == 0 {
        digits /= 10;
        width -= 1;
    }
    write!(out, ".{digits:0width$}")
}

/// Writes a timestamp, `zone` behind it.
pub(super) fn write_timestamp(micros: i64, zone: &str, out: &mut impl fmt::Write) -> fmt::Result {
    if let Some(at) = INFINITE_MICROS.iter().position(|infinite| *infinite == micros) {
        return write_infinity(at == 0, out);
    }
    let era = write_day(micros.div_euclid(DAY_MICROS) + EPOCH_DAYS, out)?;
    out.write_char(' ')?;
    write_time(micros.rem_euclid(DAY_MICROS), out)?;
    out.write_str(zone)?;
    out.write_str(era)
}

fn write_infinity(negative: bool, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_str(if negative { "-infinity" } else { "infinity" })
}

/// Writes year, month and day of a day counted from 1970, and returns what says that the year is before Christ.
pub(super) fn write_day(days: i64, out: &mut impl fmt::Write) -> Result<&'static str, fmt::Error> {
    let days = i32::try_from(days).map_err(|_| fmt::Error)?;
    let (year, month, day) = Date::from_unix_days(days).to_ymd();
    if year > 0 {
        write!(out, "{year:04}-{month:02}-{day:02}")?;
        Ok("")
    } else {
        write!(out, "{:04}-{month:02}-{day:02}", 1 - year)?;
        Ok(" BC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: u32) -> ValueRef<'static> {
        ValueRef::Timestamp(Timestamp::new(seconds, nanos).unwrap())
    }

    #[test]
    fn nanoseconds_are_rounded_as_the_server_rounds_them() {
        for (nanos, expected) in [
            (0, 0),
            (1_000, 1),
            (499, 0),
            (500, 0),
            (501, 1),
            (1_500, 2),
            (2_500, 2),
            (999_999_500, 1_000_000),
        ] {
            assert_eq!(micros(nanos), expected, "{nanos}");
        }
        assert_eq!(timestamp(at(946_684_799, 999_999_999)), Ok(0), "into the next second");
        let last = Time::from_hms_nano(23, 59, 59, 999_999_999).unwrap();
        assert_eq!(time(ValueRef::Time(last)), Ok(DAY_MICROS), "24:00:00");
    }

    #[test]
    fn only_what_the_server_can_hold_is_in_range() {
        let day = |days| ValueRef::Date(Date::from_unix_days(days));
        assert_eq!(date(day(-2_440_588)), Ok(-2_451_545));
        assert_eq!(date(day(-2_440_589)), Err(RANGE));
        assert_eq!(date(day(2_145_042_905)), Ok(2_145_031_948));
        assert_eq!(date(day(2_145_042_906)), Err(RANGE));
        assert_eq!(timestamp(at(i64::MAX, 0)), Err(RANGE));
        assert_eq!(timestamp(at(-210_866_803_200, 0)), Ok(MICROS.start));
        assert_eq!(timestamp(at(-210_866_803_201, 999_999_000)), Err(RANGE));
        assert_eq!(timestamptz(at(9_224_318_016_000, 0)), Err(RANGE));
        assert_eq!(timestamp(at(9_224_318_015_999, 999_999_000)), Ok(MICROS.end - 1));
        assert_eq!(timestamp(ValueRef::Bool(true)), Err(KIND));
    }

    #[test]
    fn moments_are_written_as_postgresql_prints_them() {
        let text = |value| {
            let mut text = String::new();
            write_timestamp(timestamp(value).unwrap(), "+00", &mut text).unwrap();
            text
        };
        assert_eq!(text(at(0, 0)), "1970-01-01 00:00:00+00");
        assert_eq!(text(at(-1, 250_000_000)), "1969-12-31 23:59:59.25+00");
        assert_eq!(text(at(-62_135_596_801, 0)), "0001-12-31 23:59:59+00 BC");
        assert_eq!(text(ValueRef::Text("-infinity")), "-infinity");
        let mut shown = String::new();
        write_date(date(ValueRef::Text("12345-01-02")).unwrap(), &mut shown).unwrap();
        assert_eq!(shown, "12345-01-02");
    }

    #[test]
    fn a_moment_without_a_zone_is_no_instant() {
        assert_eq!(timestamptz(ValueRef::Text("2024-02-29 12:00:00")), Err(iso::NO_ZONE));
        assert_eq!(timestamptz(ValueRef::Date(Date::from_unix_days(0))), Err(iso::NO_ZONE));
        assert_eq!(timestamp(ValueRef::Text("2024-02-29T12:00:00Z")), Err(iso::ZONE));
        assert_eq!(timestamptz(ValueRef::Text("2000-01-01T02:00:00+02")), Ok(0));
    }
}
