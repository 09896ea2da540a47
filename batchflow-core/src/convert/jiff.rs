//! `jiff` 0.2. A civil date and time is read as UTC.

use jiff::tz::{Offset, TimeZone};
use jiff::{Zoned, civil};

use crate::request::FromValue;
use crate::temporal::{Date, Time, Timestamp};
use crate::value::Value;

from! {
    jiff::Timestamp => |v| Self::Timestamp(Timestamp::from_unix_nanos(v.as_nanosecond()));
    Zoned => |v| v.timestamp().into();
    &Zoned => |v| v.timestamp().into();
    civil::DateTime => |v| {
        Self::Timestamp(Timestamp::from_parts(own_date(v.date()), own_time(v.time())))
    };
    civil::Date => |v| Self::Date(own_date(v));
    civil::Time => |v| Self::Time(own_time(v));
}

arrays!(jiff::Timestamp, Zoned, civil::DateTime, civil::Date, civil::Time);

fn own_date(date: civil::Date) -> Date {
    Date::from_civil(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

fn own_time(time: civil::Time) -> Time {
    let part = |part: i8| u64::from(part.unsigned_abs());
    let seconds = part(time.hour()) * 3_600 + part(time.minute()) * 60 + part(time.second());
    let nanos = u64::from(time.subsec_nanosecond().unsigned_abs());
    Time::at_most(seconds * 1_000_000_000 + nanos)
}

impl FromValue for jiff::Timestamp {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(v) => Self::from_nanosecond(v.unix_nanos()).ok(),
            _ => None,
        }
    }
}

/// In the zone UTC.
impl FromValue for Zoned {
    fn from_value(value: &Value) -> Option<Self> {
        jiff::Timestamp::from_value(value).map(|moment| moment.to_zoned(TimeZone::UTC))
    }
}

impl FromValue for civil::DateTime {
    fn from_value(value: &Value) -> Option<Self> {
        jiff::Timestamp::from_value(value).map(|moment| Offset::UTC.to_datetime(moment))
    }
}

impl FromValue for civil::Date {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Date(v) => {
                let (year, month, day) = v.to_ymd();
                let small = |part: u8| i8::try_from(part).ok();
                Self::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()
            }
            _ => None,
        }
    }
}

impl FromValue for civil::Time {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Time(v) => {
                let (hour, minute, second, nano) = v.to_hms_nano();
                let small = |part: u8| i8::try_from(part).ok();
                let nano = i32::try_from(nano).ok()?;
                Self::new(small(hour)?, small(minute)?, small(second)?, nano).ok()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::tests::{beyond, both_ways, clock, day, extremes, moment};

    #[test]
    fn moments_days_and_times_convert_both_ways_up_to_their_limits() {
        let limits = [jiff::Timestamp::MIN, jiff::Timestamp::MAX];
        let [least, most] = limits.map(jiff::Timestamp::as_nanosecond);
        for nanos in [0, -1, 1_700_000_000_000_000_001, least, most] {
            let expected = Value::Timestamp(Timestamp::from_unix_nanos(nanos));
            let stamp = jiff::Timestamp::from_nanosecond(nanos).unwrap();
            both_ways(stamp, &expected);
            both_ways(stamp.to_zoned(TimeZone::fixed(Offset::constant(2))), &expected);
            both_ways(Offset::UTC.to_datetime(stamp), &expected);
        }
        both_ways(civil::date(1970, 1, 1), &day(1970, 1, 1));
        both_ways(civil::Date::MIN, &day(-9_999, 1, 1));
        both_ways(civil::Date::MAX, &day(9_999, 12, 31));
        assert!(Value::from(civil::DateTime::MAX) == moment(253_402_300_799, 999_999_999));
        both_ways(civil::Time::MIN, &clock(0, 0, 0, 0));
        both_ways(civil::Time::MAX, &clock(23, 59, 59, 999_999_999));
        let (moments, days, midnight) = extremes();
        moments.iter().for_each(beyond::<Zoned>);
        moments.iter().for_each(beyond::<civil::DateTime>);
        days.iter().for_each(beyond::<civil::Date>);
        beyond::<civil::Time>(&midnight);
    }
}
