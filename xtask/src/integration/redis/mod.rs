//! Redis, from programs on this machine.

mod client;
mod cluster;
mod install;
mod program;
mod server;

pub(crate) use client::{By, Client};
pub(crate) use cluster::Cluster;
pub(crate) use install::Install;
pub(crate) use program::Program;
