//! Finding MySQL's and MariaDB's programs, and telling them apart: both are called `mysqld`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::integration::places;
use crate::integration::system::Account;

/// What the server's program is called, and was.
const NAMES: [&str; 2] = ["mariadbd", "mysqld"];

/// Where it stands when it is not on `PATH`: distributions count it among the system's programs.
const USUAL: [&str; 10] = [
    "/usr/sbin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/usr/local/mysql/bin",
    "/usr/local/mariadb/bin",
    "/opt/mysql*/bin",
    "/opt/mariadb*/bin",
    "/opt/homebrew/opt/mysql*/bin",
    "/opt/homebrew/opt/mariadb*/bin",
    "/usr/local/opt/m*/bin",
];

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    MariaDb,
    MySql,
}

/// A server's program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) family: Family,
    /// As it says it: `10.11.6`, `9.4.0`.
    pub(crate) version: String,
    /// Whether it is a script that runs the server without reading option files, and refuses to be
    /// told so again.
    is_wrapped: bool,
}

impl Program {
    /// Those that are given; else one of each family and version on `PATH` and in the usual
    /// places, the newest of each family last.
    pub(crate) fn find(given: &[PathBuf], account: &Account) -> Result<Vec<Self>, Error> {
        if !given.is_empty() {
            return given.iter().map(|path| Self::at(path, account)).collect();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = USUAL.iter().flat_map(|pattern| places::matching(pattern));
        let mut found: BTreeMap<(Family, (u32, u32)), Self> = BTreeMap::new();
        for folder in std::env::split_paths(&path).chain(usual) {
            for name in NAMES {
                // A link is another name for what it leads to, and a program finds its own files
                // from where it really is.
                let Ok(path) = folder.join(name).canonicalize() else { continue };
                // One that does not run is passed over: another may.
                let Ok(program) = Self::at(&path, account) else { continue };
                found.entry((program.family, program.release())).or_insert(program);
            }
        }
        Ok(found.into_values().collect())
    }

    fn at(path: &Path, account: &Account) -> Result<Self, Error> {
        let mut command = account.command(path);
        command.arg("--version").current_dir("/");
        let said = crate::cargo::output(&mut command)?;
        let (family, version) = read(&said)
            .ok_or_else(|| format!("{} does not say that it is a MySQL", path.display()))?;
        let mut command = account.command(path);
        command.args(["--no-defaults", "--validate-config"]).current_dir("/");
        let refused = crate::cargo::output(&mut command).err().map(|error| error.to_string());
        let is_wrapped = refused.is_some_and(|why| why.contains("unknown option '--no-defaults'"));
        Ok(Self { path: path.to_owned(), family, version, is_wrapped })
    }

    /// A command of it that reads no option files.
    pub(super) fn command(&self, account: &Account) -> Command {
        let mut command = account.command(&self.path);
        if !self.is_wrapped {
            command.arg("--no-defaults");
        }
        command
    }

    /// `MariaDB 10.11.6`.
    pub(crate) fn label(&self) -> String {
        let family = match self.family {
            Family::MariaDb => "MariaDB",
            Family::MySql => "MySQL",
        };
        format!("{family} {}", self.version)
    }

    fn release(&self) -> (u32, u32) {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// What a program says: `mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64`.
fn read(said: &str) -> Option<(Family, String)> {
    let word = said.split_whitespace().skip_while(|word| *word != "Ver").nth(1)?;
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let version = word[..end].trim_end_matches('.');
    let family = if word.contains("MariaDB") { Family::MariaDb } else { Family::MySql };
    (!version.is_empty()).then(|| (family, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart_though_their_programs_have_one_name() {
        let cases = [
            (
                "/usr/sbin/mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64",
                Some((Family::MariaDb, "10.11.6")),
            ),
            (
                "mysqld  Ver 9.4.0 for Linux on x86_64 (MySQL Community)",
                Some((Family::MySql, "9.4.0")),
            ),
            ("mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux", Some((Family::MySql, "8.0.36"))),
            ("PostgreSQL 17", None),
        ];
        for (said, expected) in cases {
            let expected = expected.map(|(family, version)| (family, version.to_owned()));
            assert_eq!(read(said), expected, "{said}");
        }
    }
}
