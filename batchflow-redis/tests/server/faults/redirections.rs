//! What a cluster's nodes say to who asks the wrong one.

use batchflow_redis::client::types::config::Config;
use batchflow_redis::{ConflictStrategy, ErrorKind, Layout, Merge, Request, Schema, Value};

use crate::support::cluster::Cluster;
use crate::support::servers::Servers;
use crate::support::{Direct, connect, connect_as, write};

/// Rows of one slot: their keys' names have it in braces.
const SLOT_OF: &str = "moving";

/// A slot that is on its way from one primary to another, with these keys still at the first.
async fn on_its_way(cluster: &Cluster, present: &[&str]) -> (usize, usize, u16) {
    let mut direct = Direct::connect(&cluster.url).await;
    let slot: u16 = direct.ask(&format!("CLUSTER KEYSLOT {SLOT_OF}")).await.parse().unwrap();
    for command in present {
        direct.ask(command).await;
    }
    let from = cluster.owner(slot).await;
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, to).await;
    (from, to, slot)
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn rows_whose_slot_is_on_its_way_are_written_where_their_key_belongs() {
    use ConflictStrategy::{Fail, Replace, Update};
    for scripts in [true, false] {
        for rows in [3_i64, 40] {
            let cluster = Cluster::start(&Servers::connect(), &[]).await;
            let prefix = format!("{{{SLOT_OF}}}:");
            let present = [format!("SET {prefix}s0 old"), format!("RPUSH {prefix}l old")];
            let present: Vec<&str> = present.iter().map(|command| &**command).collect();
            let (from, to, slot) = on_its_way(&cluster, &present).await;
            let driver = connect(&cluster.url).await.unwrap();
            let driver = driver
                .layout("strings", Layout::string(format!("{prefix}s")))
                .layout("sums", Layout::string(format!("{prefix}n")))
                .layout("lists", Layout::list(&prefix))
                .layout("commands", Layout::command());
            let driver = if scripts { driver } else { driver.without_scripts() };
            let strings = Schema::new("strings", Replace, ["id", "value"]).unwrap();
            let sums = Schema::builder("sums").columns(["id", "n"]).key(["id"]);
            let sums = sums.on_conflict(Update).merge("n", Merge::Add).build().unwrap();
            let lists = Schema::new("lists", Fail, ["id", "value"]).unwrap();
            let commands = Schema::builder("commands").columns(["name", "key", "value"]);
            let commands = commands.build().unwrap();
            let written = vec!["written"; rows as usize];
            let of = |row: &dyn Fn(i64) -> Request| (0..rows).map(row).collect::<Vec<_>>();

            // The first key is where it was; all others are new.
            let own = |id: i64| strings.row((id, id)).unwrap();
            assert_eq!(write(&driver, of(&own)).await, written, "scripts {scripts}");
            let own = |id: i64| sums.row((id, 5_i64)).unwrap();
            assert_eq!(write(&driver, of(&own)).await, written, "scripts {scripts}");
            // One list that is there, and one that is not: each in its order.
            let own = |n: i64| lists.row((if n % 2 == 0 { "l" } else { "k" }, n)).unwrap();
            assert_eq!(write(&driver, of(&own)).await, written, "scripts {scripts}");
            let own = |n: i64| commands.row(("RPUSH", format!("{prefix}c"), n)).unwrap();
            for n in 0..rows {
                assert_eq!(write(&driver, vec![own(n)]).await, ["written"], "scripts {scripts}");
            }

            let count = |node: usize| cluster.keys_in(node, slot);
            let (left, moved) = (count(from).await, count(to).await);
            assert_eq!(left, 2, "what was there stays: scripts {scripts}, {rows}");
            assert_eq!(moved, 2 * rows as usize + 1, "what is new goes: scripts {scripts}, {rows}");
            cluster.move_slot(slot, to).await;
            let mut direct = Direct::connect(&cluster.url).await;
            for id in 0..rows {
                let found = direct.ask(&format!("MGET {prefix}s{id} {prefix}n{id}")).await;
                assert_eq!(found, format!("{id} 5"), "scripts {scripts}");
            }
            let expect = |parity: i64, first: &str| {
                let own = (0..rows).filter(|n| n % 2 == parity).map(|n| n.to_string());
                let first = Some(first.to_owned()).filter(|first| !first.is_empty());
                first.into_iter().chain(own).collect::<Vec<_>>().join(" ")
            };
            let whole = format!("LRANGE {prefix}l 0 -1");
            assert_eq!(direct.ask(&whole).await, expect(0, "old"), "promise 3: {scripts}");
            let whole = format!("LRANGE {prefix}k 0 -1");
            assert_eq!(direct.ask(&whole).await, expect(1, ""), "promise 3: {scripts}");
            let all: Vec<String> = (0..rows).map(|n| n.to_string()).collect();
            let whole = format!("LRANGE {prefix}c 0 -1");
            assert_eq!(direct.ask(&whole).await, all.join(" "), "promise 3: {scripts}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn who_takes_a_node_for_a_server_and_a_cluster_for_one_is_told() {
    let cluster = Cluster::start(&Servers::connect(), &[]).await;
    let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "n"]).unwrap();
    let rows = |count: i64| -> Vec<Request> {
        (0..count).map(|id| schema.row((id, Value::from(1_i64))).unwrap()).collect()
    };
    let driver = connect(&cluster.nodes[0].url).await.unwrap();
    for count in [4, 40] {
        let verdicts = write(&driver, rows(count)).await;
        let told = verdicts.iter().filter(|verdict| verdict.contains("redis-cluster://")).count();
        assert!(told > 0 && told < count as usize, "some are its own: {verdicts:?}");
        assert!(verdicts.iter().all(|verdict| !verdict.contains("unknown")), "{verdicts:?}");
    }
    let one = Servers::connect().server("").await;
    let url = one.url.replacen("redis://", "redis-cluster://", 1);
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");

    // A client that is configured for a cluster has its nodes found by the driver.
    let driver = connect_as(Config::from_url(&cluster.url).unwrap()).await.unwrap();
    assert_eq!(write(&driver, rows(40)).await, vec!["written"; 40]);

    // A command's key has to be where the driver looks for it, on whichever node it is.
    let driver = driver.layout("commands", Layout::command());
    let schema = Schema::builder("commands").columns(["a", "b", "c", "d"]).build().unwrap();
    let commands = ["SET k1 v", "BITOP NOT k2 k2", "XGROUP CREATE s g", "PING", "SORT_RO k1 BY x"];
    let row = |words: &&str| {
        let mut words = words.split(' ').map(Value::from);
        schema.row((0..4).map(|_| words.next().unwrap_or_default()).collect::<Vec<_>>()).unwrap()
    };
    let verdicts = write(&driver, commands.iter().map(row).collect()).await;
    assert_eq!(verdicts[..2], ["written", "written"], "{verdicts:?}");
    assert_eq!(verdicts[2], "data", "{verdicts:?}");
    assert_eq!(verdicts[3], "written", "{verdicts:?}");
}
