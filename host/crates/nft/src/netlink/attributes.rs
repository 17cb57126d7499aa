//! Netlink's attributes: a length, a type, a value that may be attributes again.
//!
//! Lengths and types are in the machine's byte order; numbers that are values of nf_tables are in
//! network order. The reader never looks past what it was given, and never copies.

use thiserror::Error;

use super::numbers::{NLA_F_NESTED, NLA_TYPE_MASK};

/// Bytes of the length and the type.
const HEADER_BYTES: usize = 4;

/// Every attribute, and every message, begins at a multiple of this many bytes.
const ALIGNMENT: usize = 4;

/// What was received is not what the kernel sends.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("an answer of the kernel is cut short or garbled")]
pub struct Malformed;

/// Attributes being written, one after the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |out| out.extend_from_slice(value))
    }

    /// A name: it ends with a zero byte, as nft writes it.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |out| {
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        })
    }

    pub(super) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn nested(&mut self, kind: u16, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.attribute(kind | NLA_F_NESTED, |out| {
            let mut within = Self(std::mem::take(out));
            write(&mut within);
            *out = within.0;
        })
    }

    fn attribute(&mut self, kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; HEADER_BYTES]);
        write(&mut self.0);
        let length = u16::try_from(self.0.len() - start).expect("names have at most 255 bytes");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + HEADER_BYTES].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        self
    }
}

/// An attribute that was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// A name. What is not UTF-8 in it was not named by us; no such name is found again.
    pub(super) fn text(self) -> String {
        let end = self.value.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&self.value[..end.unwrap_or(self.value.len())]).into_owned()
    }

    pub(super) fn u32(self) -> Result<u32, Malformed> {
        let bytes = self.value.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    pub(super) fn u64(self) -> Result<u64, Malformed> {
        let bytes = self.value.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_be_bytes(bytes))
    }

    pub(super) const fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }
}

/// Attributes that were received, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The first attribute of this kind.
    pub(super) fn find(self, kind: u16) -> Result<Option<Attribute<'a>>, Malformed> {
        for attribute in self {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }

    /// The same, of an attribute that the kernel never leaves out.
    pub(super) fn get(self, kind: u16) -> Result<Attribute<'a>, Malformed> {
        self.find(kind)?.ok_or(Malformed)
    }

    pub(super) fn has(self, kind: u16) -> Result<bool, Malformed> {
        Ok(self.find(kind)?.is_some())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let head = |at: usize| {
            let bytes = self.0.get(at..at + 2)?;
            Some(u16::from_ne_bytes(bytes.try_into().ok()?))
        };
        let attribute = head(0).zip(head(2)).and_then(|(length, kind)| {
            let value = self.0.get(HEADER_BYTES..usize::from(length))?;
            let kind = kind & NLA_TYPE_MASK;
            Some((usize::from(length), Attribute { kind, value }))
        });
        let Some((length, attribute)) = attribute else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = after(self.0, length);
        Some(Ok(attribute))
    }
}

/// What follows the first `length` bytes and what fills them up.
pub(super) fn after(bytes: &[u8], length: usize) -> &[u8] {
    // The last one need not be filled up.
    bytes
        .get(length.next_multiple_of(ALIGNMENT)..)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Result<Vec<u16>, Malformed> {
        Attributes(bytes)
            .map(|attribute| attribute.map(|attribute| attribute.kind))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::default();
        writer
            .text(1, "portreeve")
            .nested(2, |within| {
                within.u32(3, 4).u64(5, 6);
            })
            .bytes(7, b"\x0a");
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let read = Attributes(&bytes);
        assert_eq!(kinds(&bytes), Ok(vec![1, 2, 7]));
        assert_eq!(read.get(1).unwrap().text(), "portreeve");
        let within = read.get(2).unwrap().nested();
        assert_eq!(within.get(3).unwrap().u32(), Ok(4));
        assert_eq!(within.get(5).unwrap().u64(), Ok(6));
        assert_eq!(within.get(3).unwrap().u64(), Err(Malformed));
        assert_eq!(read.get(7).unwrap().value, b"\x0a");
        assert_eq!(read.find(8), Ok(None));
        assert_eq!(read.get(8), Err(Malformed));
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        for bytes in [
            &[5][..],
            &[5, 0, 1],
            &[5, 0, 1, 0],
            &[3, 0, 1, 0],
            &[0, 0, 1, 0],
            &[0xff, 0xff, 1, 0, 0],
        ] {
            assert_eq!(kinds(bytes), Err(Malformed), "{bytes:?}");
        }
        // The last attribute need not be filled up.
        assert_eq!(kinds(&[5, 0, 1, 0, 9]), Ok(vec![1]));
    }
}
