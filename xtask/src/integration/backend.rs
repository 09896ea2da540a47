//! The backends: what tests them, and where their servers come from.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::docker::Image;
use super::options::Options;
use super::postgres::{Binaries, Bouncer, Cluster};
use super::server::Source;
use super::{apt, options};
use crate::Error;

/// A backend and the crate whose tests prove it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// `None` where the database is built in.
    pub(crate) server: Option<Kind>,
}

/// A kind of server.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The variable that names one by its URL, to whoever runs this and to the tests.
    pub(crate) variable: &'static str,
    /// The variable that names it past a pooler, where the tests are behind one.
    pub(crate) direct_variable: &'static str,
    /// Where one usually listens.
    pub(crate) usual_port: u16,
    /// The tests that stop and kill servers of their own, by the part of their names that tells.
    pub(crate) own_servers: &'static str,
    /// The tests that run behind a pooler as well, by parts of their names.
    pub(crate) pooled: &'static [&'static str],
    /// Finds what is on this machine, or brings it.
    pub(crate) find: fn(&Context, &Options) -> Result<Found, Error>,
}

/// What a machine has for a backend.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) sources: Vec<Arc<dyn Source>>,
    pub(crate) poolers: Vec<Bouncer>,
    /// What is missing, and how it would come.
    pub(crate) missing: Option<String>,
    pub(crate) missing_pooler: Option<String>,
}

/// Every backend.
pub(crate) static BACKENDS: [Backend; 2] = [
    Backend { name: "sqlite", package: "batchflow-sqlite", server: None },
    Backend {
        name: "postgres",
        package: "batchflow-postgres",
        server: Some(Kind {
            variable: "BATCHFLOW_POSTGRES_URL",
            direct_variable: "BATCHFLOW_POSTGRES_DIRECT_URL",
            usual_port: 5_432,
            own_servers: "faults::",
            pooled: &["conformance::", "strategies::", "shared::"],
            find: postgres,
        }),
    },
];

fn postgres(context: &Context, options: &Options) -> Result<Found, Error> {
    let binaries = || Binaries::find(&options.postgres, &context.account);
    let mut found = Found::default();
    let mut here = binaries()?;
    if here.is_empty() {
        if let Some(image) = Image::fetch(&context.logs)? {
            found.sources.push(Arc::new(image));
            found.missing_pooler = Some("a pooler is tested before private servers only".into());
            return Ok(found);
        }
        if options.install {
            apt::install(&["postgresql"])?;
            here = binaries()?;
        }
    }
    if here.is_empty() {
        found.missing = Some(format!(
            "no PostgreSQL found, no Docker engine answers: {}; or name a server: \
             BATCHFLOW_POSTGRES_URL=postgresql://…, or a folder: --postgres-bin DIR",
            remedy("postgresql"),
        ));
        return Ok(found);
    }
    for binaries in here {
        let (account, folder) = (context.account.clone(), context.folder.clone());
        let cluster = Cluster::new(binaries, account, folder, context.logs.clone())?;
        found.sources.push(Arc::new(cluster));
    }
    found.poolers = Bouncer::find(&options.pgbouncer, &context.account)?;
    if found.poolers.is_empty() && options.install {
        // Worth having, not worth failing for.
        match apt::install(&["pgbouncer"]) {
            Ok(()) => found.poolers = Bouncer::find(&[], &context.account)?,
            Err(error) => println!("{error}"),
        }
    }
    if found.poolers.is_empty() {
        found.missing_pooler =
            Some(format!("no PgBouncer found: {}; or --pgbouncer PATH", remedy("pgbouncer")));
    }
    Ok(found)
}

/// The command that brings a package here.
fn remedy(package: &str) -> String {
    if apt::is_here() {
        apt::line(&[package])
    } else if cfg!(target_os = "macos") {
        format!("brew install {package}")
    } else if Path::new("/etc/redhat-release").exists() {
        let package = if package == "postgresql" { "postgresql-server" } else { package };
        format!("dnf install {package}")
    } else if Path::new("/sbin/apk").exists() {
        format!("apk add {package}")
    } else {
        format!("install {package}")
    }
}

/// Whether what cannot be run is a failure.
pub(crate) fn must_run_all(all: bool) -> bool {
    all || options::is_ci()
}
