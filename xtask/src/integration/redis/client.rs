//! The driver's second client.

use crate::Error;
use crate::integration::context::Context;
use crate::integration::server::{Server, Source, Variant};

/// The driver's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The one that is used unless another is chosen.
    Usual,
    Redis,
}

impl Client {
    /// How a run's name goes on.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Redis => " by Client::Redis",
        }
    }

    /// What tells the tests which one is meant.
    pub(super) fn variables(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Usual => Vec::new(),
            Self::Redis => vec![("BATCHFLOW_REDIS_CLIENT", "redis".to_owned())],
        }
    }
}

/// A server, met by a client.
#[derive(Debug)]
pub(crate) struct By(pub(crate) Client);

impl Variant for By {
    fn label(&self) -> String {
        self.0.label().trim_start().to_owned()
    }

    /// All that a client has a part in.
    fn tests(&self) -> &'static [&'static str] {
        &["conformance::", "connecting::", "ends::", "faults::", "layouts::", "tls::", "verdicts::"]
    }

    fn variables(&self, _shared: &dyn Server) -> Vec<(&'static str, String)> {
        self.0.variables()
    }

    fn start(
        &self,
        context: &Context,
        source: &dyn Source,
        _shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error> {
        source.start(&context.name("client"), false, &[])
    }
}
