//! Under fire: connections are cut, servers killed, stalled and failed over while rows are
//! written. What became of every row is judged from a history.
//!
//! Each test is repeated with every seed of `cargo xtask integration --seeds N --seed S`.

mod at_once;
mod disk;
#[path = "../../../../xtask/shared/fire.rs"]
mod fire;
mod killed_writer;
mod late_commit;
mod limits;
mod messages;
mod overlap;
mod own_servers;
mod rig;
mod servers_down;
mod settled;
