//! `time` 0.3. A date and time without an offset is read as UTC.

use time::{OffsetDateTime, PrimitiveDateTime, UtcDateTime};

use crate::request::FromValue;
use crate::temporal::{Date, Time, Timestamp};
use crate::value::Value;

/// 1970-01-01 as a Julian day.
const EPOCH: i32 = 2_440_588;

from! {
    OffsetDateTime => |v| Self::Timestamp(Timestamp::from_unix_nanos(v.unix_timestamp_nanos()));
    UtcDateTime => |v| Self::Timestamp(Timestamp::from_unix_nanos(v.unix_timestamp_nanos()));
    PrimitiveDateTime => |v| v.as_utc().into();
    time::Date => |v| Self::Date(Date::from_unix_days(v.to_julian_day() - EPOCH));
    time::Time => |v| {
        let (hour, minute, second, nano) = v.as_hms_nano();
        let seconds = u64::from(hour) * 3_600 + u64::from(minute) * 60 + u64::from(second);
        Self::Time(Time::at_most(seconds * 1_000_000_000 + u64::from(nano)))
    };
}

arrays!(OffsetDateTime, UtcDateTime, PrimitiveDateTime, time::Date, time::Time);

/// At the offset zero.
impl FromValue for OffsetDateTime {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(v) => Self::from_unix_timestamp_nanos(v.unix_nanos()).ok(),
            _ => None,
        }
    }
}

impl FromValue for UtcDateTime {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(v) => Self::from_unix_timestamp_nanos(v.unix_nanos()).ok(),
            _ => None,
        }
    }
}

impl FromValue for PrimitiveDateTime {
    fn from_value(value: &Value) -> Option<Self> {
        UtcDateTime::from_value(value).map(|moment| Self::new(moment.date(), moment.time()))
    }
}

impl FromValue for time::Date {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Date(v) => Self::from_julian_day(v.unix_days().checked_add(EPOCH)?).ok(),
            _ => None,
        }
    }
}

impl FromValue for time::Time {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Time(v) => {
                let (hour, minute, second, nano) = v.to_hms_nano();
                Self::from_hms_nano(hour, minute, second, nano).ok()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::UtcOffset;

    use super::*;
    use crate::convert::tests::{beyond, both_ways, clock, day, extremes, moment};

    #[test]
    fn moments_days_and_times_convert_both_ways_up_to_their_limits() {
        let paris = UtcOffset::from_hms(2, 0, 0).unwrap();
        let limits = [UtcDateTime::MIN, UtcDateTime::MAX];
        let limits = limits.map(|utc| (utc.unix_timestamp(), utc.nanosecond()));
        for (seconds, nanos) in [(0, 0), (-1, 999_999_999), (1_700_000_000, 1)] {
            let expected = moment(seconds, nanos);
            let offset = OffsetDateTime::from_value(&expected).unwrap().to_offset(paris);
            both_ways(offset, &expected);
        }
        for (seconds, nanos) in [(0, 0), (-1, 999_999_999), limits[0], limits[1]] {
            let expected = moment(seconds, nanos);
            both_ways(UtcDateTime::from_value(&expected).unwrap(), &expected);
            both_ways(PrimitiveDateTime::from_value(&expected).unwrap(), &expected);
        }
        both_ways(time::Date::from_julian_day(EPOCH).unwrap(), &day(1970, 1, 1));
        both_ways(time::Date::MIN, &day(time::Date::MIN.year(), 1, 1));
        both_ways(time::Date::MAX, &day(time::Date::MAX.year(), 12, 31));
        both_ways(time::Time::MIDNIGHT, &clock(0, 0, 0, 0));
        both_ways(time::Time::MAX, &clock(23, 59, 59, 999_999_999));
        let (moments, days, midnight) = extremes();
        moments.iter().for_each(beyond::<OffsetDateTime>);
        moments.iter().for_each(beyond::<PrimitiveDateTime>);
        days.iter().for_each(beyond::<time::Date>);
        beyond::<time::Time>(&midnight);
    }
}
