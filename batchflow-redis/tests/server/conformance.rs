//! The conformance kit, as far as it asks nothing of columns that Redis does not have; and the
//! strategies against its model.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::conformance::{self, Harness, Hold, Model, sort_rows};
use batchflow_core::testing::{Column, Ending, Proxy, Table};
use batchflow_redis::{
    BatchFlow, ColumnKind, ConflictStrategy, Date, Driver, Layout, Merge, Outcome, Request, Schema,
    Time, Timestamp, Value,
};

use crate::support::{Direct, address, by_user, connect, fresh, is_cluster, through, url};

/// Seeds of each random test.
const SEEDS: std::ops::Range<u64> = 0..40;

/// The password of a cluster's user.
const PASSWORD: &str = "password-canary-7d21";

/// A server, reached through a proxy, or a cluster; its tables are hashes that hold their keys, too.
struct Server {
    /// A cluster's nodes tell each other's addresses, so that nothing can stand before them.
    proxy: Option<Arc<Proxy>>,
    /// The only one of its user.
    url: String,
    user: String,
    scripts: bool,
    tables: std::sync::Mutex<Vec<String>>,
}

impl Server {
    async fn new(scripts: bool) -> Self {
        let (user, url) = (fresh("kit"), url());
        if is_cluster(&url) {
            let mut direct = Direct::connect(&url).await;
            direct.ask(&format!("ACL SETUSER {user} on >{PASSWORD} ~* &* +@all")).await;
            let url = by_user(&url, &user, PASSWORD);
            return Self { proxy: None, url, user, scripts, tables: std::sync::Mutex::default() };
        }
        let proxy = Some(Arc::new(Proxy::start(address(&url)).await.unwrap()));
        Self { proxy, url, user, scripts, tables: std::sync::Mutex::default() }
    }
}

/// Lets everything pass again when it is dropped.
struct Stalled(Arc<Proxy>);

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.pass();
    }
}

fn layout(table: &str) -> Layout {
    if table.contains("secrets") {
        // Commands that no server knows: it quotes them in what it says.
        return Layout::command();
    }
    Layout::hash(format!("{table}:")).key_fields()
}

fn value(column: &Column, bytes: &[u8]) -> Value {
    if column.kind() == ColumnKind::Bytes {
        return bytes.to_vec().into();
    }
    let text = str::from_utf8(bytes).unwrap();
    match column.kind() {
        ColumnKind::Bool => Value::Bool(text == "1"),
        ColumnKind::Integer => Value::I64(text.parse().unwrap()),
        ColumnKind::Float32 => Value::F32(text.parse().unwrap()),
        ColumnKind::Float64 => Value::F64(text.parse().unwrap()),
        ColumnKind::Decimal => Value::Decimal(text.into()),
        ColumnKind::Uuid => uuid(text),
        ColumnKind::Timestamp => {
            let (day, clock) = text.strip_suffix('Z').unwrap().split_once('T').unwrap();
            Timestamp::from_parts(date(day), time(clock)).into()
        }
        ColumnKind::Date => date(text).into(),
        ColumnKind::Time => time(text).into(),
        _ => Value::from(text),
    }
}

fn uuid(text: &str) -> Value {
    let digits = text.replace('-', "");
    let bytes = digits.as_bytes().chunks(2);
    let bytes = bytes.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
    Value::Uuid(bytes.collect::<Vec<u8>>().try_into().unwrap())
}

fn date(text: &str) -> Date {
    let parts: Vec<i32> = text.split('-').map(|part| part.parse().unwrap()).collect();
    let [year, month, day] = parts[..] else { panic!("not a date: {text}") };
    Date::from_ymd(year, month.try_into().unwrap(), day.try_into().unwrap()).unwrap()
}

fn time(text: &str) -> Time {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<u8> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    let [hour, minute, second] = parts[..] else { panic!("not a time: {text}") };
    let nanos = format!("{fraction:0<9}").parse().unwrap();
    Time::from_hms_nano(hour, minute, second, nanos).unwrap()
}

