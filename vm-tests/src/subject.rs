//! A machine under test with its addresses and services, and everybody else around it.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portreeve_model::address::{Family, Prefix};
use portreeve_vm_agent::{Answer, Ended, Interface, Request, Run, Service};

use crate::computer::Computer;
use crate::disk::Disk;
use crate::network::conversation::Hosts;
use crate::network::segment::Segment;
use crate::probe::{Prober, Verdict};
use crate::scenario::{Case, Machine};
use crate::vm::command_line::{Clock, MACS};
use crate::vm::control::{Pending, ended};
use crate::vm::{CARDS, Vm};

/// How long one part of a conversation may take.
const TALKS_WITHIN: Duration = Duration::from_secs(20);

/// A machine, and the internet.
#[derive(Debug)]
pub struct Subject {
    /// The machine.
    pub computer: Computer,
    /// What was on its disk when it began.
    pub begun_with: Option<Disk>,
    segments: [Segment; CARDS],
    hosts: [Hosts; CARDS],
    /// What its kernel has said so far.
    log: Vec<String>,
    prober: Prober,
}

impl Subject {
    /// Makes one that has just begun into the machine that a scenario wants.
    ///
    /// # Errors
    /// When the agent in it cannot.
    pub fn new(computer: Computer, machine: &Machine) -> Result<Self> {
        let mut subject = Self::around(computer, machine)?;
        subject.set_up(machine)?;
        Ok(subject)
    }

    /// Everybody around one that makes itself the machine that a scenario wants.
    ///
    /// # Errors
    /// When somebody has its cards already.
    pub fn around(mut computer: Computer, machine: &Machine) -> Result<Self> {
        let cards = computer.take_cards();
        let cards = cards.context("the machine is in use already")?;
        let mut macs = MACS.into_iter();
        let mut segments = cards.map(|card| {
            let mac = macs.next().expect("every card has an address");
            Segment::new(card, mac)
        });
        for (segment, addresses) in segments.iter_mut().zip(&machine.cards) {
            segment.belongs_to_machine(addresses.iter().map(|(address, _)| *address));
        }
        Ok(Self {
            computer,
            begun_with: None,
            segments,
            hosts: [Hosts::new(), Hosts::new()],
            log: Vec::new(),
            prober: Prober::default(),
        })
    }

    fn set_up(&mut self, machine: &Machine) -> Result<()> {
        if let Some(clock) = self.computer.clock() {
            if clock == Clock::Skipping {
                // Before anything else, or its time is far ahead of ours.
                self.ask(&Request::StayBusy)?;
            }
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            self.ask(&Request::SetClock {
                nanoseconds: u64::try_from(now.as_nanos())?,
            })?;
        }
        for (at, addresses) in machine.cards.iter().enumerate() {
            // Everybody is behind the first card; the second one leads to its own network only.
            let gateways = addresses.iter().filter(|_| at == 0);
            self.ask(&Request::Configure(Interface {
                name: format!("eth{at}"),
                addresses: addresses.clone(),
                gateways: gateways.map(gateway).collect(),
            }))?;
        }
        for port in &machine.serves {
            self.ask(&Request::Serve {
                port: *port,
                service: Service::Greet,
            })?;
        }
        Ok(())
    }

    /// What comes of each attempt, in their order.
    ///
    /// # Errors
    /// When it cannot be known.
    pub fn probe(&mut self, cases: &[Case]) -> Result<Vec<Verdict>> {
        let mut verdicts = vec![None; cases.len()];
        for card in 0..CARDS {
            let here = cases
                .iter()
                .enumerate()
                .filter(|(_, case)| case.card == card);
            let (places, probes): (Vec<usize>, Vec<_>) =
                here.map(|(at, case)| (at, case.probe)).unzip();
            let segment = &mut self.segments[card];
            let found = self.prober.run(segment, self.computer.control(), &probes)?;
            for (at, verdict) in places.into_iter().zip(found) {
                verdicts[at] = Some(verdict);
            }
        }
        let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        all.context("an attempt was not made")
    }

