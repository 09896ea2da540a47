//! Writing configuration files.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::Error;
use crate::integration::system::{self, Account};

/// Appends settings to a `postgresql.conf`, where a later one overrides an earlier one.
pub(super) fn append<'a>(
    data: &Path,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let mut text = String::new();
    for (name, value) in settings {
        check(name)?;
        let _ = writeln!(text, "{name} = '{}'", value.replace('\\', r"\\").replace('\'', "''"));
    }
    let mut file = OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Refuses what is not a setting's name: it would begin another line.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(format!("{name:?} is no setting").into());
    }
    Ok(())
}

/// Writes a file that only a server's account reads.
pub(super) fn write(path: &Path, text: &str, account: &Account) -> Result<(), Error> {
    std::fs::write(path, "")?;
    system::set_mode(path, 0o600)?;
    std::fs::write(path, text)?;
    account.give(path)
}
