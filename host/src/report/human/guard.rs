//! Whether the operator still gets in, and who else on the machine has a say, for people.

use std::fmt::Write as _;

use portreeve_model::diagnostic::Said;

use super::Paint;
use crate::guard::{
    ChainName, ForeignChain, Judgement, Leads, Open, Operator, PortsFrom, Published, Scope, Undoes,
    WholeMachine,
};

/// Translations that are shown; of more, only how many they are.
const PUBLISHED_SHOWN: usize = 12;

/// Whether the operator still gets in.
pub(super) fn judgement(judgement: &Judgement, paint: &Paint) -> String {
    let mut out = String::new();
    let (refuted, open) = (judgement.refuted().count(), judgement.open().count());
    let word = match (refuted, open) {
        (0, 0) => paint.good("you stay connected, and get in again"),
        (0, _) => "nothing is known to lock you out, but not all is certain".to_owned(),
        _ => paint.bad("YOU ARE LOCKED OUT"),
    };
    let _ = writeln!(out, "lock-out  {word}");
    let _ = writeln!(
        out,
        "          you are {}{}",
        operator(judgement),
        ports(judgement)
    );
    let _ = writeln!(
        out,
        "          followed through {}",
        scope(&judgement.scope)
    );
    for (need, packet, culprit) in judgement.refuted() {
        let _ = writeln!(out, "  {}  {}", paint.bad("stopped"), need.name);
        let _ = writeln!(out, "           {packet}, by {}", culprit.because.who);
    }
    for (need, open) in judgement.open() {
        let _ = writeln!(out, "  not certain  {}: {}", need.name, why_open(open));
    }
    out
}

fn operator(judgement: &Judgement) -> String {
    match &judgement.operator {
        Operator::Remote(connections) => {
            let all: Vec<String> = connections.iter().map(ToString::to_string).collect();
            format!("at the other end of {}", all.join(" or "))
        }
        Operator::Local(connection) => {
            format!("on a connection of the machine with itself, {connection}")
        }
        Operator::Console => "at the console".to_owned(),
        Operator::Unknown(why) => format!("somewhere that cannot be told: {}", Said(why)),
    }
}

fn ports(judgement: &Judgement) -> String {
    let each = judgement.ports.iter().map(|ports| {
        let from = match &ports.from {
            PortsFrom::Connection => "by which you came in",
            PortsFrom::Sshd => "on which sshd listens",
            PortsFrom::Setting(None) => "by the setting, as sshd does not run",
            PortsFrom::Setting(Some(_)) => "by the setting, as sshd is not seen",
        };
        format!("; {ports}, {from}")
    });
    each.collect()
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::EveryTable { others: 0 } => {
            "every table of the machine: there is no other".to_owned()
        }
        Scope::EveryTable { others: 1 } => "every table of the machine: 1 other".to_owned(),
        Scope::EveryTable { others } => format!("every table of the machine: {others} others"),
        Scope::OwnTable(why) => format!("our table alone: others are not seen ({})", Said(why)),
    }
}

pub(crate) fn why_open(open: &Open) -> String {
    match open {
        Open::Uncertain(packet, culprit) => {
            let on = culprit.because.expression.as_deref();
            let on = on.map_or(String::new(), |it| format!(" on `{it}`"));
            format!(
                "{packet} may pass and may not, by {}{on}",
                culprit.because.who
            )
        }
        Open::Whose(packet, culprit) => format!(
            "some get in and {packet} does not, by {}; nothing tells which you are",
            culprit.because.who
        ),
        Open::Legacy(tables) => format!("iptables-legacy may drop it: {}", tables.join("; ")),
        Open::OverBudget(over) => over.to_string(),
        Open::Nothing => "no packet is what was asked for: a fault of portreeve".to_owned(),
    }
}

/// Who else on the machine has a say.
pub(super) fn machine(machine: &WholeMachine, paint: &Paint) -> String {
    let mut out = String::new();
    for chain in &machine.chains {
        let _ = writeln!(out, "beside    {}", foreign(chain, paint));
    }
    for published in machine.published.iter().take(PUBLISHED_SHOWN) {
        let _ = writeln!(out, "published {}", self::published(published));
    }
    let more = machine.published.len().saturating_sub(PUBLISHED_SHOWN);
    if more > 0 || machine.more_published {
        let _ = writeln!(out, "published … {more} more: see --format json");
    }
    for legacy in &machine.legacy {
        let legacy = Said(legacy);
        let _ = writeln!(
            out,
            "beside    {} ({legacy}): nft does not list it, and it may drop anything",
            paint.bad("iptables-legacy")
        );
    }
    for unread in &machine.unread {
        let _ = writeln!(out, "not read  {}", Said(unread));
    }
    out
}

pub(in crate::report) fn chain_name(name: &ChainName) -> String {
    let family = name.family.keyword();
    format!("{family} {} {}", Said(&name.table), Said(&name.chain))
}

fn foreign(chain: &ForeignChain, paint: &Paint) -> String {
    let (kind, policy) = (chain.chain_type.keyword(), chain.policy.keyword());
    let undoes = match &chain.undoes {
        Undoes::Nothing => "drops nothing of what ours let in".to_owned(),
        Undoes::Some(packet, culprit) => format!(
            "{} {packet}, by {}",
            paint.bad("drops what ours let in, such as"),
            culprit.because.who
        ),
        Undoes::Perhaps(packet, culprit) => format!(
            "may drop what ours let in, such as {packet}, by {}",
            culprit.because.who
        ),
        Undoes::Unknown(why) => format!("not known what it drops: {}", Said(why)),
    };
    format!(
        "{} (type {kind}, hook {}, priority {}, policy {policy}): {undoes}",
        chain_name(&chain.name),
        chain.hook,
        chain.priority
    )
}

fn published(published: &Published) -> String {
    let leads = match published.leads {
        Leads::Through => "which goes through the machine and never meets our input chain",
        Leads::Here => "on this machine",
        Leads::Unknown => "wherever that is",
    };
    let (packets, to) = (Said(&published.packets), Said(&published.to));
    format!(
        "{packets} → {to}, {leads}   (chain {})",
        chain_name(&published.chain)
    )
}
