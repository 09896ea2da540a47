//! PostgreSQL and PgBouncer, from binaries on this machine.

pub(crate) mod binaries;
pub(crate) mod bouncer;
mod cluster;
mod config;
mod server;

pub(crate) use binaries::Binaries;
pub(crate) use bouncer::Bouncer;
pub(crate) use cluster::Cluster;
