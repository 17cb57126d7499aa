//! Proofs about rule sets: what they do to every packet at once, in less time than it takes to load
//! them.
//!
//! Each field's values fall into few *atoms* that no rule tells apart; over them a rule set becomes a
//! decision diagram that ends in what may become of packets. Goals, differences and dead rules are
//! questions about such diagrams. An answer is never a guess: what the rules leave open, or what
//! takes more than the budget, is said to be undecided.
//!
//! Nothing here shares code with the evaluator, which is asked about every witness; and nothing
//! knows how rule sets are sent to nftables.

mod change;
mod describe;
mod exposure;
mod goals;
mod paths;
mod program;
mod prover;
mod shadow;
mod space;
mod transfer;
mod undone;
mod witness;

pub use self::change::{Change, Direction, Fate};
pub use self::describe::{Class, Extent, Subject};
pub use self::exposure::{Exposure, Protocol, Reach, Service, Source};
pub use self::goals::{Answer, Claim, Refutation, Undecided};
pub use self::prover::{Inquiry, PacketsId, Prover, RulesId};
pub use self::shadow::{Dead, Why};
pub use self::space::{Budget, Certainty, Changed, Outcome, Outcomes, OverBudget};
pub use self::transfer::{Place, Way};
pub use self::undone::Undone;
