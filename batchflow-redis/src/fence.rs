//! [`Ticket`]: where an attempt was sent, and the end of it, seen.
//!
//! A connection that is closed on this side is not closed on the server's: what was sent before may
//! still lie unread in between, and would be executed later. So the server is told to end the
//! connection, by another one. It executes one command at a time, so that from its answer on
//! nothing more of that connection is executed.
//!
//! A cluster's node that cannot be reached is done with, too, once others have taken its slots over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::connect::{Identity, Opener, Words};
use crate::error;
use crate::leg::Home;
use crate::servers::Servers;

/// The most connections that end others at one time.
const AT_ONCE: usize = 4;

/// How often it is looked whether a connection is gone, and how long it is waited in between.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Ends connections whose last commands may still be executed.
#[derive(Debug)]
pub(crate) struct Fences {
    room: Semaphore,
}

/// Where an attempt was sent. It outlives the attempt.
#[derive(Debug, Default)]
pub(crate) struct Ticket(Mutex<Vec<Sent>>);

/// A connection that a leg of the attempt was sent through.
#[derive(Clone, Debug)]
struct Sent {
    /// The leg's position.
    leg: usize,
    home: Option<Home>,
    identity: Option<Identity>,
    /// Whether something of it may still be executed.
    in_doubt: bool,
}

impl Ticket {
    /// Notes a connection before anything is sent through it.
    pub(crate) fn sends(&self, leg: usize, home: Option<Home>, identity: Option<Identity>) {
        self.lock(|all| all.push(Sent { leg, home, identity, in_doubt: true }));
    }

    /// All that was sent of a leg has been answered, or will never be executed.
    pub(crate) fn answered(&self, leg: usize) {
        self.lock(|all| {
            all.iter_mut().filter(|sent| sent.leg == leg).for_each(|sent| sent.in_doubt = false);
        });
    }

    /// Whether anything may have been sent.
    pub(crate) fn was_sent(&self) -> bool {
        self.lock(|all| !all.is_empty())
    }

    /// Whether anything of a leg may have been sent.
    pub(crate) fn has_sent(&self, leg: usize) -> bool {
        self.lock(|all| all.iter().any(|sent| sent.leg == leg))
    }

    /// Whether something of a leg may still be executed.
    pub(crate) fn is_in_doubt(&self, leg: usize) -> bool {
        self.lock(|all| all.iter().any(|sent| sent.leg == leg && sent.in_doubt))
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Vec<Sent>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fences {
    pub(crate) fn new() -> Self {
        Self { room: Semaphore::new(AT_ONCE) }
    }

    /// Ends all connections of a ticket that are in doubt, and sees them ended. The error is that of
    /// one which is not seen to end.
    pub(crate) async fn end(
        &self,
        opener: &Opener,
        servers: &Servers,
        ticket: &Ticket,
    ) -> Result<(), WriteError> {
        let in_doubt: Vec<Sent> =
            ticket.lock(|all| all.iter().filter(|sent| sent.in_doubt).cloned().collect());
        let end = async |sent: Sent| {
            self.end_one(opener, servers, &sent).await?;
            ticket.answered(sent.leg);
            Ok(())
        };
        join_all(in_doubt.into_iter().map(end)).await.into_iter().collect()
    }

    async fn end_one(
        &self,
        opener: &Opener,
        servers: &Servers,
        sent: &Sent,
    ) -> Result<(), WriteError> {
        let (Some(cluster), Some(home)) = (servers.cluster(), &sent.home) else {
            return self.kill(opener, sent).await;
        };
        let kill = self.kill(opener, sent);
        let replaced = cluster.is_replaced(&home.member, &home.slots);
        tokio::pin!(kill, replaced);
        // One that stalls lets us wait, while others tell that it is replaced.
        let killed = tokio::select! {
            biased;
            killed = &mut kill => killed,
            is_replaced = &mut replaced => return if is_replaced { Ok(()) } else { kill.await },
        };
        match killed {
            Err(error) if error.kind() == ErrorKind::Connection => {
                if replaced.await {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            killed => killed,
        }
    }

    /// Has a connection ended by its server, and sees it gone.
    async fn kill(&self, opener: &Opener, sent: &Sent) -> Result<(), WriteError> {
        let Some(identity) = &sent.identity else {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Settle);
            return Err(error.with_message(
                "a connection cannot be seen to end: this user may not ask for CLIENT INFO",
            ));
        };
        let _permit = self.room.acquire().await.map_err(|_| ErrorKind::Internal)?;
        let node = sent.home.as_ref().map(|home| &home.member.node);
        let aside = opener.open(node).await.map_err(|error| error.at(Stage::Settle))?;
        let call = async |words| {
            let reply = aside.call(words).await.map_err(|lost| {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Settle);
                error.with_server_message(lost.0)
            })?;
            match reply.error() {
                Some(text) => Err(error::of_reply(text).at(Stage::Settle)),
                None => Ok(reply),
            }
        };
        for _ in 0..LOOKS {
            // By its address, too: a server that was restarted gives numbers anew.
            let kill = Words::of("CLIENT", &["KILL", "ID"]).with(identity.id.clone());
            call(kill.with("ADDR").with(identity.address.clone())).await?;
            let list = Words::of("CLIENT", &["LIST", "ID"]).with(identity.id.clone());
            let list = call(list).await?;
            let address = format!("addr={}", identity.address);
            let is_there = |text: &str| text.split_ascii_whitespace().any(|word| word == address);
            if !list.text().is_some_and(is_there) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let error = WriteError::new(ErrorKind::Timeout).at(Stage::Settle);
        Err(error.with_message("the server does not end a connection"))
    }
}
