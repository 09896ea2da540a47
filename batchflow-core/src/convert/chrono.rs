//! `chrono` 0.4. A date and time without a zone is read as UTC; a leap second counts into the
//! second after it, of a time of day no further than 24:00:00.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono::{Timelike, Utc};

use crate::request::FromValue;
use crate::temporal::{Date, Time, Timestamp};
use crate::value::Value;

/// 1970-01-01 as chrono counts days.
const EPOCH: i32 = 719_163;

/// The instant, whatever its zone.
impl<Tz: TimeZone> From<DateTime<Tz>> for Value {
    fn from(moment: DateTime<Tz>) -> Self {
        let whole = i128::from(moment.timestamp()) * 1_000_000_000;
        let nanos = whole + i128::from(moment.timestamp_subsec_nanos());
        Self::Timestamp(Timestamp::from_unix_nanos(nanos))
    }
}

from! {
    NaiveDateTime => |v| v.and_utc().into();
    NaiveDate => |v| Self::Date(Date::from_unix_days(v.num_days_from_ce() - EPOCH));
    NaiveTime => |v| {
        let whole = u64::from(v.num_seconds_from_midnight()) * 1_000_000_000;
        Self::Time(Time::at_most(whole + u64::from(v.nanosecond())))
    };
}

arrays!(DateTime<Utc>, DateTime<FixedOffset>, NaiveDateTime, NaiveDate, NaiveTime);

impl FromValue for DateTime<Utc> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(v) => Self::from_timestamp(v.unix_seconds(), v.subsec_nanos()),
            _ => None,
        }
    }
}

/// At the offset zero.
impl FromValue for DateTime<FixedOffset> {
    fn from_value(value: &Value) -> Option<Self> {
        DateTime::<Utc>::from_value(value).map(Into::into)
    }
}

impl FromValue for NaiveDateTime {
    fn from_value(value: &Value) -> Option<Self> {
        DateTime::<Utc>::from_value(value).map(|moment| moment.naive_utc())
    }
}

impl FromValue for NaiveDate {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Date(v) => Self::from_num_days_from_ce_opt(v.unix_days().checked_add(EPOCH)?),
            _ => None,
        }
    }
}

impl FromValue for NaiveTime {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Time(v) => {
                let (hour, minute, second, nano) = v.to_hms_nano();
                Self::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)
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
        let paris = FixedOffset::east_opt(7_200).unwrap();
        for (seconds, nanos) in [(0, 0), (-1, 999_999_999), (1_700_000_000, 1)] {
            let utc = DateTime::from_timestamp(seconds, nanos).unwrap();
            both_ways(utc, &moment(seconds, nanos));
            both_ways(utc.naive_utc(), &moment(seconds, nanos));
            both_ways(utc.with_timezone(&paris), &moment(seconds, nanos));
        }
        for utc in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            both_ways(utc, &moment(utc.timestamp(), utc.timestamp_subsec_nanos()));
        }
        both_ways(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap(), &day(1970, 1, 1));
        both_ways(NaiveDate::MIN, &day(-262_143, 1, 1));
        both_ways(NaiveDate::MAX, &day(262_142, 12, 31));
        both_ways(NaiveTime::MIN, &clock(0, 0, 0, 0));
        let last = NaiveTime::from_hms_nano_opt(23, 59, 59, 999_999_999).unwrap();
        both_ways(last, &clock(23, 59, 59, 999_999_999));
        let (moments, days, midnight) = extremes();
        moments.iter().for_each(beyond::<DateTime<Utc>>);
        moments.iter().for_each(beyond::<NaiveDateTime>);
        days.iter().for_each(beyond::<NaiveDate>);
        beyond::<NaiveTime>(&midnight);
    }

    #[test]
    fn a_leap_second_counts_into_the_next_second() {
        let date = NaiveDate::from_ymd_opt(2016, 12, 31).unwrap();
        let leap = NaiveTime::from_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap();
        assert!(Value::from(date.and_time(leap)) == moment(1_483_228_800, 500_000_000));
        assert!(Value::from(leap) == extremes().2);
    }
}
