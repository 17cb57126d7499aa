//! The settings that a policy reads, by name and type.

use std::ops::RangeInclusive;

use portreeve_model::address::Prefix;
use portreeve_model::inputs::{Feed, Inputs, Value};

/// Typed access to the values of settings and the summaries of feeds.
///
/// The host checks every value against the description before the policy runs. So a name that is
/// not in the description, or has another type there, is a mistake in the policy: it panics, and
/// the message says which.
///
/// ```
/// use portreeve_sdk::testing::inputs;
/// use portreeve_sdk::{Settings, describe};
///
/// let description = describe("example", "1", "An example.")
///     .port("ssh-port", 22, "where sshd listens")
///     .build();
/// assert_eq!(inputs(&description).port("ssh-port"), 22);
/// ```
pub trait Settings {
    /// A setting that is true or false.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.boolean("echo", true, "answer to ping").build();
    /// assert!(inputs(&description).boolean("echo"));
    /// ```
    fn boolean(&self, name: &str) -> bool;
    /// A setting that is a whole number.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.integer("rate", 10, 1..=100, "new per second").build();
    /// assert_eq!(inputs(&description).integer("rate"), 10);
    /// ```
    fn integer(&self, name: &str) -> i64;
    /// A setting that is one port.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.port("ssh-port", 22, "where sshd listens").build();
    /// assert_eq!(inputs(&description).port("ssh-port"), 22);
    /// ```
    fn port(&self, name: &str) -> u16;
    /// A setting that is a list of ports and ranges of ports, sorted and disjoint.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.ports("ports", 443, 1..=64, "open").build();
    /// assert_eq!(inputs(&description).ports("ports"), [443..=443]);
    /// ```
    fn ports(&self, name: &str) -> &[RangeInclusive<u16>];
    /// A setting that is one of a few words.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.choice("otherwise", ["drop", "reject"], "the rest").build();
    /// assert_eq!(inputs(&description).choice("otherwise"), "drop");
    /// ```
    fn choice(&self, name: &str) -> &str;
    /// A setting that is a list of prefixes, sorted and disjoint.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.prefixes("office", [], 0..=64, "who may read mail").build();
    /// assert!(inputs(&description).prefixes("office").is_empty());
    /// ```
    fn prefixes(&self, name: &str) -> &[Prefix];
    /// What is known about a feed.
    ///
    /// ```
    /// # use portreeve_sdk::{Settings, describe, testing::inputs};
    /// # let description = describe("example", "1", "An example.");
    /// let description = description.feed("cdn", "who may open HTTPS").build();
    /// assert_eq!(inputs(&description).feed("cdn").ip6_prefixes, 0);
    /// ```
    fn feed(&self, name: &str) -> &Feed;
}

impl Settings for Inputs {
    fn boolean(&self, name: &str) -> bool {
        match of(self, name) {
            Value::Boolean(value) => *value,
            other => wrong(name, other, "a boolean"),
        }
    }

    fn integer(&self, name: &str) -> i64 {
        match of(self, name) {
            Value::Integer(value) => *value,
            other => wrong(name, other, "an integer"),
        }
    }

    fn port(&self, name: &str) -> u16 {
        match of(self, name) {
            Value::Port(value) => *value,
            other => wrong(name, other, "a port"),
        }
    }

    fn ports(&self, name: &str) -> &[RangeInclusive<u16>] {
        match of(self, name) {
            Value::Ports(value) => value,
            other => wrong(name, other, "a list of ports"),
        }
    }

    fn choice(&self, name: &str) -> &str {
        match of(self, name) {
            Value::Choice(value) => value,
            other => wrong(name, other, "a choice"),
        }
    }

    fn prefixes(&self, name: &str) -> &[Prefix] {
        match of(self, name) {
            Value::Prefixes(value) => value,
            other => wrong(name, other, "a list of prefixes"),
        }
    }

    fn feed(&self, name: &str) -> &Feed {
        let found = self.feeds.iter().find(|feed| feed.name == name);
        found.unwrap_or_else(|| panic!("the policy reads feed `{name}`, which it never described"))
    }
}

fn of<'a>(inputs: &'a Inputs, name: &str) -> &'a Value {
    inputs
        .value(name)
        .unwrap_or_else(|| panic!("the policy reads setting `{name}`, which it never described"))
}

fn wrong(name: &str, found: &Value, wanted: &str) -> ! {
    panic!(
        "the policy reads setting `{name}` as {wanted}, it is {}",
        kind(found)
    )
}

/// What kind of value it is, for messages.
pub(crate) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) => "an integer",
        Value::Port(_) => "a port",
        Value::Ports(_) => "a list of ports",
        Value::Choice(_) => "a choice",
        Value::Prefixes(_) => "a list of prefixes",
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::inputs::Setting;

    use super::*;

    fn panic_of(read: impl FnOnce(&Inputs) + std::panic::UnwindSafe) -> String {
        let value = Value::Port(22);
        let name = "ssh-port".to_owned();
        let inputs = Inputs {
            settings: vec![Setting { name, value }],
            ..Inputs::default()
        };
        let panic = std::panic::catch_unwind(move || read(&inputs)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn a_mistaken_name_or_type_is_named() {
        assert_eq!(
            panic_of(|inputs| assert_eq!(inputs.port("sshport"), 22)),
            "the policy reads setting `sshport`, which it never described"
        );
        assert_eq!(
            panic_of(|inputs| assert!(inputs.boolean("ssh-port"))),
            "the policy reads setting `ssh-port` as a boolean, it is a port"
        );
        assert_eq!(
            panic_of(|inputs| assert_eq!(inputs.feed("cdn").name, "cdn")),
            "the policy reads feed `cdn`, which it never described"
        );
    }
}
