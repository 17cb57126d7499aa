//! What makes a chain a base chain: its type, its hook, its priority, its chain policy.

use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{Attachment, Base, ChainType, TableFamily};
use serde_json::Value;
use serde_json::value::RawValue;

use super::attributes::Attributes;

impl Attributes<'_> {
    /// What makes a chain with these attributes a base chain; one that is at a place that is not
    /// known may be anywhere.
    pub(super) fn base(&self, family: TableFamily) -> Option<Base> {
        let keys = ["type", "hook", "prio", "policy"];
        if keys.iter().all(|key| self.raw(key).is_none()) {
            return None;
        }
        self.known_base(family).or_else(|| {
            let said = keys
                .iter()
                .filter_map(|key| self.raw(key))
                .map(RawValue::get);
            let said: Vec<&str> = said.collect();
            Some(Base {
                chain_type: ChainType::Filter,
                attachment: Attachment::Unknown(said.join(" ")),
                priority: 0,
                policy: ChainPolicy::Drop,
            })
        })
    }

    fn known_base(&self, family: TableFamily) -> Option<Base> {
        let word = self.text("type")?;
        let chain_type = ChainType::ALL.into_iter().find(|it| it.keyword() == word)?;
        let hook = self.text("hook")?;
        let attachment = match hook.as_str() {
            "ingress" => Attachment::Ingress(self.words("dev")),
            "egress" => Attachment::Egress(self.words("dev")),
            hook => Attachment::Hook(Hook::from_keyword(hook)?),
        };
        let policy = match self.text("policy").as_deref() {
            Some("accept") => ChainPolicy::Accept,
            Some("drop") => ChainPolicy::Drop,
            None if self.raw("policy").is_none() => ChainPolicy::Accept,
            _ => return None,
        };
        Some(Base {
            chain_type,
            attachment,
            priority: priority(&self.value("prio")?, family)?,
            policy,
        })
    }
}

/// A base chain of a table that may be switched off.
pub(super) fn perhaps(base: Base) -> Base {
    let place = match &base.attachment {
        Attachment::Hook(hook) => hook.keyword(),
        Attachment::Ingress(_) => "ingress",
        Attachment::Egress(_) => "egress",
        Attachment::Unknown(place) => place.as_str(),
    };
    Base {
        attachment: Attachment::Unknown(format!("{place}, unless the table is dormant")),
        ..base
    }
}

/// A number, or a name with a number added (nft(8), "Standard priority names").
fn priority(json: &Value, family: TableFamily) -> Option<i32> {
    const ROUTED: [(&str, i32); 6] = [
        ("raw", -300),
        ("mangle", -150),
        ("dstnat", -100),
        ("filter", 0),
        ("security", 50),
        ("srcnat", 100),
    ];
    const BRIDGED: [(&str, i32); 4] = [
        ("dstnat", -300),
        ("filter", -200),
        ("out", 100),
        ("srcnat", 300),
    ];
    let Some(text) = json.as_str() else {
        return json.as_i64()?.try_into().ok();
    };
    let named: &[(&str, i32)] = match family {
        TableFamily::Bridge => &BRIDGED,
        TableFamily::Ip
        | TableFamily::Ip6
        | TableFamily::Inet
        | TableFamily::Arp
        | TableFamily::Netdev => &ROUTED,
    };
    let text: String = text.chars().filter(|letter| *letter != ' ').collect();
    let name = text.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
    let number = match &text[name.len()..] {
        "" => 0,
        number => number.parse().ok()?,
    };
    named
        .iter()
        .find(|(of, _)| *of == name)?
        .1
        .checked_add(number)
}
