//! What holds `docs/errors.md` to a driver's own data. Included by every driver's tests.

use std::fmt::Write as _;

use batchflow_core::ErrorKind;

/// Panics unless `docs/errors.md` has, under this heading, the table of the codes of each kind.
pub(crate) fn assert_documented(heading: &str, codes: impl Fn(ErrorKind) -> Vec<String>) {
    let mut table = String::from("| kind | class | codes |\n|---|---|---|\n");
    for kind in ErrorKind::ALL {
        let own: Vec<String> = codes(*kind).iter().map(|code| format!("`{code}`")).collect();
        if !own.is_empty() {
            let (class, own) = (kind.class().as_str(), own.join(", "));
            writeln!(table, "| `{kind}` | {class} | {own} |").expect("a string takes all");
        }
    }
    let documented = include_str!("../../docs/errors.md");
    let section = documented.split("\n## ").find(|section| section.starts_with(heading));
    let has = section.is_some_and(|section| section.contains(&table));
    assert!(has, "docs/errors.md lacks, under {heading}:\n{table}");
}
