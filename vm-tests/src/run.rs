//! One scenario on one machine: what happened, and how it differs from what must.
//!
//! A machine on which not everything is open before any rule is there says nothing about rules; and
//! what could not be found out is an error of the run, never a verdict.

mod cut;
mod restart;
mod system;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portreeve_model::tables::Tables;
use portreeve_vm_agent::{Answer, Protocol, Request, Run};
use tempfile::NamedTempFile;

use crate::compare::{Difference, predicted};
use crate::file_system;
use crate::network::conversation::{Connection, Hosts};
use crate::operator;
use crate::probe::Verdict;
use crate::scenario::{Case, Plan, Scenario, Step};
use crate::subject::Subject;

pub use cut::Began;
pub use restart::Origin;

/// Where the machine has its configuration.
const FOLDER: &str = "/etc/portreeve";

/// What one run found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Attempts that were made.
    pub probes: usize,
    /// How long they took.
    pub probing: Duration,
    /// How long the machine took to be there.
    pub beginning: Duration,
    /// What was not as the file says.
    pub failures: Vec<Failure>,
    /// What was not as the model says, from the rules that the kernel lists.
    pub differences: Vec<Failure>,
    /// What else there is to tell.
    pub told: Vec<String>,
    /// Attempts of which the model leaves open what comes of them.
    pub undecided: usize,
    /// Steps that could not be shown: their numbers, and what they are.
    pub not_shown: Vec<String>,
    /// What machines began with after a power cut.
    pub cuts: Began,
}

/// Something that was not as it must be.
#[derive(Clone, Debug)]
pub enum Failure {
    /// An attempt.
    Probe {
        /// Which.
        case: Case,
        /// What came of it.
        observed: Verdict,
        /// What may come of it.
        allowed: BTreeSet<Verdict>,
        /// How they differ.
        difference: Difference,
    },
    /// An attempt of which there is no word but the model's, which leaves it open.
    Undecided {
        /// Which.
        case: Case,
        /// What may come of it.
        possible: BTreeSet<Verdict>,
    },
    /// Anything else.
    Other(String),
}

impl Findings {
    /// Whether everything was as it must be.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failures.is_empty() && self.differences.is_empty()
    }
}

impl Failure {
    /// How an attempt differs from what may come of it, if it does.
    pub(crate) fn of(case: &Case, observed: Verdict, allowed: BTreeSet<Verdict>) -> Option<Self> {
        let difference = Difference::between(observed, &allowed)?;
        Some(Self::Probe {
            case: case.clone(),
            observed,
            allowed,
            difference,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe {
                case,
                observed,
                allowed,
                difference,
            } => {
                let probe = &case.probe;
                write!(
                    f,
                    "{}: {} from {} (`{}`) is {observed}, not {}",
                    difference.text(),
                    probe.target,
                    probe.from,
                    case.class,
                    either(allowed)
                )
            }
            Self::Undecided { case, possible } => write!(
                f,
                "undecided: {} from {} (`{}`) is {}, the model cannot tell; it must be {}",
                case.probe.target,
                case.probe.from,
                case.class,
                either(possible),
                case.verdict
            ),
            Self::Other(what) => f.write_str(what),
        }
    }
}

fn either(verdicts: &BTreeSet<Verdict>) -> String {
    let words: Vec<String> = verdicts.iter().map(ToString::to_string).collect();
    words.join(" or ")
}

/// Runs a scenario on a machine that has nothing loaded. Those that come after it are of the same
/// origin; the last one is left.
///
/// # Errors
/// When anything could not be found out.
pub fn run(scenario: &Scenario, origin: Origin<'_>, subject: &mut Subject) -> Result<Findings> {
    let mut session = Session {
        origin,
        is_on: true,
        initrd: None,
        subject,
        findings: Findings::default(),
        connections: HashMap::new(),
        token: None,
    };
    if scenario.machine.disk {
        file_system::make(session.subject)?;
        file_system::mount(session.subject)?;
    }
    session
        .baseline(&scenario.cases)
        .context("before any rule is there")?;
    if let Some(others) = &scenario.machine.others {
        session.load(others)?;
    }
    session.apply(&scenario.plan, &["--no-trial"])?;
    session.judge(&scenario.cases)?;
    for (number, step) in (1..).zip(&scenario.steps) {
        let taken = session.take(step, scenario);
        taken.with_context(|| format!("step {number}"))?;
    }
    if session.is_on {
        session.health()?;
    }
    Ok(session.findings)
}

struct Session<'a> {
    origin: Origin<'a>,
    /// Whether the machine runs.
    is_on: bool,
    /// What it has been started from, if not from a template.
    initrd: Option<NamedTempFile>,
    subject: &'a mut Subject,
    findings: Findings,
    /// Connections by name.
    connections: HashMap<String, Connection>,
    /// The word that confirms what is on trial.
    token: Option<String>,
}

