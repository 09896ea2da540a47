//! Redis, from programs on this machine.

mod cluster;
mod install;
mod program;
mod server;

pub(crate) use cluster::Cluster;
pub(crate) use install::Install;
pub(crate) use program::Program;
