//! What the dashboard and the alerts ask.

use serde_json::Value;

pub(crate) const DASHBOARD: &str = include_str!("../../dashboards/batchflow.json");
pub(crate) const ALERTS: &str = include_str!("../../dashboards/alerts.yml");

/// Every query of the dashboard, its variables filled in.
pub(crate) fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(query)) = fields.get("expr") {
                    found.push(query.clone());
                }
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).unwrap(), &mut found);
    let fill = |query: &String| {
        let query = query.replace("$__rate_interval", "1m");
        query.replace("$job", ".*").replace("$backend", ".*")
    };
    found.iter().map(fill).collect()
}
