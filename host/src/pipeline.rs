//! THE pipeline: from collected inputs to a plan.
//!
//! [`plan`] reads as the list of its stages. A [`Plan`] has private fields and is made nowhere
//! else, so what has not gone through every stage cannot be applied.

use portreeve_model::description::Description;
use portreeve_model::diagnostic::Diagnostic;
use portreeve_model::goal::Goal;
use portreeve_model::inputs::Inputs;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::{Feeds, instantiate, validate};
use portreeve_nft::{LiftError, Transaction, lift, lower};
use thiserror::Error;

use crate::inputs::Collected;
use crate::policy::{LogLine, Policy, PolicyError};

/// A rule set that may be applied, with everything it came from.
#[derive(Debug)]
pub struct Plan {
    description: Description,
    policy_digest: String,
    inputs: Inputs,
    log: Vec<LogLine>,
    fuel_used: u64,
    goals: Vec<Goal>,
    ruleset: Ruleset,
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
    /// The policy's description states goals that make no sense.
    #[error("the policy states goals that cannot be understood")]
    Goals(Vec<Diagnostic>),
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
) -> Result<Plan, PlanError> {
    let Collected { inputs, feeds, .. } = collected;
    let goals = goals(&description, &inputs, &feeds)?;
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
    Ok(Plan {
        description,
        policy_digest: policy.digest().to_owned(),
        inputs,
        log: decision.log,
        fuel_used: decision.fuel_used,
        goals,
        ruleset,
        transaction,
    })
}

/// The policy's goals with the operator's values.
fn goals(
    description: &Description,
    inputs: &Inputs,
    feeds: &Feeds,
) -> Result<Vec<Goal>, PlanError> {
    let (mut goals, mut found) = (Vec::new(), Vec::new());
    for template in &description.goals {
        match instantiate(template, inputs, feeds) {
            Ok(goal) => goals.push(goal),
            Err(defects) => found.extend(defects),
        }
    }
    if found.is_empty() {
        Ok(goals)
    } else {
        Err(PlanError::Goals(found))
    }
}

/// Reads back what nft would be sent; it must mean the rule set.
fn compare(transaction: &Transaction, ruleset: &Ruleset) -> Result<(), PlanError> {
    match lift(&transaction.to_json()) {
        Ok(lifted) if lifted == *ruleset => Ok(()),
        Ok(_) => Err(PlanError::Translation(None)),
        Err(error) => Err(PlanError::Translation(Some(error))),
    }
}

impl Plan {
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

    /// What the policy promises of the rule set.
    #[must_use]
    pub fn goals(&self) -> &[Goal] {
        &self.goals
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
