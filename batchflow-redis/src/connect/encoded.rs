//! [`Encoded`]: commands as they go over the wire, all in one piece of memory.

use bytes::Bytes;

use super::Words;

/// Commands as they go over the wire.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    /// How many answers come.
    answers: usize,
}

/// A word that is known beforehand, by itself and as it goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    encoded: Bytes,
    word: Bytes,
}

impl Literal {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut encoded = Vec::with_capacity(text.len() + 12);
        word(text, &mut encoded);
        let encoded = Bytes::from(encoded);
        let end = encoded.len() - END.len();
        Self { word: encoded.slice(end - text.len()..end), encoded }
    }

    /// The word itself.
    pub(crate) fn word(&self) -> &Bytes {
        &self.word
    }
}

/// What every line ends with.
const END: &[u8] = b"\r\n";

impl Encoded {
    /// With room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), answers: 0 }
    }

    /// Begins a command of so many words, its name among them; they have to follow.
    pub(crate) fn begin(&mut self, words: usize) {
        self.answers += 1;
        line(b'*', words, &mut self.bytes);
    }

    /// The next word of the command.
    pub(crate) fn word(&mut self, text: &[u8]) {
        word(text, &mut self.bytes);
    }

    /// The next word of the command.
    pub(crate) fn literal(&mut self, literal: &Literal) {
        self.bytes.extend_from_slice(&literal.encoded);
    }

    /// A whole command.
    pub(crate) fn command(&mut self, words: &Words) {
        self.begin(words.args.len() + 1);
        self.word(words.name.as_str().as_bytes());
        for word in &words.args {
            self.word(word);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn answers(&self) -> usize {
        self.answers
    }
}

fn word(text: &[u8], out: &mut Vec<u8>) {
    line(b'$', text.len(), out);
    out.extend_from_slice(text);
    out.extend_from_slice(END);
}

/// A line of a mark and a number.
fn line(mark: u8, mut number: usize, out: &mut Vec<u8>) {
    let mut text = [0_u8; 23];
    let mut at = text.len() - END.len();
    text[at..].copy_from_slice(END);
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= 1;
    text[at] = mark;
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_lie_behind_one_another_as_a_server_reads_them() {
        let mut encoded = Encoded::default();
        encoded.command(&Words::of("MULTI", &[]));
        encoded.begin(3);
        encoded.literal(&Literal::new(b"SET"));
        encoded.word(b"a\r\n");
        encoded.word(&[b'x'; 120]);
        let long = "x".repeat(120);
        let expected =
            format!("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$120\r\n{long}\r\n");
        assert_eq!(str::from_utf8(encoded.bytes()).unwrap(), expected);
        assert_eq!(encoded.answers(), 2);
        assert_eq!(&**Literal::new(b"name").word(), b"name");
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 9, 10, 99, 100, 65_536, usize::MAX] {
            let mut out = Vec::new();
            line(b'$', number, &mut out);
            assert_eq!(str::from_utf8(&out).unwrap(), format!("${number}\r\n"));
        }
    }
}
