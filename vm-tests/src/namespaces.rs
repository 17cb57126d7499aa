//! A machine of namespaces: this machine's kernel, in which it has network, files, processes and users
//! of its own.
//!
//! The same agent is in it as in a virtual machine, on the same files, and its network cards carry the
//! same frames. Starting it takes no right that any user might not have, and nothing in it has any right
//! outside. It is gone when its [`Namespaces`] is.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use portreeve_vm_agent::{NAMESPACES, Run};
use portreeve_wire::handover::{give, take};

use crate::network::card::Card;
use crate::vm::control::Control;
use crate::vm::{CARDS, Console, inherit, pair};

/// How long it may take from its start to its first word.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// What a machine of namespaces is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The agent, as a program of this machine.
    pub agent: PathBuf,
    /// The archive of its files.
    pub files: PathBuf,
}

/// A machine of namespaces that runs.
#[derive(Debug)]
pub struct Namespaces {
    outside: Child,
    console: Console,
    /// Its network cards, in the order of its interfaces.
    pub cards: Option<[Card; CARDS]>,
    /// The agent in it.
    pub control: Control,
}

impl Namespaces {
    /// Starts a machine, and waits until its agent speaks.
    ///
    /// # Errors
    /// When it does not, with what it said instead.
    pub fn start(parts: &Parts) -> Result<Self> {
        stay_on_one_processor()?;
        let (ours, its) = pair()?;
        let archive = File::open(&parts.files)?;
        // It is there when it is asked for; until then, the socket keeps it.
        give(&ours, &[archive.as_fd()])?;
        let mut command = Command::new(&parts.agent);
        command
            .arg(NAMESPACES)
            .stdin(OwnedFd::from(its))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        inherit(&mut command, &[]);
        let mut outside = command
            .spawn()
            .with_context(|| format!("cannot start {}", parts.agent.display()))?;
        // The command holds the other end of its stdin: when the agent ends, so must the channel.
        drop(command);
        let console = Console::default();
        console.collect(outside.stdout.take());
        console.collect(outside.stderr.take());
        ours.set_read_timeout(Some(BEGINS_WITHIN))?;
        let wires = take(&ours);
        let mut machine = Self {
            outside,
            console,
            cards: None,
            control: Control::new(ours),
        };
        match wires
            .map_err(Into::into)
            .and_then(|wires| machine.begin(wires))
        {
            Ok(()) => Ok(machine),
            Err(error) => Err(machine.with_console(error)),
        }
    }

    fn begin(&mut self, wires: Vec<OwnedFd>) -> Result<()> {
        let cards = wires.into_iter().map(Card::of_packets);
        let cards = cards.collect::<Result<Vec<Card>>>()?;
        self.cards = cards.try_into().ok();
        self.control.hello(BEGINS_WITHIN)?;
        Ok(())
    }

    /// Whether rules can be loaded in it and do what they say to packets of every kind; found out by doing
    /// it.
    ///
    /// # Errors
    /// When they cannot, and what nft says to it.
    pub fn takes_rules(&mut self) -> Result<()> {
        let load = Run {
            stdin: RULES.to_owned(),
            ..Run::new("/usr/sbin/nft", &["-f", "-"])
        };
        let ended = self.control.run(load)?;
        if ended.code == Some(0) {
            return Ok(());
        }
        let said = ended.stderr.trim().replace('\n', " ");
        bail!(
            "nft in a namespace: {said}; the modules nf_tables, nft_ct, nft_reject_inet and nft_limit must be loaded (modprobe)"
        )
    }

    /// What it has written so far.
    #[must_use]
    pub fn console(&self) -> String {
        self.console.text()
    }

    /// The error, with the last lines that it wrote.
    #[must_use]
    pub fn with_console(&mut self, error: anyhow::Error) -> anyhow::Error {
        // What it says last comes before its end.
        self.kill();
        self.console.add_to(error)
    }

    fn kill(&mut self) {
        // It is gone already, or it goes now; and the first process in it goes with it.
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What every rule set of portreeve is made of, as far as kernels have it in modules.
const RULES: &str = "
table inet probe {
    set some { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }
    chain input {
        type filter hook input priority 0; policy accept;
        ct state established,related accept
        ip saddr @some tcp dport 22 counter accept
        icmp type echo-request limit rate 10/second accept
        meta l4proto udp reject
    }
}
";

/// Keeps this thread, and what it starts from now on, on one processor, each thread on the next one.
///
/// The kernel deals with a frame where it was sent, and has a queue there. So there is one queue, as in
/// front of a VM of one processor, and ARP's answer comes after everything else.
fn stay_on_one_processor() -> Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static TURN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let is_allowed = |at: &usize| allowed.is_set(*at).unwrap_or(false);
    let allowed: Vec<usize> = (0..CpuSet::count()).filter(is_allowed).collect();
    let mut one = CpuSet::new();
    let at = TURN.with(|turn| turn % allowed.len().max(1));
    one.set(*allowed.get(at).context("no processor is allowed")?)?;
    Ok(sched_setaffinity(this, &one)?)
}
