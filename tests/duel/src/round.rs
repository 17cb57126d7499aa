//! One round: a rule set, packets, what the kernel did, and what the model says of it.

use std::io;

use crate::arena::Arena;
use crate::facts::Clock;
use crate::judge::{Judgement, judge};
use crate::nftables::Nftables;
use crate::observer::{self, Observed, forget};
use crate::shots::{Salvo, Shot};

/// How often a round is played. A set that packets are put into grows behind their backs, takes
/// nothing while it does, and is not listed whole.
const ATTEMPTS: usize = 8;

/// A machine with nft.
#[derive(Debug)]
pub struct Ring {
    arena: Arena,
    nft: Nftables,
    /// What the observer could not note so far, and what it noted.
    counted: (u64, u64),
}

impl Ring {
    /// Makes the machine; this process has no other thread yet.
    ///
    /// # Errors
    /// When that cannot be done here; the error says what is missing.
    pub fn enter() -> io::Result<Self> {
        // nft's socket belongs to the namespace that it is opened in.
        let arena = Arena::enter()?;
        let mut nft = Nftables::load()?;
        nft.text(&observer::table())?;
        Ok(Self {
            arena,
            nft,
            counted: (0, 0),
        })
    }

    /// Loads `rules`, sends the packets, judges, and cleans up.
    ///
    /// # Errors
    /// When nft or the kernel refuses something, or the kernel has no room to note what became of
    /// the packets. The machine is clean afterwards.
    pub fn round(&mut self, rules: &str, salvo: &Salvo) -> io::Result<Judgement> {
        for _ in 0..ATTEMPTS {
            let done = self.play(rules, salvo);
            if done.is_err() {
                self.clean(rules)?;
            }
            let (listing, observed) = done?;
            let (lost, noted) = self.counted;
            self.counted = (observed.lost, observed.noted);
            if observed.lost == lost && observed.noted == noted + observed.listed {
                return Ok(judge(&listing, salvo, &observed));
            }
        }
        Err(io::Error::other(
            "the kernel has no room for the numbers of packets",
        ))
    }

    /// Takes away what a round has left that did not come to its end.
    fn clean(&mut self, rules: &str) -> io::Result<()> {
        for line in deletion(rules).lines() {
            // What was not loaded cannot be deleted.
            drop(self.nft.text(line));
        }
        self.nft.text(&forget())?;
        self.arena.forget_connections()
    }

    fn play(&mut self, rules: &str, salvo: &Salvo) -> io::Result<(String, Observed)> {
        self.fire(&salvo.before)?;
        self.load(rules)?;
        let mut clock = Clock::start();
        self.fire(&salvo.shots)?;
        clock.stop();
        let observed = Observed::read(&mut self.nft, clock)?;
        self.nft.text(&forget())?;
        let listing = self.nft.json("list ruleset")?;
        self.nft.text(&deletion(rules))?;
        if !salvo.before.is_empty() {
            self.arena.forget_connections()?;
        }
        Ok((listing, observed))
    }

    /// Loads tables, and then each line of further elements, which is a message of its own.
    fn load(&mut self, rules: &str) -> io::Result<()> {
        let (tables, elements) = match rules.find("\nadd element ") {
            Some(end) => rules.split_at(end + 1),
            None => (rules, ""),
        };
        self.nft.text(tables)?;
        elements
            .lines()
            .try_for_each(|line| self.nft.text(line).map(drop))
    }

    fn fire(&self, shots: &[Shot]) -> io::Result<()> {
        shots.iter().try_for_each(|shot| self.arena.fire(shot))
    }
}

/// Commands that take every table of `rules` away again.
fn deletion(rules: &str) -> String {
    let tables = rules.lines().filter_map(|line| line.strip_prefix("table "));
    tables.fold(String::new(), |text, rest| {
        let name = rest.trim_end_matches(['{', ' ']);
        text + "delete table " + name + "\n"
    })
}
