//! The client's side: tries what it is told to try, and says what came of each attempt.
//!
//! It runs in a namespace of its own and speaks JSON, one line for each request and each answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_TCP, PROTOCOL_UDP, icmp_protocol};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::packets::{self, Flow, Message};
use crate::lab::{Outcome, Probe, Service, barrier, network};

/// What the client can be asked.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Request {
    /// Own these addresses.
    Connect(Vec<IpAddr>),
    /// Begin these attempts, all at once; answered when the server has dealt with them.
    Send(Vec<Probe>),
    /// Say what came of them.
    Collect,
    /// Open these connections and keep them.
    Hold(Vec<Probe>),
    /// Say something on each connection that is kept.
    Speak,
    /// Say on which of them the server's echo came back.
    Listen,
}

/// What the client answers.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Answer {
    Done,
    Outcomes(Vec<Outcome>),
    Heard(Vec<bool>),
    Failed(String),
}

/// The client, as the server sees it.
pub(super) struct Client {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it and lays the cable.
    pub(super) fn start(addresses: &[IpAddr]) -> io::Result<Self> {
        let mut process = network::start_client()?;
        let requests = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answers = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut client = Self {
            process,
            requests,
            answers: BufReader::new(answers),
        };
        // Its first line says that it is in its namespace.
        client.done()?;
        network::connect_server(client.process.id())?;
        client.ask(&Request::Connect(addresses.to_vec()))?;
        client.done()?;
        Ok(client)
    }

    /// Sends a request.
    pub(super) fn ask(&mut self, request: &Request) -> io::Result<()> {
        write_line(&mut self.requests, request)
    }

    /// Waits for the answer.
    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match serde_json::from_str(&line)? {
            Answer::Failed(reason) => Err(io::Error::other(format!("client: {reason}"))),
            answer => Ok(answer),
        }
    }

    /// Waits for an answer that carries nothing.
    pub(super) fn done(&mut self) -> io::Result<()> {
        match self.answer()? {
            Answer::Done => Ok(()),
            other => Err(io::Error::other(format!("client: answered {other:?}"))),
        }
    }
}

impl Drop for Client {
    /// Its namespace ends with it.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The client's own main loop: until nobody asks any more.
///
/// # Errors
/// When the pipes break.
pub fn serve() -> io::Result<()> {
    let mut state = State {
        attempts: Vec::new(),
        next_id: FIRST_ID,
        icmp: Vec::new(),
        held: Vec::new(),
    };
    let mut out = io::stdout().lock();
    write_line(&mut out, &Answer::Done)?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let answer = state
            .handle(request)
            .unwrap_or_else(|error| Answer::Failed(error.to_string()));
        write_line(&mut out, &answer)?;
    }
    Ok(())
}

fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

struct State {
    attempts: Vec<Attempt>,
    /// The source port or echo identifier of the next attempt. Each has one of its own: conntrack
    /// would take a second one with the same for a part of the first.
    next_id: u16,
    /// One for each family: echo replies and errors arrive here.
    icmp: Vec<(Family, Socket)>,
    held: Vec<Attempt>,
}

/// The first source port and echo identifier.
const FIRST_ID: u16 = 20_000;

/// An attempt that was begun.
struct Attempt {
    flow: Flow,
    service: Service,
    socket: Socket,
}

impl State {
    fn handle(&mut self, request: Request) -> io::Result<Answer> {
        match request {
            Request::Connect(addresses) => {
                barrier::stay_on_one_processor()?;
                network::connect_client(&addresses)?;
                Ok(Answer::Done)
            }
            Request::Send(probes) => self.send(&probes),
            Request::Collect => self.collect(),
            Request::Hold(probes) => {
                self.held = self.begin(&probes)?;
                pass_barrier()?;
                Ok(Answer::Done)
            }
            Request::Speak => {
                for attempt in &self.held {
                    (&attempt.socket).write_all(b"still here?")?;
                }
                pass_barrier()?;
                Ok(Answer::Done)
            }
            Request::Listen => {
                pass_barrier()?;
                let heard =
                    |attempt: &Attempt| (&attempt.socket).read(&mut [0; 64]).is_ok_and(|n| n > 0);
                Ok(Answer::Heard(self.held.iter().map(heard).collect()))
            }
        }
    }

