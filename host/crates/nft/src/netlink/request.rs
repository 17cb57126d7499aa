//! What the kernel can be asked.

use super::attributes::Writer;
use super::message::{Head, nf_tables};
use super::numbers::{
    NFPROTO_INET, NFPROTO_UNSPEC, NFT_MSG_GETCHAIN, NFT_MSG_GETGEN, NFT_MSG_GETRULE,
    NFT_MSG_GETSET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE, NFTA_CHAIN_TABLE, NFTA_DATA_VALUE,
    NFTA_LIST_ELEM, NFTA_RULE_TABLE, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_TABLE, NFTA_TABLE_NAME, NLM_F_ACK,
    NLM_F_DUMP,
};
use crate::TABLE;

/// A question about our table, or what stands beside it. Its answer ends with [`Says::Done`](super::Says::Done).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// The number that changes whenever something in nf_tables does.
    Generation,
    /// Which tables there are, of every family.
    Tables,
    /// Whether the table is there.
    Table,
    /// Its chains.
    Chains,
    /// Its rules.
    Rules,
    /// Its sets.
    Sets,
    /// The elements of a set.
    Elements {
        /// The set.
        set: &'a str,
    },
    /// One element of a set.
    Element {
        /// The set.
        set: &'a str,
        /// The element's key: its fields in network order, each filled up with zeros to a
        /// multiple of four bytes when there are several.
        key: &'a [u8],
    },
}

impl Request<'_> {
    /// The bytes to send; the answers carry the sequence number.
    #[must_use]
    pub fn to_bytes(&self, sequence: u32) -> Vec<u8> {
        // A list says itself where it ends; what is no list is asked to.
        let (message, flags) = match self {
            Self::Generation => (NFT_MSG_GETGEN, NLM_F_ACK),
            Self::Tables => (NFT_MSG_GETTABLE, NLM_F_DUMP),
            Self::Table => (NFT_MSG_GETTABLE, NLM_F_ACK),
            Self::Chains => (NFT_MSG_GETCHAIN, NLM_F_DUMP),
            Self::Rules => (NFT_MSG_GETRULE, NLM_F_DUMP),
            Self::Sets => (NFT_MSG_GETSET, NLM_F_DUMP),
            Self::Elements { .. } => (NFT_MSG_GETSETELEM, NLM_F_DUMP),
            Self::Element { .. } => (NFT_MSG_GETSETELEM, NLM_F_ACK),
        };
        let head = Head {
            kind: nf_tables(message),
            flags,
            sequence,
            family: match self {
                Self::Generation | Self::Tables => NFPROTO_UNSPEC,
                _ => NFPROTO_INET,
            },
            resource: 0,
        };
        let mut bytes = Vec::new();
        head.write(&self.attributes(), &mut bytes);
        bytes
    }

    fn attributes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Self::Generation | Self::Tables => {}
            Self::Table => {
                writer.text(NFTA_TABLE_NAME, TABLE);
            }
            // Kernels that do not look at the table list those of all tables.
            Self::Chains => {
                writer.text(NFTA_CHAIN_TABLE, TABLE);
            }
            Self::Rules => {
                writer.text(NFTA_RULE_TABLE, TABLE);
            }
            Self::Sets => {
                writer.text(NFTA_SET_TABLE, TABLE);
            }
            Self::Elements { set } => {
                writer
                    .text(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                    .text(NFTA_SET_ELEM_LIST_SET, set);
            }
            Self::Element { set, key } => {
                writer
                    .text(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                    .text(NFTA_SET_ELEM_LIST_SET, set)
                    .nested(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                        list.nested(NFTA_LIST_ELEM, |element| {
                            element.nested(NFTA_SET_ELEM_KEY, |data| {
                                data.bytes(NFTA_DATA_VALUE, key);
                            });
                        });
                    });
            }
        }
        writer.into_bytes()
    }
}
