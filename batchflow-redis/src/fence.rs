//! [`Ticket`]: where an attempt was sent, and the end of it, seen.
//!
//! A connection that is closed on this side is not closed on the server's: what was sent before may
//! still lie unread in between, and would be executed later. So the server is told to end the
//! connection, by another one. It executes one command at a time, so that from its answer on
//! nothing more of that connection is executed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use tokio::sync::Semaphore;

use crate::connect::{Identity, Node, Opener, Words};
use crate::error;

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
pub(crate) struct Ticket {
    legs: Mutex<Vec<Leg>>,
    was_sent: AtomicBool,
}

/// A connection that the attempt was sent through.
#[derive(Clone, Debug)]
struct Leg {
    node: Option<Node>,
    identity: Option<Identity>,
}

impl Ticket {
    /// Notes a connection before anything is sent through it.
    pub(crate) fn sends(&self, node: Option<&Node>, identity: Option<&Identity>) {
        let leg = Leg { node: node.cloned(), identity: identity.cloned() };
        self.was_sent.store(true, Ordering::SeqCst);
        self.lock(|legs| legs.push(leg));
    }

    /// All that was sent through a connection has been answered.
    pub(crate) fn answered(&self, node: Option<&Node>, identity: Option<&Identity>) {
        self.lock(|legs| {
            legs.retain(|leg| leg.node.as_ref() != node || leg.identity.as_ref() != identity);
        });
    }

    /// Whether anything may have been sent.
    pub(crate) fn was_sent(&self) -> bool {
        self.was_sent.load(Ordering::SeqCst)
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Vec<Leg>) -> T) -> T {
        with(&mut self.legs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fences {
    pub(crate) fn new() -> Self {
        Self { room: Semaphore::new(AT_ONCE) }
    }

    /// Ends all connections of a ticket that are in doubt, and sees them ended.
    pub(crate) async fn end(&self, opener: &Opener, ticket: &Ticket) -> Result<(), WriteError> {
        while let Some(leg) = ticket.lock(|legs| legs.last().cloned()) {
            self.end_one(opener, &leg).await?;
            ticket.answered(leg.node.as_ref(), leg.identity.as_ref());
        }
        Ok(())
    }

    async fn end_one(&self, opener: &Opener, leg: &Leg) -> Result<(), WriteError> {
        let Some(identity) = &leg.identity else {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Settle);
            return Err(error.with_message(
                "a connection cannot be seen to end: this user may not ask for CLIENT INFO",
            ));
        };
        let _permit = self.room.acquire().await.map_err(|_| ErrorKind::Internal)?;
        let aside =
            opener.open(leg.node.as_ref()).await.map_err(|error| error.at(Stage::Settle))?;
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
