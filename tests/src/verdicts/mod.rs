//! No wrong verdict while the rules change: a prober asks the kernel 2,000 times a second, for
//! each class of packet, whether it comes in, while rule sets come and go.
//!
//! A wrong verdict is an answer to what must be dropped or silence after what must be let in.
//! Silence is proved, never waited for; a probe whose answer could have been missed counts as
//! undetermined, and so does none at all: a prober that could not keep up fails as itself.

mod cable;
mod classes;
mod conversation;
mod episodes;
mod feed;
mod figures;
mod frames;
mod machine;
mod operations;
mod prober;
mod processors;
mod report;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use classes::{Class, Kind};
pub use episodes::Episode;
pub use figures::{Figures, Row, StepFigures, Tally};
pub use operations::{Operation, Step};
pub use report::table;

use crate::guests;
use crate::namespace::Namespaces;
use cable::Cable;
use classes::Sources;
use conversation::Conversations;
use feed::Feed;
use machine::Machine;
use operations::Log;
use prober::Prober;

/// What the addresses of the feed may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum List {
    /// Only they may open port 443.
    Allow,
    /// Nothing that comes from them is let in.
    Block,
}

/// What happens to the rules while the prober asks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Change {
    /// Nothing: whatever is found then is a fault of the prober.
    Nothing,
    /// Nothing, while every processor has more to do than it can.
    NothingWhileBusy,
    /// `nft -f` deletes the table and adds it again, in one transaction.
    ReplaceTable,
    /// `nft flush ruleset`, and then `nft -f`.
    FlushRuleset,
    /// `portreeve apply --no-trial`.
    Apply,
    /// `portreeve apply`, on trial: confirmed, rolled back, lapsed.
    Trial,
    /// `portreeve` changes the chain policy and the rule that makes up for it, while a closed port
    /// is probed 100 times as densely. Only with [`List::Block`].
    ChainPolicy,
    /// `nft -f` does the same: `flush chain`, `add chain` with the policy, `add rule`.
    ChainPolicyByNft,
}

impl Change {
    /// Whether a closed port is probed so densely.
    const fn is_probed_densely(self) -> bool {
        match self {
            Self::ChainPolicy | Self::ChainPolicyByNft => true,
            Self::Nothing
            | Self::NothingWhileBusy
            | Self::ReplaceTable
            | Self::FlushRuleset
            | Self::Apply
            | Self::Trial => false,
        }
    }
}

/// One run of the prober.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    /// What the feed is for.
    pub list: List,
    /// How many prefixes the feed has.
    pub prefixes: usize,
    /// What is done.
    pub change: Change,
    /// How often.
    pub rounds: usize,
}

/// The programs that a run needs.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// The program under test.
    pub portreeve: &'a Path,
    /// The binary `verdicts` of this package: it calls [`serve`] in a namespace of its own.
    pub verdicts: &'a Path,
    /// The guest `block_list`, as a component. Only [`List::Block`] needs it.
    pub block_list: &'a Path,
}

/// Runs one cell on a machine of its own.
///
/// # Errors
/// When there can be no machine, or something that is done to it fails: never because of what
/// the prober finds.
pub fn run(programs: Programs<'_>, cell: &Cell) -> io::Result<Row> {
    let namespaces = Namespaces::find().map_err(|reason| io::Error::other(reason.to_string()))?;
    let output = namespaces
        .command(&ALONE, programs.verdicts)
        .arg("inside")
        .arg(serde_json::to_string(cell)?)
        .arg(programs.block_list)
        .env("PORTREEVE_BIN", programs.portreeve)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("verdicts: {}", output.status)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Whatever is started in a run ends with it.
const ALONE: [&str; 4] = ["--pid", "--fork", "--kill-child", "--mount-proc"];

/// Builds the guest `block_list` for [`Programs`].
///
/// # Errors
/// When it cannot be written.
///
/// # Panics
/// When it cannot be built.
pub fn build_block_list(component: &Path) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(component, &guests::build(folder.path())["block_list"])
}

/// The full measure: with few prefixes and with many, as an allow-list and as a block-list.
#[must_use]
pub fn battery() -> Vec<Cell> {
    let trial = |list, prefixes| Cell {
        list,
        prefixes,
        change: Change::Trial,
        rounds: 20,
    };
    let chain_policy = Cell {
        list: List::Block,
        prefixes: 22,
        change: Change::ChainPolicy,
        rounds: 100,
    };
    [22, 100_000]
        .into_iter()
        .flat_map(|prefixes| [List::Allow, List::Block].map(|list| trial(list, prefixes)))
        .chain([chain_policy])
        .collect()
}

/// What to compare [`battery`] with: a prober that has nothing to find, and what others do.
#[must_use]
pub fn references() -> Vec<Cell> {
    let cell = |change, list, prefixes, rounds| Cell {
        list,
        prefixes,
        change,
        rounds,
    };
    vec![
        cell(Change::Nothing, List::Allow, 100_000, 10),
        cell(Change::NothingWhileBusy, List::Allow, 100_000, 10),
        cell(Change::ReplaceTable, List::Allow, 22, 20),
        cell(Change::FlushRuleset, List::Allow, 22, 20),
        cell(Change::ReplaceTable, List::Allow, 100_000, 20),
        cell(Change::ReplaceTable, List::Block, 100_000, 20),
        cell(Change::ChainPolicyByNft, List::Block, 22, 100),
    ]
}

/// Runs a cell in the namespace that this process was started in.
///
/// # Errors
/// As for [`run`].
pub fn serve(cell: &Cell, block_list: &Path) -> io::Result<Row> {
    let (probing, everything_else) = processors::processors()?;
    processors::stay_on(everything_else)?;
    let mut cable = Cable::lay()?;
    let feed = Feed::new(cell.prefixes, Machine::lists(cell.rounds));
    let sources = Sources::new(&feed, cell.list);
    let mut machine = Machine::new(cell, feed, block_list);
    machine.track_connections()?;
    let conversations = Conversations::open(&mut cable)?;
    machine.prepare()?;

    let beginning = Instant::now();
    let prober = Prober::start(prober::Work {
        cable,
        sources,
        conversations,
        with_bursts: cell.change.is_probed_densely(),
        processor: probing,
        beginning,
    });
    let mut log = Log::new(beginning);
    let changed = (0..cell.rounds).try_for_each(|_| {
        thread::sleep(CALM);
        machine.change(&mut log)
    });
    thread::sleep(CALM);
    let ticks = prober.stop()?;
    changed?;
    Ok(Row {
        cell: cell.clone(),
        figures: Figures::new(&ticks, log.operations()),
    })
}

/// How long nothing is done between two rounds: what a change leaves behind shows then.
const CALM: Duration = Duration::from_millis(100);
