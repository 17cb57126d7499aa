//! The machine whose rules are changed, the namespace that this process runs in, and each way of
//! changing them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::feed::Feed;
use super::operations::{Log, Step};
use super::processors::{processors, stay_on};
use super::{Cell, Change, List};
use crate::namespace::tool;
use crate::program::{Run, Subject};

/// What `portreeve apply` exits with when nobody confirmed.
const LAPSED: i32 = 7;

/// Table in which nft changes the chain policy: two chains that keep out the same packets, and a
/// base chain that leads to one of them.
const CHAINS: &str = "table inet chains {
    set v4 { type ipv4_addr; flags interval; elements = { ELEMENTS_V4 }; }
    set v6 { type ipv6_addr; flags interval; elements = { ELEMENTS_V6 }; }
    chain closed_by_policy {
        ct state established accept
        ip saddr @v4 drop
        ip6 saddr @v6 drop
        tcp dport { 22, 443 } accept
    }
    chain closed_by_rule {
        jump closed_by_policy
        drop
    }
    chain input {
        type filter hook input priority 0; policy drop;
        goto closed_by_policy
    }
}";

/// How long a round is in which nothing is done.
const QUIET: Duration = Duration::from_secs(1);

/// Somebody else's table: conversations are known before the rules come, and stay known.
const BYSTANDER: &str = "table inet bystander {
    chain prerouting {
        type filter hook prerouting priority -150; policy accept;
        ct state vmap { established : accept, new : accept }
    }
}";

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    change: Change,
    list: List,
    block_list: PathBuf,
    subject: Subject,
    feed: Feed,
    /// Which list is written next.
    next: usize,
    /// A confirmed generation that is not the last one.
    earlier: u64,
}

impl Machine {
    /// How many different lists a run of so many rounds takes.
    pub(super) const fn lists(rounds: usize) -> usize {
        1 + rounds * 3
    }

    /// One on which nothing has been done yet. `block_list` is the component of that policy.
    pub(super) fn new(cell: &Cell, feed: Feed, block_list: &Path) -> Self {
        Self {
            change: cell.change,
            list: cell.list,
            block_list: block_list.to_owned(),
            subject: Subject::new(),
            feed,
            next: 0,
            earlier: 1,
        }
    }

    /// Makes the kernel track connections from now on, whatever else is loaded.
    pub(super) fn track_connections(&self) -> io::Result<()> {
        let table = self.subject.path("bystander.nft");
        fs::write(&table, BYSTANDER)?;
        nft(&["-f", &table.to_string_lossy()])
    }

    /// Puts the first rule set in force.
    pub(super) fn prepare(&mut self) -> io::Result<()> {
        self.write_list()?;
        match self.change {
            Change::Nothing
            | Change::NothingWhileBusy
            | Change::Apply
            | Change::Trial
            | Change::ChainPolicy => self.apply_at_once(),
            Change::ChainPolicyByNft => {
                self.write_chains()?;
                self.load_table()
            }
            Change::ReplaceTable | Change::FlushRuleset => {
                self.write_table()?;
                self.load_table()
            }
        }
    }

    /// Does everything once.
    pub(super) fn change(&mut self, log: &mut Log) -> io::Result<()> {
        match self.change {
            Change::Nothing => {
                thread::sleep(QUIET);
                Ok(())
            }
            Change::NothingWhileBusy => keep_busy(QUIET),
            Change::ReplaceTable => {
                self.write_list()?;
                self.write_table()?;
                log.timed(Step::Load, || self.load_table())
            }
            Change::FlushRuleset => {
                self.write_list()?;
                self.write_table()?;
                log.timed(Step::Flush, || nft(&["flush", "ruleset"]))?;
                log.timed(Step::Load, || self.load_table())
            }
            Change::Apply => {
                self.write_list()?;
                log.timed(Step::Apply, || self.apply_at_once())
            }
            Change::Trial => self.trial(log),
            Change::ChainPolicy => self.chain_policy(log),
            Change::ChainPolicyByNft => (0..3).try_for_each(|_| self.chain_policy_by_nft(log)),
        }
    }

    /// Changes the chain policy three times: by a confirmation, and twice without a trial. So each
    /// comes in one direction in this round, and in the other in the next.
    fn chain_policy(&mut self, log: &mut Log) -> io::Result<()> {
        let token = self.apply_on_trial(log)?["token"].take();
        let token = token.as_str().ok_or_else(|| io::Error::other("no token"))?;
        log.timed(Step::Confirm, || {
            self.json(&["confirm", token, "--from-console"])
        })?;
        (0..2).try_for_each(|_| {
            self.write_list()?;
            log.timed(Step::Apply, || self.apply_at_once())
        })
    }

    /// Changes the chain policy and the rule in the base chain, in one transaction.
    fn chain_policy_by_nft(&mut self, log: &mut Log) -> io::Result<()> {
        let (policy, chain) =
            [("drop", "closed_by_policy"), ("accept", "closed_by_rule")][self.next % 2];
        self.next += 1;
        let input = "chain inet chains input";
        let hook = "type filter hook input priority 0";
        let script = format!(
            "flush {input}\n\
             add {input} {{ {hook}; policy {policy}; }}\n\
             add rule inet chains input goto {chain}\n"
        );
        fs::write(self.table(), script)?;
        log.timed(Step::Load, || self.load_table())
    }

