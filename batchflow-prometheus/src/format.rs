//! [`Format`]: which format a scrape is answered in.

use prometheus_client::registry::Registry;

use crate::text::{encode, encode_classic};

/// A format that the exporter speaks, the poorest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    Classic,
    OpenMetrics,
    #[cfg(feature = "protobuf")]
    Protobuf,
}

impl Format {
    /// The one that these `Accept` headers like best, and of several the richest;
    /// [`Classic`](Self::Classic) where they say nothing.
    pub(crate) fn liked<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let ranges = accept.flat_map(|header| header.split(',')).filter_map(liking);
        let best = ranges.max_by(|(one, own), (other, theirs)| {
            one.total_cmp(other).then_with(|| own.cmp(theirs))
        });
        best.map_or(Self::Classic, |(_, format)| format)
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            #[cfg(feature = "protobuf")]
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    pub(crate) fn encode(self, registry: &Registry) -> Vec<u8> {
        match self {
            Self::Classic => encode_classic(registry).into_bytes(),
            Self::OpenMetrics => encode(registry).into_bytes(),
            #[cfg(feature = "protobuf")]
            Self::Protobuf => crate::text::encode_protobuf(registry),
        }
    }
}

/// One range of an `Accept` header: how much it is liked, where it is a format of ours.
fn liking(range: &str) -> Option<(f64, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let mut liking = 1.0;
    let mut parameters = Vec::new();
    for part in parts {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        if name == "q" {
            liking = value.parse().ok().filter(|liking| (0.0..=1.0).contains(liking))?;
        } else {
            parameters.push((name, value));
        }
    }
    let format = match &*media {
        "application/openmetrics-text" => Format::OpenMetrics,
        "text/plain" | "text/*" | "*/*" => Format::Classic,
        #[cfg(feature = "protobuf")]
        "application/vnd.google.protobuf" => {
            let has = |name: &str, value: &str| {
                parameters.iter().any(|(own, said)| own == name && said.eq_ignore_ascii_case(value))
            };
            let ours = has("proto", "io.prometheus.client.MetricFamily");
            (ours && has("encoding", "delimited")).then_some(Format::Protobuf)?
        }
        _ => return None,
    };
    (liking > 0.0).then_some((liking, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "protobuf")]
    const RICHEST: Format = Format::Protobuf;
    #[cfg(not(feature = "protobuf"))]
    const RICHEST: Format = Format::OpenMetrics;

    #[test]
    fn a_scrape_gets_the_format_it_likes_best() {
        const PROTOBUF: &str = "application/vnd.google.protobuf;\
            proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, expected) in [
            // Prometheus 2.42, without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                &*format!(
                    "{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,\
                     application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
                ),
                RICHEST,
            ),
            // Prometheus 3.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            // Ties go to the richer, and zero means none.
            (&*format!("text/plain, {PROTOBUF}, application/openmetrics-text"), RICHEST),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", Format::Classic),
            ("application/openmetrics-text;q=0, */*;q=0.1", Format::Classic),
            // Browsers, curl, and what nobody can read.
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Classic),
            ("*/*", Format::Classic),
            ("", Format::Classic),
            ("application/openmetrics-text;q=x, ;;=, application/json", Format::Classic),
            // Another message, or another framing.
            ("application/vnd.google.protobuf", Format::Classic),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=text",
                Format::Classic,
            ),
        ] {
            assert_eq!(Format::liked([accept].into_iter()), expected, "{accept}");
        }
        let several = ["text/plain;q=0.2", "application/openmetrics-text;q=0.3"];
        assert_eq!(Format::liked(several.into_iter()), Format::OpenMetrics);
        assert_eq!(Format::liked(std::iter::empty()), Format::Classic);
    }
}
