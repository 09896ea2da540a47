//! A server whose disk is full: a tablespace on a file system of a few megabytes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::sleep;

use super::rig::{Rig, config, join};
use crate::support::servers::Servers;
use crate::support::{connect, execute, rows, seeds};

/// A small file system in memory: dropped, it is unmounted.
struct Disk(PathBuf);

impl Disk {
    /// In the server's own folder, where `cargo xtask integration` unmounts what a killed test
    /// leaves. `None` where this account may not mount.
    fn mount(data: &str, megabytes: usize) -> Option<Self> {
        let path = Path::new(data).parent()?.join("small");
        std::fs::create_dir(&path).ok()?;
        let size = format!("size={megabytes}m,mode=0777");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let disk = Self(path);
        // Owned by who owns the data: the server makes the folder for its tables in it.
        let mut chown = Command::new("chown");
        let owned = chown.arg(format!("--reference={data}")).arg(&disk.0).output();
        owned.is_ok_and(|output| output.status.success()).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_full_disk() {
    let servers = Servers::connect();
    for seed in seeds() {
        let server = servers.server("").await;
        let client = connect(&server.url).await;
        let data = rows(&client, "SHOW data_directory").await.remove(0);
        let Some(disk) = Disk::mount(&data, 4) else {
            let why = "needs the right to mount a small file system: run as root";
            return servers.skipped("faults::disk::promise_1_rows_wait_out_a_full_disk", why).await;
        };
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display());
        client.batch_execute(&tablespace).await.unwrap();
        let rig =
            Rig::with(&server.url, config(&server.url, None), seed, "TABLESPACE small", |f| f);
        let rig = rig.await;
        client.batch_execute("CREATE TABLE filler (c text) TABLESPACE small").await.unwrap();
        let mut filled = Ok(());
        for step in [10_000, 1_000, 10] {
            let fill = format!(
                "INSERT INTO filler SELECT repeat('x', 100) FROM generate_series(1, {step})"
            );
            for _ in 0..1_000 {
                filled = client.batch_execute(&fill).await;
                if filled.is_err() {
                    break;
                }
            }
        }
        let code = filled.expect_err("the disk is not full").code().cloned();
        assert_eq!(
            code.as_ref().map(batchflow_postgres::client::error::SqlState::code),
            Some("53100")
        );
        let writers = rig.burst(4, 150);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rig.flow.stats().rejected, 0, "seed {seed}: a full disk is not a row's fault");
        assert!(rig.flow.stats().pending > 0, "seed {seed}: there was room for all");
        execute(&server.url, "DROP TABLE filler; CHECKPOINT").await;
        join(writers).await;
        let stats = rig.finish("full disk").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
        server.stop().await;
        drop(disk);
    }
}
