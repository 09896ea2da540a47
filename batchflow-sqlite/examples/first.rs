//! The first program of the README.

use batchflow_sqlite::{BatchFlow, ConflictStrategy, Request, Schema, SqliteDriver, client};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::Connection::open("app.db")?.execute_batch(
        "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)",
    )?;

    let users = Schema::builder("users")
        .columns(["id", "name", "email"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .build()?;
    let flow = BatchFlow::builder(SqliteDriver::open("app.db").await?).build()?;

    // Queued; waits only for room. Clone `flow` into as many tasks as you like.
    for id in 0..10_000_i64 {
        flow.submit(Request::new(&users).set("id", id).set("name", format!("user {id}"))).await?;
    }

    // Where one row matters, ask what became of it: this waits for its commit.
    let ada = Request::new(&users).set("id", 1_i64).set("email", "ada@example.com");
    let outcome = flow.submit_tracked(ada).await?.await?;
    println!("Ada: {outcome:?}");

    let summary = flow.close().await?;
    assert!(summary.all_written());
    Ok(())
}
