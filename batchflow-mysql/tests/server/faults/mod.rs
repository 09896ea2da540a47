//! Under fire: connections are cut, servers killed, stalled and refusing while rows are written.
//! What became of every row is judged from a history.
//!
//! Each test is repeated with every seed of `cargo xtask integration --seeds N --seed S`.

mod failover;
#[path = "../../../../xtask/shared/fire.rs"]
mod fire;
mod killed_writer;
mod late_orphan;
mod limits;
mod overlap;
mod own_servers;
mod packets;
mod replication;
mod rig;
mod semi_sync;
mod servers_down;
mod statement_log;
mod upserts;