impl Session<'_> {
    /// Without rules everything is open; where it is not, "dropped" would mean nothing.
    fn baseline(&mut self, cases: &[Case]) -> Result<()> {
        let verdicts = self.probe(cases)?;
        let mut closed = cases
            .iter()
            .zip(&verdicts)
            .filter(|(_, it)| **it != Verdict::Open);
        match closed.next() {
            None => Ok(()),
            Some((case, verdict)) => bail!(
                "{} from {} is {verdict} and not open, and {} more are not",
                case.probe.target,
                case.probe.from,
                closed.count()
            ),
        }
    }

    /// Loads tables of others.
    fn load(&mut self, rules: &str) -> Result<()> {
        let run = Run {
            stdin: rules.to_owned(),
            ..Run::new("/usr/sbin/nft", &["-f", "-"])
        };
        self.subject.must_run(run).map(drop)
    }

    /// What comes of each attempt, in their order.
    fn probe(&mut self, cases: &[Case]) -> Result<Vec<Verdict>> {
        let start = Instant::now();
        let verdicts = self.subject.probe(cases)?;
        self.findings.probes += cases.len();
        self.findings.probing += start.elapsed();
        Ok(verdicts)
    }

    /// Writes a file of the machine.
    fn write(&mut self, path: &str, content: Vec<u8>) -> Result<()> {
        let request = Request::Write {
            path: path.to_owned(),
            content,
            mode: 0o644,
        };
        self.subject.ask(&request).map(drop)
    }

    /// Puts a policy's rules into force, and returns what portreeve says to that.
    fn apply(&mut self, plan: &Plan, how: &[&str]) -> Result<String> {
        for (path, content) in plan.files(Path::new(FOLDER))? {
            self.write(&path.to_string_lossy(), content)?;
        }
        self.subject.must_run(operator::apply(&plan.settings, how))
    }

    /// Puts them on trial, and keeps the word that confirms them.
    fn begin_trial(&mut self, plan: &Plan, lasts: &str) -> Result<()> {
        let said = self.apply(plan, &operator::trial(lasts))?;
        self.token = Some(operator::token(&said)?.to_owned());
        Ok(())
    }

    /// Confirms the trial as somebody who came in over a connection would.
    fn confirm(&mut self, over: &str) -> Result<()> {
        let token = self.token.take().context("nothing is on trial")?;
        let connection = *self
            .connections
            .get(over)
            .with_context(|| format!("there is no connection `{over}`"))?;
        let ends = self.subject.hosts().ends(connection);
        let [client, server] = ends.context("the connection is over")?;
        let words = [client, server].map(|end| format!("{} {}", end.ip(), end.port()));
        let run = Run {
            environment: vec![("SSH_CONNECTION".to_owned(), words.join(" "))],
            ..operator::portreeve(&["confirm", &token])
        };
        self.subject.must_run(run).map(drop)
    }

    /// Makes attempts until all of them end as they must.
    fn wait_for(&mut self, cases: &[Case], within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let verdicts = self.probe(cases)?;
            let mut wrong = cases
                .iter()
                .zip(verdicts)
                .filter(|(case, it)| case.verdict != *it);
            let Some((case, verdict)) = wrong.next() else {
                return self.judge(cases);
            };
            if Instant::now() > until {
                let (target, from) = (case.probe.target, case.probe.from);
                let seconds = within.as_secs();
                self.fail(format!(
                    "after {seconds} s {target} from {from} is still {verdict}"
                ));
                return Ok(());
            }
        }
    }

    /// Makes attempts, and compares them with the file and with the model.
    fn judge(&mut self, cases: &[Case]) -> Result<()> {
        let tables = self.tables()?;
        let verdicts = self.probe(cases)?;
        for (case, observed) in cases.iter().zip(verdicts) {
            let expected = BTreeSet::from([case.verdict]);
            self.findings
                .failures
                .extend(Failure::of(case, observed, expected));
            let predicted = predicted(&tables, case);
            self.findings.undecided += usize::from(predicted.len() > 1);
            let differs = Failure::of(case, observed, predicted);
            self.findings.differences.extend(differs);
        }
        Ok(())
    }

    /// What the kernel lists, as portreeve reads it.
    fn tables(&mut self) -> Result<Tables> {
        let list = Run::new("/usr/sbin/nft", &["-j", "list", "ruleset"]);
        let listing = self.subject.must_run(list)?;
        Ok(portreeve_nft::read(&listing)?)
    }

    fn take(&mut self, step: &Step, scenario: &Scenario) -> Result<()> {
        match step {
            Step::Apply(plan) => self.apply(plan, &["--no-trial"]).map(drop),
            Step::Trial { plan, lasts } => self.begin_trial(plan, lasts),
            Step::Confirm { over } => self.confirm(over),
            Step::Eventually { cases, within } => self.wait_for(cases, *within),
            Step::Reboot => self.reboot(),
            Step::Cut(cuts) => self.cut(cuts, &scenario.cases),
            Step::Probe(cases) => self.judge(cases),
            Step::Advance(time) => self.subject.advance(*time),
            Step::Talk { name, from, to } => self.talk(name, *from, *to),
            Step::Tunnel {
                protocol,
                to,
                service,
            } => self.tunnel(*protocol, *to, *service),
            Step::Reach { to, open } => self.reach(*to, *open),
            Step::Forward { from, to, by } => self.forward(*from, *to, *by),
            Step::Run { words, ends, says } => self.run(words, *ends, says.as_deref()),
            Step::Write { path, text } => self.write(path, text.clone().into_bytes()),
            Step::Boot { change, caught } => self.start_anew(change, &scenario.cases, *caught),
            Step::End { how, caught } => self.end(how, &scenario.cases, *caught),
        }
    }

    /// Says a line, over a connection that stands or is opened now, and hears its answer.
    fn talk(&mut self, name: &str, from: IpAddr, to: SocketAddr) -> Result<()> {
        let connection = match self.connections.get(name) {
            Some(connection) => *connection,
            None => {
                let connection = self.subject.hosts().connect(from, to)?;
                let what = format!("a connection from {from} to {to}");
                self.subject.until(&what, |hosts| {
                    hosts.is_established(connection).then_some(())
                })?;
                self.connections.insert(name.to_owned(), connection);
                connection
            }
        };
        self.subject
            .hosts()
            .send_line(connection, "anybody there")?;
        let what = format!("an answer over `{name}`");
        let line = self.subject.until(&what, |hosts| hosts.line(connection))?;
        let expected = format!("hello {from} anybody there");
        if line != expected {
            self.fail(format!("over `{name}` came {line:?}, not {expected:?}"));
        }
        Ok(())
    }

    /// Has the machine open a tunnel outward, and asks a service of it down the tunnel.
    fn tunnel(&mut self, protocol: Protocol, to: SocketAddr, service: SocketAddr) -> Result<()> {
        let request = Request::Tunnel {
            protocol,
            to,
            service,
            within_ms: 15_000,
        };
        let heard = match protocol {
            Protocol::Tcp => self.tunnel_over_tcp(&request, to)?,
            Protocol::Udp => self.tunnel_over_udp(&request, to)?,
        };
        let expected = format!("hello {} a request", service.ip());
        if heard != expected {
            self.fail(format!(
                "out of the tunnel to {to} came {heard:?}, not {expected:?}"
            ));
        }
        Ok(())
    }

    fn tunnel_over_tcp(&mut self, request: &Request, to: SocketAddr) -> Result<String> {
        let connection = self.subject.hosts().listen(to)?;
        made(&self.subject.ask(request)?)?;
        let registered = |hosts: &mut Hosts| hosts.line(connection);
        self.subject.until("the tunnel's first word", registered)?;
        self.subject.hosts().send_line(connection, "a request")?;
        let what = "an answer out of the tunnel";
        let line = self.subject.until(what, |hosts| hosts.line(connection))?;
        self.subject.hosts().abort(connection);
        Ok(line)
    }

    fn tunnel_over_udp(&mut self, request: &Request, to: SocketAddr) -> Result<String> {
        let port = self.subject.hosts().take_datagrams(to)?;
        let pending = self.subject.computer.control().begin(request)?;
        let what = "the tunnel's first datagram";
        let (_, machine) = self.subject.until(what, |hosts| hosts.datagram(port))?;
        self.subject
            .hosts()
            .answer_datagram(port, machine, "REGISTERED")?;
        let answer = self.subject.answer(&pending)?;
        made(&answer)?;
        self.subject
            .hosts()
            .answer_datagram(port, machine, "a request")?;
        let what = "an answer out of the tunnel";
        let (line, _) = self.subject.until(what, |hosts| hosts.datagram(port))?;
        Ok(line)
    }

    /// Has the machine open a connection to a host that listens.
    fn reach(&mut self, to: SocketAddr, open: bool) -> Result<()> {
        let connection = self.subject.hosts().listen(to)?;
        let answer = self.subject.ask(&Request::Connect {
            to,
            within_ms: 3_000,
        })?;
        let made = match answer {
            Answer::Connected(made) => made,
            other => bail!("the agent was asked to connect to {to} and answered {other:?}"),
        };
        self.subject.hosts().abort(connection);
        match (made, open) {
            (Err(refused), true) => {
                self.fail(format!("the machine does not reach {to}: {refused:?}"))
            }
            (Ok(_), false) => self.fail(format!("the machine reaches {to}, which it must not")),
            (Ok(_), true) | (Err(_), false) => {}
        }
        Ok(())
    }

    /// Has somebody talk to a host behind the machine, at an address of the machine.
    fn forward(&mut self, from: IpAddr, to: SocketAddr, by: SocketAddr) -> Result<()> {
        const SAID: &str = "anybody there";
        let server = self.subject.inner_hosts().listen(by)?;
        let client = self.subject.hosts().connect(from, to)?;
        let what = format!("a connection from {from} to {to}, which leads to {by}");
        self.subject.until_behind_any(&what, |[outer, inner]| {
            (outer.is_established(client) && inner.is_established(server)).then_some(())
        })?;
        self.subject.hosts().send_line(client, SAID)?;
        let heard = self
            .subject
            .until_behind_any("a line behind the machine", |[_, inner]| inner.line(server))?;
        if heard != SAID {
            self.fail(format!("at {by} came {heard:?}, not {SAID:?}"));
        }
        self.subject.hosts().abort(client);
        Ok(())
    }

    fn run(&mut self, words: &[String], ends: i32, says: Option<&str>) -> Result<()> {
        let (program, arguments) = words.split_first().context("no program is named")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = self.subject.run(Run::new(program, &arguments))?;
        let said = ended.stdout + &ended.stderr;
        if ended.code != Some(ends) {
            let code = ended.code;
            self.fail(format!(
                "`{}` ends with {code:?}, not {ends}: {said}",
                words.join(" ")
            ));
        }
        if let Some(part) = says
            && !said.contains(part)
        {
            self.fail(format!(
                "`{}` does not say {part:?}, but: {said}",
                words.join(" ")
            ));
        }
        Ok(())
    }

    /// A kernel that complains has not judged anything.
    fn health(&mut self) -> Result<()> {
        if !self.subject.computer.has_own_kernel() {
            // What this one says is not of this machine only, and not for everybody to read.
            return Ok(());
        }
        let lines = self.subject.kernel_log()?;
        match complaint(lines.iter().map(String::as_str)) {
            Some(line) => bail!("the VM's kernel complains: {line}"),
            None => Ok(()),
        }
    }

    fn fail(&mut self, what: String) {
        self.findings.failures.push(Failure::Other(what));
    }
}

/// The first line in which a kernel complains.
fn complaint<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const COMPLAINTS: [&str; 8] = [
        "EXT4-fs error",
        "I/O error",
        "Oops",
        "BUG:",
        "WARNING:",
        "table full",
        "soft lockup",
        "Call Trace",
    ];
    lines.find(|line| COMPLAINTS.iter().any(|it| line.contains(it)))
}

/// Whether a connection was made.
fn made(answer: &Answer) -> Result<()> {
    match answer {
        Answer::Connected(Ok(_)) => Ok(()),
        other => bail!("the tunnel is not made: {other:?}"),
    }
}
