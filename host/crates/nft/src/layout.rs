//! What stands in the table `inet portreeve`, and what each part of it is called.
//!
//! Rule sets stand there side by side, each a numbered *generation* of regular chains. The base
//! chains belong to none of them: they are the *switch* that leads packets into one.
//!
//! ```text
//! chain input {                           one for each type, hook and priority in use
//!     type filter hook input priority 0; policy drop;     the confirmed generation's
//!     meta nfproto @trial42 goto e42_input                while generation 42 is on trial
//!     goto e41_input                                      generation 41 is confirmed
//! }
//! chain e42_input { jump g42_input; drop }                the generation's own chain policy
//! ```
//!
//! The elements of `trial42` have a timeout. When it ends, the kernel drops them and leads every
//! packet to generation 41 again, whether or not any process of ours still lives.
//!
//! No packet is left to the base chain's own policy: the kernel changes it a moment after the
//! rules, and a packet in between would meet the rules of one generation and the chain policy of
//! another. So each generation ends with its chain policy as a rule, and what the base chain says
//! is a second lock on the same door.
//!
//! A set is named after its contents, so two generations share what did not change, and no set
//! that packets can meet is ever written to, but by their own rules: a set that rules write to
//! belongs to one generation. `nat` chains are led like the others; conversations that a generation
//! has translated stay as they are when another one takes over, because the kernel asks these chains
//! about the first packet of a connection only.

use std::fmt::Write as _;
use std::str::FromStr;

use portreeve_model::address::Family;
use portreeve_model::draft::ChainType;
use portreeve_model::names::Name;
use portreeve_model::ruleset::{Base, Contents, FieldSet, Set};
use sha2::{Digest, Sha256};

/// The number of a generation. The first is 1; 0 is the rule set that portreeve carries itself.
pub type Number = u64;

/// The base chain that records which connections arrive during a trial.
pub const ARRIVALS: &str = "arrivals";

/// Its priority: after every other chain (`NF_IP_PRI_LAST`), so that whoever is recorded was let in
/// by all of them, and nobody fills the record by knocking at closed ports.
pub const ARRIVALS_PRIORITY: i32 = i32::MAX;

/// Bytes of the digest that a set's name ends with.
const DIGEST_BYTES: usize = 8;

/// The base chain at a place: `input`, `input_10`, `input_m10`; `nat_prerouting_m100` of another
/// type than `filter`.
#[must_use]
pub fn base_chain(base: Base) -> String {
    let hook = base.hook.keyword();
    let name = match base.chain_type {
        ChainType::Filter => hook.to_owned(),
        other => format!("{}_{hook}", other.keyword()),
    };
    match base.priority {
        0 => name,
        priority @ 1.. => format!("{name}_{priority}"),
        priority => format!("{name}_m{}", priority.unsigned_abs()),
    }
}

/// A chain of a generation: `g41_input`.
#[must_use]
pub fn chain(number: Number, name: &Name) -> String {
    format!("g{number}_{name}")
}

/// The chain by which packets enter a generation: its base chain, then its chain policy.
#[must_use]
pub fn entry_chain(number: Number, name: &Name) -> String {
    format!("e{number}_{name}")
}

/// The generation and the chain's own name, of what [`chain`] names.
#[must_use]
pub fn parse_chain(name: &str) -> Option<(Number, Name)> {
    parse(name.strip_prefix('g')?)
}

/// The generation and the chain's own name, of what [`entry_chain`] names.
#[must_use]
pub fn parse_entry_chain(name: &str) -> Option<(Number, Name)> {
    parse(name.strip_prefix('e')?)
}

fn parse(rest: &str) -> Option<(Number, Name)> {
    let (number, name) = rest.split_once('_')?;
    Some((parse_number(number)?, Name::new(name).ok()?))
}

/// A number as we write it: no sign, no leading zero.
#[must_use]
pub fn parse_number(text: &str) -> Option<Number> {
    let number = Number::from_str(text).ok()?;
    (number.to_string() == text).then_some(number)
}

/// The set whose elements last as long as the trial.
#[must_use]
pub fn trial_set(number: Number) -> String {
    format!("trial{number}")
}

/// The generation, of what [`trial_set`] names.
#[must_use]
pub fn parse_trial_set(name: &str) -> Option<Number> {
    parse_number(name.strip_prefix("trial")?)
}

/// The chain that writes down who opens a connection during the trial.
#[must_use]
pub fn arrivals_chain(number: Number) -> String {
    format!("{ARRIVALS}{number}")
}

