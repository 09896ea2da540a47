//! Finding programs: on `PATH`, and in folders named by patterns.

use std::path::PathBuf;

/// A program on `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The folders that a pattern names, in order of their names, `*` standing for one
/// end or beginning of a part.
pub(super) fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((before, after)) => found
                .iter()
                .filter_map(|folder| std::fs::read_dir(folder).ok())
                .flatten()
                .flatten()
                .filter(|entry| {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    name.starts_with(before) && name[before.len()..].ends_with(after)
                })
                .map(|entry| entry.path())
                .collect(),
        };
    }
    found.retain(|folder| folder.is_dir());
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_end_of_a_name() {
        let folder = std::env::temp_dir().join(format!("xtask-matching-{}", std::process::id()));
        for name in ["pg-9/bin", "pg-18/bin", "pg-18/lib", "other/bin"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let pattern = format!("{}/pg-*/bin", folder.display());
        let found = matching(&pattern);
        assert_eq!(found, [folder.join("pg-18/bin"), folder.join("pg-9/bin")]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
