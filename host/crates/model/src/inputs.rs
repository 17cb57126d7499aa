//! What a policy gets: one value, collected before the policy runs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use crate::address::Prefix;
use crate::field::PortProtocol;

/// Everything that a decision rests on. The same inputs give the same draft, so keeping them is
/// keeping a complete record of the decision.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inputs {
    /// A value for each setting of the policy's description, in that order.
    pub settings: Vec<Setting>,
    /// A summary of each feed that the description names, in that order.
    pub feeds: Vec<Feed>,
    /// The machine's interfaces, sorted by name, when the description asks for them.
    pub interfaces: Option<Vec<Interface>>,
    /// The sockets that wait for packets, sorted, when the description asks for them.
    pub listeners: Option<Vec<Listener>>,
}

/// The value of one setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The name that the description gives it.
    pub name: String,
    /// The operator's value, or the default.
    pub value: Value,
}

/// A value that has passed its setting's constraint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// One port, 1 to 65535.
    Port(u16),
    /// Ports and ranges of ports, sorted and disjoint; possibly none.
    Ports(Vec<RangeInclusive<u16>>),
    /// One of the choices that the description lists.
    Choice(String),
    /// Prefixes of either family, sorted and disjoint; possibly none.
    Prefixes(Vec<Prefix>),
}

/// `ssh-port=22`, as the command line takes it.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// `443,8080-8090`: the entries of a list are separated by commas.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(on) => write!(f, "{on}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Ports(ports) => {
                let texts: Vec<String> = ports
                    .iter()
                    .map(|range| match (range.start(), range.end()) {
                        (first, last) if first == last => first.to_string(),
                        (first, last) => alloc::format!("{first}-{last}"),
                    })
                    .collect();
                f.write_str(&texts.join(","))
            }
            Self::Choice(choice) => f.write_str(choice),
            Self::Prefixes(prefixes) => {
                let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

/// What is known about a feed. Its addresses stay with the host unless the policy asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed {
    /// The name that the description gives it.
    pub name: String,
    /// How many IPv4 prefixes it has once duplicates and overlaps are merged.
    pub ip_prefixes: u64,
    /// How many IPv6 prefixes it has once duplicates and overlaps are merged.
    pub ip6_prefixes: u64,
    /// SHA-256 of its merged contents, in hexadecimal.
    pub digest: String,
    /// Seconds since it was fetched, when it was.
    pub age: Option<u64>,
    /// Its merged prefixes, IPv4 first, ascending, when the description asks for them.
    pub elements: Option<Vec<Prefix>>,
}

/// A network interface.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the length of their network, sorted. Host bits are set here.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A socket that waits for packets.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: PortProtocol,
    /// The address it is bound to; `0.0.0.0` or `::` for all of them.
    pub address: IpAddr,
    /// The port it is bound to.
    pub port: u16,
}

impl Inputs {
    /// The value of the setting `name`, when there is one.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.settings
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| &setting.value)
    }
}
