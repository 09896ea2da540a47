//! The backends: what tests them, and where their servers come from.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::docker::{self, Image};
use super::mysql::{self, Install, Program};
use super::options::Options;
use super::postgres::{Binaries, Bouncer, Cluster};
use super::redis;
use super::server::{Source, Variant};
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
    /// Where one usually listens.
    pub(crate) usual_port: u16,
    /// The tests that stop and kill servers of their own, by the part of their names that tells.
    pub(crate) own_servers: &'static str,
    /// Finds what is on this machine, or brings it.
    pub(crate) find: fn(&Context, &Options) -> Result<Found, Error>,
}

/// What a machine has for a backend.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) sources: Vec<Arc<dyn Source>>,
    /// How each of them is met beside directly.
    pub(crate) variants: Vec<Arc<dyn Variant>>,
    /// What tests may put before a server of their own.
    pub(crate) poolers: Vec<Bouncer>,
    /// What is missing, and how it would come.
    pub(crate) missing: Option<String>,
    /// A variant that could be, and how it would come.
    pub(crate) missing_variant: Option<MissingVariant>,
}

/// What a run with it is called, and why there is none.
#[derive(Debug)]
pub(crate) struct MissingVariant {
    pub(crate) label: &'static str,
    pub(crate) why: String,
}

/// Every backend.
pub(crate) static BACKENDS: [Backend; 4] = [
    Backend { name: "sqlite", package: "batchflow-sqlite", server: None },
    Backend {
        name: "postgres",
        package: "batchflow-postgres",
        server: Some(Kind {
            variable: "BATCHFLOW_POSTGRES_URL",
            usual_port: 5_432,
            own_servers: "faults::",
            find: postgres,
        }),
    },
    Backend {
        name: "mysql",
        package: "batchflow-mysql",
        server: Some(Kind {
            variable: "BATCHFLOW_MYSQL_URL",
            usual_port: 3_306,
            own_servers: "faults::",
            find: mysql,
        }),
    },
    Backend {
        name: "redis",
        package: "batchflow-redis",
        server: Some(Kind {
            variable: "BATCHFLOW_REDIS_URL",
            usual_port: 6_379,
            own_servers: "faults::",
            find: redis,
        }),
    },
];

fn postgres(context: &Context, options: &Options) -> Result<Found, Error> {
    let binaries = || Binaries::find(&options.postgres, &context.account);
    let mut found = Found::default();
    let mut here = binaries()?;
    if here.is_empty() {
        if let Some(image) = Image::fetch(&docker::POSTGRES, context)? {
            found.sources.push(Arc::new(image));
            let why = "a pooler is tested before servers without a container only";
            found.missing_variant = Some(no_pooler(why.into()));
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
        let why = format!("no PgBouncer found: {}; or --pgbouncer PATH", remedy("pgbouncer"));
        found.missing_variant = Some(no_pooler(why));
    }
    let pooler = |pooler: &Bouncer| -> Arc<dyn Variant> { Arc::new(pooler.clone()) };
    found.variants = found.poolers.iter().map(pooler).collect();
    Ok(found)
}

fn no_pooler(why: String) -> MissingVariant {
    MissingVariant { label: "behind a pooler", why }
}

/// MySQL's and MariaDB's servers are two families of one backend.
fn mysql(context: &Context, options: &Options) -> Result<Found, Error> {
    let programs = || Program::find(&options.mysqld, &context.account);
    let variants: Vec<Arc<dyn Variant>> = vec![Arc::new(mysql::LAX), Arc::new(mysql::STATEMENTS)];
    let mut found = Found { variants, ..Found::default() };
    let mut here = programs()?;
    if here.is_empty() {
        for recipe in [&docker::MARIADB, &docker::MYSQL] {
            let Some(image) = Image::fetch(recipe, context)? else { break };
            found.sources.push(Arc::new(image));
        }
        if !found.sources.is_empty() {
            return Ok(found);
        }
        if options.install {
            apt::install(&["mariadb-server"])?;
            here = programs()?;
        }
    }
    if here.is_empty() {
        found.missing = Some(format!(
            "no MySQL and no MariaDB found, no Docker engine answers: {}; or name a server: \
             BATCHFLOW_MYSQL_URL=mysql://…, or its program: --mysqld PATH",
            remedy("mariadb-server"),
        ));
        return Ok(found);
    }
    for program in here {
        found.sources.push(Arc::new(Install::new(program, context)?));
    }
    Ok(found)
}

fn redis(context: &Context, options: &Options) -> Result<Found, Error> {
    let programs = || redis::Program::find(&options.redis, &context.account);
    let mut found = Found {
        variants: vec![
            Arc::new(redis::Cluster(redis::Client::Usual)),
            Arc::new(redis::By(redis::Client::Redis)),
            Arc::new(redis::Cluster(redis::Client::Redis)),
        ],
        ..Found::default()
    };
    let mut here = programs()?;
    if here.is_empty() {
        if let Some(image) = Image::fetch(&docker::REDIS, context)? {
            found.sources.push(Arc::new(image));
            return Ok(found);
        }
        if options.install {
            apt::install(&["redis-server"])?;
            here = programs()?;
        }
    }
    if here.is_empty() {
        found.missing = Some(format!(
            "no Redis found, no Docker engine answers: {}; or name a server: \
             BATCHFLOW_REDIS_URL=redis://…, or its program: --redis-server PATH",
            remedy("redis-server"),
        ));
        return Ok(found);
    }
    let source = |program| -> Arc<dyn Source> { Arc::new(redis::Install::new(program, context)) };
    found.sources = here.into_iter().map(source).collect();
    Ok(found)
}

/// The command that brings a package here.
fn remedy(package: &str) -> String {
    if apt::is_here() {
        apt::line(&[package])
    } else if cfg!(target_os = "macos") {
        let package = package.strip_suffix("-server").unwrap_or(package);
        format!("brew install {package}")
    } else if Path::new("/etc/redhat-release").exists() {
        let package = if package == "postgresql" { "postgresql-server" } else { package };
        format!("dnf install {package}")
    } else if Path::new("/sbin/apk").exists() {
        let package = package.strip_suffix("-server").unwrap_or(package);
        format!("apk add {package}")
    } else {
        format!("install {package}")
    }
}

/// Whether what cannot be run is a failure.
pub(crate) fn must_run_all(all: bool) -> bool {
    all || options::is_ci()
}