    /// Asks the agent, while everybody else goes on answering the machine.
    ///
    /// # Errors
    /// When it does not answer in time, or could not do it.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        let pending = self.computer.control().begin(request)?;
        self.answer(&pending)
    }

    /// The answer to what was asked, while everybody else goes on answering the machine.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn answer(&mut self, pending: &Pending) -> Result<Answer> {
        loop {
            if let Some(answer) = self.computer.control().answer(pending, Instant::now())? {
                return Ok(answer);
            }
            self.go_on()?;
        }
    }

    /// Runs a program of the machine to its end, however it ends.
    ///
    /// # Errors
    /// When it cannot be started, or does not end in time.
    pub fn run(&mut self, run: Run) -> Result<Ended> {
        let what = run.to_string();
        ended(&what, self.ask(&Request::Run(run))?)
    }

    /// Runs a program that must end well, and returns what it prints.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub fn must_run(&mut self, run: Run) -> Result<String> {
        let what = run.to_string();
        let ended = self.run(run)?;
        if ended.code == Some(0) {
            return Ok(ended.stdout);
        }
        let (said, complained) = (ended.stdout, ended.stderr);
        match ended.code {
            Some(code) => bail!("`{what}` in the VM ends with {code}: {said}{complained}"),
            None => bail!("`{what}` in the VM was killed: {said}{complained}"),
        }
    }

    /// The Ethernet behind the first card, and the VM.
    ///
    /// # Errors
    /// When the machine is no VM.
    pub fn outside(&mut self) -> Result<(&mut Segment, &mut Vm)> {
        Ok((&mut self.segments[0], self.computer.vm()?))
    }

    /// The hosts behind the first card.
    pub const fn hosts(&mut self) -> &mut Hosts {
        &mut self.hosts[0]
    }

    /// The hosts behind the second card.
    pub const fn inner_hosts(&mut self) -> &mut Hosts {
        &mut self.hosts[1]
    }

    /// Lets time pass on a machine whose clock skips it.
    ///
    /// # Errors
    /// When the machine does not tell that it has.
    pub fn advance(&mut self, time: Duration) -> Result<()> {
        let milliseconds = u64::try_from(time.as_millis())?;
        self.ask(&Request::LetPass { milliseconds }).map(drop)
    }

    /// Goes on until something has come true, which must happen in time.
    ///
    /// # Errors
    /// When it does not; `what` says what was waited for.
    pub fn until<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&mut Hosts) -> Option<T>,
    ) -> Result<T> {
        self.until_behind_any(what, |[hosts, _]| found(hosts))
    }

    /// The same, where hosts behind both cards have a part in it.
    ///
    /// # Errors
    /// As for [`until`](Self::until).
    pub fn until_behind_any<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&mut [Hosts; CARDS]) -> Option<T>,
    ) -> Result<T> {
        let until = Instant::now() + TALKS_WITHIN;
        loop {
            if let Some(found) = found(&mut self.hosts) {
                return Ok(found);
            }
            if Instant::now() > until {
                bail!("{what}: not within {} s", TALKS_WITHIN.as_secs());
            }
            self.go_on()?;
        }
    }

    /// Has everybody do what is due, and waits a moment for the machine to say something.
    fn go_on(&mut self) -> Result<()> {
        let mut buffered = false;
        for (hosts, segment) in self.hosts.iter_mut().zip(&mut self.segments) {
            hosts.step(segment, Instant::now())?;
            buffered |= segment.card().has_buffered();
        }
        if buffered {
            return Ok(());
        }
        let [first, second] = &self.segments;
        let control = self.computer.control();
        let descriptors = [control.as_fd(), first.card().as_fd(), second.card().as_fd()];
        let mut watched = descriptors.map(|it| PollFd::new(it, PollFlags::POLLIN));
        // The hosts have clocks of their own: they are looked at again soon.
        poll(&mut watched, PollTimeout::from(20_u8))?;
        Ok(())
    }

    /// Everything that its kernel has said so far.
    ///
    /// # Errors
    /// When the machine does not tell.
    pub fn kernel_log(&mut self) -> Result<&[String]> {
        match self.ask(&Request::KernelLog)? {
            Answer::Log(lines) => self.log.extend(lines),
            other => bail!("the agent was asked for the kernel's log and answered {other:?}"),
        }
        Ok(&self.log)
    }

    /// The rules that are loaded, with what their counters say.
    ///
    /// # Errors
    /// When the machine does not tell.
    pub fn rules_with_counters(&mut self) -> Result<String> {
        self.must_run(Run::new("/usr/sbin/nft", &["-a", "list", "ruleset"]))
    }

    /// The wires, for whoever wants to keep what went over them.
    #[must_use]
    pub const fn segments(&self) -> &[Segment; CARDS] {
        &self.segments
    }
}

/// The neighbour through which a card leads to everybody: the first address of its network.
pub(crate) fn gateway((address, length): &(IpAddr, u8)) -> IpAddr {
    let network = Prefix::around(*address, *length).interval();
    Family::of(*address).address(network.first() + 1)
}
