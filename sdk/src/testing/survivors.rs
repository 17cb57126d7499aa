//! Mutants that cases let live: what the cases do not guard.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use portreeve_model::draft::Draft;
use portreeve_model::evaluate::{HookVerdict, evaluate};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::{Reject, Ruleset};
use portreeve_model::tables::Tables;
use portreeve_model::validate::validate;

use super::{CaseFile, Expected, case_files, judge, lattice, mutants};
use crate::Policy;

/// What became of the mutants of a policy.
///
/// ```
/// use portreeve_sdk::testing::Tally;
///
/// let tally = Tally { killed: 40, invalid: 2, equal: 3, harmless: 1 };
/// assert_eq!(
///     tally.to_string(),
///     "40 mutants killed; not counted: 2 that no host would take, 3 that mean the same, \
///      1 that no packet tells apart"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// A case fails on each of these.
    pub killed: usize,
    /// Validation refuses these.
    pub invalid: usize,
    /// These validate to the very same rule set.
    pub equal: usize,
    /// No boundary packet tells these from the original.
    pub harmless: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            killed,
            invalid,
            equal,
            harmless,
        } = self;
        write!(
            f,
            "{killed} mutants killed; not counted: {invalid} that no host would take, {equal} that \
             mean the same, {harmless} that no packet tells apart"
        )
    }
}

/// What became of one mutant, over all case files; the later, the better known.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Outcome {
    Invalid,
    Equal,
    /// No case of any file fails on it, and neither does a boundary packet: found out only for
    /// what the cases let live, because there are many boundary packets.
    Harmless,
    Alive,
    Killed,
}

/// Makes sure that for each mutant of what `P` drafts, some case in `dir` fails.
///
/// A case states whatever a mutant can change: `verdict`, `by` and `log`, the kind of `reject`,
/// and, for what no packet shows, `limit` and `log-line` as nft writes them.
///
/// A mutant is killed when any file's cases kill it: `otherwise = "reject"` can show faults of
/// the reject rules, and other files those of the chain policy.
///
/// ```
/// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
/// # use portreeve_sdk::{describe, draft};
/// # struct Nothing;
/// # impl Policy for Nothing {
/// #     fn describe() -> Description { describe("nothing", "1", "Nothing.").build() }
/// #     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
/// #         Ok(draft([Chain::input(ChainPolicy::Drop)]))
/// #     }
/// # }
/// # let dir = std::env::temp_dir().join(format!("portreeve-doc-mut-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let case = "[[case]]\npacket = 'tcp ::1 > [::1]:22'\nverdict = 'drop'\nwhy = 'nothing'";
/// # std::fs::write(dir.join("default.toml"), case)?;
/// let tally = portreeve_sdk::testing::assert_cases_kill_all_mutants::<Nothing>(&dir);
/// assert_eq!(tally.killed, 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// When a mutant survives all cases; the message lists the survivors by name.
pub fn assert_cases_kill_all_mutants<P: Policy>(dir: impl AsRef<Path>) -> Tally {
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    let files = case_files::<P>(dir.as_ref());
    let drafted = files
        .iter()
        .filter_map(|file| Some((file, P::decide(&file.inputs).ok()?)));
    let drafted: Vec<_> = drafted.collect();
    for (file, draft) in &drafted {
        try_mutants(file, draft, &mut outcomes);
    }
    for outcome in outcomes
        .values_mut()
        .filter(|outcome| **outcome == Outcome::Alive)
    {
        *outcome = Outcome::Harmless;
    }
    for (file, draft) in &drafted {
        look_again(file, draft, &mut outcomes);
    }
    let names = |wanted: Outcome| {
        let of = outcomes
            .iter()
            .filter(move |(_, outcome)| **outcome == wanted);
        of.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let tally = Tally {
        killed: names(Outcome::Killed).len(),
        invalid: names(Outcome::Invalid).len(),
        equal: names(Outcome::Equal).len(),
        harmless: names(Outcome::Harmless).len(),
    };
    let alive = names(Outcome::Alive);
    let count = alive.len();
    assert!(
        alive.is_empty(),
        "{count} survive all cases:\n  {}\n{tally}",
        alive.join("\n  ")
    );
    tally
}

fn try_mutants(file: &CaseFile, draft: &Draft, outcomes: &mut BTreeMap<String, Outcome>) {
    let (Expected::Packets(cases), Ok(original)) = (&file.expected, validate(draft, &file.feeds))
    else {
        return;
    };
    for mutant in mutants(draft, &file.feeds) {
        let outcome = match validate(&mutant.draft, &file.feeds) {
            Err(_) => Outcome::Invalid,
            Ok(mutated) if mutated == original => Outcome::Equal,
            Ok(mutated) if !judge::holds(cases, &mutated) => Outcome::Killed,
            Ok(_) => Outcome::Alive,
        };
        let known = outcomes.entry(mutant.name).or_insert(outcome);
        *known = (*known).max(outcome);
    }
}

/// Finds out whether what the cases let live, harmless so far, does harm under these inputs.
fn look_again(file: &CaseFile, draft: &Draft, outcomes: &mut BTreeMap<String, Outcome>) {
    let Ok(original) = validate(draft, &file.feeds) else {
        return;
    };
    let mut boundaries = None;
    for mutant in mutants(draft, &file.feeds) {
        let known = outcomes.get_mut(&mutant.name);
        let Some(known) = known.filter(|outcome| **outcome == Outcome::Harmless) else {
            continue;
        };
        let packets = boundaries.get_or_insert_with(|| lattice(&original, &[]));
        let mutated = validate(&mutant.draft, &file.feeds);
        let does_harm = |mutated: Ruleset| {
            let own = lattice(&mutated, &[]);
            let mut packets = packets.iter().chain(&own);
            let (before, after) = (Judged::of(&original), Judged::of(&mutated));
            packets.any(|packet| before.does(packet) != after.does(packet))
        };
        if mutated.is_ok_and(does_harm) {
            *known = Outcome::Alive;
        }
    }
}

/// A rule set, as drafted and as a table.
struct Judged<'a> {
    ruleset: &'a Ruleset,
    tables: Tables,
}

impl<'a> Judged<'a> {
    fn of(ruleset: &'a Ruleset) -> Self {
        let tables = ruleset.tables(judge::TABLE);
        Self { ruleset, tables }
    }

    /// What becomes of a packet and what it meets, whoever decides: a value too much does no harm
    /// when an earlier rule has decided about it, and the order of two rules often makes no
    /// difference.
    fn does(&self, packet: &Packet) -> (judge::Way, Vec<(HookVerdict, Option<Reject>)>) {
        let evaluation = evaluate(&self.tables, packet);
        let way = judge::Way::of(&evaluation, self.ruleset);
        let fates = evaluation.fates.into_iter();
        (way, fates.map(|fate| (fate.verdict, fate.reject)).collect())
    }
}
