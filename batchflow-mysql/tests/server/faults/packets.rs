//! A connection that is cut after any packet of the protocol, in either direction: that of COMMIT
//! and its answer among them.

use std::time::Duration;

use batchflow_core::testing::{Cut, Direction, Ending, Proxy};
use batchflow_mysql::Way;

use super::rig::{Kind, Rig, Setup};
use crate::support::framing::{address, frame};
use crate::support::{seeds, url};

/// More packets than any attempt has, its connection's start included.
const MOST: u64 = 600;

/// Cuts an attempt after its first packet, another after its second, and so on to the last.
/// *Cold* ones begin by connecting.
async fn after_every_packet(way: Way, kind: Kind, ledger: bool, seed: u64) {
    let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
    let through = Some(proxy.address().to_string());
    let setup =
        Setup { seed, way: Some(way), ledger, through, pool_size: Some(1), ..Setup::default() };
    let rig = Rig::new(&url(), setup).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    rig.write(kind, 5).await;
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
                rig.write(kind, dice.usize(1..30)).await;
                if proxy.cuts() == cuts {
                    break;
                }
                nth += 1;
                assert!(nth < MOST, "no attempt has so many packets");
            }
            proxy.pass();
            assert!(nth > 2, "an attempt has more than {nth} packets");
        }
    }
    // Which packet is which depends on how rows met in batches, and the answer to COMMIT may have
    // passed before the cut. Of one row, on a connection that has written one, it is the second.
    let unknown = rig.flow.stats().unknown;
    for _ in 0..20 {
        rig.write(kind, 1).await;
        proxy.cut(Cut::before_message(Direction::ToClient, 2));
        rig.write(kind, 1).await;
        proxy.pass();
        if ledger || rig.flow.stats().unknown > unknown {
            break;
        }
    }
    let what = format!("{way:?}, {kind:?}, ledger {ledger}, seed {seed}");
    let stats = rig.finish(&what).await;
    assert_eq!(stats.rejected, 0, "{what}: {stats:?}");
    if ledger {
        // The server was well all the time: what became of a commit can be told.
        assert_eq!(stats.written + stats.superseded, stats.submitted, "{what}: {stats:?}");
    } else {
        // Rows of commits whose answers were lost, and of no other attempt: a few batches.
        assert!(stats.unknown > 0 && stats.unknown < 200, "{what}: {stats:?}");
    }
}

macro_rules! cut_after_every_packet {
    ($($test:ident: $way:ident, $kind:ident, $ledger:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs MySQL: cargo xtask integration"]
        async fn $test() {
            for seed in seeds() {
                after_every_packet(Way::$way, Kind::$kind, $ledger, seed).await;
            }
        }
    )+};
}

cut_after_every_packet! {
    promise_8_inserts_by_rows: Rows, Plain, true;
    promise_8_inserts_by_bulk: Bulk, Plain, true;
    promise_8_inserts_by_load: Load, Plain, true;
    promise_8_upserts_by_rows: Rows, Counting, true;
    promise_8_upserts_by_bulk: Bulk, Counting, true;
    promise_8_upserts_by_load: Load, Counting, true;
    promise_8_inserts_without_a_ledger: Rows, Plain, false;
    promise_8_upserts_without_a_ledger: Bulk, Counting, false;
}
