//! What tests ask for while they run: servers of their own, and what is done to those.
//!
//! A test connects to the address in `BATCHFLOW_SERVERS`, writes one request a line, and reads one
//! line for each. Words are separated by spaces; none holds one.
//!
//! | request | what it does | reply |
//! |---|---|---|
//! | `start server [VERSION] [SETTING=VALUE…]` | starts a server that loses nothing it committed, of the version under test or the one of this number, counted from 0 | `ok NAME URL` |
//! | `start standby NAME` | a synchronous standby of a server, which is restarted for it | `ok NAME URL` |
//! | `start pgbouncer NAME [VERSION] [SETTING=VALUE…]` | a PgBouncer in transaction mode before a server | `ok NAME URL` |
//! | `stop NAME` | ends it in order | `ok` |
//! | `kill NAME` | `kill -9` of all its processes | `ok` |
//! | `restart NAME` | starts it again at the same address, if need be after a stop | `ok` |
//! | `stall NAME`, `resume NAME` | SIGSTOP to all its processes; SIGCONT | `ok` |
//! | `promote NAME` | makes a standby a primary | `ok` |
//! | `skipped TEST WHY…` | notes loudly that a test could not be run here | `ok` |
//!
//! A request that fails is answered `err WHY`; one for what this machine does not have, `none
//! WHY`. A test's servers are its connection's: when that closes, they are taken down.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::context::Context;
use super::postgres::Bouncer;
use super::server::{Order, Server, Source};
use crate::Error;

/// How many tests may be connected at once.
const CONNECTIONS: usize = 64;

/// The longest request, in bytes.
const LONGEST: u64 = 4_096;

/// What can be started.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) context: Arc<Context>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    /// The version under test, among the sources.
    pub(crate) current: usize,
    pub(crate) poolers: Vec<Bouncer>,
}

/// Listens for requests until it is dropped; then every server it started is taken down.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    offer: Offer,
    closed: AtomicBool,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
    skipped: Mutex<BTreeMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    pub(crate) fn listen(offer: Offer) -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            offer,
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
            skipped: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let listening = Some(std::thread::spawn(move || accept(&for_thread, &listener)));
        Ok(Self { shared, address, listening })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The tests that said that they could not be run here, and why.
    pub(crate) fn skipped(&self) -> BTreeMap<String, String> {
        lock(&self.shared.skipped).clone()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let woken = TcpStream::connect(self.address);
        if let Some(thread) = self.listening.take().filter(|_| woken.is_ok()) {
            let _ = thread.join();
        }
        for (stream, thread) in std::mem::take(&mut *lock(&self.shared.connections)) {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(ours) = stream.try_clone() else { continue };
        let mut connections = lock(&shared.connections);
        connections.retain(|(_, thread)| !thread.is_finished());
        if connections.len() >= CONNECTIONS {
            let _ = writeln!(&stream, "err too many connections");
            continue;
        }
        let for_thread = Arc::clone(shared);
        let thread = std::thread::spawn(move || serve(&for_thread, &stream));
        connections.push((ours, thread));
    }
}

/// Answers one test; its servers go with it.
fn serve(shared: &Shared, stream: &TcpStream) {
    let mut session = Session { shared, servers: BTreeMap::new() };
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        match reader.by_ref().take(LONGEST).read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let reply = match Request::parse(line.trim()) {
            Ok(request) => session.answer(request),
            Err(why) => Reply::Failed(why),
        };
        let mut writer = stream;
        if writer.write_all(reply.line().as_bytes()).is_err() {
            return;
        }
    }
}

/// A test's connection.
#[derive(Debug)]
struct Session<'a> {
    shared: &'a Shared,
    servers: BTreeMap<String, Box<dyn Server>>,
}

