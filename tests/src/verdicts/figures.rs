//! What the probes of a run come to: a pure function of what was sent, answered and done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Cell;
use super::classes::{BURST, Class, Kind};
use super::episodes::{Episode, episodes, last_begun};
use super::operations::{Operation, Step};
use super::prober::{Burst, Fate, Tick};

/// How many of the probes that were due must have been sent, in percent.
const SENT_PERCENT_MIN: u64 = 90;

/// How many episodes are told one by one.
const EPISODES_MAX: usize = 40;

/// A cell and what came of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// What was done.
    pub cell: Cell,
    /// What came of it.
    pub figures: Figures,
}

impl Row {
    /// Whether no verdict was wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.figures.sum().wrong() == 0
    }

    /// Whether the prober saw everything that it was to see.
    #[must_use]
    pub fn kept_up(&self) -> bool {
        let Figures { due, left_out, .. } = self.figures;
        let sent = due - left_out;
        self.figures.sum().undetermined == 0 && due > 0 && sent * 100 >= due * SENT_PERCENT_MIN
    }
}

/// What came of a run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Figures {
    /// By class.
    pub classes: Vec<(Class, Tally)>,
    /// By what was begun last before the probes.
    pub steps: Vec<StepFigures>,
    /// Wrong verdicts in the order of time; not all of them when there are many.
    pub episodes: Vec<Episode>,
    /// How many episodes there were.
    pub episodes_in_all: usize,
    /// Ticks that were due.
    pub due: u64,
    /// Those of them that the prober was too late for.
    pub left_out: u64,
    /// The longest time without an answer in the conversation that fared worst.
    pub longest_gap: Duration,
    /// The longest time in which nothing was sent at all.
    pub longest_pause: Duration,
}

/// What was done, and what came of the probes until something else was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StepFigures {
    /// What.
    pub step: Step,
    /// How often.
    pub times: usize,
    /// The longest that it took.
    pub longest: Duration,
    /// The probes.
    pub tally: Tally,
}

/// Probes and what came of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// All of them.
    pub probes: u64,
    /// Answered, and must not have been.
    pub wrongly_accepted: u64,
    /// Not answered, and must have been.
    pub wrongly_dropped: u64,
    /// Perhaps answered.
    pub undetermined: u64,
}

impl Tally {
    fn count(&mut self, class: Class, fate: Fate) {
        self.probes += 1;
        match (fate, class.is_accepted()) {
            (Fate::Accepted, true) | (Fate::Dropped, false) => {}
            (Fate::Accepted, false) => self.wrongly_accepted += 1,
            (Fate::Dropped, true) => self.wrongly_dropped += 1,
            (Fate::Undetermined, _) => self.undetermined += 1,
        }
    }

    /// Counts many probes of [`BURST`], none of which must be answered.
    fn count_burst(&mut self, burst: Burst, certain: bool) {
        self.probes += burst.sent;
        self.wrongly_accepted += burst.answered;
        if !certain {
            self.undetermined += burst.sent - burst.answered;
        }
    }

    fn add(&mut self, other: Self) {
        self.probes += other.probes;
        self.wrongly_accepted += other.wrongly_accepted;
        self.wrongly_dropped += other.wrongly_dropped;
        self.undetermined += other.undetermined;
    }

    /// Verdicts that are not what they must be.
    #[must_use]
    pub const fn wrong(&self) -> u64 {
        self.wrongly_accepted + self.wrongly_dropped
    }
}

impl Figures {
    pub(super) fn new(ticks: &[Tick], operations: &[Operation]) -> Self {
        let mut classes: Vec<_> = Class::all()
            .map(|class| (class, Tally::default()))
            .collect();
        let mut steps: BTreeMap<Step, Tally> = BTreeMap::new();
        for tick in ticks {
            let step =
                last_begun(operations, tick.sent).map_or(Step::Nothing, |nth| operations[nth].step);
            let of_step = steps.entry(step).or_default();
            for (class, of_class) in &mut classes {
                of_class.count(*class, tick.fate(*class));
                of_step.count(*class, tick.fate(*class));
                if *class == BURST {
                    of_class.count_burst(tick.burst, tick.certain);
                    of_step.count_burst(tick.burst, tick.certain);
                }
            }
        }
        let steps = steps
            .into_iter()
            .map(|(step, tally)| StepFigures::new(step, tally, operations))
            .collect();
        let episodes = episodes(ticks, operations);
        let due = ticks.last().map_or(0, |last| last.number + 1);
        Self {
            classes,
            steps,
            episodes_in_all: episodes.len(),
            episodes: episodes.into_iter().take(EPISODES_MAX).collect(),
            due,
            left_out: due - ticks.len() as u64,
            longest_gap: longest_gap(ticks, false).max(longest_gap(ticks, true)),
            longest_pause: longest(ticks.iter().map(|tick| tick.sent)),
        }
    }

    /// All classes together.
    #[must_use]
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for (_, tally) in &self.classes {
            sum.add(*tally);
        }
        sum
    }
}

impl StepFigures {
    fn new(step: Step, tally: Tally, operations: &[Operation]) -> Self {
        let these = || operations.iter().filter(|operation| operation.step == step);
        Self {
            step,
            times: these().count(),
            longest: these().map(Operation::took).max().unwrap_or_default(),
            tally,
        }
    }
}

