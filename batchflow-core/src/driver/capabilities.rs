//! [`Capabilities`]: what a driver declares it can do. What is not declared is never asked for.

/// What a driver can do, and how much at once.
///
/// ```
/// use batchflow_core::Capabilities;
///
/// let capabilities = Capabilities::none().with_describe().with_max_rows(10_000);
/// assert_eq!(capabilities.max_rows(), Some(10_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    describe: bool,
    settle: bool,
    preview: bool,
    atomic: bool,
    nonblocking: bool,
    max_rows: Option<usize>,
    max_parameters: Option<usize>,
    max_bytes: Option<usize>,
}

impl Capabilities {
    /// A driver that writes, and no more.
    pub const fn none() -> Self {
        Self {
            describe: false,
            settle: false,
            preview: false,
            atomic: false,
            nonblocking: false,
            max_rows: None,
            max_parameters: None,
            max_bytes: None,
        }
    }

    /// [`Driver::describe`](crate::Driver::describe) looks the table up.
    #[must_use]
    pub const fn with_describe(mut self) -> Self {
        self.describe = true;
        self
    }

    /// [`Driver::settle`](crate::Driver::settle) tells the fate of a commit, and every attempt
    /// [records](crate::Attempt::record) a token before it can become durable.
    #[must_use]
    pub const fn with_settle(mut self) -> Self {
        self.settle = true;
        self
    }

    /// [`Driver::settle`](crate::Driver::settle) is not to be asked after all; for a driver around
    /// another.
    #[must_use]
    pub const fn without_settle(mut self) -> Self {
        self.settle = false;
        self
    }

    /// [`Driver::preview`](crate::Driver::preview) shows what would be sent.
    #[must_use]
    pub const fn with_preview(mut self) -> Self {
        self.preview = true;
        self
    }

    /// A batch is applied whole or not at all.
    #[must_use]
    pub const fn with_atomic(mut self) -> Self {
        self.atomic = true;
        self
    }

    /// [`Driver::write`](crate::Driver::write) never blocks its thread, neither on a lock that is
    /// long held nor on work: a flow may poll it in its own task, which answers one awaited row
    /// sooner than a task of its own, woken from thread to thread.
    #[must_use]
    pub const fn with_nonblocking(mut self) -> Self {
        self.nonblocking = true;
        self
    }

    /// The most rows of a batch.
    #[must_use]
    pub const fn with_max_rows(mut self, rows: usize) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// The most parameters of a batch: rows times set columns.
    #[must_use]
    pub const fn with_max_parameters(mut self, parameters: usize) -> Self {
        self.max_parameters = Some(parameters);
        self
    }

    /// The most bytes of a batch, as [`Request::size_bytes`](crate::Request::size_bytes) counts.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Whether the driver looks tables up.
    pub const fn describes(&self) -> bool {
        self.describe
    }

    /// Whether the driver can tell the fate of a commit.
    pub const fn settles(&self) -> bool {
        self.settle
    }

    /// Whether the driver can show what it would send.
    pub const fn previews(&self) -> bool {
        self.preview
    }

    /// Whether a batch is applied whole or not at all.
    pub const fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Whether a write never blocks its thread.
    pub const fn is_nonblocking(&self) -> bool {
        self.nonblocking
    }

    /// The most rows of a batch.
    pub const fn max_rows(&self) -> Option<usize> {
        self.max_rows
    }

    /// The most parameters of a batch.
    pub const fn max_parameters(&self) -> Option<usize> {
        self.max_parameters
    }

    /// The most bytes of a batch.
    pub const fn max_bytes(&self) -> Option<usize> {
        self.max_bytes
    }
}
