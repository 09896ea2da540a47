//! Servers whose settings help nobody: the driver must set its own.

use crate::Error;
use crate::integration::context::Context;
use crate::integration::server::{Server, Source, Variant};

/// A server that is set otherwise.
#[derive(Debug)]
pub(crate) struct Set {
    name: &'static str,
    label: &'static str,
    settings: &'static [(&'static str, &'static str)],
    tests: &'static [&'static str],
}

/// One that takes no files from clients, cuts what does not fit where a session does not object,
/// and has clocks of another zone.
pub(crate) const LAX: Set = Set {
    name: "lax",
    label: "without local_infile, sql_mode empty, zone +05:30",
    settings: &[("local_infile", "OFF"), ("sql_mode", ""), ("default_time_zone", "+05:30")],
    tests: &["conformance::chosen::", "ways::", "strategies::", "types::", "shared::"],
};

/// One that logs what it is told, not the rows that come of it: it refuses what is written under
/// `READ COMMITTED`, and warns of what another server might do otherwise.
pub(crate) const STATEMENTS: Set = Set {
    name: "statements",
    label: "with a log of statements",
    settings: &[("log_bin", "log"), ("server_id", "1"), ("binlog_format", "STATEMENT")],
    tests: &["conformance::chosen::", "ways::", "strategies::", "ledger::"],
};

impl Variant for Set {
    fn label(&self) -> String {
        self.label.to_owned()
    }

    fn tests(&self) -> &'static [&'static str] {
        self.tests
    }

    fn start(
        &self,
        context: &Context,
        source: &dyn Source,
        _shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings: Vec<_> = self.settings.iter().map(owned).collect();
        source.start(&context.name(self.name), false, &settings)
    }
}
