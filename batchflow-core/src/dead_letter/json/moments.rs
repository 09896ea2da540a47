//! Moments as ISO 8601, and as numbers where their years are beyond it.

use serde_json::{Value as Json, json};

use crate::temporal::{Date, Time, Timestamp};

pub(super) fn timestamp(moment: Timestamp) -> Json {
    match moment.to_parts() {
        Some((date, _)) if has_plain_year(date) => Json::String(moment.to_string()),
        _ => json!([moment.unix_seconds(), moment.subsec_nanos()]),
    }
}

pub(super) fn date(date: Date) -> Json {
    if has_plain_year(date) { Json::String(date.to_string()) } else { json!(date.unix_days()) }
}

fn has_plain_year(date: Date) -> bool {
    let (year, month, day) = date.to_ymd();
    Date::from_ymd(year, month, day) == Some(date)
}

pub(super) fn read_timestamp(json: &Json) -> Option<Timestamp> {
    match json {
        Json::String(text) => {
            let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
            Some(Timestamp::from_parts(iso_date(date)?, read_time(time)?))
        }
        Json::Array(parts) => match parts.as_slice() {
            [seconds, nanos] => {
                Timestamp::new(seconds.as_i64()?, u32::try_from(nanos.as_u64()?).ok()?)
            }
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn read_date(json: &Json) -> Option<Date> {
    match json {
        Json::String(text) => iso_date(text),
        json => Some(Date::from_unix_days(i32::try_from(json.as_i64()?).ok()?)),
    }
}

fn iso_date(text: &str) -> Option<Date> {
    // From the right: a year may begin with a minus.
    let mut parts = text.rsplitn(3, '-');
    let day = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    Date::from_ymd(parts.next()?.parse().ok()?, month, day)
}

pub(super) fn read_time(text: &str) -> Option<Time> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.splitn(3, ':').map(str::parse::<u8>);
    let mut next = || parts.next()?.ok().map(u64::from);
    let (hour, minute, second) = (next()?, next()?, next()?);
    if minute > 59 || second > 59 || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    Time::from_nanos((hour * 3_600 + minute * 60 + second) * 1_000_000_000 + nanos)
}
