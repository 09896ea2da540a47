//! A connection that is cut after any message of the protocol, in either direction.

use std::time::Duration;

use batchflow_core::testing::{Cut, Direction, Ending, Proxy};
use batchflow_postgres::Way;

use super::rig::{Kind, Rig, config};
use crate::support::framing::{address, frame, through};
use crate::support::{seeds, url};

/// More messages than any attempt has, its connection's start included.
const MOST: u64 = 400;

/// Cuts an attempt after its first message, another after its second, and so on to the last.
/// *Cold* ones begin by connecting. `write` makes one, of so many rows.
pub(super) async fn cut_after_each(proxy: &Proxy, seed: u64, write: impl AsyncFn(usize)) {
    let mut dice = fastrand::Rng::with_seed(seed);
    write(5).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        for is_cold in [false, true] {
            let mut nth = 1;
            loop {
                if is_cold {
                    proxy.cut_all(Ending::Close);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let cut = Cut::after_message(direction, nth);
                proxy.cut(if dice.bool() { cut } else { cut.closing() });
                let cuts = proxy.cuts();
                write(dice.usize(1..30)).await;
                if proxy.cuts() == cuts {
                    break;
                }
                nth += 1;
                assert!(nth < MOST, "no attempt has so many messages");
            }
            proxy.pass();
            assert!(nth > 3, "an attempt has more than {nth} messages");
        }
    }
}

async fn after_every_message(way: Way, kind: Kind, seed: u64) {
    let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
    let config = config(&through(&url(), proxy.address()), Some(way)).pool_size(1);
    let rig = Rig::new(&url(), config, seed).await;
    cut_after_each(&proxy, seed, async |rows| rig.write(kind, rows).await).await;
    let stats = rig.finish(&format!("{way:?}, {kind:?}")).await;
    // The server was well all the time: what became of a commit can be told.
    let settled = stats.written + stats.superseded;
    assert_eq!(settled, stats.submitted, "{way:?}, {kind:?}, seed {seed}: {stats:?}");
}

macro_rules! cut_after_every_message {
    ($($test:ident: $way:ident, $kind:ident;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs PostgreSQL: cargo xtask integration"]
        async fn $test() {
            for seed in seeds() {
                after_every_message(Way::$way, Kind::$kind, seed).await;
            }
        }
    )+};
}

cut_after_every_message! {
    promise_8_inserts_by_unnest: Unnest, Plain;
    promise_8_inserts_by_copy: Copy, Plain;
    promise_8_inserts_by_stage: Stage, Plain;
    promise_8_upserts_by_unnest: Unnest, Counting;
    promise_8_upserts_by_stage: Stage, Counting;
}
