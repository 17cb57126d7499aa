//! `fib`: what the machine's routing tables say of an address of the packet.

use core::fmt;

/// A question to the routing tables.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fib {
    /// The address that is looked up.
    pub of: FibSource,
    /// Whether the packet's mark takes part (`mark`).
    pub mark: bool,
    /// Whether only the interface that the packet came in by counts (`iif`).
    pub iif: bool,
    /// Whether only the interface that the packet goes out by counts (`oif`).
    pub oif: bool,
    /// What is asked.
    pub result: FibResult,
}

/// The address that `fib` looks up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FibSource {
    /// The source address.
    Saddr,
    /// The destination address.
    Daddr,
}

/// What `fib` asks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FibResult {
    /// The type of the address, as [`ADDRESS_TYPES`] names them.
    Type,
    /// The index of the interface that the route goes out by; 0 without a route.
    Oif,
    /// The name of that interface; empty without a route.
    Oifname,
    /// Whether there is a route at all: `fib … oif exists`, the reverse path test.
    Exists,
}

/// The types of addresses (`RTN_*` in `linux/rtnetlink.h`), by number.
pub const ADDRESS_TYPES: [(u8, &str); 9] = [
    (0, "unspec"),
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
];

impl fmt::Display for Fib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.of {
            FibSource::Saddr => "fib saddr",
            FibSource::Daddr => "fib daddr",
        })?;
        let also = [(self.mark, "mark"), (self.iif, "iif"), (self.oif, "oif")];
        for (_, word) in also.iter().filter(|(said, _)| *said) {
            write!(f, " . {word}")?;
        }
        f.write_str(match self.result {
            FibResult::Type => " type",
            FibResult::Oif | FibResult::Exists => " oif",
            FibResult::Oifname => " oifname",
        })
    }
}
