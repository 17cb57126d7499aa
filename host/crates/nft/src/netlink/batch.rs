//! What is to be changed in our table, all of it or nothing.

use core::time::Duration;
use std::fmt;

use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;

use super::attributes::Writer;
use super::expressions;
use super::message::{Head, nf_tables};
use super::numbers::{
    NF_ACCEPT, NF_DROP, NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES,
    NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_UNSPEC, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE,
    NFT_MSG_DELSET, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
    NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_SET_TIMEOUT, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME,
    NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE, NFTA_DATA_VALUE, NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE,
    NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_SET_ID, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_TIMEOUT, NFTA_SET_FLAGS,
    NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_SET_TABLE,
    NFTA_SET_USERDATA, NFTA_TABLE_NAME, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL,
};
use super::objects::{BaseChain, Lead};
use super::record;
use crate::TABLE;

/// nft's number for the type `nf_proto`.
const NF_PROTO_TYPE: u32 = 2;

/// What nft notes with a set of this type, so that it lists ours as it lists its own: "the byte
/// order of the key, four bytes: none".
const NF_PROTO_USERDATA: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// The elements of a trial's set: together they match every packet that the table meets.
const PROTOCOLS: [u8; 2] = [NFPROTO_IPV4, NFPROTO_IPV6];

/// Changes that the kernel makes all together or not at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch(Vec<Message>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Message {
    about: About,
    kind: u16,
    flags: u16,
    attributes: Vec<u8>,
}

/// What a message of a batch is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum About {
    /// Deleting the table.
    DeleteTable,
    /// Adding a chain, or changing the policy of one that is there.
    AddChain(String),
    /// Deleting a chain.
    DeleteChain(String),
    /// Deleting the rules of a chain.
    FlushChain(String),
    /// Adding a rule at the end of a chain.
    AddRule(String),
    /// Adding a trial's set, or its elements.
    AddTrial(String),
    /// Deleting the elements of a trial's set: refused when they have timed out.
    EndTrial(String),
    /// Adding the set of a record of arrivals: refused when it is there.
    AddRecord(String),
    /// Deleting a set.
    DeleteSet(String),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, name) = match self {
            Self::DeleteTable => ("to delete table", TABLE),
            Self::AddChain(name) => ("to add chain", name.as_str()),
            Self::DeleteChain(name) => ("to delete chain", name.as_str()),
            Self::FlushChain(name) => ("to empty chain", name.as_str()),
            Self::AddRule(chain) => ("to add a rule to chain", chain.as_str()),
            Self::AddTrial(set) | Self::AddRecord(set) => ("to add set", set.as_str()),
            Self::EndTrial(set) => ("to empty set", set.as_str()),
            Self::DeleteSet(set) => ("to delete set", set.as_str()),
        };
        write!(f, "{doing} {}", Quoted(name))
    }
}

impl Batch {
    /// Nothing to do yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What the message is about that [`Self::to_bytes`] numbers `first` + 1 + `index`.
    #[must_use]
    pub fn about(&self, index: usize) -> Option<&About> {
        self.0.get(index).map(|message| &message.about)
    }

    /// Deletes our table with everything in it.
    pub fn delete_table(&mut self) {
        self.push(About::DeleteTable, NFT_MSG_DELTABLE, 0, |table| {
            table.text(NFTA_TABLE_NAME, TABLE);
        });
    }

    /// Adds a chain. A base chain that is there already gets the policy; its place must be the
    /// same.
    pub fn add_chain(&mut self, name: &str, base: Option<BaseChain>) {
        let about = About::AddChain(name.to_owned());
        self.push(about, NFT_MSG_NEWCHAIN, NLM_F_CREATE, |chain| {
            chain
                .text(NFTA_CHAIN_TABLE, TABLE)
                .text(NFTA_CHAIN_NAME, name);
            if let Some(base) = &base {
                write_base(chain, base);
            }
        });
    }

    /// Deletes a chain, which has no rules by then and to which none leads.
    pub fn delete_chain(&mut self, name: &str) {
        let about = About::DeleteChain(name.to_owned());
        self.push(about, NFT_MSG_DELCHAIN, 0, |chain| {
            chain
                .text(NFTA_CHAIN_TABLE, TABLE)
                .text(NFTA_CHAIN_NAME, name);
        });
    }

    /// Deletes all rules of a chain, if it has any.
    pub fn flush_chain(&mut self, name: &str) {
        let about = About::FlushChain(name.to_owned());
        self.push(about, NFT_MSG_DELRULE, 0, |rule| {
            rule.text(NFTA_RULE_TABLE, TABLE)
                .text(NFTA_RULE_CHAIN, name);
        });
    }

    /// Adds a rule at the end of a chain. With `only_while` it applies as long as that trial's
    /// set has its elements.
    pub fn add_rule(&mut self, chain: &str, only_while: Option<&str>, lead: &Lead) {
        self.add_rule_of(chain, |list| expressions::write(list, only_while, lead));
    }