/// The set in which they are written down: source address and port, destination address and port.
#[must_use]
pub fn arrivals_set(number: Number, family: Family) -> String {
    format!("{ARRIVALS}{number}_{}", family.keyword())
}

/// A named set: its own name and a digest of what it holds, `cloudflare_ip_9f86d081884c7d65`.
///
/// Whoever chooses the elements could make two sets of one name with 2^32 attempts, and would
/// gain that the first of two sets of her own choice stays.
#[must_use]
pub fn set(set: &Set) -> String {
    let mut digest = Sha256::new();
    digest.update([match set.family() {
        Family::Ip => 4,
        Family::Ip6 => 6,
    }]);
    for interval in set.elements() {
        digest.update(interval.first().to_be_bytes());
        digest.update(interval.last().to_be_bytes());
    }
    content_name(set.name(), digest)
}

fn content_name(name: &Name, digest: Sha256) -> String {
    let mut name = format!("{name}_");
    for byte in &digest.finalize()[..DIGEST_BYTES] {
        write!(name, "{byte:02x}").expect("writing to a string does not fail");
    }
    name
}

/// A named set of what fields hold together: called after what it holds, as the others are. A
/// dynamic one belongs to its generation, `d41_knockers`: what it holds comes and goes, and a new
/// generation begins with an empty one.
#[must_use]
pub fn field_set(number: Number, set: &FieldSet) -> String {
    let Contents::Elements(elements) = set.contents() else {
        return format!("d{number}_{}", set.name());
    };
    let mut digest = Sha256::new();
    for field in set.fields() {
        digest.update(field.to_string());
        digest.update([0]);
    }
    for interval in elements.iter().flatten() {
        digest.update(interval.first().to_be_bytes());
        digest.update(interval.last().to_be_bytes());
    }
    content_name(set.name(), digest)
}

/// The generation and the set's own name, of what [`field_set`] names when it is dynamic.
#[must_use]
pub fn parse_dynamic_set(name: &str) -> Option<(Number, Name)> {
    parse(name.strip_prefix('d')?)
}

/// The set's own name, of what [`set`] names.
#[must_use]
pub fn parse_set(name: &str) -> Option<Name> {
    let (own, digest) = name.rsplit_once('_')?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_digest = digest.len() == 2 * DIGEST_BYTES && digest.bytes().all(hexadecimal);
    if is_digest { Name::new(own).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use portreeve_model::packet::Hook;
    use portreeve_model::ruleset::ChainPolicy;

    use super::*;

    #[test]
    fn names_of_chains_are_read_back() {
        let web = Name::new("web_1").expect("is a name");
        assert_eq!(chain(41, &web), "g41_web_1");
        assert_eq!(parse_chain("g41_web_1"), Some((41, web.clone())));
        assert_eq!(parse_entry_chain("e41_web_1"), Some((41, web)));
        for strange in [
            "g41", "g_web", "g041_web", "g+1_web", "h41_web", "g41_", "g41_9",
        ] {
            assert_eq!(parse_chain(strange), None, "{strange}");
        }
    }

    #[test]
    fn base_chains_are_named_by_their_place() {
        let check = |chain_type, hook, priority, expected: &str| {
            let policy = ChainPolicy::Accept;
            let base = Base {
                chain_type,
                hook,
                priority,
                policy,
            };
            assert_eq!(base_chain(base), expected);
        };
        check(ChainType::Filter, Hook::Input, 0, "input");
        check(ChainType::Filter, Hook::Forward, 10, "forward_10");
        check(ChainType::Filter, Hook::Prerouting, -300, "prerouting_m300");
        check(
            ChainType::Nat,
            Hook::Prerouting,
            -100,
            "nat_prerouting_m100",
        );
    }

    #[test]
    fn names_of_sets_are_read_back() {
        assert_eq!(parse_trial_set("trial42"), Some(42));
        for strange in ["trial", "trial042", "trials42", "trial42_ip"] {
            assert_eq!(parse_trial_set(strange), None, "{strange}");
        }
        let own = Name::new("cf_ip").expect("is a name");
        assert_eq!(parse_set("cf_ip_0123456789abcdef"), Some(own));
        for strange in [
            "cf_ip",
            "cf_ip_0123456789abcde",
            "cf_ip_0123456789abcdeF",
            "_0123456789abcdef",
        ] {
            assert_eq!(parse_set(strange), None, "{strange}");
        }
    }
}
