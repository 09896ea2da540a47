//! [`Text`]: the text of a value, short ones without an allocation.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use compact_str::CompactString;

/// The text of a [`Value`](crate::Value): up to 24 bytes are kept in place, longer ones on the
/// heap. A longer `String` is taken over, not copied.
///
/// `Debug` shows the length, never the text.
///
/// ```
/// use batchflow_core::Text;
///
/// let name = Text::from("Ada");
/// assert_eq!(&*name, "Ada");
/// assert_eq!(format!("{name:?}"), "Text(3 bytes)");
/// assert_eq!(String::from(name), "Ada");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(CompactString);

impl Text {
    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes on the heap; none for a short text.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.0.is_heap_allocated() { self.0.capacity() } else { 0 }
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

macro_rules! from {
    ($($rust:ty => |$text:ident| $make:expr;)+) => {$(
        impl From<$rust> for Text {
            #[inline]
            fn from($text: $rust) -> Self {
                Self($make)
            }
        }
    )+};
}

from! {
    &str => |v| v.into();
    String => |v| v.into();
    &String => |v| v.into();
    Box<str> => |v| v.into();
    Cow<'_, str> => |v| v.into();
}

impl From<char> for Text {
    fn from(letter: char) -> Self {
        Self::from(&*letter.encode_utf8(&mut [0; 4]))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.into_string()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.len())
    }
}
