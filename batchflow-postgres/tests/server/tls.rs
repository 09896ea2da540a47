//! Encrypted connections to a server of the test's own, with certificates made for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batchflow_core::{Applied, Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Stage};
use batchflow_postgres::client::{Client, Config};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Schema, WriteError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::support::framing::{address, through};
use crate::support::servers::{OwnServer, Servers};
use crate::support::{connect, fresh, rows};

/// The host that the server's certificate is for, beside its address.
const NAME: &str = "db.example.com";

/// A password of a user who is let in by encrypted connections alone.
const PASSWORD: &str = "password-canary-5d1e";

/// Who signs certificates, and the file that says whom to trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, fresh("authority"));
        let key = KeyPair::generate().unwrap();
        let file = std::env::temp_dir().join(fresh("ca.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// A certificate for these hosts, and its key.
    fn sign(&self, hosts: &[&str]) -> (String, String) {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let params = CertificateParams::new(hosts).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn file(&self) -> String {
        self.file.display().to_string()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A file in the server's data folder, which only its own user reads.
async fn write_file(client: &Client, name: &str, text: &str) {
    let sql = format!(
        "COPY (SELECT line FROM string_to_table($$%$$, E'\\n') AS line) \
         TO PROGRAM 'umask 077; cat > {name}'"
    );
    client.batch_execute(&sql.replace('%', text.trim_end())).await.unwrap();
}

/// A server, a user `encrypted` that it lets in by encrypted connections alone, and a user `plain`
/// that it lets in by others alone.
async fn server(servers: &Servers) -> OwnServer {
    let server = servers.server("").await;
    let client = connect(&server.url).await;
    let users = format!(
        "CREATE ROLE encrypted LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1; \
         CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'; \
         CREATE TABLE t (id int PRIMARY KEY); GRANT ALL ON t TO encrypted, plain"
    );
    client.batch_execute(&users).await.unwrap();
    let rules = "hostssl all encrypted 127.0.0.1/32 scram-sha-256\n\
                 hostnossl all plain 127.0.0.1/32 scram-sha-256\n\
                 host all postgres 127.0.0.1/32 scram-sha-256\n";
    write_file(&client, "pg_hba.conf", rules).await;
    server
}

/// Lets a server encrypt from now on, with a certificate that an authority signs; or says why it
/// cannot.
async fn encrypt(server: &OwnServer, authority: &Authority) -> Result<(), &'static str> {
    let client = connect(&server.url).await;
    let (certificate, key) = authority.sign(&[NAME, "127.0.0.1"]);
    write_file(&client, "server.crt", &certificate).await;
    write_file(&client, "server.key", &key).await;
    if let Err(error) = client.batch_execute("ALTER SYSTEM SET ssl = on").await {
        let why = error.as_db_error().map_or("", |error| error.message());
        assert_eq!(why, "SSL is not supported by this build");
        return Err("this PostgreSQL was built without TLS");
    }
    drop(client);
    server.stop().await;
    server.restart().await;
    Ok(())
}

/// Settings that name a server, its database's owner or another user, and the host it is called.
fn settings(server: &OwnServer, user: &str, host: &str, more: &str) -> String {
    let config: Config = server.url.parse().unwrap();
    let own = String::from_utf8(config.get_password().unwrap_or_default().to_vec()).unwrap();
    let password = if user == "postgres" { &own } else { PASSWORD };
    let (port, database) = (config.get_ports()[0], config.get_dbname().unwrap_or("postgres"));
    let host = match host {
        "127.0.0.1" => format!("host={host}"),
        name => format!("host={name} hostaddr=127.0.0.1"),
    };
    format!("{host} port={port} user={user} password={password} dbname={database} {more}")
}

/// What connecting comes to.
#[derive(Clone, Copy, Debug)]
enum To {
    Encrypted,
    Plain,
    /// An error that says this.
    Refused(&'static str),
}

/// Connects, writes a row, and asks the server whether the connection is encrypted.
async fn check(server: &OwnServer, settings: &str, to: To, case: &str) {
    let name = fresh("tls");
    let settings = format!("{settings} application_name={name} connect_timeout=10");
    let driver = timeout(Duration::from_secs(20), PostgresDriver::connect(&settings)).await;
    let driver = driver.unwrap_or_else(|_| panic!("promise 9: {case}"));
    let encrypted = match (to, driver) {
        (To::Refused(why), Err(error)) => return refused(&error, why, case),
        (To::Refused(_), Ok(_)) => panic!("{case}: it connects"),
        (to, Err(error)) => panic!("{case}: {to:?}, but {error}: {:?}", error.server_message()),
        (to, Ok(driver)) => {
            let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
            let row = Batch::from_requests(vec![schema.row((1,)).unwrap()]).unwrap();
            let attempt = Attempt::new();
            driver.write(row, &attempt).await.unwrap();
            assert_eq!(attempt.way(), Some("at once"), "{case}: the backend is known");
            let sql = format!(
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = '{name}'"
            );
            let found = rows(&connect(&server.url).await, &sql).await;
            driver.close().await;
            assert_eq!(found, [if matches!(to, To::Encrypted) { "t" } else { "f" }], "{case}");
            matches!(to, To::Encrypted)
        }
    };
    println!("{case}: {}", if encrypted { "encrypted" } else { "plain" });
}

fn refused(error: &WriteError, why: &str, case: &str) {
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(why), "{case}: {shown}: {:?}", error.server_message());
    assert_eq!((error.stage(), error.applied()), (Stage::Connect, Applied::Nothing), "{case}");
    for secret in ["canary", NAME, "127.0.0.1"] {
        assert!(!shown.contains(secret), "promise 10: {case}: {shown}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_server_has_to_prove_what_sslmode_says() {
    use To::{Encrypted, Plain, Refused};
    let (right, wrong) = (Authority::new(), Authority::new());
    let servers = Servers::connect();
    let server = server(&servers).await;
    for (mode, to) in [
        ("disable", Plain),
        ("prefer", Plain),
        ("require", Refused("`sslmode`")),
        ("verify-ca", Refused("`sslmode`")),
        ("verify-full", Refused("`sslmode`")),
    ] {
        let more = format!("sslmode={mode} sslrootcert={}", right.file());
        let settings = settings(&server, "postgres", "127.0.0.1", &more);
        check(&server, &settings, to, &format!("no TLS, {mode}")).await;
    }

    if let Err(why) = encrypt(&server, &right).await {
        return servers.skipped("tls::a_server_has_to_prove_what_sslmode_says", why).await;
    }
    let folder = std::env::temp_dir();
    let (right, wrong) = (right.file(), wrong.file());
    let (missing, unusable) = (folder.join("none.pem"), std::env::current_exe().unwrap());
    let (missing, unusable) = (missing.display().to_string(), unusable.display().to_string());
    let cases: [(&str, Option<&str>, &str, &str, To); 25] = [
        ("disable", None, "127.0.0.1", "postgres", Plain),
        ("disable", Some(&right), NAME, "postgres", Plain),
        ("disable", None, NAME, "encrypted", Refused("`sslmode`")),
        ("prefer", None, NAME, "encrypted", Encrypted),
        ("prefer", None, NAME, "plain", Plain),
        ("prefer", Some(&wrong), "other.example.com", "encrypted", Encrypted),
        ("require", None, "other.example.com", "encrypted", Encrypted),
        ("require", None, NAME, "plain", Refused("`sslmode`")),
        ("require", Some(&right), "other.example.com", "encrypted", Encrypted),
        ("require", Some(&wrong), NAME, "encrypted", Refused("`sslrootcert`")),
        ("require", Some(&missing), NAME, "encrypted", Refused("ssl_root_cert")),
        ("verify-ca", Some(&right), NAME, "encrypted", Encrypted),
        ("verify-ca", Some(&right), "127.0.0.1", "postgres", Encrypted),
        ("verify-ca", Some(&right), "other.example.com", "encrypted", Encrypted),
        ("verify-ca", Some(&wrong), NAME, "encrypted", Refused("`sslrootcert`")),
        ("verify-ca", Some(&missing), NAME, "encrypted", Refused("ssl_root_cert")),
        ("verify-ca", Some(&unusable), NAME, "encrypted", Refused("ssl_root_cert")),
        // By the system's authorities: they have not signed it, or there are none.
        ("verify-ca", None, NAME, "encrypted", Refused("root")),
        ("verify-full", Some(&right), NAME, "encrypted", Encrypted),
        ("verify-full", Some(&right), "127.0.0.1", "encrypted", Encrypted),
        ("verify-full", Some(&right), "other.example.com", "encrypted", Refused("`verify-full`")),
        ("verify-full", Some(&right), "localhost", "postgres", Refused("`verify-full`")),
        ("verify-full", Some(&wrong), NAME, "encrypted", Refused("`sslrootcert`")),
        ("verify-full", None, NAME, "encrypted", Refused("root")),
        ("verify-full channel_binding=require", Some(&right), NAME, "encrypted", Encrypted),
    ];
    for (mode, root, host, user, to) in cases {
        let root = root.map_or_else(String::new, |file| format!(" sslrootcert='{file}'"));
        let settings = settings(&server, user, host, &format!("sslmode={mode}{root}"));
        check(&server, &settings, to, &format!("{mode}{root}, {host}, {user}")).await;
    }

    // Protocols that are too old to be trusted.
    let client = connect(&server.url).await;
    for (end, version) in [("min", "TLSv1"), ("max", "TLSv1.1")] {
        let set = format!("ALTER SYSTEM SET ssl_{end}_protocol_version = '{version}'");
        client.batch_execute(&set).await.unwrap();
    }
    drop(client);
    server.stop().await;
    server.restart().await;
    for (mode, to) in [("prefer", Plain), ("require", Refused("`sslmode`"))] {
        let settings = settings(&server, "postgres", NAME, &format!("sslmode={mode}"));
        check(&server, &settings, to, &format!("old protocols, {mode}")).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_a_request_to_cancel_is_encrypted_too() {
    let authority = Authority::new();
    let servers = Servers::connect();
    let server = server(&servers).await;
    if let Err(why) = encrypt(&server, &authority).await {
        return servers.skipped("tls::promise_3_a_request_to_cancel_is_encrypted_too", why).await;
    }
    // One connection is all this user gets, so that only a request to cancel can end what it runs.
    // The client sends none in plain where encryption is demanded.
    let more = format!("sslmode=verify-full sslrootcert={}", authority.file());
    let config = PostgresConfig::from_url(&settings(&server, "encrypted", NAME, &more)).unwrap();
    let driver = PostgresDriver::connect_with(config.pool_size(1)).await.unwrap();
    let driver = Arc::new(driver);
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    let batch = |id: i32| Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap();
    driver.write(batch(1), &Attempt::new()).await.unwrap();
    let client = connect(&server.url).await;
    client.batch_execute("BEGIN; LOCK TABLE t IN EXCLUSIVE MODE").await.unwrap();
    let attempt = Attempt::new();
    let (writer, running, two) = (driver.clone(), attempt.clone(), batch(2));
    let write = tokio::spawn(async move { writer.write(two, &running).await });
    let watcher = connect(&server.url).await;
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'encrypted' \
                   AND wait_event_type = 'Lock'";
    let until = |expected: usize| {
        let watcher = &watcher;
        let seen = async move {
            while rows(watcher, waiting).await.len() != expected {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), seen)
    };
    until(1).await.unwrap();
    attempt.cancel();
    let error = write.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Cancelled, Applied::Nothing));
    until(0).await.expect("promise 3: its statement still waits for the lock");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(rows(&client, "SELECT id FROM t").await, ["1"]);
    driver.close().await;
}

/// Accepts connections, answers a request to encrypt with this, and then says nothing.
async fn silent(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_9_a_handshake_that_stalls_ends_by_the_deadline() {
    // The last lets the client in, and is ready for a query.
    let welcome = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    for (mode, answer) in [("require", &b""[..]), ("require", b"S"), ("disable", welcome)] {
        let stalled = silent(answer).await;
        let url = format!("postgres://u:{PASSWORD}@{stalled}/d?sslmode={mode}&connect_timeout=1");
        let began = Instant::now();
        let connected = timeout(Duration::from_secs(3), PostgresDriver::connect(&url)).await;
        let error = connected.unwrap_or_else(|_| panic!("promise 9: {mode}")).unwrap_err();
        assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
        assert_eq!(error.kind(), ErrorKind::Connection);
        refused(&error, "in time", "stalled");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_9_a_handshake_that_stalls_keeps_no_other_host_waiting() {
    let authority = Authority::new();
    let servers = Servers::connect();
    let server = server(&servers).await;
    if let Err(why) = encrypt(&server, &authority).await {
        return servers
            .skipped("tls::promise_9_a_handshake_that_stalls_keeps_no_other_host_waiting", why)
            .await;
    }
    let both = format!("{},{}", silent(b"S").await, address(&server.url));
    let more = format!("sslmode=verify-ca&sslrootcert={}&connect_timeout=1", authority.file());
    let url = format!("{}?{more}", through(&server.url, both));
    PostgresDriver::connect(&url).await.unwrap().close().await;
}
