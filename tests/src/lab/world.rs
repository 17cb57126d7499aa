//! The story of one run, told from inside the server's namespace.

use std::collections::BTreeMap;
use std::io;

use portreeve_model::address::Family;
use portreeve_model::evaluate::{Fate, HookVerdict, evaluate};
use portreeve_model::field::PortProtocol;
use portreeve_model::icmp;
use portreeve_model::packet::{Addresses, CtState, Hook, Packet, Transport};
use portreeve_model::ruleset::Ruleset;

use crate::lab::client::{Answer, Client, Request};
use crate::lab::server::Server;
use crate::lab::sources::{Source, sources};
use crate::lab::{Held, Observation, Outcome, Probe, Report, Service, barrier, network, subject};

/// Everybody tries everything, then the rules come, then everybody tries again.
///
/// # Errors
/// When the lab itself does not work: never because of what the rules do.
pub fn run(policy: &str, subject: &subject::Subject) -> io::Result<Report> {
    let ruleset = subject.planned()?;
    let sources = sources();
    // The server too, and the client that it starts: its answers must not overtake a barrier on
    // another processor.
    barrier::stay_on_one_processor()?;
    let mut world = World::start(&sources)?;
    subject::load_bystander()?;
    let bystander = subject::list_bystander()?;

    let probes = probes(&sources);
    let before = world.observe(&probes, |_| vec![Outcome::Open])?;
    let held = world.hold(&sources)?;
    subject.apply()?;
    let after = world.observe(&probes, |probe| expected(&ruleset, probe))?;
    let held = world.held(held)?;

    Ok(Report {
        policy: policy.to_owned(),
        sources,
        before,
        after,
        held,
        bystander_untouched: subject::list_bystander()? == bystander,
    })
}

/// Each source tries each service at the server's address of its family.
fn probes(sources: &[Source]) -> Vec<Probe> {
    let from = |source: &Source| {
        let saddr = source.address;
        Service::ALL.map(|service| probe(saddr, service))
    };
    sources.iter().flat_map(from).collect()
}

fn probe(saddr: std::net::IpAddr, service: Service) -> Probe {
    let daddr = network::SERVER[usize::from(saddr.is_ipv6())];
    Probe {
        saddr,
        daddr,
        service,
    }
}

/// The server, which this process is, and the client.
struct World {
    client: Client,
    server: Server,
}

impl World {
    fn start(sources: &[Source]) -> io::Result<Self> {
        let addresses: Vec<_> = sources.iter().map(|source| source.address).collect();
        Ok(Self {
            client: Client::start(&addresses)?,
            server: Server::listen()?,
        })
    }

    /// Makes every attempt and says what came of it.
    fn observe(
        &mut self,
        probes: &[Probe],
        expected: impl Fn(&Probe) -> Vec<Outcome>,
    ) -> io::Result<Vec<Observation>> {
        network::forget_neighbours()?;
        self.client.ask(&Request::Send(probes.to_vec()))?;
        self.client.done()?;
        self.server.answer()?;
        self.client.ask(&Request::Collect)?;
        let Answer::Outcomes(outcomes) = self.client.answer()? else {
            return Err(io::Error::other("client: no outcomes"));
        };
        self.server.hang_up()?;
        let observe = |(probe, outcome): (&Probe, Outcome)| Observation {
            probe: *probe,
            outcome,
            expected: expected(probe),
        };
        Ok(probes.iter().zip(outcomes).map(observe).collect())
    }

    /// Opens a connection from each source to a port that no policy lets in.
    fn hold(&mut self, sources: &[Source]) -> io::Result<Vec<Probe>> {
        let probes: Vec<Probe> = sources
            .iter()
            .map(|source| probe(source.address, Service::Tcp(super::HIGH_PORT)))
            .collect();
        self.client.ask(&Request::Hold(probes.clone()))?;
        self.client.done()?;
        let held = self.server.hold(probes.len())?;
        if held == probes.len() {
            Ok(probes)
        } else {
            let all = probes.len();
            Err(io::Error::other(format!(
                "{held} of {all} connections opened"
            )))
        }
    }

    /// Says something on each of those connections, first from the client's side.
    fn held(&mut self, probes: Vec<Probe>) -> io::Result<Vec<Held>> {
        self.client.ask(&Request::Speak)?;
        self.client.done()?;
        self.server.answer()?;
        self.client.ask(&Request::Listen)?;
        let Answer::Heard(heard) = self.client.answer()? else {
            return Err(io::Error::other("client: heard nothing"));
        };
        let held = |(probe, survived)| Held { probe, survived };
        Ok(probes.into_iter().zip(heard).map(held).collect())
    }
}

/// What the model allows to come of an attempt.
fn expected(ruleset: &Ruleset, probe: &Probe) -> Vec<Outcome> {
    let tables = ruleset.tables(portreeve_nft::TABLE);
    let evaluation = evaluate(&tables, &packet(probe));
    let outcome = |fate: &Fate<'_>| outcome(fate, Family::of(probe.saddr));
    evaluation.fates.iter().map(outcome).collect()
}

/// The first packet of an attempt, as the server's input hook sees it.
fn packet(probe: &Probe) -> Packet {
    let ports = |protocol, dport| Transport::Ports {
        protocol,
        sport: SOURCE_PORT,
        dport,
    };
    let transport = match probe.service {
        Service::Tcp(port) => ports(PortProtocol::Tcp, port),
        Service::Udp(port) => ports(PortProtocol::Udp, port),
        Service::Echo => Transport::Icmp {
            icmp_type: icmp::type_number(Family::of(probe.saddr), "echo-request")
                .expect("both families have an echo request"),
        },
    };
    Packet {
        hook: Hook::Input,
        iifname: network::INTERFACE.to_owned(),
        oifname: String::new(),
        addresses: Addresses::new(probe.saddr, probe.daddr)
            .expect("both addresses are of one family"),
        hop_limit: 64,
        transport,
        ct_state: CtState::New,
        facts: BTreeMap::new(),
    }
}

/// Stands for whatever port the kernel picks for an attempt.
const SOURCE_PORT: u16 = 40_000;

/// What the client sees of a fate.
const fn outcome(fate: &Fate<'_>, family: Family) -> Outcome {
    match (fate.verdict, fate.reject) {
        (HookVerdict::Accept, _) => Outcome::Open,
        (HookVerdict::Drop, None) => Outcome::Dropped,
        (HookVerdict::Drop, Some(reject)) => match reject.code(family) {
            Some(code) => Outcome::Rejected(code),
            None => Outcome::Reset,
        },
    }
}
