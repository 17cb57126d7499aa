//! Names and texts that are safe to hand to nft: nothing here can be read as syntax.
//!
//! nft takes chain and set names unquoted and prints comments unescaped, so a name with a space
//! or a comment with a quote becomes a command when an administrator saves and reloads the rule
//! set. Each type here has one constructor and refuses what could do that.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use crate::limits::{INTERFACE_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};

/// The name of a chain or a set: a letter, then letters, digits and `_`, at most 31 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// The name `text`, or what is wrong with it.
    ///
    /// # Errors
    /// When `text` is not a name, or is a word that nft reads as syntax.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong {
                bytes: text.len(),
                max: NAME_BYTES_MAX,
            });
        }
        let mut letters = text.bytes();
        if !letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
        {
            return Err(NameError::Start);
        }
        if !letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(NameError::Alphabet("letters, digits and `_`"));
        }
        if NFT_WORDS.binary_search(&text).is_ok() {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that nft prints between quotes: a rule's label or a log prefix.
///
/// One to 120 bytes of letters, digits, space and ``-_.,:/()+=#<>'!?%``.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Text(String);

impl Text {
    /// The text `text`, or what is wrong with it.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character outside the safe alphabet.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(NameError::TooLong {
                bytes: text.len(),
                max: TEXT_BYTES_MAX,
            });
        }
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.,:/()+=#<>'!?%".contains(&byte);
        if !text.bytes().all(safe) {
            return Err(NameError::Alphabet(
                "letters, digits, space and -_.,:/()+=#<>'!?%",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a network interface: at most 15 bytes (`IFNAMSIZ` in `linux/if.h`, less the
/// final zero). A `*`, nft's wildcard, is not in the alphabet: see [`InterfacePattern`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The interface name `text`, or what is wrong with it.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character outside the safe alphabet.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > INTERFACE_BYTES_MAX {
            return Err(NameError::TooLong {
                bytes: text.len(),
                max: INTERFACE_BYTES_MAX,
            });
        }
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !text.bytes().all(safe) {
            return Err(NameError::Alphabet("letters, digits and -_.:"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An interface's name, or the beginning of one followed by nft's wildcard `*`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterfacePattern(String);

impl InterfacePattern {
    /// The pattern `text`, or what is wrong with it.
    ///
    /// # Errors
    /// When it is no interface's name, with or without a `*` at its end. A `*` alone is none: every
    /// packet has it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        InterfaceName::new(text.strip_suffix('*').unwrap_or(text))?;
        Ok(Self(text.to_owned()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NameError {
    /// There is nothing.
    Empty,
    /// It is longer than it may be, in bytes.
    TooLong {
        /// The length found.
        bytes: usize,
        /// The length allowed.
        max: usize,
    },
    /// A name begins with something else than a letter.
    Start,
    /// A character is outside the alphabet, which is given.
    Alphabet(&'static str),
    /// nft reads the word as syntax.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty"),
            Self::TooLong { bytes, max } => write!(f, "is {bytes} bytes long, at most {max} fit"),
            Self::Start => write!(f, "does not begin with a letter"),
            Self::Alphabet(allowed) => write!(f, "has a character other than {allowed}"),
            Self::Reserved => write!(f, "is a word of nft's own syntax"),
        }
    }
}

impl core::error::Error for NameError {}

/// Words that `nft` refuses as the name of a chain or a set in its text syntax, sorted.
///
/// `tests/tests/kernel.rs` asks the real nft for each of them.
pub const NFT_WORDS: &[&str] = &[
    "accept",
    "add",
    "ah",
    "all",
    "and",
    "arp",
    "bridge",
    "cgroup",
    "chain",
    "comment",
    "comp",
    "constant",
    "continue",
    "counter",
    "cpu",
    "create",
    "ct",
    "day",
    "dccp",
    "define",
    "delete",
    "describe",
    "device",
    "devices",
    "dnat",
    "drop",
    "dst",
    "dup",
    "dynamic",
    "ecn",
    "element",
    "elements",
    "eq",
    "esp",
    "ether",
    "exists",
    "expires",
    "export",
    "exthdr",
    "fib",
    "flags",
    "flow",
    "flowtable",
    "flush",
    "frag",
    "fwd",
    "ge",
    "get",
    "goto",
    "gt",
    "handle",
    "hbh",
    "hook",
    "hour",
    "ibriport",
    "ibrname",
    "icmp",
    "icmpv6",
    "igmp",
    "iif",
    "iifgroup",
    "iifname",
    "iiftype",
    "import",
    "include",
    "index",
    "inet",
    "insert",
    "interval",
    "ip",
    "ip6",
    "ipsec",
    "jhash",
    "jump",
    "le",
    "limit",
    "list",
    "log",
    "lt",
    "map",
    "mark",
    "masquerade",
    "meta",
    "meter",
    "mh",
    "missing",
    "monitor",
    "ne",
    "netdev",
    "nftrace",
    "not",
    "notrack",
    "numgen",
    "obriport",
    "obrname",
    "offload",
    "oif",
    "oifgroup",
    "oifname",
    "oiftype",
    "or",
    "osf",
    "pkttype",
    "policy",
    "position",
    "priority",
    "queue",
    "quota",
    "random",
    "redefine",
    "redirect",
    "reject",
    "rename",
    "replace",
    "reset",
    "return",
    "rt",
    "rt0",
    "rt2",
    "rtclassid",
    "rule",
    "ruleset",
    "sctp",
    "secmark",
    "set",
    "size",
    "skgid",
    "skuid",
    "snat",
    "socket",
    "srh",
    "symhash",
    "synproxy",
    "table",
    "tcp",
    "th",
    "time",
    "timeout",
    "tproxy",
    "type",
    "typeof",
    "udp",
    "udplite",
    "undefine",
    "update",
    "vlan",
    "vmap",
    "xor",
    "xt",
];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn check(found: Result<impl ToString, NameError>, expected: &str) {
        let found = match found {
            Ok(name) => name.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_cannot_be_read_as_syntax() {
        check(Name::new("cloudflare_v4"), "cloudflare_v4");
        check(Name::new("input"), "input");
        check(Name::new(""), "does not begin with a letter");
        check(Name::new("4ever"), "does not begin with a letter");
        check(
            Name::new("a b"),
            "has a character other than letters, digits and `_`",
        );
        check(
            Name::new("a;flush"),
            "has a character other than letters, digits and `_`",
        );
        check(Name::new("é"), "does not begin with a letter");
        check(Name::new("accept"), "is a word of nft's own syntax");
        check(
            Name::new(&"x".repeat(32)),
            "is 32 bytes long, at most 31 fit",
        );
        assert!(NFT_WORDS.is_sorted());
    }

    #[test]
    fn a_text_cannot_leave_its_quotes() {
        check(
            Text::new("web, from the CDN (443)"),
            "web, from the CDN (443)",
        );
        for bad in ["a\"b", "a\nb", "a\\b", "\u{1b}[31m", "$x", "a;b", "{", "é"] {
            let safe = "has a character other than letters, digits, space and -_.,:/()+=#<>'!?%";
            check(Text::new(bad), safe);
        }
        check(
            Text::new(&"x".repeat(121)),
            "is 121 bytes long, at most 120 fit",
        );
    }

    #[test]
    fn an_interface_name_fits_the_kernel() {
        check(InterfaceName::new("br-0a1b2c3d4e5f"), "br-0a1b2c3d4e5f");
        check(
            InterfaceName::new("eth*"),
            "has a character other than letters, digits and -_.:",
        );
        check(
            InterfaceName::new("sixteen-bytes-ab"),
            "is 16 bytes long, at most 15 fit",
        );
    }

    #[test]
    fn a_wildcard_stands_at_the_end() {
        let pattern = |text| InterfacePattern::new(text).map(|it| it.as_str().to_owned());
        check(pattern("eth*"), "eth*");
        check(pattern("fifteen-bytes-a*"), "fifteen-bytes-a*");
        check(pattern("*"), "is empty");
        for bad in ["e*h", "eth**"] {
            check(
                pattern(bad),
                "has a character other than letters, digits and -_.:",
            );
        }
    }
}
