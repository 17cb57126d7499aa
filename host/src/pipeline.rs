//! THE pipeline: from collected inputs to a plan.
//!
//! [`plan`] reads as the list of its stages. A [`Plan`] has private fields and is made nowhere
//! else, so what has not gone through every stage, or is not proved, cannot be applied.

use std::net::IpAddr;
use std::ops::Deref;

use portreeve_model::description::Description;
use portreeve_model::diagnostic::Diagnostic;
use portreeve_model::goal::Goal;
use portreeve_model::inputs::Inputs;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::{Feeds, instantiate, validate};
use portreeve_nft::{LiftError, Transaction, lift, lower, read};
use thiserror::Error;

use crate::inputs::{Collected, StatedGoal, resolve};
use crate::policy::{LogLine, Policy, PolicyError};
use crate::proofs::{Proof, contradiction, prove};

/// A rule set that may be applied: every goal was proved.
#[derive(Debug)]
pub struct Plan(Candidate);

/// A rule set with everything it came from, and what was proved of it.
#[derive(Debug)]
pub struct Candidate {
    description: Description,
    policy_digest: String,
    inputs: Inputs,
    log: Vec<LogLine>,
    fuel_used: u64,
    ruleset: Ruleset,
    proofs: Vec<Proof>,
    transaction: Transaction,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The policy failed or refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy drafted nonsense; here is all of it.
    #[error("the policy's draft is not a rule set")]
    Invalid {
        /// All that is wrong.
        defects: Vec<Diagnostic>,
        /// What the policy had said.
        log: Vec<LogLine>,
    },
    /// The policy's description, or the configuration, states goals that make no sense.
    #[error("the goals cannot be understood")]
    Goals(Vec<Diagnostic>),
    /// A goal does not hold, or it cannot be told.
    #[error("not every goal is proved")]
    Unproved(Box<Candidate>),
    /// Our own translation is wrong: what nft would be sent does not mean the rule set.
    #[error("the transaction does not mean the rule set: a fault of portreeve, please report it")]
    Translation(#[source] Option<LiftError>),
}

/// From facts to a plan, or to the reason there is none.
///
/// # Errors
/// See [`PlanError`]; nothing outside this process has been touched.
pub fn plan(
    policy: &Policy,
    description: Description,
    collected: Collected,
    wishes: &Wishes<'_>,
) -> Result<Plan, PlanError> {
    let Collected { inputs, feeds, .. } = collected;
    let goals = goals(&description, wishes, (&inputs, &feeds))?;
    let decision = policy.decide(&inputs)?;
    let ruleset = match validate(&decision.draft, &feeds) {
        Ok(ruleset) => ruleset,
        Err(defects) => {
            return Err(PlanError::Invalid {
                defects,
                log: decision.log,
            });
        }
    };
    let transaction = lower(&ruleset);
    compare(&transaction, &ruleset)?;
    let proofs = prove(&ruleset, goals);
    let candidate = Candidate {
        description,
        policy_digest: policy.digest().to_owned(),
        inputs,
        log: decision.log,
        fuel_used: decision.fuel_used,
        ruleset,
        proofs,
        transaction,
    };
    if candidate.is_proved() {
        Ok(Plan(candidate))
    } else {
        Err(PlanError::Unproved(Box::new(candidate)))
    }
}

/// What the operator wants beside what the policy promises.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// The goals of the configuration.
    pub goals: &'a [StatedGoal],
    /// Where the operator is, as far as that is known.
    pub operator: &'a [IpAddr],
}

/// The goals of the policy, with the operator's values, and those of the configuration.
fn goals(
    description: &Description,
    wishes: &Wishes<'_>,
    (inputs, feeds): (&Inputs, &Feeds),
) -> Result<Vec<Goal>, PlanError> {
    let (mut goals, mut found) = (Vec::new(), Vec::new());
    for template in &description.goals {
        match instantiate(template, inputs, feeds) {
            Ok(goal) => goals.push(goal),
            Err(defects) => found.extend(defects),
        }
    }
    for stated in wishes.goals {
        match resolve(stated, feeds, inputs, wishes.operator) {
            Ok(goal) => goals.push(goal),
            Err(not_stated) => found.extend(not_stated.into_diagnostics()),
        }
    }
    if found.is_empty() {
        Ok(goals)
    } else {
        Err(PlanError::Goals(found))
    }
}

/// Reads back what nft would be sent. Word by word it must be the rule set; and read by those who
/// read the tables of others, it must be proved to do nothing else to any packet.
fn compare(transaction: &Transaction, ruleset: &Ruleset) -> Result<(), PlanError> {
    let json = transaction.to_json();
    match (lift(&json), read(&json)) {
        (Ok(lifted), Ok(tables))
            if lifted == *ruleset && contradiction(&tables, ruleset).is_none() =>
        {
            Ok(())
        }
        (Err(error), _) => Err(PlanError::Translation(Some(error))),
        (Ok(_), _) => Err(PlanError::Translation(None)),
    }
}

/// What is known of a rule set is known of its plan.
impl Deref for Plan {
    type Target = Candidate;

    fn deref(&self) -> &Candidate {
        &self.0
    }
}

impl Plan {
    /// The rule set, which need not be applied.
    #[must_use]
    pub fn into_candidate(self) -> Candidate {
        self.0
    }
}

impl Candidate {
    /// Whether every goal is proved.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.proofs.iter().all(Proof::holds)
    }

    /// The goals, with what was found of each.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// What the policy says about itself.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// SHA-256 of the policy's component, in hexadecimal.
    #[must_use]
    pub fn policy_digest(&self) -> &str {
        &self.policy_digest
    }

    /// What the policy was given.
    #[must_use]
    pub const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What the policy logged.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// Units of fuel that the policy took to decide.
    #[must_use]
    pub const fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// The rule set.
    #[must_use]
    pub const fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// What nft will be sent.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }
}
