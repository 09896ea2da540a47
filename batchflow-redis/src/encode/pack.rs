//! Rows gathered for one command: as one packed argument, or as its words.

use bytes::Bytes;

use super::Row;

/// Rows for a script as one argument: a flat array in `MessagePack`, which Lua unpacks by itself.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Room for the array's header, then its elements.
    bytes: Vec<u8>,
    elements: u32,
}

/// What the header of an array of 32-bit length takes.
const HEADER: usize = 5;

impl Packed {
    /// With room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), elements: 0 }
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, row: &Row) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER, 0);
        }
        for part in row.parts() {
            self.element(part);
        }
    }

    /// A row of as many words as it has: their number comes first.
    pub(crate) fn push_counted(&mut self, row: &Row) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER, 0);
        }
        let count = row.parts().len() as u32;
        self.bytes.push(0xce);
        self.bytes.extend_from_slice(&count.to_be_bytes());
        self.elements += 1;
        for part in row.parts() {
            self.element(part);
        }
    }

    fn element(&mut self, part: Option<&[u8]>) {
        self.elements += 1;
        let Some(part) = part else {
            self.bytes.push(0xc0);
            return;
        };
        let out = &mut self.bytes;
        match part.len() {
            len @ 0..=31 => out.push(0xa0 | len as u8),
            len @ 32..=255 => out.extend_from_slice(&[0xd9, len as u8]),
            len @ 256..=65_535 => {
                out.push(0xda);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(0xdb);
                out.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
        out.extend_from_slice(part);
    }

    pub(crate) fn elements(&self) -> usize {
        self.elements as usize
    }

    /// The argument.
    pub(crate) fn finish(mut self) -> Bytes {
        if let Some(header) = self.bytes.first_chunk_mut::<HEADER>() {
            header[0] = 0xdd;
            header[1..].copy_from_slice(&self.elements.to_be_bytes());
        }
        self.bytes.into()
    }
}

/// Parts of rows as words of a command, all in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Spans {
    /// With room for so many bytes, and so many words.
    pub(crate) fn with_room(bytes: usize, words: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(words) }
    }

    pub(crate) fn room(&self) -> (usize, usize) {
        (self.bytes.len(), self.ends.len())
    }

    pub(crate) fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    /// The words.
    pub(crate) fn finish(self) -> Vec<Bytes> {
        let all = Bytes::from(self.bytes);
        let mut start = 0;
        let word = |end| {
            let word = all.slice(start..end);
            start = end;
            word
        };
        self.ends.into_iter().map(word).collect()
    }
}
