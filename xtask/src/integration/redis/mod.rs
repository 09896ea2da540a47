//! Redis, from programs on this machine.

mod install;
mod program;
mod server;

pub(crate) use install::Install;
pub(crate) use program::Program;
