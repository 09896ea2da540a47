//! [`Timestamp`], [`Date`] and [`Time`]: moments without a library's type in the public API.

use std::fmt;
use std::time::{Duration, SystemTime};

const NANOS: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// An instant: seconds and nanoseconds since 1970-01-01T00:00:00Z.
///
/// A date and time that knows no zone is stored as if it were UTC. Two values of one instant are
/// equal whatever zone they were made from.
///
/// ```
/// use batchflow_core::{Date, Time, Timestamp};
///
/// let day = Date::from_ymd(2013, 11, 3).unwrap();
/// let moment = Timestamp::from_parts(day, Time::from_hms_nano(5, 0, 0, 0).unwrap());
/// assert_eq!(moment.to_string(), "2013-11-03T05:00:00Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// A day of the proleptic Gregorian calendar, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    days: i32,
}

/// A time of day, as nanoseconds since midnight; 24:00:00 is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    nanos: u64,
}

impl Timestamp {
    /// The instant `seconds` and `nanos` after the epoch; `None` where `nanos` is a second or more.
    pub const fn new(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 { Some(Self { seconds, nanos }) } else { None }
    }

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self {
            seconds: micros.div_euclid(1_000_000),
            nanos: micros.rem_euclid(1_000_000) as u32 * 1_000,
        }
    }

    /// The instant `nanos` nanoseconds after the epoch, which every clock's range has.
    pub(crate) const fn from_unix_nanos(nanos: i128) -> Self {
        Self { seconds: nanos.div_euclid(NANOS) as i64, nanos: nanos.rem_euclid(NANOS) as u32 }
    }

    /// The instant at `time` on `date`, read as UTC.
    pub const fn from_parts(date: Date, time: Time) -> Self {
        Self {
            seconds: date.days as i64 * DAY_SECONDS + (time.nanos / 1_000_000_000) as i64,
            nanos: (time.nanos % 1_000_000_000) as u32,
        }
    }

    /// Now, by this machine's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds beyond [`unix_seconds`](Self::unix_seconds), 0 to 999,999,999.
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Nanoseconds since the epoch.
    pub const fn unix_nanos(self) -> i128 {
        self.seconds as i128 * NANOS + self.nanos as i128
    }

    /// The UTC date and time of day; `None` beyond the range of [`Date`].
    pub fn to_parts(self) -> Option<(Date, Time)> {
        let days = i32::try_from(self.seconds.div_euclid(DAY_SECONDS)).ok()?;
        let nanos =
            self.seconds.rem_euclid(DAY_SECONDS) as u64 * 1_000_000_000 + u64::from(self.nanos);
        Some((Date { days }, Time { nanos }))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        Self::from_unix_nanos(nanos)
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = &'static str;

    fn try_from(time: Timestamp) -> Result<Self, Self::Error> {
        let whole = Duration::from_secs(time.seconds.unsigned_abs());
        let part = Duration::from_nanos(u64::from(time.nanos));
        let base = if time.seconds < 0 {
            Self::UNIX_EPOCH.checked_sub(whole)
        } else {
            Self::UNIX_EPOCH.checked_add(whole)
        };
        base.and_then(|base| base.checked_add(part))
            .ok_or("the instant is beyond this system's clock")
    }
}

impl Date {
    /// The day `days` after 1970-01-01.
    pub const fn from_unix_days(days: i32) -> Self {
        Self { days }
    }

    /// The day of a year, a month 1–12 and a day 1–31; `None` where there is no such day.
    ///
    /// Years run from -999,999 to 999,999; year 0 is 1 BC.
    pub const fn from_ymd(year: i32, month: u8, day: u8) -> Option<Self> {
        if month == 0 || month > 12 || day == 0 || day > days_in(year, month) {
            return None;
        }
        if year < -999_999 || year > 999_999 {
            return None;
        }
        Some(Self::from_civil(year, month, day))
    }

