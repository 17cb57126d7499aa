//! Packets as people write them in a goal: `input tcp dport 443 ct new`, in the words of nft(8).
//!
//! Nothing is judged here but whether the words can be read; what is wrong is said with what was
//! found and what is allowed in its place.

use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::diagnostic::Quoted;
use portreeve_model::draft::{AddressOperand, Element, Match, Test};
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PortProtocol};
use portreeve_model::icmp;
use portreeve_model::packet::{CtState, Hook};

/// Conditions in one text. Ours: as many as a policy may write into one clause.
const CONDITIONS_MAX: usize = 64;

/// Words that a condition begins with, beside the protocols with ports.
const BEGINNINGS: &str = "`icmp`, `icmpv6`, `ct`, `iifname`, `oifname`, `ip`, `ip6`, `meta`";

/// Some packets, as one text says them.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::inputs) struct Packets {
    /// Where they are, if the text says so.
    pub(in crate::inputs) hook: Option<Hook>,
    /// What must hold of them.
    pub(in crate::inputs) matches: Vec<Match>,
}

/// Reads a text: a hook, if any, and then conditions, each with `not` before it or not.
///
/// # Errors
/// What was found and what is allowed there.
pub(in crate::inputs) fn packets(text: &str) -> Result<Packets, String> {
    let mut words = Words(
        text.split_ascii_whitespace()
            .collect::<Vec<_>>()
            .into_iter(),
    );
    let hook = words.peek().and_then(Hook::from_keyword);
    if hook.is_some() {
        words.0.next();
    } else if words.peek().is_none() {
        return Err(format!("no word was found, allowed is {}", beginnings()));
    }
    let mut matches = Vec::new();
    while let Some(word) = words.peek() {
        if matches.len() == CONDITIONS_MAX {
            let found = Quoted(word);
            return Err(format!(
                "found {found}, allowed is the end after {CONDITIONS_MAX} conditions"
            ));
        }
        let negated = words.take("not");
        let test = words.test()?;
        matches.push(Match { negated, test });
    }
    Ok(Packets { hook, matches })
}

/// What a text may begin with.
fn beginnings() -> String {
    let hooks = Hook::ALL.map(|hook| format!("`{hook}`")).join(", ");
    format!("a hook ({hooks}) or a condition")
}

struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.0.as_slice().first().copied()
    }

    /// Takes the word if it comes next.
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        if is_next {
            self.0.next();
        }
        is_next
    }

    /// The next word; `allowed` says what may stand there.
    fn next(&mut self, allowed: &str) -> Result<&'a str, String> {
        let missing = || format!("the text ends where {allowed} is allowed");
        self.0.next().ok_or_else(missing)
    }

    /// What one condition asks.
    fn test(&mut self) -> Result<Test, String> {
        let ports = PortProtocol::ALL.map(|it| format!("`{}`", it.keyword()));
        let allowed = format!(
            "a condition, which begins with `not`, {}, {BEGINNINGS}",
            ports.join(", ")
        );
        let word = self.next(&allowed)?;
        let mut known = PortProtocol::ALL.into_iter();
        if let Some(protocol) = known.find(|it| it.keyword() == word) {
            return self.ports(protocol);
        }
        match word {
            "icmp" => self.icmp(Family::Ip, PROTOCOL_ICMP),
            "icmpv6" => self.icmp(Family::Ip6, PROTOCOL_ICMPV6),
            "ct" => {
                self.take("state");
                let states = CtState::ALL.map(|it| format!("`{}`", it.keyword()));
                let allowed = format!("a ct state ({})", states.join(", "));
                self.values(&allowed, CtState::from_keyword)
                    .map(Test::CtState)
            }
            "iifname" => self.interfaces().map(Test::Iifname),
            "oifname" => self.interfaces().map(Test::Oifname),
            "ip" => self.address(Family::Ip),
            "ip6" => self.address(Family::Ip6),
            "meta" => self.meta(),
            other => Err(found(other, &allowed)),
        }
    }

    /// Of a protocol with ports: one of the two, or any packet.
    fn ports(&mut self, protocol: PortProtocol) -> Result<Test, String> {
        let allowed = "a port from 1 to 65535, or a range such as `8080-8090`";
        if self.take("dport") {
            let ports = self.values(allowed, port_range)?;
            Ok(Test::Dport(protocol, ports))
        } else if self.take("sport") {
            let ports = self.values(allowed, port_range)?;
            Ok(Test::Sport(protocol, ports))
        } else {
            Ok(protocol_is(protocol.number()))
        }
    }

    fn icmp(&mut self, family: Family, protocol: u8) -> Result<Test, String> {
        if !self.take("type") {
            return Ok(protocol_is(protocol));
        }
        let number = |word: &str| icmp::type_number(family, word).or_else(|| whole(word));
        let single = |word: &str| number(word).map(|number| number..=number);
        let allowed = "a type, such as `echo-request` or `8`";
        Ok(Test::IcmpType(family, self.values(allowed, single)?))
    }

    fn interfaces(&mut self) -> Result<Vec<String>, String> {
        self.values("the name of an interface", |word| Some(word.to_owned()))
    }

    fn address(&mut self, family: Family) -> Result<Test, String> {
        let of_family = |word: &str| {
            let prefix = word.parse::<Prefix>().ok();
            let prefix = prefix.filter(|prefix| prefix.family() == family);
            prefix.map(Element::from)
        };
        let keyword = family.keyword();
        let allowed = format!("a prefix of {keyword} without bits after its length");
        let end = self.next("`saddr` or `daddr`")?;
        let test: fn(Family, AddressOperand) -> Test = match end {
            "saddr" => Test::Saddr,
            "daddr" => Test::Daddr,
            other => return Err(found(other, "`saddr` or `daddr`")),
        };
        let elements = self.values(&allowed, of_family)?;
        Ok(test(family, AddressOperand::Elements(elements)))
    }

    fn meta(&mut self) -> Result<Test, String> {
        match self.next("`nfproto` or `l4proto`")? {
            "nfproto" => {
                let allowed = "`ipv4` or `ipv6`";
                let word = self.next(allowed)?;
                let mut families = Family::BOTH.into_iter();
                let family = families.find(|family| family.nfproto() == word);
                family.map(Test::Nfproto).ok_or(found(word, allowed))
            }
            "l4proto" => {
                let allowed = "a protocol, such as `tcp` or `47`";
                let single = |word: &str| protocol(word).map(|number| number..=number);
                self.values(allowed, single).map(Test::L4proto)
            }
            other => Err(found(other, "`nfproto` or `l4proto`")),
        }
    }

    /// Values with commas between them, and spaces after commas if the author likes that.
    fn values<T>(
        &mut self,
        allowed: &str,
        value: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        let mut values = Vec::new();
        loop {
            let word = self.next(allowed)?;
            let (list, more) = match word.strip_suffix(',') {
                Some(list) => (list, true),
                None => (word, false),
            };
            for text in list.split(',') {
                let value = value(text).filter(|_| !text.is_empty());
                values.push(value.ok_or_else(|| found(text, allowed))?);
            }
            if !more {
                return Ok(values);
            }
        }
    }
}

fn found(word: &str, allowed: &str) -> String {
    format!("found {}, allowed is {allowed}", Quoted(word))
}

fn protocol_is(number: u8) -> Test {
    Test::L4proto(vec![number..=number])
}

/// A number in digits alone.
fn whole<T: std::str::FromStr>(word: &str) -> Option<T> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

fn port_range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = whole::<u16>(first)?..=whole(last)?;
    (*range.start() > 0 && !range.is_empty()).then_some(range)
}

fn protocol(word: &str) -> Option<u8> {
    match word {
        "icmp" => Some(PROTOCOL_ICMP),
        "icmpv6" | "ipv6-icmp" => Some(PROTOCOL_ICMPV6),
        _ => {
            let mut known = PortProtocol::ALL.into_iter();
            let named = known.find(|it| it.keyword() == word);
            named.map(PortProtocol::number).or_else(|| whole(word))
        }
    }
}

#[cfg(test)]
mod tests;
