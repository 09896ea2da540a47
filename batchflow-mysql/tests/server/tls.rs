//! Encrypted connections to servers of the tests' own, with certificates made for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batchflow_mysql::client::Opts;
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    Applied, Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, MysqlConfig, MysqlDriver,
    Schema, Stage, WriteError,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::support::servers::{OwnServer, Servers};
use crate::support::{Database, connect, fresh, rows};

/// A host that the server's certificate is for, beside its address.
const NAME: &str = "db.example.com";

/// The password of a user who is let in by encrypted connections alone.
const PASSWORD: &str = "password-canary-5d1e";

/// Who signs certificates, and a folder of what was signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
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
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    fn file(&self) -> String {
        self.folder.join("ca.pem").display().to_string()
    }

    /// The settings of a server with a certificate for these hosts.
    fn settings(&self, hosts: &[&str]) -> String {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(hosts).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files = [("cert", signed.pem()), ("key", key.serialize_pem())];
        let mut settings = format!("ssl_ca={}", self.file());
        for (what, text) in files {
            let file = self.folder.join(fresh(what));
            std::fs::write(&file, text).unwrap();
            settings = format!("{settings} ssl_{what}={}", file.display());
        }
        settings
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A database on a server, with a user `encrypted` that it lets in by encrypted connections alone,
/// and a table that notes of each row whether its connection was encrypted.
async fn place(server: &OwnServer) -> Database {
    let database = Database::on(&server.url, "tls").await;
    let status = match &*database.rows("SELECT VERSION() LIKE '%MariaDB%'").await[0] {
        "1" => "information_schema",
        _ => "performance_schema",
    };
    let mut conn = database.connect().await;
    for sql in [
        // By either name, since nobody in particular may be known by the second.
        format!("CREATE USER encrypted@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL"),
        format!("CREATE USER encrypted@localhost IDENTIFIED BY '{PASSWORD}' REQUIRE SSL"),
        "GRANT ALL ON *.* TO encrypted@'%', encrypted@localhost".to_owned(),
        "CREATE TABLE t (id INT PRIMARY KEY, cipher TEXT) ENGINE=InnoDB".to_owned(),
        format!(
            "CREATE TRIGGER seen BEFORE INSERT ON t FOR EACH ROW SET NEW.cipher = (SELECT \
             VARIABLE_VALUE FROM {status}.session_status WHERE VARIABLE_NAME = 'Ssl_cipher')"
        ),
    ] {
        conn.query_drop(&sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
    database
}

/// A URL for a user of a server, which is called by a host's name.
fn url(database: &Database, user: &str, host: &str, more: &str) -> String {
    let opts = Opts::from_url(database.url()).unwrap();
    let who = match user {
        "encrypted" => format!("encrypted:{PASSWORD}"),
        _ => format!("{}:{}", opts.user().unwrap_or("root"), opts.pass().unwrap_or_default()),
    };
    let (port, name) = (opts.tcp_port(), database.name());
    format!("mysql://{who}@{host}:{port}/{name}?connect-timeout=10&{more}")
}

fn batch(id: i32) -> Batch {
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap()
}

/// What connecting comes to.
#[derive(Clone, Copy, Debug)]
enum To {
    Encrypted,
    Plain,
    /// An error that says this.
    Refused(&'static str),
}

/// Connects, writes a row, and asks the server whether the connection was encrypted.
async fn check(database: &Database, url: &str, to: To, case: &str) {
    let driver = timeout(Duration::from_secs(20), MysqlDriver::connect(url)).await;
    let driver = driver.unwrap_or_else(|_| panic!("promise 9: {case}"));
    let driver = match (to, driver) {
        (To::Refused(why), Err(error)) => return refused(&error, why, case),
        (To::Refused(_), Ok(_)) => panic!("{case}: it connects"),
        (to, Err(error)) => panic!("{case}: {to:?}, but {error}: {:?}", error.server_message()),
        (_, Ok(driver)) => driver,
    };
    database.execute("DELETE FROM t").await;
    driver.write(batch(1), &Attempt::new()).await.unwrap();
    driver.close().await;
    let is_encrypted = database.rows("SELECT cipher <> '' FROM t").await;
    assert_eq!(is_encrypted, [if matches!(to, To::Encrypted) { "1" } else { "0" }], "{case}");
}

fn refused(error: &WriteError, why: &str, case: &str) {
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(why), "{case}: {shown}: {:?}", error.server_message());
    assert_eq!((error.stage(), error.applied()), (Stage::Connect, Applied::Nothing), "{case}");
    for secret in ["canary", NAME, "127.0.0.1", "localhost"] {
        assert!(!shown.contains(secret), "promise 10: {case}: {shown}");
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_server_has_to_prove_what_ssl_mode_says() {
    use To::{Encrypted, Plain, Refused};
    let (right, wrong) = (Authority::new(), Authority::new());
    let servers = Servers::connect();
    let server = servers.server(&right.settings(&[NAME, "127.0.0.1"])).await;
    let database = place(&server).await;
    let (right, wrong) = (right.file(), wrong.file());
    let missing = Path::new(&right).with_file_name("none.pem").display().to_string();
    let unusable = std::env::current_exe().unwrap().display().to_string();
    let cases: [(&str, Option<&str>, &str, &str, To); 21] = [
        ("disabled", None, "127.0.0.1", "root", Plain),
        ("disabled", Some(&right), "127.0.0.1", "root", Plain),
        ("disabled", None, "127.0.0.1", "encrypted", Refused("permission")),
        ("preferred", None, "127.0.0.1", "encrypted", Encrypted),
        ("preferred", Some(&wrong), "localhost", "encrypted", Encrypted),
        ("required", None, "localhost", "encrypted", Encrypted),
        ("required", Some(&right), "localhost", "encrypted", Encrypted),
        ("required", Some(&wrong), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("required", Some(&missing), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("verify-ca", Some(&right), "127.0.0.1", "encrypted", Encrypted),
        ("verify-ca", Some(&right), "localhost", "encrypted", Encrypted),
        ("verify-ca", Some(&wrong), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("verify-ca", Some(&missing), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("verify-ca", Some(&unusable), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        // By the system's authorities: they have not signed it, or there are none.
        ("verify-ca", None, "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("verify-identity", Some(&right), "127.0.0.1", "encrypted", Encrypted),
        ("verify-identity", Some(&right), "localhost", "encrypted", Refused("`verify-identity`")),
        ("verify-identity", Some(&right), "localhost", "root", Refused("`verify-identity`")),
        ("verify-identity", Some(&wrong), "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("verify-identity", None, "127.0.0.1", "encrypted", Refused("`ssl_root_cert`")),
        ("preferred", None, "127.0.0.1", "root", Encrypted),
    ];
    for (mode, root, host, user, to) in cases {
        let root = root.map_or_else(String::new, |file| format!("&ssl-ca={file}"));
        let url = url(&database, user, host, &format!("ssl-mode={mode}{root}"));
        check(&database, &url, to, &format!("{mode}{root}, {host}, {user}")).await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_server_that_does_not_encrypt_is_written_to_where_that_is_not_asked_for() {
    use To::{Plain, Refused};
    let servers = Servers::connect();
    let mut shared = connect(&crate::support::url()).await;
    let is_maria = rows(&mut shared, "SELECT VERSION() LIKE '%MariaDB%'").await == ["1"];
    // MariaDB encrypts where it is given a certificate, MySQL unless it is told not to.
    let server = servers.server(if is_maria { "skip_ssl=1" } else { "tls_version=" }).await;
    let database = Database::on(&server.url, "plain").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, cipher TEXT) ENGINE=InnoDB").await;
    let none = "CREATE TRIGGER seen BEFORE INSERT ON t FOR EACH ROW SET NEW.cipher = ''";
    database.execute(none).await;
    let authority = Authority::new();
    for (mode, to) in [
        ("disabled", Plain),
        ("preferred", Plain),
        ("required", Refused("`ssl_mode`")),
        ("verify-ca", Refused("`ssl_mode`")),
        ("verify-identity", Refused("`ssl_mode`")),
    ] {
        let more = format!("ssl-mode={mode}&ssl-ca={}", authority.file());
        let url = url(&database, "root", "127.0.0.1", &more);
        check(&database, &url, to, mode).await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_what_was_given_up_is_ended_by_an_encrypted_connection_too() {
    let authority = Authority::new();
    let servers = Servers::connect();
    let server = servers.server(&authority.settings(&["127.0.0.1"])).await;
    let database = place(&server).await;
    let more = format!("ssl-mode=verify-identity&ssl-ca={}", authority.file());
    let config = MysqlConfig::from_url(&url(&database, "encrypted", "127.0.0.1", &more)).unwrap();
    let driver = Arc::new(MysqlDriver::connect_with(config.pool_size(1)).await.unwrap());
    driver.write(batch(1), &Attempt::new()).await.unwrap();
    let mut locker = connect(database.url()).await;
    locker.query_drop("BEGIN; INSERT INTO t (id) VALUES (2)").await.unwrap();
    let mut watcher = connect(database.url()).await;
    let waiting = "SELECT 1 FROM information_schema.PROCESSLIST \
                   WHERE USER = 'encrypted' AND INFO LIKE 'INSERT%'";
    let attempt = Attempt::new();
    let (writer, running) = (driver.clone(), attempt.clone());
    let write = tokio::spawn(async move { writer.write(batch(2), &running).await });
    let until = Instant::now() + Duration::from_secs(10);
    while rows(&mut watcher, waiting).await.is_empty() {
        assert!(Instant::now() < until, "nothing waits for the lock");
        sleep(Duration::from_millis(10)).await;
    }
    attempt.cancel();
    let error = write.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Cancelled, Applied::Nothing));
    assert_eq!(rows(&mut watcher, waiting).await, [""; 0], "promise 3: it still waits");
    locker.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(rows(&mut watcher, "SELECT id FROM t").await, ["1"]);
    driver.close().await;
}

/// Greets as a server does, and says nothing any more.
async fn stalled(server: &OwnServer) -> u16 {
    let opts = Opts::from_url(&server.url).unwrap();
    let real = (opts.ip_or_hostname().to_owned(), opts.tcp_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&real).await.unwrap();
            let mut greeting = [0; 1_024];
            let length = server.read(&mut greeting).await.unwrap();
            client.write_all(&greeting[..length]).await.unwrap();
            held.push((client, server));
        }
    });
    port
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_handshake_that_stalls_ends_in_time_and_keeps_no_other_host_waiting() {
    let authority = Authority::new();
    let servers = Servers::connect();
    let server = servers.server(&authority.settings(&["127.0.0.1"])).await;
    let database = place(&server).await;
    let port = stalled(&server).await;
    for mode in ["required", "disabled"] {
        let url = format!("mysql://u:{PASSWORD}@127.0.0.1:{port}/d?ssl-mode={mode}");
        let url = format!("{url}&connect-timeout=1");
        let began = Instant::now();
        let connected = timeout(Duration::from_secs(3), MysqlDriver::connect(&url)).await;
        let error = connected.unwrap_or_else(|_| panic!("promise 9: {mode}")).unwrap_err();
        assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
        assert_eq!(error.kind(), ErrorKind::Connection);
        refused(&error, "in time", mode);
    }
    let more = format!("ssl-mode=verify-ca&ssl-ca={}&connect-timeout=2", authority.file());
    let both = url(&database, "encrypted", &format!("127.0.0.1:{port},127.0.0.1"), &more);
    MysqlDriver::connect(&both).await.unwrap().close().await;
}