    /// The day of a year, month and day that are known to be one.
    pub(crate) const fn from_civil(year: i32, month: u8, day: u8) -> Self {
        // Years start in March here, so that the leap day is the last of a year; 400 years (an
        // era) always hold 146,097 days, and 719,468 lie between 0000-03-01 and 1970-01-01.
        let shifted = if month <= 2 { year - 1 } else { year } as i64;
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let month_from_march = (month as i64 + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self { days: (era * 146_097 + day_of_era - 719_468) as i32 }
    }

    /// Days since 1970-01-01.
    pub const fn unix_days(self) -> i32 {
        self.days
    }

    /// Year, month 1–12 and day 1–31.
    pub const fn to_ymd(self) -> (i32, u8, u8) {
        let shifted = self.days as i64 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
        (year as i32, month as u8, day as u8)
    }
}

const fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Time {
    /// The time `nanos` nanoseconds after midnight; `None` past 24:00:00.
    pub const fn from_nanos(nanos: u64) -> Option<Self> {
        if nanos <= DAY_SECONDS as u64 * 1_000_000_000 { Some(Self { nanos }) } else { None }
    }

    /// The time `nanos` nanoseconds after midnight, 24:00:00 where that is past it.
    #[cfg(any(feature = "with-chrono-04", feature = "with-jiff-02", feature = "with-time-03"))]
    pub(crate) fn at_most(nanos: u64) -> Self {
        Self { nanos: nanos.min(DAY_SECONDS as u64 * 1_000_000_000) }
    }

    /// The time at an hour 0–23, minute 0–59, second 0–59 and nanosecond; `None` beyond those.
    pub const fn from_hms_nano(hour: u8, minute: u8, second: u8, nano: u32) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 59 || nano > 999_999_999 {
            return None;
        }
        let seconds = hour as u64 * 3_600 + minute as u64 * 60 + second as u64;
        Some(Self { nanos: seconds * 1_000_000_000 + nano as u64 })
    }

    /// Nanoseconds since midnight.
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// Hour, minute, second and nanosecond.
    pub const fn to_hms_nano(self) -> (u8, u8, u8, u32) {
        let seconds = self.nanos / 1_000_000_000;
        (
            (seconds / 3_600) as u8,
            (seconds / 60 % 60) as u8,
            (seconds % 60) as u8,
            (self.nanos % 1_000_000_000) as u32,
        )
    }
}

/// ISO 8601, `2013-11-03`; years beyond four digits carry a sign.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.to_ymd();
        if (0..=9_999).contains(&year) {
            write!(f, "{year:04}-{month:02}-{day:02}")
        } else {
            write!(f, "{year:+05}-{month:02}-{day:02}")
        }
    }
}

/// ISO 8601, `05:00:00` or `05:00:00.25`: as many fraction digits as the value has.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second, nano) = self.to_hms_nano();
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        if nano != 0 {
            let digits = format!("{nano:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// ISO 8601 in UTC, `2013-11-03T05:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_parts() {
            Some((date, time)) => write!(f, "{date}T{time}Z"),
            None => write!(f, "@{}.{:09}", self.seconds, self.nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_three_thousand_years_survives_the_round_trip() {
        let mut last = None;
        for days in -1_000_000..200_000 {
            let (year, month, day) = Date::from_unix_days(days).to_ymd();
            assert_eq!(Date::from_ymd(year, month, day).map(Date::unix_days), Some(days));
            assert!(last < Some((year, month, day)));
            last = Some((year, month, day));
        }
    }

    #[test]
    fn moments_print_as_iso_8601() {
        let cases = [
            (Timestamp::new(0, 0), "1970-01-01T00:00:00Z"),
            (Timestamp::new(-1, 999_999_999), "1969-12-31T23:59:59.999999999Z"),
            (Timestamp::new(951_782_400, 250_000_000), "2000-02-29T00:00:00.25Z"),
        ];
        for (moment, text) in cases {
            assert_eq!(moment.unwrap().to_string(), text);
        }
        assert_eq!(Date::from_ymd(1900, 2, 29), None);
        assert_eq!(Date::from_ymd(12_345, 1, 2).unwrap().to_string(), "+12345-01-02");
    }

    #[test]
    fn the_systems_clock_converts_both_ways() {
        for seconds in [-1_500_000_000_i64, -1, 0, 1, 1_763_000_000] {
            let moment = Timestamp::new(seconds, 7).unwrap();
            let clock = SystemTime::try_from(moment).unwrap();
            assert_eq!(Timestamp::from(clock), moment);
        }
    }
}
