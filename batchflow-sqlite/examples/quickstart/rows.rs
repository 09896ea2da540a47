//! Where rows come from, and what their columns hold. Every driver's quickstart shares this.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::{Error, Value};

const MISSING: &str = "NA";

/// A CSV file, or so many rows made up.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    MadeUp(u64),
}

pub(crate) type Records = Box<dyn Iterator<Item = Result<StringRecord, Error>>>;

impl Source {
    /// The header, and an iterator over the rows below it.
    fn open(&self) -> Result<(Vec<String>, Records), Error> {
        match self {
            Self::File(path) => {
                let name = path.display().to_string();
                let file =
                    File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
                let mut reader = csv::Reader::from_reader(file);
                let bad = move |error| format!("cannot read {name}: {error}");
                let header = reader.headers().map_err(&bad)?;
                let header = header.iter().map(str::to_owned).collect();
                let records = reader.into_records();
                Ok((header, Box::new(records.map(move |record| record.map_err(|e| bad(e).into())))))
            }
            Self::MadeUp(rows) => {
                let header = ["id", "sensor", "reading", "note", "at"].map(str::to_owned);
                Ok((header.into(), Box::new((0..*rows).map(|id| Ok(made_up(id))))))
            }
        }
    }

    /// The name of the table: the file's, without what would have to be quoted.
    fn table(&self) -> String {
        let name = match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy(),
            Self::MadeUp(_) => "made_up".into(),
        };
        name.replace(|c: char| !c.is_alphanumeric(), "_")
    }

    fn key(&self) -> Vec<String> {
        let key: &[&str] = match self {
            Self::File(_) => &["origin", "time_hour"],
            Self::MadeUp(_) => &["id"],
        };
        key.iter().map(|&name| name.to_owned()).collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => Path::new(path.file_name().unwrap_or_default()).display().fmt(f),
            Self::MadeUp(rows) => write!(f, "{rows} rows made up"),
        }
    }
}

fn made_up(id: u64) -> StringRecord {
    let note = if id.is_multiple_of(10) { MISSING.to_owned() } else { format!("note {id}") };
    let reading = format!("{:.2}", (id % 8_192) as f64 / 7.0);
    let at = format!("2013-01-{:02}T{:02}:00:00Z", id % 31 + 1, id % 24);
    StringRecord::from(vec![id.to_string(), format!("sensor {}", id % 100), reading, note, at])
}

/// What a column holds, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Integer,
    Float,
    Text,
}

impl Kind {
    fn of(text: &str) -> Self {
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) {
            Self::Integer
        } else if is_number && text.parse::<f64>().is_ok_and(f64::is_finite) {
            Self::Float
        } else {
            Self::Text
        }
    }

    fn value(self, text: &str) -> Value {
        match self {
            _ if text == MISSING => Value::Null,
            Self::Integer => text.parse::<i64>().ok().into(),
            Self::Float => text.parse::<f64>().ok().into(),
            Self::Text => text.into(),
        }
    }
}

/// Rows that have been looked through once.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) source: Source,
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    pub(crate) kinds: Vec<Kind>,
    /// The positions of the key's columns.
    pub(crate) key: Vec<usize>,
    pub(crate) count: u64,
}

impl Rows {
    /// Reads the header and finds out what each column holds.
    pub(crate) fn scan(source: &Source, key: Option<&[String]>) -> Result<Self, Error> {
        let (columns, records) = source.open()?;
        let position = |name: &String| {
            let found = columns.iter().position(|column| column == name);
            found.ok_or_else(|| {
                format!("{source} has no column {name:?} for the key, only {}", columns.join(", "))
            })
        };
        let key: Vec<usize> = match key {
            Some(key) => key.iter().map(position).collect::<Result<_, _>>()?,
            None => source.key().iter().map(position).collect::<Result<_, _>>()?,
        };
        let mut kinds = vec![Kind::Integer; columns.len()];
        let mut count = 0;
        for record in records {
            let record = record?;
            count += 1;
            for (at, text) in record.iter().enumerate() {
                if text != MISSING {
                    kinds[at] = kinds[at].max(Kind::of(text));
                } else if key.contains(&at) {
                    let column = &columns[at];
                    return Err(format!("{source}, row {count}: the key {column:?} is NA").into());
                }
            }
        }
        let (source, table) = (source.clone(), source.table());
        Ok(Self { source, table, columns, kinds, key, count })
    }

    /// The rows again, from the first.
    pub(crate) fn read(&self) -> Result<Records, Error> {
        Ok(self.source.open()?.1)
    }

    /// A row's values, one a column.
    pub(crate) fn values(&self, record: &StringRecord) -> impl Iterator<Item = Value> {
        self.kinds.iter().zip(record).map(|(kind, text)| kind.value(text))
    }

    /// The names of the key's columns.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|&at| self.columns[at].as_str())
    }
}
