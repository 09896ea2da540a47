//! Dead letters read back from JSON lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::{DeadLetter, DeadLetterError, json};

/// The longest line that is read unless told otherwise, in bytes.
const MAX_LINE: usize = 256 << 20;

/// Reads the dead letters that a [`FileSink`](super::FileSink) wrote.
///
/// A line that is no letter is an error that names its number; the lines after it follow. So it
/// is with a line that a crash cut short. The iterator ends after an error of the reader itself.
///
/// ```
/// use batchflow_core::dead_letter;
///
/// let file: &[u8] = b"{\"v\":1,\"submission\":7,\"out";
/// let error = dead_letter::read_lines(file).next().unwrap().unwrap_err();
/// assert!(error.to_string().starts_with("dead letters, line 1: it is cut short"));
/// ```
pub fn read_lines<R: BufRead>(reader: R) -> LetterLines<R> {
    LetterLines { reader, line: 0, max_line: MAX_LINE, done: false }
}

/// Opens a file and [reads](read_lines) its dead letters. Both block.
pub fn read_file(path: impl AsRef<Path>) -> Result<LetterLines<BufReader<File>>, DeadLetterError> {
    let path = path.as_ref();
    let file = File::open(path)
        .map_err(|error| DeadLetterError::Io { path: Some(path.to_owned()), error })?;
    Ok(read_lines(BufReader::new(file)))
}

/// The letters of a file, in order; made by [`read_lines`] and [`read_file`].
#[derive(Debug)]
pub struct LetterLines<R> {
    reader: R,
    line: u64,
    max_line: usize,
    done: bool,
}

enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

impl Line {
    fn new(text: Option<Vec<u8>>) -> Self {
        text.map_or(Self::TooLong, Self::Text)
    }
}

impl<R: BufRead> LetterLines<R> {
    /// Lines longer than this many bytes are errors. Default: 256 MiB.
    #[must_use]
    pub fn with_max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// How many lines were read.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Reads on to after line `line`, whatever stands there.
    pub(crate) fn skip_to(&mut self, line: u64) -> io::Result<()> {
        let max_line = std::mem::take(&mut self.max_line);
        while self.line < line && !matches!(self.read_line()?, Line::End) {
            self.line += 1;
        }
        self.max_line = max_line;
        Ok(())
    }

    /// Reads one line without its break.
    fn read_line(&mut self) -> io::Result<Line> {
        let mut line = Some(Vec::new());
        let mut any = false;
        loop {
            let ready = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                ready => ready?,
            };
            if ready.is_empty() {
                return Ok(if any { Line::new(line) } else { Line::End });
            }
            any = true;
            let end = ready.iter().position(|&byte| byte == b'\n');
            let part = &ready[..end.unwrap_or(ready.len())];
            line = line.filter(|line| line.len() + part.len() <= self.max_line);
            if let Some(line) = &mut line {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Line::new(line));
            }
        }
    }
}

impl<R: BufRead> Iterator for LetterLines<R> {
    type Item = Result<DeadLetter, DeadLetterError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let line = match self.read_line() {
                Ok(Line::End) => break,
                Ok(line) => line,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error.into()));
                }
            };
            self.line += 1;
            let read = match line {
                Line::Text(line) if line.trim_ascii().is_empty() => continue,
                Line::Text(line) => json::read(&line),
                Line::TooLong | Line::End => {
                    Err(format!("it is longer than {} bytes", self.max_line))
                }
            };
            let number = self.line;
            return Some(read.map_err(|why| DeadLetterError::Line { line: number, why }));
        }
        self.done = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::tests::letters;

    #[test]
    fn a_bad_line_is_named_shows_no_value_and_hides_no_other() {
        let good = letters(7, 1)[0].to_json().unwrap();
        let cases = [
            (good[..good.len() - 9].to_owned(), "cut short"),
            ("canary".to_owned(), "not JSON, column 1"),
            ("[\"canary\"]".to_owned(), "not a JSON object"),
            ("{}".to_owned(), "`v` is missing"),
            (good.replace("\"v\":1", "\"v\":2"), "version 2"),
            (good.replace("\"submission\":7", "\"submission\":\"canary\""), "`submission`"),
            (good.replace("rejected", "canary"), "`outcome`"),
            (good.replace("\"ignore\"", "\"canary\""), "`schema.on_conflict`"),
            (good.replace("\"key\":[\"id\"]", "\"key\":[]"), "needs a key"),
            (good.replace("[\"id\",\"name\"]", "[\"id\"]"), "no column \"name\""),
            (good.replace("\"u64\":7", "\"u64\":-7"), "column \"id\": a value tagged \"u64\""),
            (good.replace("\"text\"", "\"bytes\""), "column \"name\": a value tagged \"bytes\""),
            (good.replace("\"text\"", "\"txt\""), "a value tagged \"txt\""),
            (format!("{good}{}", " ".repeat(1_000)), "longer than 1000 bytes"),
            ("[".repeat(100_000), "longer than"),
            ("[".repeat(900), "not JSON"),
            ("\u{feff}\0\u{1}".to_owned(), "not JSON"),
        ];
        let text: Vec<String> =
            cases.iter().map(|(line, _)| format!("{line}\n\n{good}\r\n")).collect();
        let text = text.concat();
        let mut lines = read_lines(text.as_bytes()).with_max_line(1_000);
        for (at, (_, expected)) in cases.iter().enumerate() {
            let error = lines.next().unwrap().expect_err(expected).to_string();
            let start = format!("dead letters, line {}: ", at * 3 + 1);
            assert!(error.starts_with(&start) && error.contains(expected), "{error:?} {expected}");
            assert!(!error.contains("canary"), "{error}");
            assert_eq!(lines.next().unwrap().unwrap().submission(), 7);
        }
        assert!(lines.next().is_none() && lines.next().is_none());
    }
}
