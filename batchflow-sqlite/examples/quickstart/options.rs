//! What the command line asks for.

use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use crate::Error;
use crate::rows::Source;

pub(crate) const HELP: &str = "\
Writes rows one by one into SQLite, in batches, and checks the table.

Usage: quickstart [OPTIONS] [FILE.csv]

  FILE.csv       the rows under a header; NA is NULL. Default: the repository's weather.csv
  --rows N       N rows made up instead of a file
  --key A,B,C    the columns that identify a row. Default: origin,time_hour; of rows made up: id
  --db PATH      a database that has no table of the file's name yet.
                 Default: quickstart.db in the current folder, made anew
";

const WEATHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/weather.csv");

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) key: Option<Vec<String>>,
    db: Option<PathBuf>,
}

impl Options {
    /// `None` where help is asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let mut options = Self { source: Source::File(WEATHER.into()), key: None, db: None };
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
                Long("db") => options.db = Some(arguments.value()?.into()),
                Value(path) if !given => {
                    options.source = Source::File(path.into());
                    given = true;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    pub(crate) fn db(&self) -> &Path {
        self.db.as_deref().unwrap_or(Path::new("quickstart.db"))
    }

    /// Whether the database is ours to make anew.
    pub(crate) fn is_default_db(&self) -> bool {
        self.db.is_none()
    }
}
