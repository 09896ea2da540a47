//! The rows on their way: submitted one by one, and what became of them.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::rows::Rows;
use crate::{BatchFlow, Error, Request, Schema};

/// Submits every row to the flow, closes it, and tells what came of them.
pub(crate) async fn load(
    flow: BatchFlow,
    schema: &Schema,
    rows: &Rows,
    place: &str,
) -> Result<(), Error> {
    let bar = progress_bar(rows.count);
    let started = Instant::now();
    for record in rows.read()? {
        let record = record?;
        let mut request = Request::new(schema);
        for (column, value) in rows.columns.iter().zip(rows.values(&record)) {
            request = request.set(column, value);
        }
        flow.submit(request).await?;
        bar.inc(1);
    }
    let summary = flow.close().await?;
    let took = started.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let stats = summary.stats;
    println!("{} -> {place}, table {}", rows.source, schema.table());
    println!("key         {}", rows.key_names().collect::<Vec<_>>().join(", "));
    println!("submitted   {}", stats.submitted);
    println!("written     {}", stats.written);
    println!("superseded  {} by a later row of the same key", stats.superseded);
    println!("took        {took:.2} s, {:.0} rows/s", stats.submitted as f64 / took);
    if !summary.all_written() {
        return Err(format!("{} rows were not written", stats.rejected + stats.unknown).into());
    }
    Ok(())
}

/// Drawn on stderr, and only where that is a terminal.
fn progress_bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} rows, {per_sec}");
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