#[async_trait]
impl Harness for Server {
    async fn create(&self, table: &Table) {
        self.tables.lock().unwrap().push(table.name().to_owned());
    }

    async fn driver(&self) -> Arc<dyn Driver> {
        let url = match &self.proxy {
            Some(proxy) => through(&self.url, proxy.address()),
            None => self.url.clone(),
        };
        let driver = connect(&url).await.unwrap();
        let mut driver = if self.scripts { driver } else { driver.without_scripts() };
        for table in self.tables.lock().unwrap().iter() {
            driver = driver.layout(table, layout(table));
        }
        Arc::new(driver)
    }

    async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
        let mut direct = Direct::connect(&url()).await;
        let mut rows = Vec::new();
        for key in direct.keys(&format!("{}:", table.name())).await {
            let mut words = vec![b"HMGET".as_slice(), &key];
            words.extend(table.columns().iter().map(|column| column.name().as_bytes()));
            let found = direct.call(&words).await.unwrap();
            let found: Vec<Option<Vec<u8>>> = redis::from_redis_value(found).unwrap();
            let cells = table.columns().iter().zip(found);
            let cell = |(column, bytes): (&Column, Option<Vec<u8>>)| {
                bytes.map_or(Value::Null, |bytes| value(column, &bytes))
            };
            rows.push(cells.map(cell).collect());
        }
        rows
    }

    fn is_strict(&self, _: ColumnKind) -> bool {
        false
    }

    fn second_digits(&self) -> u8 {
        9
    }

    fn secrets(&self) -> Vec<String> {
        let password = self.url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        let password = password.and_then(|(user, _)| user.split_once(':'));
        password.map(|(_, password)| password.to_owned()).into_iter().collect()
    }

    fn has_constraints(&self) -> bool {
        false
    }

    async fn hold_up(&self, _: &Table) -> Option<Hold> {
        let proxy = Arc::clone(self.proxy.as_ref()?);
        proxy.stall();
        Some(Box::new(Stalled(proxy)))
    }

    async fn cut_connections(&self) -> bool {
        match &self.proxy {
            Some(proxy) => proxy.cut_all(Ending::Reset),
            None => {
                let mut direct = Direct::connect(&url()).await;
                direct.ask(&format!("CLIENT KILL USER {}", self.user)).await;
            }
        }
        true
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn types_at_their_limits() {
    conformance::types_at_their_limits(&Server::new(true).await).await;
    conformance::types_at_their_limits(&Server::new(false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn order_per_key() {
    conformance::order_per_key(&Server::new(true).await, SEEDS).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn lost_answers_are_never_repeated_blindly() {
    conformance::lost_answers_are_never_repeated_blindly(&Server::new(true).await).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_late_orphan_breaks_no_order() {
    conformance::a_late_orphan_breaks_no_order(&Server::new(true).await).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_cut_connection_is_replaced() {
    assert!(conformance::a_cut_connection_is_replaced(&Server::new(true).await).await);
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn what_needs_a_hold_is_tested_where_there_is_a_proxy() {
    let server = Server::new(true).await;
    let has_proxy = server.proxy.is_some();
    assert_eq!(conformance::a_held_up_write_ends_by_its_deadline(&server).await, has_proxy);
    assert_eq!(conformance::a_stalled_database_exceeds_no_bound(&server).await, has_proxy);
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn what_needs_constraints_is_not_asked_of_redis() {
    let server = Server::new(true).await;
    assert!(!conformance::unset_is_not_null(&server).await);
    assert!(!conformance::what_is_missing_is_named(&server).await);
    assert!(!conformance::another_unique_key_is_never_ignored(&server).await);
    assert!(!conformance::one_bad_row_among_a_thousand(&server).await);
    assert!(!conformance::a_bad_row_merged_with_a_good_one(&server).await);
    assert!(!conformance::strategies_match_the_model(&server, SEEDS).await);
    assert!(!conformance::refusals_match_the_model(&server, SEEDS).await);
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_cancelled_flow_writes_what_it_holds_and_takes_no_more() {
    let server = Server::new(true).await;
    conformance::a_cancelled_flow_writes_what_it_holds_and_takes_no_more(&server).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_cancelled_attempt_applies_nothing_or_says_so() {
    conformance::a_cancelled_attempt_applies_nothing_or_says_so(&Server::new(true).await).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn close_writes_what_is_held_and_takes_no_more() {
    conformance::close_writes_what_is_held_and_takes_no_more(&Server::new(true).await).await;
    conformance::close_writes_what_is_held_and_takes_no_more(&Server::new(false).await).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn secrets_stay_in() {
    conformance::secrets_stay_in(&Server::new(true).await).await;
    conformance::secrets_stay_in(&Server::new(false).await).await;
}

/// Promise 5, for hashes: the kit's own test makes columns with defaults and checks.
#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_random_rows_leave_what_the_model_says() {
    let server = Server::new(true).await;
    for seed in 0..150 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let table = Table::new(fresh("model"))
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(Column::new("name", ColumnKind::Text))
            .column(Column::new("hits", ColumnKind::Integer))
            .column(Column::new("amount", ColumnKind::Float64))
            .column(Column::new("once", ColumnKind::Integer))
            .unique(["id"]);
        server.create(&table).await;
        let schema = schema(&table, &mut dice);
        let (flush, merging) = (dice.usize(1..30), dice.bool());
        let flow = BatchFlow::builder(server.driver().await)
            .flush_size(flush)
            .merge(merging)
            .flush_interval(Duration::from_millis(5))
            .build()
            .unwrap();
        let mut model = Model::new(&table);
        let mut expected = Vec::new();
        for _ in 0..dice.usize(1..80) {
            let request = row(&schema, &mut dice);
            expected.push((model.apply(&request), flow.submit_tracked(request).await.unwrap()));
        }
        for (wanted, receipt) in expected {
            let told = match receipt.await {
                Ok(Outcome::Written | Outcome::Superseded) => Ok(()),
                Ok(other) => panic!("seed {seed}: {other:?}"),
                Err(error) => Err(error.error().kind()),
            };
            assert_eq!(told, wanted, "seed {seed}, {schema:?}");
        }
        let mut found = server.read(&table).await;
        let mut wanted = model.rows().to_vec();
        sort_rows(&mut found);
        sort_rows(&mut wanted);
        assert!(found == wanted, "promise 5, seed {seed}: {schema:?}, {merging}, {flush}");
        drop(flow.close().await.unwrap());
    }
}

fn schema(table: &Table, dice: &mut fastrand::Rng) -> Schema {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let schema =
        Schema::builder(table.name()).columns(["id", "name", "hits", "amount", "once"]).key(["id"]);
    let strategy = [Fail, Ignore, Replace, Update, Update, Update][dice.usize(..6)];
    let mut schema = schema.on_conflict(strategy);
    if strategy == Update {
        let all = [Merge::Set, Merge::Add, Merge::Max, Merge::Min, Merge::KeepExisting];
        if dice.bool() {
            schema = schema.update(["hits", "amount", "once"]);
        }
        let hits = all[dice.usize(..5)];
        schema = schema.merge("hits", hits).merge("once", all[dice.usize(..5)]);
        if hits == Merge::Add {
            schema = schema.merge("amount", Merge::Add);
        }
    }
    schema.build().unwrap()
}

fn row(schema: &Schema, dice: &mut fastrand::Rng) -> Request {
    let mut row = Request::new(schema).set("id", dice.i64(0..6));
    for column in ["name", "hits", "amount", "once"] {
        row = match (dice.u8(..7), column) {
            (0 | 1, _) => row,
            (2, _) => row.set_null(column),
            (_, "name") => row.set(column, format!("n{}", dice.u8(..9))),
            // Halves of small integers: their sums are exact in any order.
            (_, "amount") => row.set(column, f64::from(dice.i16(..)) / 2.0),
            _ => row.set(column, dice.i64(-5..9)),
        };
    }
    row
}
