//! What `cargo xtask integration` is told.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::backend::{BACKENDS, Backend};
use super::{apt, system};
use crate::Error;

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) backends: Vec<&'static Backend>,
    /// Folders with PostgreSQL's binaries, one a version; empty: those that are found.
    pub(crate) postgres: Vec<PathBuf>,
    /// Programs `pgbouncer`; empty: the one that is found.
    pub(crate) pgbouncer: Vec<PathBuf>,
    /// Programs of MySQL and MariaDB; empty: those that are found.
    pub(crate) mysqld: Vec<PathBuf>,
    /// Programs `redis-server`; empty: those that are found.
    pub(crate) redis: Vec<PathBuf>,
    /// How often each fault is repeated.
    pub(crate) seeds: u64,
    pub(crate) seed: u64,
    /// Leave the servers up.
    pub(crate) keep: bool,
    pub(crate) report: Option<PathBuf>,
    /// Install what is missing.
    pub(crate) install: bool,
    /// Names, or parts of names, of the tests to run; empty: all.
    pub(crate) tests: Vec<String>,
    /// End what `keep` left up, and nothing else.
    pub(crate) down: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backends: BACKENDS.iter().collect(),
            postgres: Vec::new(),
            pgbouncer: Vec::new(),
            mysqld: Vec::new(),
            redis: Vec::new(),
            seeds: 1,
            seed: super::random(),
            keep: false,
            report: None,
            install: is_ci() && system::is_root() && apt::is_here(),
            tests: Vec::new(),
            down: false,
        }
    }
}

/// Whether a service runs this, which sets `CI`.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

impl Options {
    /// The backends that need a server, once.
    pub(crate) fn for_servers() -> Self {
        let backends = BACKENDS.iter().filter(|backend| backend.server.is_some()).collect();
        Self { backends, ..Self::default() }
    }

    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self, Error> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("backend") => options.backends = backends(&arguments.value()?.string()?)?,
                Long("postgres-bin") => options.postgres.push(path(&mut arguments)?),
                Long("pgbouncer") => options.pgbouncer.push(path(&mut arguments)?),
                Long("mysqld") => options.mysqld.push(path(&mut arguments)?),
                Long("redis-server") => options.redis.push(path(&mut arguments)?),
                Long("seeds") => options.seeds = arguments.value()?.parse()?,
                Long("seed") => options.seed = arguments.value()?.parse()?,
                Long("keep") => options.keep = true,
                Long("report") => options.report = Some(path(&mut arguments)?),
                Long("install") => options.install = true,
                Long("down") => options.down = true,
                Value(test) => options.tests.push(test.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if options.seeds == 0 {
            return Err("--seeds 0 would test nothing".into());
        }
        if options.install && !apt::is_here() {
            return Err("--install works on Debian and Ubuntu only".into());
        }
        Ok(options)
    }

    /// The command that does the same again for one backend.
    pub(crate) fn rerun(&self, backend: &Backend) -> String {
        let mut command = crate::cargo::command("xtask");
        command.args(["integration", "--backend", backend.name]);
        for folder in &self.postgres {
            command.arg("--postgres-bin").arg(folder);
        }
        for program in &self.pgbouncer {
            command.arg("--pgbouncer").arg(program);
        }
        for program in &self.mysqld {
            command.arg("--mysqld").arg(program);
        }
        for program in &self.redis {
            command.arg("--redis-server").arg(program);
        }
        command.args(["--seeds", &self.seeds.to_string(), "--seed", &self.seed.to_string()]);
        command.args(&self.tests);
        crate::cargo::shown(&command)
    }
}

/// An absolute path: commands are run in other folders.
fn path(arguments: &mut lexopt::Parser) -> Result<PathBuf, Error> {
    Ok(std::path::absolute(arguments.value()?)?)
}

fn backends(names: &str) -> Result<Vec<&'static Backend>, Error> {
    let find = |name: &str| {
        let found = BACKENDS.iter().find(|backend| backend.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = BACKENDS.iter().map(|backend| backend.name).collect();
            format!("there is no backend {name:?}, only {}", known.join(", ")).into()
        })
    };
    names.split(',').map(|name| find(name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Error> {
        Options::parse(lexopt::Parser::from_args(words))
    }

    #[test]
    fn options_are_understood_or_refused() {
        let options = parse(&["--backend", "sqlite,postgres", "--seeds=20", "faults::"]).unwrap();
        let names: Vec<_> = options.backends.iter().map(|backend| backend.name).collect();
        assert_eq!((names, options.seeds), (vec!["sqlite", "postgres"], 20));
        assert_eq!(options.tests, ["faults::"]);
        for wrong in [&["--backend", "oracle"][..], &["--seeds", "0"], &["--seed", "x"], &["-k"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_same_is_run_again_by_one_command() {
        let options = parse(&["--seed=7", "--postgres-bin", "/pg/bin", "cut"]).unwrap();
        let line = options.rerun(options.backends[0]);
        assert!(line.contains("--postgres-bin /pg/bin --seeds 1 --seed 7 cut"), "{line}");
    }
}
