//! The expressions of a rule: those that our own rules are made of, and what others refer to.

use super::attributes::{Attribute, Attributes, Malformed, Writer};
use super::numbers::{
    NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP, NFT_META_NFPROTO, NFT_REG_1, NFT_REG_VERDICT,
    NFTA_DATA_VERDICT, NFTA_DYNSET_SET_NAME, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA,
    NFTA_IMMEDIATE_DREG, NFTA_LIST_ELEM, NFTA_LOOKUP_DREG, NFTA_LOOKUP_FLAGS, NFTA_LOOKUP_SET,
    NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_META_KEY, NFTA_OBJREF_SET_NAME, NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
};
use super::objects::{Lead, Meaning};

/// Writes the rule `meta nfproto @only_while goto chain`, or one without the set.
pub(super) fn write(list: &mut Writer, only_while: Option<&str>, lead: &Lead) {
    if let Some(set) = only_while {
        load_meta(list, NFT_META_NFPROTO);
        expression(list, "lookup", |data| {
            data.u32(NFTA_LOOKUP_SREG, NFT_REG_1)
                .text(NFTA_LOOKUP_SET, set);
        });
    }
    let (code, chain) = match lead {
        Lead::Accept => (NF_ACCEPT, None),
        Lead::Drop => (NF_DROP, None),
        Lead::Jump(chain) => (NFT_JUMP, Some(chain)),
        Lead::Goto(chain) => (NFT_GOTO, Some(chain)),
    };
    expression(list, "immediate", |data| {
        data.u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT)
            .nested(NFTA_IMMEDIATE_DATA, |data| {
                data.nested(NFTA_DATA_VERDICT, |verdict| {
                    verdict.u32(NFTA_VERDICT_CODE, code);
                    if let Some(chain) = chain {
                        verdict.text(NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
    });
}

/// Loads what the kernel knows of a packet into the first register.
pub(super) fn load_meta(list: &mut Writer, key: u32) {
    expression(list, "meta", |data| {
        data.u32(NFTA_META_KEY, key).u32(NFTA_META_DREG, NFT_REG_1);
    });
}

/// Writes one expression.
pub(super) fn expression(list: &mut Writer, name: &str, write: impl FnOnce(&mut Writer)) {
    list.nested(NFTA_LIST_ELEM, |expression| {
        expression
            .text(NFTA_EXPR_NAME, name)
            .nested(NFTA_EXPR_DATA, write);
    });
}

/// What the expressions of a rule say, as far as the switch wants to know.
pub(super) struct Expressions {
    pub(super) meaning: Meaning,
    pub(super) sets: Vec<String>,
    pub(super) chains: Vec<String>,
}

/// Reads the expressions of a rule.
pub(super) fn read(list: Attributes<'_>) -> Result<Expressions, Malformed> {
    let (mut sets, mut chains, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for element in list {
        let step = Step::read(element?.nested())?;
        match &step {
            Step::Lookup(set) | Step::OtherSet(set) => sets.push(set.clone()),
            Step::Verdict(Lead::Jump(chain) | Lead::Goto(chain)) => chains.push(chain.clone()),
            Step::Verdict(Lead::Accept | Lead::Drop) | Step::Nfproto | Step::Other => {}
        }
        steps.push(step);
    }
    let meaning = match steps.as_slice() {
        [Step::Verdict(verdict)] => Meaning::Lead {
            only_while: None,
            verdict: verdict.clone(),
        },
        [Step::Nfproto, Step::Lookup(set), Step::Verdict(verdict)] => Meaning::Lead {
            only_while: Some(set.clone()),
            verdict: verdict.clone(),
        },
        _ => Meaning::Other,
    };
    Ok(Expressions {
        meaning,
        sets,
        chains,
    })
}

/// One expression.
enum Step {
    /// Loads the protocol family into the register that we use.
    Nfproto,
    /// Goes on when the set has what is in that register.
    Lookup(String),
    /// Another use of a set.
    OtherSet(String),
    /// Ends the rule.
    Verdict(Lead),
    /// Anything else.
    Other,
}

impl Step {
    fn read(expression: Attributes<'_>) -> Result<Self, Malformed> {
        let Some(data) = expression.find(NFTA_EXPR_DATA)?.map(Attribute::nested) else {
            return Ok(Self::Other);
        };
        let set = |kind| {
            let name = data.find(kind)?;
            Ok(name.map_or(Self::Other, |name| Self::OtherSet(name.text())))
        };
        match expression.get(NFTA_EXPR_NAME)?.text().as_str() {
            "meta" => {
                let loads = number(data, NFTA_META_KEY)? == Some(NFT_META_NFPROTO)
                    && number(data, NFTA_META_DREG)? == Some(NFT_REG_1);
                Ok(if loads { Self::Nfproto } else { Self::Other })
            }
            "lookup" => {
                let name = data.get(NFTA_LOOKUP_SET)?.text();
                // Flags say that the set must not have it; a destination, that it is a map.
                let is_plain = number(data, NFTA_LOOKUP_SREG)? == Some(NFT_REG_1)
                    && number(data, NFTA_LOOKUP_FLAGS)?.unwrap_or(0) == 0
                    && !data.has(NFTA_LOOKUP_DREG)?;
                Ok(if is_plain {
                    Self::Lookup(name)
                } else {
                    Self::OtherSet(name)
                })
            }
            "immediate" => Self::immediate(data),
            "dynset" => set(NFTA_DYNSET_SET_NAME),
            "objref" => set(NFTA_OBJREF_SET_NAME),
            _ => Ok(Self::Other),
        }
    }

    fn immediate(data: Attributes<'_>) -> Result<Self, Malformed> {
        if number(data, NFTA_IMMEDIATE_DREG)? != Some(NFT_REG_VERDICT) {
            return Ok(Self::Other);
        }
        let data = data.get(NFTA_IMMEDIATE_DATA)?.nested();
        let verdict = data.get(NFTA_DATA_VERDICT)?.nested();
        let chain = || Ok(verdict.get(NFTA_VERDICT_CHAIN)?.text());
        Ok(match verdict.get(NFTA_VERDICT_CODE)?.u32()? {
            NF_ACCEPT => Self::Verdict(Lead::Accept),
            NF_DROP => Self::Verdict(Lead::Drop),
            NFT_JUMP => Self::Verdict(Lead::Jump(chain()?)),
            NFT_GOTO => Self::Verdict(Lead::Goto(chain()?)),
            _ => Self::Other,
        })
    }
}

fn number(data: Attributes<'_>, kind: u16) -> Result<Option<u32>, Malformed> {
    data.find(kind)?.map(Attribute::u32).transpose()
}
