//! Running cargo.

use std::process::{Command, Stdio};

use crate::Error;

/// `cargo SUBCOMMAND`, with the cargo that runs this, as if it was typed: by what cargo tells this
/// program of its own package, build scripts would take themselves for changed.
pub(crate) fn command(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(own) {
            command.env_remove(name);
        }
    }
    command.arg(subcommand);
    command
}

/// What a command prints; an error with its own complaint where it fails.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let line = shown(command);
    output_of(command, &line)
}

/// The same for a command that an error shows as this line: it may hold what nobody is to read.
pub(crate) fn output_of(command: &mut Command, line: &str) -> Result<String, Error> {
    let output = command.output().map_err(|error| format!("cannot run {line}: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{line} failed:\n{}", complaint.trim_end()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a command is there and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command as a line to paste into a shell, with the variables it sets.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value)))
    });
    let program = std::path::Path::new(command.get_program());
    let program = program.file_stem().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.env("RUSTFLAGS", "--cfg it's").args(["test", "-p", "a-b"]);
        assert_eq!(shown(&command), r"RUSTFLAGS='--cfg it'\''s' cargo test -p a-b");
    }
}