    /// Puts three rule sets on trial: one is confirmed, one lapses, one is taken back. Then an
    /// earlier generation is restored.
    fn trial(&mut self, log: &mut Log) -> io::Result<()> {
        let token = self.apply_on_trial(log)?["token"].take();
        let token = token.as_str().ok_or_else(|| io::Error::other("no token"))?;
        let confirmed = log.timed(Step::Confirm, || {
            self.json(&["confirm", token, "--from-console"])
        })?;

        self.lapse(log)?;

        self.apply_on_trial(log)?;
        log.timed(Step::Rollback, || self.json(&["rollback"]))?;

        let earlier = self.earlier.to_string();
        log.timed(Step::Restore, || self.json(&["rollback", &earlier]))?;
        let number = confirmed["confirmed"].as_u64();
        self.earlier = number.ok_or_else(|| io::Error::other("no number was confirmed"))?;
        Ok(())
    }

    /// Puts the next list on trial, for longer than anything here takes.
    fn apply_on_trial(&mut self, log: &mut Log) -> io::Result<Value> {
        self.write_list()?;
        let apply = ["apply", "--confirm-within", "5m", "--no-wait"];
        log.timed(Step::Apply, || self.json(&apply))
    }

    /// Puts the next list on trial for a moment, and waits until it has lapsed.
    fn lapse(&mut self, log: &mut Log) -> io::Result<()> {
        self.write_list()?;
        let apply = ["apply", "--confirm-within", "1s", "--format", "json"];
        let program = Command::new(&self.subject.program);
        let mut program = self.subject.with(program, &apply);
        let program = program.stdout(Stdio::piped()).stderr(Stdio::null());
        let (mut watcher, _answers) = log.timed(Step::Apply, || {
            let mut watcher = program.spawn()?;
            let stdout = watcher.stdout.take().expect("piped");
            let mut answers = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
            // It says what it did, and then goes on to watch.
            match answers.next() {
                Some(answer) => answer.map(|_| (watcher, answers)).map_err(io::Error::from),
                None => Err(io::Error::other(format!("apply: {}", watcher.wait()?))),
            }
        })?;
        let ended = log.timed(Step::Lapse, || watcher.wait())?;
        if ended.code() == Some(LAPSED) {
            return Ok(());
        }
        Err(io::Error::other(format!("apply did not lapse: {ended}")))
    }

    /// Writes the next list, and a configuration that refers to it.
    fn write_list(&mut self) -> io::Result<()> {
        fs::write(self.subject.path("list"), self.feed.text(self.next))?;
        let source = "source = \"file:list\"";
        self.subject.configure(&match self.list {
            List::Allow => format!("[feeds.cloudflare]\n{source}\n"),
            List::Block => {
                // The chain policy changes with the rules, and for a packet nothing does.
                let closed_by = ["policy", "rule"][self.next % 2];
                let policy = self.block_list.display();
                format!(
                    "policy = \"{policy}\"\n\
                     [settings]\nclosed-by = \"{closed_by}\"\n\
                     [feeds.blocked]\n{source}\n"
                )
            }
        });
        self.next += 1;
        Ok(())
    }

    fn apply_at_once(&self) -> io::Result<()> {
        let run = self.subject.run_again(&["apply", "--no-trial"]);
        well(&run, "apply").map(drop)
    }

    /// What the program answers.
    fn json(&self, arguments: &[&str]) -> io::Result<Value> {
        let with_format = [arguments, &["--format", "json"]].concat();
        let run = self.subject.run_again(&with_format);
        well(&run, arguments[0]).map(Run::json)
    }

    /// Writes the planned table as a transaction of nft.
    fn write_table(&self) -> io::Result<()> {
        let run = self.subject.run_again(&["plan", "--format", "nft"]);
        let plan = &well(&run, "plan")?.stdout;
        let name = "table inet portreeve";
        fs::write(self.table(), format!("add {name}\ndelete {name}\n{plan}"))
    }

    /// Writes the first list as [`CHAINS`].
    fn write_chains(&self) -> io::Result<()> {
        let text = self.feed.text(0);
        let (v6, v4): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains(':'));
        let table = CHAINS
            .replace("ELEMENTS_V4", &v4.join(", "))
            .replace("ELEMENTS_V6", &v6.join(", "));
        fs::write(self.table(), table)
    }

    fn load_table(&self) -> io::Result<()> {
        nft(&["-f", &self.table().to_string_lossy()])
    }

    fn table(&self) -> PathBuf {
        self.subject.path("table.nft")
    }
}

fn nft(arguments: &[&str]) -> io::Result<()> {
    let run = Run::of(Command::new(tool("nft")?).args(arguments));
    well(&run, "nft").map(drop)
}

/// The run, when it ended well.
fn well<'a>(run: &'a Run, what: &str) -> io::Result<&'a Run> {
    if run.code == Some(0) {
        return Ok(run);
    }
    let said = format!("{}{}", run.stdout, run.stderr);
    Err(io::Error::other(format!("{what}: {:?}: {said}", run.code)))
}

/// Gives each processor two things to do that never wait.
fn keep_busy(time: Duration) -> io::Result<()> {
    let (first, last) = processors()?;
    let stop = Arc::new(AtomicBool::new(false));
    let spin = |processor| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let stays = stay_on(processor);
            while !stop.load(Ordering::Relaxed) {}
            stays
        })
    };
    let spinning = [first, first, last, last].map(spin);
    thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    spinning
        .into_iter()
        .try_for_each(|thread| thread.join().expect("it does not panic"))
}
