//! What is said between a harness and the agent in a virtual machine: one JSON value a line.
//!
//! The harness asks, the agent answers each request once, in order. The first line is the agent's
//! [`Hello`]; what is no request is answered with [`Answer::Failed`]. None of it passes the network
//! card, so no firewall is met.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The name of the port that it goes through, under `/sys/class/virtio-ports`.
pub const PORT: &str = "portreeve.control";

/// An address that every machine has, on its loopback interface, and that no packet goes to: only
/// ARP asks for it, which no table of the families `ip`, `ip6` and `inet` ever sees. So a machine of
/// IPv6 alone can be asked as well.
pub const BARRIER: Ipv4Addr = Ipv4Addr::new(169, 254, 77, 1);

/// Network cards of every machine, in the order of its interfaces: each one's hardware address, in
/// QEMU's own range.
pub const MACS: [[u8; 6]; 2] = [[0x52, 0x54, 0, 0, 0, 0x10], [0x52, 0x54, 0, 0, 0, 0x11]];

/// The word that has the agent make a machine of namespaces, whose first process it is then.
///
/// Its stdin is the control channel. Before the [`Hello`] a harness gives over it the archive of the
/// files that the machine starts with (a socket takes open files as well, unix(7)), and takes the
/// other ends of the wires of its network cards, as sockets for frames.
pub const NAMESPACES: &str = "namespaces";

/// What the agent says first, when the machine is up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// `uname -r`.
    pub kernel: String,
    /// Modules that were in the image and could not be loaded, with the reason.
    pub failed_modules: Vec<String>,
    /// Network cards, by name, in order; none that is only software.
    pub interfaces: Vec<String>,
}

/// A request, with the number that its answer carries.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Numbered<T> {
    /// The number; 0 in the answer to a line that has none.
    pub number: u64,
    /// The request or the answer.
    pub said: T,
}

/// What the agent is asked to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// Run a program to its end.
    Run(Run),
    /// Start a program and leave it alone, for as long as it likes; its output goes to the console.
    Start(Run),
    /// Write a file, with the folders above it.
    Write {
        /// Where.
        path: String,
        /// Its content.
        content: Vec<u8>,
        /// Its permissions, as in chmod(2).
        mode: u32,
    },
    /// Give a network card its addresses, start it, and route the other hosts through a neighbour.
    Configure(Interface),
    /// Serve on a port of every address, and answer from the one that was asked.
    Serve {
        /// On which port.
        port: Port,
        /// What is answered.
        service: Service,
    },
    /// Wait until every UDP datagram that has arrived is answered.
    SettleUdp,
    /// Open a TCP connection outward, and close it: what becomes of it.
    Connect {
        /// To where.
        to: SocketAddr,
        /// How long to wait, in milliseconds.
        within_ms: u64,
    },
    /// Open a tunnel outward that answers the requests that are sent down it, by asking a local
    /// service, until the other end closes it.
    ///
    /// It says `REGISTER`. Over TCP it stands with the connection; as datagrams, when anything comes
    /// back. Every line, or datagram, that comes down is answered with one. The local service is
    /// asked over TCP; what it does not answer is answered with `no service: REASON`.
    Tunnel {
        /// Over TCP or as datagrams.
        protocol: Protocol,
        /// To where.
        to: SocketAddr,
        /// The local service that answers: each line that comes down is sent to it.
        service: SocketAddr,
        /// How long to wait for the connection, in milliseconds.
        within_ms: u64,
    },
    /// Set the clock, to nanoseconds after 1970.
    SetClock {
        /// The time.
        nanoseconds: u64,
    },
    /// Never be idle from now on, for the machine's clock skips the time in which it is.
    StayBusy,
    /// Let time pass; a machine that stays busy may be idle meanwhile.
    LetPass {
        /// How much, on the machine's own clock.
        milliseconds: u64,
    },
    /// The kernel's messages since the last time that it was asked, from the first one.
    KernelLog,
    /// End, without any ado but the answer.
    PowerOff,
}

/// A program to run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Run {
    /// The path of the program; its name alone is looked up in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment; nothing else is in it but `PATH`.
    pub environment: Vec<(String, String)>,
    /// What it reads.
    pub stdin: String,
    /// How long it may take, in milliseconds.
    pub within_ms: u64,
}

/// How a network card is set up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses, each with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Through which neighbours everybody else is reached, one of each family at most.
    pub gateways: Vec<IpAddr>,
}

/// What a port is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port of this machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Port {
    /// What it is of.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// What is answered on a port.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Service {
    /// What came.
    Echo,
    /// To each line, or datagram: `hello ADDRESS ` with the address of who sent it, and the line.
    Greet,
}

