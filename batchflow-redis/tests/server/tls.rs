//! Encrypted connections to a server of the test's own, with certificates made for it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use batchflow_redis::client::types::Builder;
use batchflow_redis::client::types::config::Config;
use batchflow_redis::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, RedisConfig, RedisDriver, Schema, Verdict,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use crate::support::servers::{OwnServer, Servers};
use crate::support::{Direct, fresh, through};

/// Who signs certificates, and a folder of what was signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, fresh("authority"));
        let key = KeyPair::generate().unwrap();
        let folder = std::env::temp_dir().join(fresh("tls"));
        std::fs::create_dir(&folder).unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), own.pem()).unwrap();
        let certificate = own.der().clone();
        Self { issuer: Issuer::new(params, key), certificate, folder }
    }

    /// The settings of a server that encrypts at a port.
    fn settings(&self, port: u16) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join("cert.pem"), signed.pem()).unwrap();
        std::fs::write(self.folder.join("key.pem"), key.serialize_pem()).unwrap();
        let file = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "tls-port={port} tls-auth-clients=no tls-cert-file={} tls-key-file={} tls-ca-cert-file={}",
            file("cert.pem"),
            file("key.pem"),
            file("ca.pem"),
        )
    }

    /// A client's configuration that trusts this authority alone.
    fn trusted(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server that encrypts, and where it does; or why there is none.
async fn server(authority: &Authority) -> Result<(OwnServer, String), &'static str> {
    let servers = Servers::connect();
    let plain = servers.server("").await;
    let knows = Direct::connect(&plain.url).await.try_ask("CONFIG GET tls-port").await;
    if !knows.is_ok_and(|found| found.contains("tls-port")) {
        let why = "this Redis was built without TLS";
        servers.skipped("tls::an_encrypted_server_has_to_prove_who_it_is", why).await;
        return Err(why);
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = servers.server(&authority.settings(port)).await;
    let url = through(&server.url, format!("127.0.0.1:{port}"));
    Ok((server, url))
}

/// Connects as a client is configured, and writes a row.
async fn write(driver: &RedisDriver, table: &str) -> Result<(), batchflow_redis::WriteError> {
    let schema = Schema::new(table, ConflictStrategy::Replace, ["id", "name"]).unwrap();
    let batch = Batch::from_requests(vec![schema.row((1_i64, "Ada")).unwrap()]).unwrap();
    let report = timeout(Duration::from_secs(20), driver.write(batch, &Attempt::new())).await;
    let report = report.expect("promise 9: it hangs")?;
    assert!(matches!(report.verdict(0), Some(Verdict::Written)), "{report:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn an_encrypted_server_has_to_prove_who_it_is() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let Ok((server, encrypted)) = server(&right).await else { return };
    let password = server.url.split(['@', ':']).nth(2).unwrap().to_owned();
    let config = |authority: &Authority| Config {
        tls: Some(authority.trusted().into()),
        ..Config::from_url(&encrypted).unwrap()
    };
    let client = |config| Builder::from_config(config).build().unwrap();

    let driver = RedisDriver::from_client(&client(config(&right)));
    write(&driver, "t").await.unwrap();
    let mut direct = Direct::connect(&server.url).await;
    assert_eq!(direct.ask("HGET t:1 name").await, "Ada");
    driver.close().await;

    let refused = |error: batchflow_redis::WriteError, what: &str| {
        assert_eq!(error.kind(), ErrorKind::Connection, "{what}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&password), "promise 10: {what}: {shown}");
    };
    let driver = RedisDriver::from_client(&client(config(&wrong)));
    refused(write(&driver, "t").await.unwrap_err(), "another authority");
    // No authority of this system has signed it; and one that does not encrypt gets no answer.
    for url in [encrypted.replacen("redis://", "rediss://", 1), encrypted.clone()] {
        let config = RedisConfig::from_url(&url).unwrap().connect_timeout(Duration::from_secs(3));
        let connected = timeout(Duration::from_secs(20), RedisDriver::connect_with(config)).await;
        refused(connected.expect("promise 9: it hangs").unwrap_err(), &url[..7]);
    }
}
