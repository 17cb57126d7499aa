//! `portreeve plan`: shows what would be applied, what is proved of it, whether the operator still
//! gets in, and what it would change; changes nothing.

use portreeve_verify::{Budget, Inquiry, Way};

use super::{in_force, make_candidate, ssh_port};
use crate::apply::nft::Nft;
use crate::apply::store::StateDir;
use crate::apply::survey::survey;
use crate::cli::{self, Options};
use crate::guard::{self, Facts};
use crate::observe::surroundings;
use crate::pipeline::Candidate;
use crate::probe::{PACKETS_MAX, Probe, Probed, Subject, probe};
use crate::proofs::Outlook;
use crate::report::{Answer, Failure, Planned, Printer};
use crate::session::Session;

pub(super) fn run(
    arguments: &cli::Plan,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let candidate = make_candidate(options, printer)?;
    // Where that cannot be read, there is nothing to compare with.
    let survey = survey(&StateDir::new(options.state_dir.clone())).ok();
    let outlook = Outlook::of(candidate.ruleset(), survey.as_ref().and_then(in_force));
    let facts = surroundings::read(&Session::of_this_process());
    let judgement = guard::judge(&facts, candidate.ruleset(), ssh_port(&candidate));
    let machine = guard::survey(&facts, candidate.ruleset());
    let probed = if arguments.probe {
        Some(tried(&candidate, &facts)?)
    } else {
        None
    };
    Ok(Answer::Plan(Box::new(Planned {
        candidate,
        outlook,
        judgement,
        machine,
        probed,
    })))
}

/// What a kernel does to one packet of every path, with the tables of others where they can be read.
fn tried(candidate: &Candidate, facts: &Facts) -> Result<Probed, Failure> {
    let others = facts
        .others
        .as_ref()
        .ok()
        .filter(|it| !it.tables.is_empty());
    let tables = guard::candidate(others, candidate.ruleset());
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let paths = prover.paths(rules, Way::In, PACKETS_MAX);
    let paths = paths.map_err(|over| Failure::too_tangled(&over))?;
    let probes = paths.into_iter();
    let probes: Vec<Probe> = probes
        .map(|(packet, predicted)| Probe { packet, predicted })
        .collect();
    let live = match others {
        Some(_) => Some(Nft::find()?.list_everything()?),
        None => None,
    };
    let subject = Subject {
        live: live.as_deref(),
        ..Subject::alone(candidate.transaction())
    };
    probe(&subject, &probes).map_err(|error| Failure::not_probed(&error))
}