    /// Adds a trial's set with its elements, which time out.
    pub fn add_trial(&mut self, set: &str, timeout: Duration) {
        let id = self.next_set();
        let about = About::AddTrial(set.to_owned());
        self.push(about.clone(), NFT_MSG_NEWSET, NLM_F_CREATE, |out| {
            out.text(NFTA_SET_TABLE, TABLE)
                .text(NFTA_SET_NAME, set)
                .u32(NFTA_SET_FLAGS, NFT_SET_TIMEOUT)
                .u32(NFTA_SET_KEY_TYPE, NF_PROTO_TYPE)
                .u32(NFTA_SET_KEY_LEN, 1)
                .u32(NFTA_SET_ID, id)
                .bytes(NFTA_SET_USERDATA, &NF_PROTO_USERDATA);
        });
        // To the kernel, a timeout of 0 means "never".
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let timeout = Some(timeout.max(1));
        self.push(about, NFT_MSG_NEWSETELEM, NLM_F_CREATE, |out| {
            out.text(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                .text(NFTA_SET_ELEM_LIST_SET, set)
                .u32(NFTA_SET_ELEM_LIST_SET_ID, id);
            write_protocols(out, timeout);
        });
    }

    /// Deletes the elements of a trial's set. When they have timed out, the kernel refuses the
    /// whole batch.
    pub fn delete_trial_elements(&mut self, set: &str) {
        let about = About::EndTrial(set.to_owned());
        self.push(about, NFT_MSG_DELSETELEM, 0, |out| {
            out.text(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                .text(NFTA_SET_ELEM_LIST_SET, set);
            write_protocols(out, None);
        });
    }

    /// Adds the set of a record of arrivals. What it holds already, an earlier trial has recorded:
    /// when it is there, the kernel refuses the whole batch.
    pub fn add_record(&mut self, set: &str, family: Family, timeout: Duration) {
        let id = self.next_set();
        let about = About::AddRecord(set.to_owned());
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.push(about, NFT_MSG_NEWSET, flags, |out| {
            out.text(NFTA_SET_TABLE, TABLE).text(NFTA_SET_NAME, set);
            record::write_set(out, id, family, timeout);
        });
    }

    /// Adds a rule at the end of a chain that writes down whose TCP connections reach it.
    pub fn add_arrival_rule(&mut self, chain: &str, family: Family, set: &str) {
        self.add_rule_of(chain, |list| record::write_rule(list, family, set));
    }

    /// Deletes a set, which no rule looks up any more by then.
    pub fn delete_set(&mut self, name: &str) {
        let about = About::DeleteSet(name.to_owned());
        self.push(about, NFT_MSG_DELSET, 0, |set| {
            set.text(NFTA_SET_TABLE, TABLE).text(NFTA_SET_NAME, name);
        });
    }

    /// The bytes to send in one piece. The message that says that a batch begins has the sequence
    /// number `first`, the others the ones that follow.
    ///
    /// The kernel answers every message that it refuses, and beyond that only the last one: an
    /// answer to each would not fit into what a socket may hold.
    #[must_use]
    pub fn to_bytes(&self, first: u32) -> Vec<u8> {
        let mut sequence = first;
        let mut bytes = Vec::new();
        write_edge(NFNL_MSG_BATCH_BEGIN, sequence, &mut bytes);
        for (index, message) in self.0.iter().enumerate() {
            sequence = sequence.wrapping_add(1);
            let is_last = index + 1 == self.0.len();
            let head = Head {
                kind: message.kind,
                flags: message.flags | if is_last { NLM_F_ACK } else { 0 },
                sequence,
                family: NFPROTO_INET,
                resource: 0,
            };
            head.write(&message.attributes, &mut bytes);
        }
        write_edge(NFNL_MSG_BATCH_END, sequence.wrapping_add(1), &mut bytes);
        bytes
    }

    fn add_rule_of(&mut self, chain: &str, expressions: impl FnOnce(&mut Writer)) {
        let about = About::AddRule(chain.to_owned());
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        self.push(about, NFT_MSG_NEWRULE, flags, |rule| {
            rule.text(NFTA_RULE_TABLE, TABLE)
                .text(NFTA_RULE_CHAIN, chain)
                .nested(NFTA_RULE_EXPRESSIONS, expressions);
        });
    }

    /// Within a batch, each new set has a number of its own; nft's begin with 1.
    fn next_set(&self) -> u32 {
        u32::try_from(self.0.len() + 1).expect("a batch is small")
    }

    fn push(&mut self, about: About, message: u16, flags: u16, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::default();
        write(&mut writer);
        self.0.push(Message {
            about,
            kind: nf_tables(message),
            flags,
            attributes: writer.into_bytes(),
        });
    }
}

fn write_edge(kind: u16, sequence: u32, bytes: &mut Vec<u8>) {
    let head = Head {
        kind,
        flags: 0,
        sequence,
        family: NFPROTO_UNSPEC,
        resource: NFNL_SUBSYS_NFTABLES,
    };
    head.write(&[], bytes);
}

fn write_base(chain: &mut Writer, base: &BaseChain) {
    let policy = match base.policy {
        ChainPolicy::Accept => NF_ACCEPT,
        ChainPolicy::Drop => NF_DROP,
    };
    let hook = match base.hook {
        Hook::Prerouting => NF_INET_PRE_ROUTING,
        Hook::Input => NF_INET_LOCAL_IN,
        Hook::Forward => NF_INET_FORWARD,
        Hook::Output => NF_INET_LOCAL_OUT,
        Hook::Postrouting => NF_INET_POST_ROUTING,
    };
    chain
        .text(NFTA_CHAIN_TYPE, &base.chain_type)
        .u32(NFTA_CHAIN_POLICY, policy)
        .nested(NFTA_CHAIN_HOOK, |place| {
            place
                .u32(NFTA_HOOK_HOOKNUM, hook)
                .u32(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
        });
}

fn write_protocols(out: &mut Writer, timeout: Option<u64>) {
    out.nested(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        // nft numbers them in the type, from 1; the kernel does not look at it.
        for (kind, protocol) in (NFTA_LIST_ELEM..).zip(PROTOCOLS) {
            list.nested(kind, |element| {
                if let Some(timeout) = timeout {
                    element.u64(NFTA_SET_ELEM_TIMEOUT, timeout);
                }
                element.nested(NFTA_SET_ELEM_KEY, |data| {
                    data.bytes(NFTA_DATA_VALUE, &[protocol]);
                });
            });
        }
    });
}
