//! Rows that are commands.

use batchflow_redis::{ConflictStrategy, Layout, Schema, Value};

use crate::support::{Direct, connect, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn rows_that_are_commands() {
    use ConflictStrategy::Fail;
    for scripts in [true, false] {
        let table = fresh("commands");
        let driver = connect(&url()).await.unwrap().layout(&table, Layout::command());
        let driver = if scripts { driver } else { driver.without_scripts() };
        let columns = ["command", "key", "a", "b", "c"];
        let schema = Schema::builder(&table).columns(columns).on_conflict(Fail).build().unwrap();
        let row = |words: &str| {
            let words = words.replace('$', &format!("{table}:"));
            let mut words = words.split(' ').map(Value::from);
            let words: Vec<Value> = (0..5).map(|_| words.next().unwrap_or_default()).collect();
            schema.row(words).unwrap()
        };
        let rows = [
            "SET $1 one EX 60",
            "INCR $2",
            "INCRBY $2 5",
            "LPUSH $1 x",
            "BLPOP $3 0",
            "NOSUCH x",
            "GET $2",
            "SET $4",
            "set $5 five",
        ];
        let verdicts = write(&driver, rows.map(row).into()).await;
        let (w, d) = ("written", "data");
        assert_eq!(verdicts, [w, w, w, d, d, d, w, d, w], "scripts {scripts}");
        let mut direct = Direct::connect(&url()).await;
        let found = direct.ask(&format!("MGET {table}:1 {table}:2 {table}:5")).await;
        assert_eq!(found, "one 6 five", "scripts {scripts}");
        assert_eq!(direct.ask(&format!("TTL {table}:1")).await, "60");
    }
}
