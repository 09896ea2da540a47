//! MySQL and MariaDB, from programs on this machine.

mod install;
mod program;
mod server;
mod variant;

pub(crate) use install::Install;
pub(crate) use program::{Family, Program};
pub(crate) use variant::{LAX, STATEMENTS};
