//! [`Cut`]: where a connection ends, and how.

/// A direction through a [`Proxy`](super::Proxy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// By a reset, to both sides: as when a machine or a firewall forgets the connection.
    Reset,
    /// In order, to both sides: as when a process ends.
    Close,
}

/// A point at which a [`Proxy`](super::Proxy) cuts a connection: by a [reset](Ending::Reset),
/// unless it is told to [close](Self::closing) it in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    pub(super) direction: Direction,
    pub(super) at: At,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    Byte(u64),
    BeforeMessage(u64),
    AfterMessage(u64),
}

impl Cut {
    const fn new(direction: Direction, at: At) -> Self {
        Self { direction, at, ending: Ending::Reset }
    }

    /// As soon as so many bytes have gone in a direction; 0: before the first goes.
    pub const fn after_bytes(direction: Direction, bytes: u64) -> Self {
        Self::new(direction, At::Byte(bytes))
    }

    /// When the n-th message of a direction begins, counted from 1: nothing of it is passed on.
    pub const fn before_message(direction: Direction, nth: u64) -> Self {
        Self::new(direction, At::BeforeMessage(nth))
    }

    /// As soon as the n-th message of a direction, counted from 1, has been passed on.
    pub const fn after_message(direction: Direction, nth: u64) -> Self {
        Self::new(direction, At::AfterMessage(nth))
    }

    /// The same cut, in order instead of by a reset.
    #[must_use]
    pub const fn closing(mut self) -> Self {
        self.ending = Ending::Close;
        self
    }
}
