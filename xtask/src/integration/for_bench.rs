//! A server for a benchmark, where there is none to be found.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::backend::BACKENDS;
use super::context::Context;
use super::options::Options;
use super::redis;
use super::server::{Server, Source};
use super::takedown;
use crate::Error;
use crate::workspace::Workspace;

/// A server of a benchmark's own, and the variable that tells it where.
#[derive(Debug)]
pub(crate) struct ForBench {
    pub(crate) variable: &'static str,
    pub(crate) server: Box<dyn Server>,
}

/// Starts a server for the benchmark of a crate, as durable as one in use; of each program that is
/// given, where some are. None where the crate needs none, and unless a program is given, where one is
/// named, and where one listens at its usual port.
pub(crate) fn servers_for_bench(
    workspace: &Workspace,
    package: &str,
    options: &Options,
) -> Result<Vec<ForBench>, Error> {
    let backend = BACKENDS.iter().find(|backend| backend.package == package);
    let Some(kind) = backend.and_then(|backend| backend.server.as_ref()) else {
        return Ok(Vec::new());
    };
    let is_named = std::env::var_os(kind.variable).is_some_and(|url| !url.is_empty());
    let usual = (Ipv4Addr::LOCALHOST, kind.usual_port).into();
    let is_given = !options.mysqld.is_empty();
    let is_there =
        || is_named || TcpStream::connect_timeout(&usual, Duration::from_secs(2)).is_ok();
    if !is_given && is_there() {
        return Ok(Vec::new());
    }
    takedown::on_interrupt()?;
    let context = Context::new(workspace)?;
    let found = (kind.find)(&context, options)?;
    if found.sources.is_empty() {
        let why = found.missing.unwrap_or_else(|| "no server can be started".to_owned());
        return Err(why.into());
    }
    let newest = if is_given { 0 } else { found.sources.len() - 1 };
    let start = |source: &Arc<dyn Source>| {
        println!("starting {}", source.label());
        let server = source.start(&context.name("bench"), true, &[])?;
        Ok(ForBench { variable: kind.variable, server })
    };
    found.sources.iter().skip(newest).map(start).collect()
}

/// Starts a cluster for the benchmark of a crate that is measured on one, unless one is named, and
/// where its nodes' program is.
pub(crate) fn cluster_for_bench(
    workspace: &Workspace,
    package: &str,
    options: &Options,
) -> Result<Option<ForBench>, Error> {
    let variable = "BATCHFLOW_REDIS_CLUSTER_URL";
    let is_named = std::env::var_os(variable).is_some_and(|url| !url.is_empty());
    if package != "batchflow-redis" || is_named {
        return Ok(None);
    }
    takedown::on_interrupt()?;
    let context = Context::new(workspace)?;
    let programs = redis::Program::find(&options.redis, &context.account)?;
    let Some(program) = programs.into_iter().next_back() else { return Ok(None) };
    println!("starting a cluster of {}", program.label());
    let server = redis::Cluster::of(&context, &redis::Install::new(program, &context))?;
    Ok(Some(ForBench { variable, server }))
}
