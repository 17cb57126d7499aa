//! Netlink's messages: what we send is put into them, what the kernel sends is taken out.

use super::attributes::{Attributes, Malformed, after};
use super::items::Item;
use super::numbers::{
    NFNL_SUBSYS_NFTABLES, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
};

/// Bytes of netlink's own header: length, type, flags, sequence number, sender.
const HEADER_BYTES: usize = 16;

/// Bytes of netfilter's: address family, version, a number for the whole batch.
const FAMILY_BYTES: usize = 4;

/// The head of a message to the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// The type: the subsystem in the upper byte, for what is not about a batch itself.
    pub(super) kind: u16,
    /// Flags, beyond the one that all requests have.
    pub(super) flags: u16,
    /// What the kernel's answers will carry.
    pub(super) sequence: u32,
    /// The address family.
    pub(super) family: u8,
    /// The subsystem that a batch is for, otherwise 0.
    pub(super) resource: u16,
}

/// The type of a message to nf_tables.
pub(super) const fn nf_tables(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

impl Head {
    /// Writes the message. Its attributes are whole, so the next message begins where it must.
    pub(super) fn write(self, attributes: &[u8], out: &mut Vec<u8>) {
        let length = HEADER_BYTES + FAMILY_BYTES + attributes.len();
        let length = u32::try_from(length).expect("one message is small");
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&(self.flags | NLM_F_REQUEST).to_ne_bytes());
        out.extend_from_slice(&self.sequence.to_ne_bytes());
        // The kernel knows who sends.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[self.family, 0]);
        out.extend_from_slice(&self.resource.to_be_bytes());
        out.extend_from_slice(attributes);
    }
}

/// A message from the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The sequence number of the message that it answers.
    pub sequence: u32,
    /// Whether the rule set changed while it was listed, so that the list is not of one moment.
    pub is_interrupted: bool,
    /// What it says.
    pub says: Says,
}

/// What a message from the kernel says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Says {
    /// That it did what was asked, or that the list ends.
    Done,
    /// That it did not, and why: an error number, greater than 0.
    Failed(i32),
    /// Something that stands in our table.
    Item(Item),
    /// Something that is of no interest here.
    Nothing,
}

/// The messages in what was received at once. After one that is malformed there are no more.
pub fn answers(received: &[u8]) -> impl Iterator<Item = Result<Answer, Malformed>> {
    Answers(received)
}

struct Answers<'a>(&'a [u8]);

impl Iterator for Answers<'_> {
    type Item = Result<Answer, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match read(self.0) {
            Ok((answer, rest)) => {
                self.0 = rest;
                Some(Ok(answer))
            }
            Err(malformed) => {
                self.0 = &[];
                Some(Err(malformed))
            }
        }
    }
}

/// The first message, and what follows it.
fn read(bytes: &[u8]) -> Result<(Answer, &[u8]), Malformed> {
    let (length, _) = bytes.split_first_chunk().ok_or(Malformed)?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).map_err(|_| Malformed)?;
    let message = bytes.get(..length).ok_or(Malformed)?;
    let (header, body) = message
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(Malformed)?;
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    let flags = u16::from_ne_bytes([header[6], header[7]]);
    let answer = Answer {
        sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
        is_interrupted: flags & NLM_F_DUMP_INTR != 0,
        says: said(kind, body)?,
    };
    Ok((answer, after(bytes, length)))
}

fn said(kind: u16, body: &[u8]) -> Result<Says, Malformed> {
    match kind {
        NLMSG_ERROR | NLMSG_DONE => {
            let (number, _) = body.split_first_chunk().ok_or(Malformed)?;
            match i32::from_ne_bytes(*number) {
                0 => Ok(Says::Done),
                number @ ..0 => Ok(Says::Failed(number.saturating_neg())),
                // The kernel writes its error numbers negated.
                1.. => Err(Malformed),
            }
        }
        _ if kind >> 8 == NFNL_SUBSYS_NFTABLES => {
            let (head, attributes) = body.split_first_chunk::<FAMILY_BYTES>().ok_or(Malformed)?;
            let item = Item::read(kind & 0xff, head[0], Attributes(attributes))?;
            Ok(item.map_or(Says::Nothing, Says::Item))
        }
        _ => Ok(Says::Nothing),
    }
}
