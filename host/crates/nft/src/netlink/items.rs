//! What the kernel lists, one message at a time.

use core::time::Duration;

use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;

use super::attributes::{Attributes, Malformed};
use super::expressions::{self, Expressions};
use super::numbers::{
    NF_ACCEPT, NF_DROP, NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING, NFPROTO_INET, NFT_MSG_NEWCHAIN, NFT_MSG_NEWGEN, NFT_MSG_NEWRULE,
    NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFT_SET_ANONYMOUS, NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE, NFTA_DATA_VALUE,
    NFTA_GEN_ID, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_RULE_CHAIN, NFTA_RULE_COMPAT,
    NFTA_RULE_EXPRESSIONS, NFTA_RULE_HANDLE, NFTA_RULE_TABLE, NFTA_RULE_USERDATA,
    NFTA_SET_ELEM_EXPIRATION, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_FLAGS, NFTA_SET_NAME, NFTA_SET_TABLE, NFTA_TABLE_NAME,
};
use super::objects::{BaseChain, Chain, Meaning, Rule, Set};
use crate::TABLE;

/// Something that stands in our table, or beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// The number that changes whenever something in nf_tables does.
    Generation(u32),
    /// The table itself.
    Table,
    /// A table of others.
    OtherTable,
    /// A chain of it.
    Chain(Chain),
    /// A rule of it.
    Rule(Rule),
    /// A named set of it.
    Set(Set),
    /// Elements of a set of it.
    Elements(Vec<Element>),
}

/// An element of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// Its key: its fields in network order, each filled up with zeros to a multiple of four
    /// bytes when there are several.
    pub key: Vec<u8>,
    /// How long it stays, or none: for good.
    pub left: Option<Duration>,
}

impl Item {
    /// Reads a message about a table or something of ours; none when it is about anything else.
    pub(super) fn read(
        message: u16,
        family: u8,
        attributes: Attributes<'_>,
    ) -> Result<Option<Self>, Malformed> {
        if message == NFT_MSG_NEWGEN {
            return Ok(Some(Self::Generation(attributes.get(NFTA_GEN_ID)?.u32()?)));
        }
        let table = match message {
            NFT_MSG_NEWTABLE => NFTA_TABLE_NAME,
            NFT_MSG_NEWCHAIN => NFTA_CHAIN_TABLE,
            NFT_MSG_NEWRULE => NFTA_RULE_TABLE,
            NFT_MSG_NEWSET => NFTA_SET_TABLE,
            NFT_MSG_NEWSETELEM => NFTA_SET_ELEM_LIST_TABLE,
            _ => return Ok(None),
        };
        if family != NFPROTO_INET || attributes.get(table)?.text() != TABLE {
            return Ok((message == NFT_MSG_NEWTABLE).then_some(Self::OtherTable));
        }
        Ok(match message {
            NFT_MSG_NEWTABLE => Some(Self::Table),
            NFT_MSG_NEWCHAIN => Some(Self::Chain(chain(attributes)?)),
            NFT_MSG_NEWRULE => Some(Self::Rule(rule(attributes)?)),
            NFT_MSG_NEWSET => set(attributes)?.map(Self::Set),
            _ => Some(Self::Elements(elements(attributes)?)),
        })
    }
}

fn chain(attributes: Attributes<'_>) -> Result<Chain, Malformed> {
    let name = attributes.get(NFTA_CHAIN_NAME)?.text();
    let Some(place) = attributes.find(NFTA_CHAIN_HOOK)? else {
        return Ok(Chain { name, base: None });
    };
    let hook = match place.nested().get(NFTA_HOOK_HOOKNUM)?.u32()? {
        NF_INET_PRE_ROUTING => Hook::Prerouting,
        NF_INET_LOCAL_IN => Hook::Input,
        NF_INET_FORWARD => Hook::Forward,
        NF_INET_LOCAL_OUT => Hook::Output,
        NF_INET_POST_ROUTING => Hook::Postrouting,
        _ => return Ok(Chain { name, base: None }),
    };
    let priority = place.nested().get(NFTA_HOOK_PRIORITY)?.u32()?;
    let base = BaseChain {
        hook,
        priority: priority.cast_signed(),
        policy: match attributes.get(NFTA_CHAIN_POLICY)?.u32()? {
            NF_ACCEPT => ChainPolicy::Accept,
            NF_DROP => ChainPolicy::Drop,
            _ => return Err(Malformed),
        },
        chain_type: attributes.get(NFTA_CHAIN_TYPE)?.text(),
    };
    Ok(Chain {
        name,
        base: Some(base),
    })
}

fn rule(attributes: Attributes<'_>) -> Result<Rule, Malformed> {
    let list = attributes.find(NFTA_RULE_EXPRESSIONS)?;
    let list = list.map_or(Attributes(&[]), |list| list.nested());
    let Expressions {
        mut meaning,
        sets,
        chains,
    } = expressions::read(list)?;
    // We write neither comments nor rules in the manner of iptables.
    if attributes.has(NFTA_RULE_USERDATA)? || attributes.has(NFTA_RULE_COMPAT)? {
        meaning = Meaning::Other;
    }
    Ok(Rule {
        chain: attributes.get(NFTA_RULE_CHAIN)?.text(),
        handle: attributes.get(NFTA_RULE_HANDLE)?.u64()?,
        meaning,
        sets,
        chains,
    })
}

fn set(attributes: Attributes<'_>) -> Result<Option<Set>, Malformed> {
    let name = attributes.get(NFTA_SET_NAME)?.text();
    let flags = match attributes.find(NFTA_SET_FLAGS)? {
        Some(flags) => flags.u32()?,
        None => 0,
    };
    let is_named = flags & NFT_SET_ANONYMOUS == 0;
    Ok(is_named.then_some(Set { name }))
}

fn elements(attributes: Attributes<'_>) -> Result<Vec<Element>, Malformed> {
    let Some(list) = attributes.find(NFTA_SET_ELEM_LIST_ELEMENTS)? else {
        return Ok(Vec::new());
    };
    let elements = list.nested().map(|element| element_of(element?.nested()));
    elements.collect()
}

fn element_of(attributes: Attributes<'_>) -> Result<Element, Malformed> {
    let key = match attributes.find(NFTA_SET_ELEM_KEY)? {
        Some(data) => data.nested().get(NFTA_DATA_VALUE)?.value.to_vec(),
        // The catch-all element has none.
        None => Vec::new(),
    };
    let expiration = attributes.find(NFTA_SET_ELEM_EXPIRATION)?;
    let left = expiration.map(|left| left.u64()).transpose()?;
    Ok(Element {
        key,
        left: left.map(Duration::from_millis),
    })
}
