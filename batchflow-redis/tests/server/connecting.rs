//! Ways to connect: versions of the protocol, databases, Sentinels.

use std::time::Duration;

use batchflow_redis::{
    ConflictStrategy, Driver, ErrorKind, Layout, Merge, RedisConfig, RedisDriver, Schema,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{
    Direct, address, config, connect, fresh, is_cluster, tested_client, through, url, write,
};

async fn connect_with(config: RedisConfig) -> RedisDriver {
    let connected = timeout(Duration::from_secs(20), RedisDriver::connect_with(config)).await;
    connected.expect("promise 9: it hangs").unwrap()
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn rows_are_written_in_either_version_of_the_protocol() {
    for resp3 in [false, true] {
        let table = fresh("protocol");
        let layouts = [
            ("hashes", Layout::hash(format!("{table}:h:"))),
            ("strings", Layout::string(format!("{table}:s:")).ttl(Duration::from_secs(60))),
            ("scores", Layout::sorted_set(format!("{table}:z:"))),
            ("lists", Layout::list(format!("{table}:l:"))),
        ];
        let mut driver = connect_with(config(&url()).resp3(resp3)).await;
        for (name, layout) in layouts {
            driver = driver.layout(name, layout);
        }
        let pair = |name: &str, strategy| Schema::new(name, strategy, ["id", "n"]).unwrap();
        let hashes = pair("hashes", ConflictStrategy::Update);
        let strings = pair("strings", ConflictStrategy::Fail);
        let lists = pair("lists", ConflictStrategy::Fail);
        let scores = Schema::builder("scores").columns(["id", "member", "n"]);
        let scores = scores.key(["id", "member"]).on_conflict(ConflictStrategy::Update);
        let scores = scores.merge("n", Merge::Add).build().unwrap();
        let mut direct = Direct::connect(&url()).await;
        for count in [2_i64, 300] {
            let what = format!("{resp3}, {count}");
            let ids = || (0..count).map(|id| count * 1_000 + id);
            let written = vec!["written"; count as usize];
            let rows = ids().map(|id| hashes.row((id, id)).unwrap()).collect();
            assert_eq!(write(&driver, rows).await, written, "{what}");
            let rows = || ids().map(|id| strings.row((id, id)).unwrap()).collect();
            assert_eq!(write(&driver, rows()).await, written, "{what}");
            let again = vec!["duplicate_key"; count as usize];
            assert_eq!(write(&driver, rows()).await, again, "{what}");
            let rows = ids().map(|id| lists.row((id, id)).unwrap()).collect();
            assert_eq!(write(&driver, rows).await, written, "{what}");
            let rows = ids().map(|id| scores.row((id, "m", 0.5)).unwrap()).collect();
            assert_eq!(write(&driver, rows).await, written, "{what}");
            let last = ids().next_back().unwrap();
            for (question, answer) in [
                (format!("HGET {table}:h:{last} n"), last.to_string()),
                (format!("GET {table}:s:{last}"), last.to_string()),
                (format!("TTL {table}:s:{last}"), "60".to_owned()),
                (format!("LRANGE {table}:l:{last} 0 -1"), last.to_string()),
                (format!("ZSCORE {table}:z:{last} m"), "0.5".to_owned()),
            ] {
                assert_eq!(direct.ask(&question).await, answer, "{what}: {question}");
            }
        }
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn the_database_that_is_named_is_written_to() {
    if is_cluster(&url()) {
        // It has one.
        return;
    }
    let (table, base) = (fresh("database"), url());
    let (server, _) = base.rsplit_once('/').unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "n"]).unwrap();
    for driver in [
        connect(&format!("{server}/9")).await.unwrap(),
        connect_with(config(&url()).database(9).resp3(true)).await,
    ] {
        assert_eq!(write(&driver, vec![schema.row((1_i64, 5_i64)).unwrap()]).await, ["written"]);
        let mut direct = Direct::connect(&format!("{server}/9")).await;
        assert_eq!(direct.ask(&format!("HGET {table}:1 n")).await, "5");
        direct.ask(&format!("DEL {table}:1")).await;
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_password_that_is_not_taken_is_told_from_a_server_that_has_no_room() {
    let server = crate::support::servers::Servers::connect().server("").await;
    let mut direct = Direct::connect(&server.url).await;
    let wrong = server.url.replacen("redis://:", "redis://:wrong-canary-", 1);
    let resp3 = config(&wrong).resp3(true);
    for connected in [connect(&wrong).await, RedisDriver::connect_with(resp3).await] {
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "promise 10: {error}");
    }
    direct.ask("CONFIG SET maxclients 1").await;
    let error = connect(&server.url).await.unwrap_err();
    direct.ask("CONFIG SET maxclients 100").await;
    assert!(error.kind().is_transient(), "it may have room later: {error}");
    drop(connect(&server.url).await.unwrap());
}

/// Answers as a Sentinel does that knows one primary; counts who asked for it.
async fn sentinel(listener: TcpListener, name: &str, primary: &str) {
    let (host, port) = primary.split_once(':').unwrap();
    let named = format!("*2\r\n${}\r\n{host}\r\n${}\r\n{port}\r\n", host.len(), port.len());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        while let Some(words) = command(&mut stream).await {
            let answer = match words.join(" ").to_lowercase() {
                asked if asked == format!("sentinel get-master-addr-by-name {name}") => &*named,
                asked if asked.starts_with("sentinel sentinels") => "*0\r\n",
                asked if asked.starts_with("sentinel") => "*-1\r\n",
                _ => "+OK\r\n",
            };
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// The next command, if any comes: none of its words has an end of line in it.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut lines = stream.lines();
    let count: usize = lines.next_line().await.ok()??.strip_prefix('*')?.parse().unwrap();
    let mut words = Vec::new();
    for _ in 0..count {
        lines.next_line().await.ok()??;
        words.push(lines.next_line().await.ok()??);
    }
    Some(words)
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn the_primary_that_sentinels_name_is_written_to() {
    if is_cluster(&url()) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let primary = address(&url());
    let serving = tokio::spawn(async move { sentinel(listener, "main", &primary).await });
    // The first one is not there.
    let path = format!("?sentinelServiceName=main&node={place}");
    let named = through(&url(), "127.0.0.1:1");
    let base = named.replacen("redis://", "redis-sentinel://", 1) + &path;
    let table = fresh("sentinel");
    let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "n"]).unwrap();
    let driver = connect_with(config(&base)).await;
    assert_eq!(write(&driver, vec![schema.row((1_i64, 5_i64)).unwrap()]).await, ["written"]);
    let mut direct = Direct::connect(&url()).await;
    assert_eq!(direct.ask(&format!("HGET {table}:1 n")).await, "5");
    driver.close().await;

    let other = base.replacen("=main", "=other", 1);
    let config = config(&other).connect_timeout(Duration::from_secs(2));
    let connected = timeout(Duration::from_secs(20), RedisDriver::connect_with(config)).await;
    let error = connected.expect("promise 9: it hangs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{:?}: {error}", tested_client());
    serving.abort();
}