/// The longest time between two answers, or between an answer and either end of the run.
fn longest_gap(ticks: &[Tick], ipv6: bool) -> Duration {
    let kind = Kind::Conversation;
    let class = Class { ipv6, kind };
    let answered = ticks
        .iter()
        .filter(|tick| tick.fate(class) == Fate::Accepted);
    let begins = ticks.first().map(|tick| tick.sent);
    let ends = ticks.last().map(|tick| tick.judged);
    let answers = answered.map(|tick| tick.judged);
    longest(begins.into_iter().chain(answers).chain(ends))
}

/// The longest time between two neighbouring moments.
fn longest(moments: impl Iterator<Item = Duration>) -> Duration {
    let moments: Vec<Duration> = moments.collect();
    let between = moments.windows(2).map(|pair| pair[1] - pair[0]);
    between.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdicts::prober::TICK;

    /// Ticks in which everything is as it must be.
    fn right(count: u32) -> Vec<Tick> {
        let tick = |number: u32| Tick {
            number: number.into(),
            sent: TICK * number,
            judged: TICK * number + TICK / 10,
            answered: Class::all()
                .map(Class::is_accepted)
                .collect::<Vec<_>>()
                .try_into()
                .expect("one for each class"),
            burst: Burst::default(),
            certain: true,
        };
        (0..count).map(tick).collect()
    }

    const REFUSED: Class = Class {
        ipv6: true,
        kind: Kind::Refused,
    };
    const SSH: Class = Class {
        ipv6: false,
        kind: Kind::Ssh,
    };

    fn operation(step: Step, began: u32, ended: u32) -> Operation {
        Operation {
            step,
            began: TICK * began,
            ended: TICK * ended,
        }
    }

    #[test]
    fn nothing_is_wrong_with_what_must_be_so() {
        let figures = Figures::new(&right(100), &[]);
        let probes = 100 * Class::COUNT as u64;
        let all = Tally {
            probes,
            ..Tally::default()
        };
        assert_eq!(figures.sum(), all);
        assert_eq!((figures.due, figures.left_out), (100, 0));
        assert_eq!(figures.longest_gap, TICK);
        assert_eq!(figures.episodes, []);
    }

    #[test]
    fn each_wrong_verdict_is_laid_to_what_was_begun_last() {
        let mut ticks = right(100);
        for tick in &mut ticks[41..44] {
            tick.answered[REFUSED.index()] = true;
        }
        ticks[70].answered[SSH.index()] = false;
        let operations = [
            operation(Step::Apply, 10, 20),
            operation(Step::Apply, 40, 50),
            operation(Step::Confirm, 60, 61),
        ];
        let figures = Figures::new(&ticks, &operations);
        let wrong: Vec<(Step, usize, u64, u64)> = figures
            .steps
            .iter()
            .map(|of| {
                let Tally {
                    wrongly_accepted,
                    wrongly_dropped,
                    ..
                } = of.tally;
                (of.step, of.times, wrongly_accepted, wrongly_dropped)
            })
            .collect();
        let expected = [
            (Step::Nothing, 0, 0, 0),
            (Step::Apply, 2, 3, 0),
            (Step::Confirm, 1, 0, 1),
        ];
        assert_eq!(wrong, expected);
        let [accepted, dropped] = figures.episodes.as_slice() else {
            panic!("{:?}", figures.episodes);
        };
        assert_eq!((accepted.class, accepted.probes), (REFUSED, 3));
        assert_eq!(accepted.during, Some((Step::Apply, 2)));
        assert_eq!(accepted.after, TICK);
        assert_eq!((dropped.class, dropped.probes), (SSH, 1));
        assert_eq!(dropped.during, Some((Step::Confirm, 1)));
    }

    #[test]
    fn silence_that_may_be_a_loss_is_no_verdict_and_an_answer_always_is() {
        let mut ticks = right(2);
        ticks[1].certain = false;
        ticks[1].answered[REFUSED.index()] = true;
        let sum = Figures::new(&ticks, &[]).sum();
        // Three classes of silence; the fourth was broken.
        assert_eq!((sum.wrongly_accepted, sum.undetermined), (1, 3));
    }

    #[test]
    fn each_probe_of_a_burst_has_a_verdict_of_its_own() {
        let mut ticks = right(2);
        for tick in &mut ticks {
            tick.burst.sent = 200;
        }
        ticks[1].burst.answered = 3;
        let figures = Figures::new(&ticks, &[]);
        let probes = 2 * (Class::COUNT as u64 + 200);
        assert_eq!(figures.sum().probes, probes);
        assert_eq!(figures.sum().wrongly_accepted, 3);
        assert_eq!(figures.episodes[0].class, BURST);
        assert_eq!(figures.episodes[0].probes, 3);
    }

    #[test]
    fn what_was_not_sent_is_missed() {
        let mut ticks = right(100);
        ticks.drain(30..50);
        let figures = Figures::new(&ticks, &[]);
        assert_eq!((figures.due, figures.left_out), (100, 20));
        assert_eq!(figures.longest_pause, TICK * 21);
    }
}
