//! Finding Redis's programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::integration::places;
use crate::integration::system::Account;

/// Where the server's program stands when it is not on `PATH`.
const USUAL: [&str; 5] = [
    "/usr/sbin",
    "/usr/local/bin",
    "/opt/redis*/bin",
    "/opt/homebrew/opt/redis*/bin",
    "/usr/local/opt/redis*/bin",
];

/// A server's program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// As it says it: `7.0.15`.
    pub(crate) version: String,
}

impl Program {
    /// Those that are given; else one of each major version on `PATH` and in the usual places, the
    /// newest last.
    pub(crate) fn find(given: &[PathBuf], account: &Account) -> Result<Vec<Self>, Error> {
        if !given.is_empty() {
            return given.iter().map(|path| Self::at(path, account)).collect();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = USUAL.iter().flat_map(|pattern| places::matching(pattern));
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for folder in std::env::split_paths(&path).chain(usual) {
            let program = folder.join("redis-server");
            if !program.is_file() {
                continue;
            }
            // One that does not run is passed over: another may.
            let Ok(program) = Self::at(&program, account) else { continue };
            found.entry(program.major()).or_insert(program);
        }
        Ok(found.into_values().collect())
    }

    fn at(path: &Path, account: &Account) -> Result<Self, Error> {
        let mut command = account.command(path);
        command.arg("--version").current_dir("/");
        let said = crate::cargo::output(&mut command)?;
        let version = read(&said)
            .ok_or_else(|| format!("{} does not say that it is a Redis", path.display()))?;
        Ok(Self { path: path.to_owned(), version })
    }

    /// `Redis 7.0.15`.
    pub(crate) fn label(&self) -> String {
        format!("Redis {}", self.version)
    }

    fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

/// What a program says: `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 …`.
fn read(said: &str) -> Option<String> {
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    said.starts_with("Redis server").then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_its_version() {
        let said = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(read(said).as_deref(), Some("7.0.15"));
        assert_eq!(read("PostgreSQL 17"), None);
    }
}
