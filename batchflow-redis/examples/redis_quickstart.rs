//! Rows one by one into Redis, in batches: hashes, counters and a stream.
//!
//! ```text
//! export BATCHFLOW_REDIS_URL=redis://localhost:6379
//! cargo run --release -p batchflow-redis --example redis_quickstart -- 100000
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use batchflow_redis::client::interfaces::ClientLike;
use batchflow_redis::client::types::{ClusterHash, CustomCommand, Value as Answer};
use batchflow_redis::{
    BatchFlow, ConflictStrategy, Layout, Merge, RedisDriver, Request, Schema, client,
};

/// Any error here ends the program with one line.
type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redis_quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let rows: i64 = match std::env::args().nth(1) {
        Some(rows) => rows.parse().map_err(|_| "the number of rows is no number")?,
        None => 100_000,
    };
    let url = std::env::var("BATCHFLOW_REDIS_URL");
    let url = url.map_err(|_| "BATCHFLOW_REDIS_URL names no server: redis://localhost:6379")?;

    // What a table's rows become. All of it is gone within ten minutes.
    let ttl = Duration::from_secs(600);
    let driver = RedisDriver::connect(&url)
        .await?
        .layout("readings", Layout::hash("quickstart:reading:").ttl(ttl))
        .layout("counts", Layout::string("quickstart:count:").ttl(ttl))
        .layout("events", Layout::stream("quickstart:events").max_len(10_000).ttl(ttl));

    let readings = Schema::builder("readings")
        .columns(["id", "sensor", "reading", "note"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .build()?;
    let counts = Schema::builder("counts")
        .columns(["sensor", "hits"])
        .key(["sensor"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", Merge::Add)
        .build()?;
    let events = Schema::builder("events").columns(["id", "what"]).build()?;

    forget(&url).await?;
    let flow = BatchFlow::builder(driver).flush_size(1_000).build()?;
    let started = Instant::now();
    for id in 0..rows {
        let sensor = id % 100;
        let reading = readings.row((id, sensor, id as f64 / 8.0, format!("reading {id}")))?;
        flow.submit(reading).await?;
        flow.submit(Request::new(&counts).set("sensor", sensor).set("hits", 1_i64)).await?;
        if id % 10 == 0 {
            flow.submit(events.row((id, "read"))?).await?;
        }
    }
    let summary = flow.close().await?;
    let took = started.elapsed().as_secs_f64();
    let stats = summary.stats;
    println!("submitted   {}", stats.submitted);
    println!("written     {}", stats.written);
    println!("superseded  {} counts, added up before they were sent", stats.superseded);
    println!("took        {took:.2} s, {:.0} rows/s", stats.submitted as f64 / took);
    if !summary.all_written() {
        return Err(format!("{} rows were not written", stats.rejected + stats.unknown).into());
    }

    let connection = connect(&url).await?;
    let last = format!("quickstart:reading:{}", rows - 1);
    let note = ask(&connection, "HGET", vec![last.into(), "note".into()]).await?;
    let count = ask(&connection, "GET", vec!["quickstart:count:0".into()]).await?;
    let events = ask(&connection, "XLEN", vec!["quickstart:events".into()]).await?;
    println!("last        {note}");
    println!("sensor 0    {count} times");
    println!("events      {events} kept");
    Ok(())
}

async fn connect(url: &str) -> Result<client::clients::Client, Error> {
    let config = client::types::config::Config::from_url(url)?;
    let connection = client::clients::Client::new(config, None, None, None);
    connection.init().await?;
    Ok(connection)
}

async fn ask(
    connection: &client::clients::Client,
    name: &'static str,
    words: Vec<Answer>,
) -> Result<String, Error> {
    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    let answer: Answer = connection.custom(command, words).await?;
    Ok(answer.as_string().unwrap_or_else(|| "nothing".to_owned()))
}

/// Removes the counts and the stream of an earlier run.
async fn forget(url: &str) -> Result<(), Error> {
    let connection = connect(url).await?;
    ask(&connection, "DEL", vec!["quickstart:events".into()]).await?;
    for sensor in 0..100 {
        ask(&connection, "DEL", vec![format!("quickstart:count:{sensor}").into()]).await?;
    }
    Ok(())
}