impl Session<'_> {
    fn answer(&mut self, request: Request) -> Reply {
        let offer = &self.shared.offer;
        let started = match request {
            Request::Skipped { test, why } => {
                lock(&self.shared.skipped).insert(test, why);
                return Reply::Done;
            }
            Request::Order { order, name } => {
                let Some(server) = self.servers.get_mut(&name) else {
                    return Reply::no_server(&name);
                };
                return server
                    .obey(order)
                    .map_or_else(|error| Reply::failed(&error), |()| Reply::Done);
            }
            Request::Server { version, settings } => {
                let Some(source) = offer.sources.get(version.unwrap_or(offer.current)) else {
                    return Reply::Missing("no server of this number can be started".into());
                };
                let name = offer.context.name("own");
                source.start(&name, true, &settings).map(|server| (name, server))
            }
            Request::Standby { of } => {
                let Some(primary) = self.servers.get_mut(&of) else {
                    return Reply::no_server(&of);
                };
                let name = offer.context.name("standby");
                primary.standby(&name).map(|server| (name, server))
            }
            Request::Pgbouncer { before, version, settings } => {
                let Some(server) = self.servers.get(&before) else {
                    return Reply::no_server(&before);
                };
                let Some(pooler) = offer.poolers.get(version) else {
                    return Reply::Missing("no PgBouncer of this number was found".into());
                };
                let name = offer.context.name("pgbouncer");
                let (folder, logs) = (&offer.context.folder, &offer.context.logs);
                let started = pooler.before(&name, &**server, folder, logs, &settings);
                started.map(|server| (name, server))
            }
        };
        match started {
            Ok((name, server)) => {
                let reply = Reply::Started { name: name.clone(), url: server.url() };
                self.servers.insert(name, server);
                reply
            }
            Err(error) => Reply::failed(&error),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Server { version: Option<usize>, settings: Vec<(String, String)> },
    Standby { of: String },
    Pgbouncer { before: String, version: usize, settings: Vec<(String, String)> },
    Order { order: Order, name: String },
    Skipped { test: String, why: String },
}

impl Request {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut word = |what: &str| {
            words.next().map(str::to_owned).ok_or_else(|| format!("{what} is missing"))
        };
        let order = match &*word("a request")? {
            "start" => return Self::parse_start(&word("what to start")?, words),
            "skipped" => {
                let test = word("the test")?;
                return Ok(Self::Skipped { test, why: words.collect::<Vec<_>>().join(" ") });
            }
            "stop" => Order::Stop,
            "kill" => Order::Kill,
            "restart" => Order::Restart,
            "stall" => Order::Stall,
            "resume" => Order::Resume,
            "promote" => Order::Promote,
            other => return Err(format!("there is no request {other:?}")),
        };
        let name = word("the server's name")?;
        match words.next() {
            None => Ok(Self::Order { order, name }),
            Some(more) => Err(format!("what does {more:?} mean?")),
        }
    }

    fn parse_start<'a>(what: &str, words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut plain = Vec::new();
        let mut settings = Vec::new();
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => settings.push((name.to_owned(), value.to_owned())),
                None => plain.push(word),
            }
        }
        let number =
            |word: &str| word.parse().map_err(|_| format!("{word:?} is no number of a version"));
        match (what, &plain[..]) {
            ("server", []) => Ok(Self::Server { version: None, settings }),
            ("server", [version]) => Ok(Self::Server { version: Some(number(version)?), settings }),
            ("standby", [of]) if settings.is_empty() => Ok(Self::Standby { of: (*of).to_owned() }),
            ("pgbouncer", [before]) => {
                Ok(Self::Pgbouncer { before: (*before).to_owned(), version: 0, settings })
            }
            ("pgbouncer", [before, version]) => {
                let version = number(version)?;
                Ok(Self::Pgbouncer { before: (*before).to_owned(), version, settings })
            }
            _ => Err(format!("cannot start {what:?} with this")),
        }
    }
}

#[derive(Debug)]
enum Reply {
    Done,
    Started { name: String, url: String },
    Missing(String),
    Failed(String),
}

impl Reply {
    fn no_server(name: &str) -> Self {
        Self::Failed(format!("this connection started no server {name:?}"))
    }

    fn failed(error: &Error) -> Self {
        Self::Failed(error.to_string())
    }

    fn line(&self) -> String {
        let line = match self {
            Self::Done => "ok".to_owned(),
            Self::Started { name, url } => format!("ok {name} {url}"),
            Self::Missing(why) => format!("none {why}"),
            Self::Failed(why) => format!("err {why}"),
        };
        line.replace(['\r', '\n'], "; ") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood_or_refused() {
        let setting = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let name = "s".to_owned();
        let understood = [
            ("start server", Request::Server { version: None, settings: vec![] }),
            (
                "start server 1 max_connections=9",
                Request::Server { version: Some(1), settings: setting("max_connections", "9") },
            ),
            ("start standby s", Request::Standby { of: name.clone() }),
            (
                "start pgbouncer s default_pool_size=1",
                Request::Pgbouncer {
                    before: name.clone(),
                    version: 0,
                    settings: setting("default_pool_size", "1"),
                },
            ),
            ("kill s", Request::Order { order: Order::Kill, name }),
            (
                "skipped a::b no right to mount",
                Request::Skipped { test: "a::b".into(), why: "no right to mount".into() },
            ),
        ];
        for (line, request) in understood {
            assert_eq!(Request::parse(line), Ok(request), "{line}");
        }
        let refused =
            ["", "start", "start oracle", "start server x", "start standby", "kill", "kill s 9"];
        for line in refused {
            assert!(Request::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_reply_is_one_line() {
        assert_eq!(Reply::Failed("a\nb".into()).line(), "err a; b\n");
    }
}
