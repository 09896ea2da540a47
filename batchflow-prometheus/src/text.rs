//! The formats of a scrape.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// Everything in the registry, in the OpenMetrics text format.
pub fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing into a string fails only where a metric refuses to be written as text.
    match text::encode(&mut out, registry) {
        Ok(()) => out,
        Err(_) => "# EOF\n".to_owned(),
    }
}

/// Everything in the registry, in Prometheus' older text format, `version=0.0.4`: what tools read
/// that do not ask for OpenMetrics, `promtool check metrics` among them.
pub fn encode_classic(registry: &Registry) -> String {
    classic(&encode(registry))
}

/// Everything in the registry, in Prometheus' protobuf format: messages of the type
/// `io.prometheus.client.MetricFamily`, each behind its length. It alone has native histograms.
#[cfg(feature = "protobuf")]
pub fn encode_protobuf(registry: &Registry) -> Vec<u8> {
    // Fails only where a metric refuses to be written.
    prometheus_client::encoding::prometheus_protobuf::encode_to_vec(registry).unwrap_or_default()
}

/// OpenMetrics names a counter without its `_total` where it describes it; the older format has
/// it there too, and neither units nor an end.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let described = line.strip_prefix("# HELP ");
        let next = lines.peek().and_then(|next| next.strip_prefix("# TYPE "));
        let own = line.strip_prefix("# TYPE ");
        let counter = |of: &str| of.ends_with(" counter");
        let rename = match (described, own) {
            (Some(help), _) if next.is_some_and(counter) => Some(("# HELP ", help)),
            (_, Some(kind)) if counter(kind) => Some(("# TYPE ", kind)),
            _ => None,
        };
        match rename.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) => {
                out.extend([head, name, "_total ", rest]);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_describes_a_counter_by_the_name_of_its_samples() {
        let text = "# HELP a A count.\n# TYPE a counter\na_total{b=\"c\"} 1\n\
            # HELP d_seconds A gauge.\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\n\
            d_seconds 2\n# EOF\n";
        assert_eq!(
            classic(text),
            "# HELP a_total A count.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
             # HELP d_seconds A gauge.\n# TYPE d_seconds gauge\nd_seconds 2\n"
        );
    }
}
