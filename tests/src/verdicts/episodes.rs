//! Wrong verdicts, told so that somebody can find their cause: which, and how long after what.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::classes::{BURST, Class};
use super::operations::{Operation, Step};
use super::prober::{Fate, Tick};

/// Wrong verdicts of one class that are no further apart than this are one episode.
const EPISODE_TICKS: u64 = 20;

/// Probes of one class that went wrong together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Episode {
    /// Which.
    pub class: Class,
    /// How many.
    pub probes: u64,
    /// From when the first was sent until the last was judged.
    pub lasted: Duration,
    /// What was begun last before, and which of its kind it was, counted from 1.
    pub during: Option<(Step, usize)>,
    /// How long after the beginning of that the first was sent.
    pub after: Duration,
    /// How long that took.
    pub operation: Duration,
}

/// Every episode, in the order of time.
pub(super) fn episodes(ticks: &[Tick], operations: &[Operation]) -> Vec<Episode> {
    let mut together: BTreeMap<Class, Vec<Vec<Tick>>> = BTreeMap::new();
    for tick in ticks {
        for class in Class::all().filter(|class| wrong(tick, *class) > 0) {
            let episodes = together.entry(class).or_default();
            match episodes.last_mut() {
                Some(last) if goes_on(last, tick) => last.push(*tick),
                _ => episodes.push(vec![*tick]),
            }
        }
    }
    let mut episodes: Vec<(Duration, Episode)> = Vec::new();
    for (class, of_class) in together {
        let told = of_class
            .iter()
            .map(|ticks| (ticks[0].sent, Episode::new(class, ticks, operations)));
        episodes.extend(told);
    }
    episodes.sort_by_key(|(sent, _)| *sent);
    episodes.into_iter().map(|(_, episode)| episode).collect()
}

/// How many probes of this class went wrong.
fn wrong(tick: &Tick, class: Class) -> u64 {
    let is_wrong = match tick.fate(class) {
        Fate::Accepted => !class.is_accepted(),
        Fate::Dropped => class.is_accepted(),
        Fate::Undetermined => false,
    };
    let burst = if class == BURST {
        tick.burst.answered
    } else {
        0
    };
    u64::from(is_wrong) + burst
}

fn goes_on(episode: &[Tick], tick: &Tick) -> bool {
    let last = episode.last().expect("an episode has a tick");
    tick.number - last.number <= EPISODE_TICKS
}

impl Episode {
    fn new(class: Class, ticks: &[Tick], operations: &[Operation]) -> Self {
        let first = ticks[0].sent;
        let last = ticks[ticks.len() - 1].judged;
        let begun = last_begun(operations, first).map(|nth| &operations[..=nth]);
        let (during, after, operation) = match begun {
            Some([.., operation]) => {
                let step = operation.step;
                let of_its_kind = begun.into_iter().flatten().filter(|o| o.step == step);
                let during = Some((step, of_its_kind.count()));
                (during, first - operation.began, operation.took())
            }
            Some([]) | None => (None, first, Duration::ZERO),
        };
        Self {
            class,
            probes: ticks.iter().map(|tick| wrong(tick, class)).sum(),
            lasted: last - first,
            during,
            after,
            operation,
        }
    }
}

/// The place of the last operation that had begun at this moment. They are in the order of time.
pub(super) fn last_begun(operations: &[Operation], moment: Duration) -> Option<usize> {
    let begun = operations.partition_point(|operation| operation.began <= moment);
    begun.checked_sub(1)
}