/// What the agent answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// A program has ended.
    Ended(Ended),
    /// What became of a connection: this machine's end of it, or why there is none.
    Connected(Result<SocketAddr, Refused>),
    /// The kernel's messages, a line each.
    Log(Vec<String>),
    /// It could not be done.
    Failed(String),
}

/// How a program ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ended {
    /// Its exit code; none when a signal ended it, or the time was up.
    pub code: Option<i32>,
    /// Whether the time was up.
    pub timed_out: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Why a connection was not made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Refused {
    /// It was reset, or the port was said to be unreachable: errno(3) does not tell them apart.
    Reset,
    /// Nobody answered in time.
    Silence,
    /// A host or a network on the way, or this machine, said no; the number is of errno(3).
    Error(i32),
}

impl Run {
    /// A program with its arguments, which may take half a minute.
    #[must_use]
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            within_ms: 30_000,
            ..Self::default()
        }
    }

    /// How long it may take.
    #[must_use]
    pub const fn within(&self) -> Duration {
        Duration::from_millis(self.within_ms)
    }
}

/// `tcp/22`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}/{}", self.number)
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (protocol, number) = text.split_once('/')?;
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            };
            let number = number.parse().ok()?;
            Some(Self { protocol, number })
        };
        read().ok_or_else(|| format!("`{text}` is no port; write `tcp/22` or `udp/53`"))
    }
}

/// As it would be typed.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        let mut arguments = self.arguments.iter();
        arguments.try_for_each(|argument| write!(f, " {argument}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    fn check<T: Debug + DeserializeOwned + PartialEq + Serialize>(said: &T) {
        let line = serde_json::to_string(said).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(&serde_json::from_str::<T>(&line).unwrap(), said, "{line}");
    }

    #[test]
    fn ports_are_read_as_they_are_written() {
        for text in ["tcp/22", "udp/65535"] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), text);
        }
        for text in ["tcp", "tcp/", "tcp/65536", "icmp/1", ""] {
            let error = text.parse::<Port>().unwrap_err();
            assert!(error.contains(&format!("`{text}` is no port")), "{error}");
        }
    }

    #[test]
    fn every_request_is_understood() {
        let mut run = Run::new("nft", &["-f", "-"]);
        run.stdin = "flush ruleset\n".to_owned();
        run.environment = vec![("A".to_owned(), "é\0\n".to_owned())];
        for said in [
            Request::Run(run.clone()),
            Request::Start(run),
            Request::Write {
                path: "/etc/a b".to_owned(),
                content: vec![0, b'\n', 0xff],
                mode: 0o755,
            },
            Request::Configure(Interface {
                name: "eth0".to_owned(),
                addresses: vec![
                    ("203.0.113.10".parse().unwrap(), 24),
                    ("2001:db8:10::10".parse().unwrap(), 64),
                ],
                gateways: vec!["203.0.113.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            }),
            Request::Serve {
                port: Port {
                    protocol: Protocol::Udp,
                    number: 53,
                },
                service: Service::Greet,
            },
            Request::SettleUdp,
            Request::Connect {
                to: "[2001:db8::1]:443".parse().unwrap(),
                within_ms: 1,
            },
            Request::Tunnel {
                protocol: Protocol::Tcp,
                to: "198.41.200.10:7844".parse().unwrap(),
                service: "127.0.0.1:80".parse().unwrap(),
                within_ms: u64::MAX,
            },
            Request::SetClock {
                nanoseconds: 1_800_000_000_000_000_000,
            },
            Request::StayBusy,
            Request::LetPass {
                milliseconds: 70_000,
            },
            Request::KernelLog,
            Request::PowerOff,
        ] {
            check(&said);
        }
    }

    #[test]
    fn every_answer_is_understood() {
        for said in [
            Answer::Done,
            Answer::Ended(Ended {
                code: Some(-1),
                timed_out: true,
                stdout: "\u{fffd}\n".to_owned(),
                stderr: String::new(),
                took_us: 1,
            }),
            Answer::Connected(Ok("192.0.2.1:1".parse().unwrap())),
            Answer::Connected(Err(Refused::Reset)),
            Answer::Connected(Err(Refused::Silence)),
            Answer::Connected(Err(Refused::Error(113))),
            Answer::Log(vec!["a".to_owned()]),
            Answer::Failed("no".to_owned()),
        ] {
            check(&said);
        }
        check(&Hello {
            kernel: "6.1.0".to_owned(),
            failed_modules: vec!["/a.ko: no".to_owned()],
            interfaces: vec!["eth0".to_owned()],
        });
    }
}
