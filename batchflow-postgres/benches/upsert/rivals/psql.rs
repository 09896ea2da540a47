//! `psql`'s `\copy` of a ready binary file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use batchflow_postgres::client::Client;
use futures_util::TryStreamExt;

/// Whether there is a psql.
pub(crate) fn is_here() -> bool {
    let version = Command::new("psql").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Writes what a table holds to a file, as binary COPY.
pub(crate) async fn ready_file(client: &Client, table: &str, path: PathBuf) -> PathBuf {
    let copy = format!("COPY {table} TO STDOUT (FORMAT binary)");
    let stream = client.copy_out(&copy).await.expect("the table can be read");
    let parts: Vec<_> = stream.try_collect().await.expect("the table can be read");
    std::fs::write(&path, parts.concat()).expect("the file can be written");
    path
}

/// Copies the file into the table: seconds, psql's start and connection included.
pub(crate) fn copy(url: &str, table: &str, file: &Path) -> f64 {
    let command = format!("\\copy {table} from '{}' with (format binary)", file.display());
    let began = Instant::now();
    let status = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--command", &command, url])
        .stdin(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "psql copies the file");
    began.elapsed().as_secs_f64()
}
