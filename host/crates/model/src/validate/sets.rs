//! Set expressions: what a policy wrote becomes the addresses it means.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Validator;
use super::defect::Defect;
use crate::address::{AddressSet, Family, Prefix, address_bits};
use crate::diagnostic::Quoted;
use crate::draft::{self, Draft, Element, SetNode};
use crate::intervals::{Interval, Intervals};
use crate::limits::{SET_DEPTH_MAX, SET_NODES_MAX, SET_OPERANDS_MAX, SET_WORK_MAX};
use crate::names::Name;
use crate::ruleset::Set;

impl Validator<'_> {
    pub(super) fn all_sets(&mut self, draft: &Draft) {
        for (position, set) in draft.sets.iter().enumerate() {
            let subject = format!("set {}", Quoted(&set.name));
            if draft.sets[..position]
                .iter()
                .any(|earlier| earlier.name == set.name)
            {
                self.say(&subject, &Defect::Duplicate { kind: "set" });
            }
            let elements = self.expression(set, &subject);
            match Name::new(&set.name) {
                Ok(name) => self.sets.push(Set {
                    name,
                    family: set.family,
                    elements: alloc::sync::Arc::new(elements),
                }),
                Err(error) => self.say(&subject, &Defect::Name(error)),
            }
        }
    }

    /// The value of a set's expression; empty when something is wrong with it.
    fn expression(&mut self, set: &draft::Set, subject: &str) -> Intervals {
        if let Some(defect) = malformed(&set.expression) {
            self.say(subject, &defect);
            return Intervals::EMPTY;
        }
        let mut values: Vec<Cow<'_, Intervals>> = Vec::with_capacity(set.expression.len());
        for node in &set.expression {
            // Before it is spent, so that no node can take more than is left.
            self.set_work += work(node, &values);
            if self.set_work > SET_WORK_MAX {
                let (what, found) = ("intervals gone through", self.set_work);
                self.say(
                    subject,
                    &Defect::TooMany {
                        what,
                        found,
                        max: SET_WORK_MAX,
                    },
                );
                return Intervals::EMPTY;
            }
            let value = self.node(set.family, node, &values, subject);
            values.push(value);
        }
        values.pop().map_or(Intervals::EMPTY, Cow::into_owned)
    }
}

impl<'a> Validator<'a> {
    /// The value of a node whose operands are known to be there.
    fn node(
        &mut self,
        family: Family,
        node: &SetNode,
        values: &[Cow<'a, Intervals>],
        subject: &str,
    ) -> Cow<'a, Intervals> {
        let value = |operand: u32| values[operand as usize].as_ref();
        match node {
            SetNode::Elements(elements) => {
                let AddressSet { ip, ip6 } = self.elements(elements, subject);
                Cow::Owned(match family {
                    Family::Ip => ip,
                    Family::Ip6 => ip6,
                })
            }
            SetNode::Feed(name) => match self.feeds.get(name) {
                Some(addresses) => Cow::Borrowed(addresses.of(family)),
                None => {
                    self.say(subject, &Defect::NoSuchFeed { name: name.clone() });
                    Cow::Owned(Intervals::EMPTY)
                }
            },
            SetNode::Union(operands) => Cow::Owned(
                operands
                    .iter()
                    .flat_map(|&operand| value(operand).iter().copied())
                    .collect(),
            ),
            SetNode::Intersection(operands) => {
                let mut both = values[operands[0] as usize].clone();
                for &operand in &operands[1..] {
                    both = Cow::Owned(both.intersection(value(operand)));
                }
                both
            }
            SetNode::Difference(from, less) => Cow::Owned(value(*from).difference(value(*less))),
        }
    }
}

/// What is wrong with the form of an expression: looked at before anything is evaluated.
fn malformed(nodes: &[SetNode]) -> Option<Defect> {
    let too_many = |what, found, max| Some(Defect::TooMany { what, found, max });
    if nodes.len() > SET_NODES_MAX {
        return too_many("nodes in the expression", nodes.len(), SET_NODES_MAX);
    }
    let all = nodes.iter().map(|node| operands(node).len()).sum();
    if all > SET_OPERANDS_MAX {
        return too_many("operands in the expression", all, SET_OPERANDS_MAX);
    }
    let mut depths: Vec<usize> = Vec::with_capacity(nodes.len());
    for (node, operation) in nodes.iter().enumerate() {
        let operands = operands(operation);
        if operands.is_empty() && matches!(operation, SetNode::Intersection(_)) {
            return Some(Defect::ExpressionEmpty);
        }
        let mut depth = 1;
        for &operand in &*operands {
            match depths.get(operand as usize) {
                Some(below) => depth = depth.max(below + 1),
                None => return Some(Defect::ExpressionOperand { node, operand }),
            }
        }
        if depth > SET_DEPTH_MAX {
            return too_many("levels in the expression", depth, SET_DEPTH_MAX);
        }
        depths.push(depth);
    }
    nodes.is_empty().then_some(Defect::ExpressionEmpty)
}

/// The intervals that evaluating a node goes through.
fn work(node: &SetNode, values: &[Cow<'_, Intervals>]) -> usize {
    match node {
        SetNode::Elements(elements) => elements.len(),
        SetNode::Feed(_) => 0,
        SetNode::Union(_) | SetNode::Intersection(_) | SetNode::Difference(..) => operands(node)
            .iter()
            .map(|&operand| values[operand as usize].len())
            .sum(),
    }
}

impl Validator<'_> {
    /// Addresses written out.
    pub(super) fn elements(&mut self, elements: &[Element], subject: &str) -> AddressSet {
        let mut intervals: [Vec<Interval>; 2] = [Vec::new(), Vec::new()];
        for element in elements {
            match interval(element) {
                Ok((Family::Ip, interval)) => intervals[0].push(interval),
                Ok((Family::Ip6, interval)) => intervals[1].push(interval),
                Err(defect) => self.say(subject, &defect),
            }
        }
        let [ip, ip6] = intervals;
        AddressSet {
            ip: ip.into_iter().collect(),
            ip6: ip6.into_iter().collect(),
        }
    }
}

/// The addresses of an element, and their family.
pub(super) fn interval(element: &Element) -> Result<(Family, Interval), Defect> {
    match *element {
        Element::Prefix { address, length } => match Prefix::new(address, length) {
            Ok(prefix) => Ok((prefix.family(), prefix.interval())),
            Err(error) => Err(Defect::Prefix {
                text: format!("{address}/{length}"),
                error,
            }),
        },
        Element::Range { first, last } => {
            let (text_first, text_last) = (first.to_string(), last.to_string());
            let family = Family::of(first);
            if family != Family::of(last) {
                return Err(Defect::RangeOfTwoFamilies {
                    first: text_first,
                    last: text_last,
                });
            }
            Interval::new(address_bits(first), address_bits(last))
                .map(|interval| (family, interval))
                .ok_or(Defect::RangeReversed {
                    first: text_first,
                    last: text_last,
                })
        }
    }
}

/// The positions of a node's operands.
fn operands(node: &SetNode) -> Cow<'_, [u32]> {
    match node {
        SetNode::Elements(_) | SetNode::Feed(_) => Cow::Borrowed(&[]),
        SetNode::Union(operands) | SetNode::Intersection(operands) => Cow::Borrowed(operands),
        SetNode::Difference(from, less) => Cow::Owned(Vec::from([*from, *less])),
    }
}
