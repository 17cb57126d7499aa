//! The server's side: listens on every service and answers what reaches it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Service, network};

/// Connections that may wait to be accepted; more than a run ever opens at once.
const BACKLOG: i32 = 4096;

/// How long a connection may take to open before the rules come: a lost first packet is sent again
/// after a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every socket of the server. The kernel answers TCP and echo; [`Server::answer`] the rest.
pub(super) struct Server {
    tcp: Vec<Socket>,
    udp: Vec<UdpSocket>,
    held: Vec<Socket>,
}

impl Server {
    /// Listens on every service, in both families.
    pub(super) fn listen() -> io::Result<Self> {
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for address in network::SERVER {
            for service in Service::ALL {
                match service {
                    Service::Tcp(port) => {
                        let socket = bound(address, port, Type::STREAM, Protocol::TCP)?;
                        socket.listen(BACKLOG)?;
                        tcp.push(socket);
                    }
                    Service::Udp(port) => {
                        let socket = bound(address, port, Type::DGRAM, Protocol::UDP)?;
                        udp.push(socket.into());
                    }
                    Service::Echo => {}
                }
            }
        }
        Ok(Self {
            tcp,
            udp,
            held: Vec::new(),
        })
    }

    /// Sends back whatever has arrived on UDP and on the connections that are held.
    pub(super) fn answer(&self) -> io::Result<()> {
        let mut buffer = [0_u8; 64];
        for socket in &self.udp {
            while let Some((length, from)) = arrived(socket.recv_from(&mut buffer))? {
                socket.send_to(&buffer[..length], from)?;
            }
        }
        for mut socket in &self.held {
            if let Some(length) = arrived(socket.read(&mut buffer))? {
                socket.write_all(&buffer[..length])?;
            }
        }
        Ok(())
    }

    /// Keeps so many connections, waiting for those that have yet to open; how many there are.
    pub(super) fn hold(&mut self, count: usize) -> io::Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        self.held = self.accept_all()?;
        while self.held.len() < count && Instant::now() < deadline {
            let mut waiting: Vec<_> = self
                .tcp
                .iter()
                .map(|tcp| PollFd::new(tcp.as_fd(), PollFlags::POLLIN))
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            poll(
                &mut waiting,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            )?;
            self.held.extend(self.accept_all()?);
        }
        Ok(self.held.len())
    }

    /// Forgets the connections of the last attempts.
    pub(super) fn hang_up(&self) -> io::Result<()> {
        self.accept_all().map(drop)
    }

    fn accept_all(&self) -> io::Result<Vec<Socket>> {
        let mut accepted = Vec::new();
        for listener in &self.tcp {
            while let Some((socket, _)) = arrived(listener.accept())? {
                socket.set_nonblocking(true)?;
                accepted.push(socket);
            }
        }
        Ok(accepted)
    }
}

fn bound(address: IpAddr, port: u16, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(
        Domain::for_address(address),
        kind.nonblocking(),
        Some(protocol),
    )?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What a call that does not block found, if anything.
fn arrived<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
