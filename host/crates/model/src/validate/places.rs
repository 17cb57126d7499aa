//! Where base chains are attached, and what may be asked and done there.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Validator;
use super::defect::Defect;
use super::matches::only_tcp;
use crate::diagnostic::Quoted;
use crate::draft::{Base, ChainType, Draft, Nat, Rule, Statement};
use crate::field::{Fib, FibResult, Field};
use crate::limits::{CONNTRACK_PRIORITY, PRIORITY_MAX};
use crate::packet::Hook;
use crate::ruleset::{ChainPolicy, Mark, MarkValue, Reject};

impl Validator<'_> {
    /// Where base chains are attached.
    pub(super) fn places(&mut self, draft: &Draft) {
        let bases: Vec<_> = draft
            .chains
            .iter()
            .filter_map(|chain| chain.base.map(|base| (chain, base)))
            .collect();
        if bases.is_empty() {
            self.say("draft", &Defect::NoBaseChain);
        }
        for (position, (chain, base)) in bases.iter().enumerate() {
            let subject = format!("chain {}", Quoted(&chain.name));
            if base.priority.unsigned_abs() > PRIORITY_MAX.unsigned_abs() {
                let (found, max) = (base.priority, PRIORITY_MAX);
                self.say(&subject, &Defect::Priority { found, max });
            }
            if let Some(defect) = misplaced(*base) {
                self.say(&subject, &defect);
            }
            // Which of two chains in the same place runs first depends on which was loaded last.
            let twin = bases[..position].iter().find(|(_, earlier)| {
                (earlier.hook, earlier.priority) == (base.hook, base.priority)
            });
            if let Some((twin, _)) = twin {
                let (hook, priority) = (base.hook, base.priority);
                let other = twin.name.clone();
                let defect = Defect::SamePlace {
                    hook,
                    priority,
                    other,
                };
                self.say(&subject, &defect);
            }
        }
    }
}

/// What is wrong with the place of a base chain of this type.
fn misplaced(base: Base) -> Option<Defect> {
    let Base {
        chain_type,
        hook,
        priority,
        policy,
    } = base;
    let elsewhere = |allowed| Defect::ChainTypeAtHook {
        chain_type,
        hook,
        allowed,
    };
    match (chain_type, hook) {
        (ChainType::Filter, _) => None,
        (ChainType::Nat, Hook::Forward) => {
            Some(elsewhere("prerouting, input, output and postrouting"))
        }
        // `nf_tables_addchain`: NAT works on what conntrack has seen.
        (ChainType::Nat, _) if priority <= CONNTRACK_PRIORITY => Some(Defect::NatPriority {
            found: priority,
            conntrack: CONNTRACK_PRIORITY,
        }),
        // It sees the first packet of a connection only: what it dropped could be seen as filtered.
        (ChainType::Nat, _) if policy == ChainPolicy::Drop => Some(Defect::NatPolicy),
        (ChainType::Nat, _) | (ChainType::Route, Hook::Output) => None,
        (ChainType::Route, _) => Some(elsewhere("output")),
    }
}

/// What the rule asks or does that one of the base chains which lead to it does not know.
pub(super) fn out_of_place(rule: &Rule, bases: &[Base], asked: &[Field]) -> Vec<Defect> {
    let mut defects = Vec::new();
    for field in asked {
        let blind = bases.iter().find(|base| !is_asked_at(*field, base.hook));
        defects.extend(blind.map(|base| Defect::NotAtHook {
            field: *field,
            hook: base.hook,
        }));
        let of_conntrack = *field == Field::CtState || field.is_of_connection();
        defects.extend(needs_conntrack(of_conntrack, &field.to_string(), bases));
    }
    let statements = rule.statements.iter();
    defects.extend(statements.filter_map(|it| statement_out_of_place(it, bases)));
    let resets = Statement::Reject(Reject::TcpReset);
    if rule.statements.contains(&resets) && !only_tcp(&rule.matches) {
        defects.push(Defect::ResetWithoutTcp);
    }
    defects
}

/// The first base chain that runs before conntrack, if what is asked or done needs conntrack.
fn needs_conntrack(needs: bool, what: &str, bases: &[Base]) -> Option<Defect> {
    let early = bases.iter().find(|base| needs && is_before_conntrack(base));
    early.map(|base| Defect::BeforeConntrack {
        what: what.to_string(),
        hook: base.hook,
        priority: base.priority,
    })
}

/// Whether a packet at the hook has the field for certain. Users are those of a socket that sends;
/// a route back is asked where packets come in (`nft_fib_validate` of older kernels).
const fn is_asked_at(field: Field, hook: Hook) -> bool {
    match field {
        Field::Skuid | Field::Skgid => matches!(hook, Hook::Output | Hook::Postrouting),
        Field::Fib(Fib {
            result: FibResult::Exists,
            ..
        }) => matches!(hook, Hook::Prerouting),
        Field::Fib(Fib { iif: true, .. }) => {
            matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward)
        }
        other => other.is_known_at(hook),
    }
}

fn statement_out_of_place(statement: &Statement, bases: &[Base]) -> Option<Defect> {
    let elsewhere = |can: fn(&Base) -> bool, defect: &dyn Fn(Base) -> Defect| {
        let cannot = bases.iter().find(|base| !can(base));
        cannot.map(|base| defect(*base))
    };
    match statement {
        Statement::Reject(_) => elsewhere(
            |base| matches!(base.hook, Hook::Input | Hook::Forward | Hook::Output),
            &|base| Defect::RejectAtHook { hook: base.hook },
        ),
        Statement::Notrack => elsewhere(is_before_conntrack, &|base| Defect::NotrackTooLate {
            hook: base.hook,
            priority: base.priority,
            conntrack: CONNTRACK_PRIORITY,
        }),
        Statement::CtCount { .. } => needs_conntrack(true, "ct count", bases),
        // What is not there yet can be neither set nor copied.
        Statement::SetMark(mark, value) => {
            let needs = *mark == Mark::Connection || *value == MarkValue::Copied;
            needs_conntrack(needs, "ct mark", bases)
        }
        Statement::Nat(nat) => {
            let (name, hooks) = nat_places(nat);
            let wrong = bases
                .iter()
                .find(|base| base.chain_type != ChainType::Nat || !hooks.contains(&base.hook));
            wrong.map(|base| Defect::NatAtPlace {
                name,
                chain_type: base.chain_type,
                hook: base.hook,
                hooks,
            })
        }
        _ => None,
    }
}

/// nft's word for a kind of NAT, and the hooks at which the kernel does it.
const fn nat_places(nat: &Nat) -> (&'static str, &'static [Hook]) {
    match nat {
        Nat::Snat(_) => ("snat", &[Hook::Postrouting, Hook::Input]),
        Nat::Dnat(_) => ("dnat", &[Hook::Prerouting, Hook::Output]),
        // Only where it is known by which interface the packet goes out.
        Nat::Masquerade { .. } => ("masquerade", &[Hook::Postrouting]),
        Nat::Redirect { .. } => ("redirect", &[Hook::Prerouting, Hook::Output]),
    }
}

/// Conntrack looks at packets where they enter the machine or leave a socket.
const fn is_before_conntrack(base: &Base) -> bool {
    matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority <= CONNTRACK_PRIORITY
}
