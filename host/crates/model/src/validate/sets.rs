//! Set expressions: what a policy wrote becomes the addresses it means.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Validator;
use super::defect::Defect;
use crate::address::{AddressSet, Family, Prefix, address_bits};
use crate::diagnostic::Quoted;
use crate::draft::{self, Draft, Element, SetNode};
use crate::intervals::{Interval, Intervals};
use crate::limits::{SET_DEPTH_MAX, SET_NODES_MAX};
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
                    elements,
                }),
                Err(error) => self.say(&subject, &Defect::Name(error)),
            }
        }
    }

    /// The value of a set's expression, as far as it can be told.
    fn expression(&mut self, set: &draft::Set, subject: &str) -> Intervals {
        let nodes = &set.expression;
        if nodes.len() > SET_NODES_MAX {
            let (what, found) = ("nodes in the expression", nodes.len());
            self.say(
                subject,
                &Defect::TooMany {
                    what,
                    found,
                    max: SET_NODES_MAX,
                },
            );
            return Intervals::EMPTY;
        }
        let mut values: Vec<(Intervals, usize)> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let value = self.node(set.family, index, node, &values, subject);
            let depth = 1 + operands(node)
                .iter()
                .map(|&o| depth_of(&values, o))
                .max()
                .unwrap_or(0);
            if depth > SET_DEPTH_MAX {
                let what = "levels in the expression";
                self.say(
                    subject,
                    &Defect::TooMany {
                        what,
                        found: depth,
                        max: SET_DEPTH_MAX,
                    },
                );
                return Intervals::EMPTY;
            }
            values.push((value, depth));
        }
        match values.pop() {
            Some((value, _)) => value,
            None => {
                self.say(subject, &Defect::ExpressionEmpty);
                Intervals::EMPTY
            }
        }
    }

    fn node(
        &mut self,
        family: Family,
        index: usize,
        node: &SetNode,
        values: &[(Intervals, usize)],
        subject: &str,
    ) -> Intervals {
        for &operand in &operands(node) {
            if operand as usize >= values.len() {
                self.say(
                    subject,
                    &Defect::ExpressionOperand {
                        node: index,
                        operand,
                    },
                );
                return Intervals::EMPTY;
            }
        }
        let value = |operand: u32| &values[operand as usize].0;
        match node {
            SetNode::Elements(elements) => {
                let addresses = self.elements(elements, subject);
                addresses.of(family).clone()
            }
            SetNode::Feed(name) => match self.feeds.get(name) {
                Some(addresses) => addresses.of(family).clone(),
                None => {
                    self.say(subject, &Defect::NoSuchFeed { name: name.clone() });
                    Intervals::EMPTY
                }
            },
            SetNode::Union(operands) => operands
                .iter()
                .flat_map(|&operand| value(operand).iter().copied())
                .collect(),
            SetNode::Intersection(operands) => match operands.split_first() {
                Some((&first, rest)) => rest.iter().fold(value(first).clone(), |both, &operand| {
                    both.intersection(value(operand))
                }),
                None => {
                    self.say(subject, &Defect::ExpressionEmpty);
                    Intervals::EMPTY
                }
            },
            SetNode::Difference(from, less) => value(*from).difference(value(*less)),
        }
    }

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

fn interval(element: &Element) -> Result<(Family, Interval), Defect> {
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

fn operands(node: &SetNode) -> Vec<u32> {
    match node {
        SetNode::Elements(_) | SetNode::Feed(_) => Vec::new(),
        SetNode::Union(operands) | SetNode::Intersection(operands) => operands.clone(),
        SetNode::Difference(from, less) => Vec::from([*from, *less]),
    }
}

fn depth_of(values: &[(Intervals, usize)], operand: u32) -> usize {
    values.get(operand as usize).map_or(0, |(_, depth)| *depth)
}
