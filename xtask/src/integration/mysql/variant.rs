//! A server whose settings help nobody: the driver must set its own.

use crate::Error;
use crate::integration::context::Context;
use crate::integration::server::{Server, Source, Variant};

/// What a session must not take from its server, and what a server may forbid.
const SETTINGS: [(&str, &str); 3] =
    [("local_infile", "OFF"), ("sql_mode", ""), ("default_time_zone", "+05:30")];

/// A server that takes no files from clients, cuts what does not fit where a session does not
/// object, and has clocks of another zone.
#[derive(Debug)]
pub(crate) struct Lax;

impl Variant for Lax {
    fn label(&self) -> String {
        "without local_infile, sql_mode empty, zone +05:30".to_owned()
    }

    fn tests(&self) -> &'static [&'static str] {
        &["conformance::chosen::", "ways::", "strategies::", "types::", "shared::"]
    }

    fn start(
        &self,
        context: &Context,
        source: &dyn Source,
        _shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        source.start(&context.name("lax"), false, &settings)
    }
}