    fn send(&mut self, probes: &[Probe]) -> io::Result<Answer> {
        network::forget_neighbours()?;
        self.icmp = Family::BOTH
            .into_iter()
            .map(|family| Ok((family, raw_icmp(family)?)))
            .collect::<io::Result<_>>()?;
        self.attempts = self.begin(probes)?;
        pass_barrier()?;
        Ok(Answer::Done)
    }

    fn begin(&mut self, probes: &[Probe]) -> io::Result<Vec<Attempt>> {
        let attempts = (self.next_id..).zip(probes);
        self.next_id += probes.len() as u16;
        attempts
            .map(|(id, probe)| Attempt::begin(probe, id))
            .collect()
    }

    fn collect(&mut self) -> io::Result<Answer> {
        pass_barrier()?;
        let mut messages = Vec::new();
        for (family, socket) in &self.icmp {
            messages.extend(receive_all(socket)?.iter().filter_map(|bytes| {
                packets::read(*family, bytes).map(|message| (*family, message))
            }));
        }
        let outcomes = self
            .attempts
            .drain(..)
            .map(|attempt| attempt.outcome(&messages))
            .collect::<io::Result<_>>()?;
        Ok(Answer::Outcomes(outcomes))
    }
}

fn pass_barrier() -> io::Result<()> {
    barrier::pass(network::INTERFACE, network::BARRIER_V4, network::SERVER_V4)
}

impl Attempt {
    /// Sends its first packet.
    fn begin(probe: &Probe, id: u16) -> io::Result<Self> {
        let family = Family::of(probe.saddr);
        let from = SocketAddr::new(probe.saddr, id);
        let to = |port| SocketAddr::new(probe.daddr, port).into();
        let (socket, protocol) = match probe.service {
            Service::Tcp(port) => {
                let socket = bound(from, Type::STREAM, Protocol::TCP)?;
                // It ends with a reset, so that nothing of it lingers on the wire.
                socket.set_linger(Some(Duration::ZERO))?;
                // In progress, as it does not block; an error is read with the outcome.
                let _ = socket.connect(&to(port));
                (socket, PROTOCOL_TCP)
            }
            Service::Udp(port) => {
                let socket = bound(from, Type::DGRAM, Protocol::UDP)?;
                socket.send_to(b"who is there?", &to(port))?;
                (socket, PROTOCOL_UDP)
            }
            Service::Echo => {
                let socket = raw_icmp(family)?;
                socket.bind(&SocketAddr::new(probe.saddr, 0).into())?;
                socket.send_to(&packets::echo_request(family, id), &to(0))?;
                (socket, icmp_protocol(family))
            }
        };
        let flow = Flow {
            saddr: probe.saddr,
            protocol,
            id,
        };
        Ok(Self {
            flow,
            service: probe.service,
            socket,
        })
    }

    fn outcome(&self, messages: &[(Family, Message)]) -> io::Result<Outcome> {
        let family = Family::of(self.flow.saddr);
        let rejected = messages.iter().find_map(|(_, message)| match message {
            Message::Unreachable(flow, code) if *flow == self.flow => Some(*code),
            Message::Unreachable(..) | Message::EchoReply(_) => None,
        });
        if let Some(code) = rejected {
            return Ok(Outcome::Rejected(code));
        }
        let answered = match self.service {
            Service::Tcp(_) => match self.socket.take_error()? {
                None => self.socket.peer_addr().is_ok(),
                Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Ok(Outcome::Reset);
                }
                Some(error) => return Err(error),
            },
            Service::Udp(_) => !receive_all(&self.socket)?.is_empty(),
            Service::Echo => messages.contains(&(family, Message::EchoReply(self.flow.id))),
        };
        Ok(if answered {
            Outcome::Open
        } else {
            Outcome::Dropped
        })
    }
}

/// Everything that waits in a socket that does not block.
fn receive_all(mut socket: &Socket) -> io::Result<Vec<Vec<u8>>> {
    let mut received = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match socket.read(&mut buffer) {
            Ok(length) => received.push(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(received),
            Err(error) => return Err(error),
        }
    }
}

fn raw_icmp(family: Family) -> io::Result<Socket> {
    let (domain, protocol) = match family {
        Family::Ip => (Domain::IPV4, Protocol::ICMPV4),
        Family::Ip6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))
}

fn bound(from: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = Domain::for_address(from);
    let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))?;
    socket.bind(&from.into())?;
    Ok(socket)
}
