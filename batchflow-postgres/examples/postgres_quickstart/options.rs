//! What the command line asks for.

use lexopt::prelude::*;

use crate::rows::{Rows, Source};
use crate::{Error, SERVER};

/// Which server is written to.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// What this program is called.
    pub(crate) program: &'static str,
    /// The variable that holds the server's URL.
    pub(crate) variable: &'static str,
    pub(crate) scheme: &'static str,
    /// The URL where a server usually listens.
    pub(crate) usual: &'static str,
}

impl Server {
    pub(crate) fn help(&self) -> String {
        let Self { name, program, variable, scheme, usual } = self;
        format!(
            "\
Writes rows one by one into {name}, in batches, and checks the table.

Usage: {program} [OPTIONS] [FILE.csv]

  FILE.csv       the rows under a header; NA is NULL. Default: the repository's weather.csv
  --rows N       N rows made up instead of a file
  --key A,B,C    the columns that identify a row. Default: origin,time_hour; of rows made up: id
  --url URL      {scheme}://user:password@host:port/database. Default: {variable},
                 else {usual}
  --table NAME   a table that is not there yet. Default: batchflow_weather, after the file,
                 made anew
"
        )
    }
}

const WEATHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/weather.csv");

pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) key: Option<Vec<String>>,
    pub(crate) url: String,
    table: Option<String>,
}

impl Options {
    /// `None` where help is asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let url = std::env::var(SERVER.variable).unwrap_or_else(|_| SERVER.usual.to_owned());
        let mut options =
            Self { source: Source::File(WEATHER.into()), key: None, url, table: None };
        let mut arguments = lexopt::Parser::from_env();
        let mut given = false;
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("rows") => {
                    let rows = arguments.value()?.string()?;
                    let bad = |_| format!("--rows takes a number of rows, not {rows:?}");
                    options.source = Source::MadeUp(rows.parse().map_err(bad)?);
                }
                Long("key") => {
                    let key = arguments.value()?.string()?;
                    options.key = Some(key.split(',').map(|name| name.trim().to_owned()).collect());
                }
                Long("url") => options.url = arguments.value()?.string()?,
                Long("table") => options.table = Some(arguments.value()?.string()?),
                Value(path) if !given => {
                    options.source = Source::File(path.into());
                    given = true;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    pub(crate) fn table(&self, rows: &Rows) -> String {
        self.table.clone().unwrap_or_else(|| format!("batchflow_{}", rows.table))
    }

    /// Whether the table is ours to make anew.
    pub(crate) fn is_default_table(&self) -> bool {
        self.table.is_none()
    }
}
