//! Which crate may depend on which: drivers and adapters on core, core on none of them, no driver
//! on another, and no database client in core's tree.

use std::collections::BTreeSet;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo};

const CORE: &str = "batchflow-core";

/// Crates that speak to a database, or would bring one that does.
const CLIENTS: [&str; 14] = [
    "bb8",
    "deadpool",
    "diesel",
    "fred",
    "libsqlite3-sys",
    "mysql",
    "mysql_async",
    "postgres",
    "redis",
    "rusqlite",
    "sea-orm",
    "sqlx",
    "sqlx-core",
    "tokio-postgres",
];

pub(crate) fn check(steps: &mut Steps, workspace: &Workspace) -> Result<(), Error> {
    let members: BTreeSet<&str> = workspace.libraries().map(|m| m.name.as_str()).collect();
    for member in workspace.libraries() {
        let mut tree = cargo::command("tree");
        tree.args(["--package", &member.name, "--all-features", "--target=all"]);
        tree.args(["--edges=normal,build,dev", "--prefix=none", "--format={p}"]);
        let name = format!("{}: dependency tree", member.name);
        steps.step(&name, &cargo::shown(&tree), || {
            let crates = names(&cargo::output(&mut tree)?);
            let faults = faults(&member.name, &crates, &members);
            if faults.is_empty() {
                Ok(format!("{} crates", crates.len()))
            } else {
                Err(faults.join("; ").into())
            }
        })?;
    }
    Ok(())
}

/// The names of the crates in what `cargo tree` prints, one a line: `name vX.Y.Z …`.
fn names(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// What is wrong with a member's tree.
fn faults(member: &str, tree: &BTreeSet<String>, members: &BTreeSet<&str>) -> Vec<String> {
    let others = tree.iter().filter(|name| {
        let own = *name == member || (*name == CORE && member != CORE);
        members.contains(name.as_str()) && !own
    });
    let mut faults: Vec<String> =
        others.map(|other| format!("{member} depends on {other}")).collect();
    if member == CORE {
        let clients = CLIENTS.iter().filter(|client| tree.contains(**client));
        faults.extend(clients.map(|client| format!("{member} depends on the client {client}")));
    } else if !tree.contains(CORE) {
        faults.push(format!("{member} does not depend on {CORE}"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_one_way() {
        let members = BTreeSet::from(["batchflow-core", "batchflow-sqlite", "batchflow-redis"]);
        let cases: [(&str, &str, Option<&str>); 7] = [
            ("batchflow-core", "batchflow-core v0.1.0 (/x)\ntokio v1.0.0", None),
            ("batchflow-sqlite", "batchflow-sqlite v1\nbatchflow-core v1\nrusqlite v1", None),
            ("batchflow-core", "batchflow-core v1\nfred v9", Some("client fred")),
            ("batchflow-core", "batchflow-core v1\nlibsqlite3-sys v1", Some("libsqlite3-sys")),
            ("batchflow-core", "batchflow-core v1\nbatchflow-redis v1", Some("batchflow-redis")),
            (
                "batchflow-sqlite",
                "batchflow-sqlite v1\nbatchflow-core v1\nbatchflow-redis v1",
                Some("batchflow-sqlite depends on batchflow-redis"),
            ),
            ("batchflow-redis", "batchflow-redis v1", Some("does not depend on batchflow-core")),
        ];
        for (member, tree, fault) in cases {
            let found = faults(member, &names(tree), &members).join("; ");
            match fault {
                Some(fault) => assert!(found.contains(fault), "{found:?} lacks {fault:?}"),
                None => assert_eq!(found, ""),
            }
        }
    }
}
