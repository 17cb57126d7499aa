//! Whole conversations between a machine and any host of the internet, over TCP and UDP.
//!
//! One stack of smoltcp has every address there is: it opens connections from wherever it is told to,
//! and answers at wherever the machine calls, if somebody listens there.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpCidr, IpListenEndpoint};

use super::segment::{Heard, Segment};

/// What the stack itself is called. Nobody meets these: it answers for every address.
const OWN: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 0, 8),
    Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1),
);

/// Source ports of conversations. Probes have others.
const PORTS: std::ops::Range<u16> = 61_001..65_000;

/// Bytes of a socket's buffer, each way.
const BUFFER: usize = 64 << 10;

/// The longest packet.
const MTU: usize = 1500;

/// The hosts behind one card, as far as they talk.
pub struct Hosts {
    interface: Interface,
    queue: Queue,
    sockets: SocketSet<'static>,
    start: Instant,
    next_port: u16,
}

/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection(SocketHandle);

/// A UDP port of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagrams(SocketHandle);

impl Hosts {
    /// Hosts that do not talk yet.
    #[must_use]
    pub fn new() -> Self {
        let mut queue = Queue::default();
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut queue, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for own in [
                IpCidr::new(OWN.0.into(), 32),
                IpCidr::new(OWN.1.into(), 128),
            ] {
                addresses.push(own).expect("there is room for two");
            }
        });
        let routes = interface.routes_mut();
        routes
            .add_default_ipv4_route(OWN.0)
            .expect("there is room for two");
        routes
            .add_default_ipv6_route(OWN.1)
            .expect("there is room for two");
        interface.set_any_ip(true);
        Self {
            interface,
            queue,
            sockets: SocketSet::new(Vec::new()),
            start: Instant::now(),
            next_port: PORTS.start,
        }
    }

    /// Begins a connection from an address.
    ///
    /// # Errors
    /// When the two ends are of different families.
    pub fn connect(&mut self, from: IpAddr, to: SocketAddr) -> Result<Connection> {
        let port = self.next_port;
        self.next_port = if port + 1 == PORTS.end {
            PORTS.start
        } else {
            port + 1
        };
        let mut socket = tcp_socket();
        let local = IpListenEndpoint::from(SocketAddr::new(from, port));
        socket
            .connect(self.interface.context(), to, local)
            .map_err(|error| anyhow!("no connection from {from} to {to}: {error}"))?;
        Ok(Connection(self.sockets.add(socket)))
    }

    /// Has a host wait for a connection.
    ///
    /// # Errors
    /// When the port is zero.
    pub fn listen(&mut self, at: SocketAddr) -> Result<Connection> {
        let mut socket = tcp_socket();
        let listening = socket.listen(at);
        listening.map_err(|error| anyhow!("nobody can listen at {at}: {error}"))?;
        Ok(Connection(self.sockets.add(socket)))
    }

    /// Has a host take datagrams.
    ///
    /// # Errors
    /// When the port is zero.
    pub fn take_datagrams(&mut self, at: SocketAddr) -> Result<Datagrams> {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; BUFFER]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        let bound = socket.bind(at);
        bound.map_err(|error| anyhow!("nobody can take datagrams at {at}: {error}"))?;
        Ok(Datagrams(self.sockets.add(socket)))
    }

    /// Whether a connection stands.
    #[must_use]
    pub fn is_established(&self, connection: Connection) -> bool {
        self.tcp(connection).may_send()
    }

    /// Who opened a connection, and to where, while it stands.
    #[must_use]
    pub fn ends(&self, connection: Connection) -> Option<[SocketAddr; 2]> {
        let socket = self.tcp(connection);
        let ends = [socket.local_endpoint()?, socket.remote_endpoint()?];
        Some(ends.map(|end| SocketAddr::new(end.addr.into(), end.port)))
    }

    /// Sends a line.
    ///
    /// # Errors
    /// When the connection does not stand.
    pub fn send_line(&mut self, connection: Connection, line: &str) -> Result<()> {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.0);
        let bytes = format!("{line}\n");
        match socket.send_slice(bytes.as_bytes()) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => bail!("the buffer of a connection is full"),
            Err(error) => bail!("nothing can be sent: {error}"),
        }
    }

    /// The line that has come, if it has come whole.
    pub fn line(&mut self, connection: Connection) -> Option<String> {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.0);
        let taken = socket.recv(|bytes| {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let line = end.map(|end| String::from_utf8_lossy(&bytes[..end]).into_owned());
            (end.map_or(0, |end| end + 1), line)
        });
        taken.ok().flatten()
    }

    /// Ends a connection at once.
    pub fn abort(&mut self, connection: Connection) {
        self.sockets
            .get_mut::<tcp::Socket<'_>>(connection.0)
            .abort();
    }

    /// The datagram that has come, with who sent it to which address.
    pub fn datagram(&mut self, port: Datagrams) -> Option<(String, udp::UdpMetadata)> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(port.0);
        let (bytes, meta) = socket.recv().ok()?;
        Some((String::from_utf8_lossy(bytes).into_owned(), meta))
    }

    /// Sends a datagram to whoever sent that one.
    ///
    /// # Errors
    /// When there is no room.
    pub fn answer_datagram(
        &mut self,
        port: Datagrams,
        to: udp::UdpMetadata,
        text: &str,
    ) -> Result<()> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(port.0);
        let sent = socket.send_slice(text.as_bytes(), to);
        sent.map_err(|error| anyhow!("no datagram to {}: {error}", to.endpoint))
    }

    fn tcp(&self, connection: Connection) -> &tcp::Socket<'static> {
        self.sockets.get(connection.0)
    }

    /// Has the hosts do what is due, and take what the machine sends until then.
    ///
    /// # Errors
    /// When the wire is cut.
    pub fn step(&mut self, segment: &mut Segment, until: Instant) -> Result<()> {
        self.talk(segment)?;
        let delay = self
            .interface
            .poll_delay(self.now(), &self.sockets)
            .map_or(Duration::MAX, |it| Duration::from_micros(it.total_micros()));
        let due = Instant::now().checked_add(delay).unwrap_or(until);
        let mut wait_until = until.min(due);
        // What is there is taken at once: then nothing more is waited for.
        while let Some(heard) = segment.hear(wait_until)? {
            if let Heard::Packet(packet) = heard {
                self.queue.received.push_back(packet);
            }
            wait_until = Instant::now();
        }
        self.talk(segment)
    }

    fn talk(&mut self, segment: &mut Segment) -> Result<()> {
        let now = self.now();
        self.interface.poll(now, &mut self.queue, &mut self.sockets);
        while let Some(packet) = self.queue.sent.pop_front() {
            segment.send(&packet)?;
        }
        Ok(())
    }

    fn now(&self) -> StackInstant {
        let micros = self.start.elapsed().as_micros();
        StackInstant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosts").finish_non_exhaustive()
    }
}

fn tcp_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}

/// Packets between the stack and the wire.
#[derive(Debug, Default)]
struct Queue {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

/// A packet for the stack.
struct Received(Vec<u8>);

/// Room for a packet of the stack.
struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Queue {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Received, Sent<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}
