//! What was found of goals, in words that people and programs are both told.

use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::evaluate::HookVerdict;
use portreeve_verify::{Answer, Fate, Refutation, Undecided, Way};

use crate::probe::Difference;
use crate::proofs::{Because, Proof};

/// Why a goal is not proved.
pub(super) struct Finding {
    /// The code of the diagnostic.
    pub(super) code: &'static str,
    /// `REFUTED`, or `CANNOT DECIDE`.
    pub(super) word: &'static str,
    /// The packet that shows it, with what decides it.
    pub(super) why: String,
    /// What to do.
    help: String,
}

/// Why a goal is not proved; none when it is.
pub(super) fn finding(proof: &Proof) -> Option<Finding> {
    let because = proof.because.as_ref();
    match &proof.answer {
        Answer::Proved => None,
        Answer::Refuted(refutation) => Some(Finding {
            code: "P001",
            word: "REFUTED",
            why: refuted(refutation, because),
            help: format!("see why: portreeve explain {}", refutation.packet),
        }),
        Answer::Undecided(undecided) => Some(self::undecided(undecided, because)),
    }
}

fn refuted(refutation: &Refutation, because: Option<&Because>) -> String {
    let fate = |accepted| if accepted { "accepted" } else { "not accepted" };
    let Refutation {
        packet,
        accepted,
        other,
    } = refutation;
    let by = because.map_or(String::new(), |because| format!(", by {}", because.who));
    let mut text = format!("{packet} is {}{by}", fate(*accepted));
    if let Some(other) = other {
        text.push_str(&format!(
            "; in the other family {other} is {}",
            fate(!accepted)
        ));
    }
    text
}

fn undecided(undecided: &Undecided, because: Option<&Because>) -> Finding {
    let word = "CANNOT DECIDE";
    match undecided {
        Undecided::Uncertain(packet) => {
            let who = because.map_or("a rule", |because| because.who.as_str());
            let expression = because.and_then(|because| because.expression.as_deref());
            let on = expression.map_or(String::new(), |it| format!(" on `{it}`"));
            Finding {
                code: "P002",
                word,
                why: format!("{packet} may be accepted and may not, by {who}{on}"),
                help:
                    "let no limit, changing set or unknown expression decide what a goal is about"
                        .to_owned(),
            }
        }
        Undecided::Unconfirmed(packet) => Finding {
            code: "P003",
            word,
            why: format!("prover and evaluator do not agree on {packet}"),
            help: "report this with the output of `portreeve plan --format json`".to_owned(),
        },
        Undecided::NoPacket => Finding {
            code: "P006",
            word,
            why: "there is no packet that it is about, so it would hold of any rule set".to_owned(),
            help: "look for conditions that contradict each other".to_owned(),
        },
        Undecided::OverBudget(over) => Finding {
            code: "P004",
            word,
            why: over.to_string(),
            help: "put long lists of rules into sets, or split the rule set by jumps".to_owned(),
        },
    }
}

/// Why a goal is not proved, as a diagnostic.
pub(super) fn diagnostic(proof: &Proof) -> Option<Diagnostic> {
    let finding = finding(proof)?;
    let says = match finding.code {
        "P001" => "does not hold",
        _ => "cannot be decided",
    };
    let name = Quoted(&proof.goal.name);
    Some(Diagnostic {
        code: finding.code,
        subject: format!("goal {name}"),
        message: format!("it {says}: {}", finding.why),
        help: finding.help,
    })
}

/// A packet of which the kernel says something else than was proved, as a diagnostic.
pub(super) fn difference(difference: &Difference) -> Diagnostic {
    let (packet, observed) = (&difference.packet, verdict(difference.observed));
    let predicted = Fate::of(&difference.predicted);
    Diagnostic {
        code: "P005",
        subject: "dry run".to_owned(),
        message: format!("the kernel says {observed} to {packet}, and the proof {predicted}"),
        help: "do not apply it; report this with the output of `portreeve plan --format json` and \
               `uname -r`"
            .to_owned(),
    }
}

/// What a hook returned, in nft's word.
pub(super) const fn verdict(verdict: HookVerdict) -> &'static str {
    match verdict {
        HookVerdict::Accept => "accept",
        HookVerdict::Drop => "drop",
    }
}

/// The way that packets go, in nft's words where there are some.
pub(super) const fn way_name(way: Way) -> &'static str {
    match way {
        Way::At(hook) => hook.keyword(),
        Way::In => "to this machine",
        Way::Through => "through this machine",
        Way::Out => "from this machine",
    }
}
