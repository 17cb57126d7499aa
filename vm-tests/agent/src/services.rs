//! What the machine serves, and over TCP: a thread for each port, and one for each connection.
//!
//! A connection that is reset before it is taken from the queue costs nothing here.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use nix::sys::socket::{Backlog, listen};
use portreeve_vm_agent::{Port, Protocol, Service};

use crate::datagrams::Datagrams;

/// Of a connection's thread: a line is read, and an answer written.
const STACK_BYTES: usize = 64 << 10;

/// Serves on a port of every address, of both families; the number of the port, which the kernel
/// chooses when it is 0.
///
/// # Errors
/// When the port cannot be had; the error names it.
pub(crate) fn serve(port: Port, service: Service, datagrams: &Datagrams) -> io::Result<u16> {
    let served = match port.protocol {
        Protocol::Tcp => serve_tcp(port.number, service),
        Protocol::Udp => datagrams.serve(port.number, service),
    };
    let Port { protocol, number } = port;
    served.map_err(|error| io::Error::other(format!("{protocol:?} port {number}: {error}")))
}

/// Greets on every port of a list: `tcp/22`, one a line.
///
/// # Errors
/// When the list cannot be read, or a port cannot be had.
pub(crate) fn serve_listed(list: &Path, datagrams: &Datagrams) -> io::Result<()> {
    for line in fs::read_to_string(list)?.lines() {
        let port = line.parse().map_err(io::Error::other)?;
        serve(port, Service::Greet, datagrams)?;
    }
    Ok(())
}

/// What a service says to a line or a datagram.
#[must_use]
pub(crate) fn reply(service: Service, said: &[u8], from: IpAddr) -> Vec<u8> {
    match service {
        Service::Echo => said.to_vec(),
        Service::Greet => {
            let from = from.to_canonical();
            [format!("hello {from} ").as_bytes(), said].concat()
        }
    }
}

fn serve_tcp(number: u16, service: Service) -> io::Result<u16> {
    // A socket of IPv6 that is bound to no address takes connections over IPv4, too.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, number))?;
    // As many as `net.core.somaxconn` allows, instead of the 128 of the standard library.
    listen(&listener, Backlog::MAXALLOWABLE)?;
    let number = listener.local_addr()?.port();
    thread::spawn(move || {
        // What fails before it is taken is the other end's affair.
        for connection in listener.incoming().flatten() {
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || attend(&connection, service))
                .expect("a machine has room for the threads of its connections");
        }
    });
    Ok(number)
}

/// Answers each line of a connection, until it is closed.
fn attend(connection: &TcpStream, service: Service) -> io::Result<()> {
    let from = connection.peer_addr()?.ip();
    connection.set_nodelay(true)?;
    let mut lines = BufReader::new(connection);
    loop {
        let said = match service {
            Service::Echo => lines.fill_buf()?.to_vec(),
            Service::Greet => {
                let mut line = Vec::new();
                lines.read_until(b'\n', &mut line)?;
                line
            }
        };
        if said.is_empty() {
            return Ok(());
        }
        if service == Service::Echo {
            lines.consume(said.len());
        }
        let mut connection = connection;
        connection.write_all(&reply(service, &said, from))?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Shutdown, UdpSocket};

    use super::*;

    fn served(protocol: Protocol, service: Service, datagrams: &Datagrams) -> u16 {
        let port = Port {
            protocol,
            number: 0,
        };
        serve(port, service, datagrams).unwrap()
    }

    /// What comes back over TCP until the service closes, for it has been told all.
    fn over_tcp(address: &str, service: Service, said: &str) -> String {
        let number = served(Protocol::Tcp, service, &Datagrams::default());
        let address: IpAddr = address.parse().unwrap();
        let mut connection = TcpStream::connect((address, number)).unwrap();
        connection.write_all(said.as_bytes()).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        connection.read_to_string(&mut heard).unwrap();
        heard
    }

    #[test]
    fn tcp_is_answered_line_by_line() {
        let hello = "hello 127.0.0.1 one\nhello 127.0.0.1 two\n";
        assert_eq!(over_tcp("127.0.0.1", Service::Greet, "one\ntwo\n"), hello);
        assert_eq!(
            over_tcp("127.0.0.1", Service::Greet, "half"),
            "hello 127.0.0.1 half"
        );
        assert_eq!(over_tcp("127.0.0.1", Service::Echo, "a\nb"), "a\nb");
        assert_eq!(over_tcp("127.0.0.1", Service::Echo, ""), "");
    }

    #[test]
    fn udp_is_answered_from_the_address_that_was_asked() {
        let datagrams = Datagrams::default();
        let number = served(Protocol::Udp, Service::Greet, &datagrams);
        for asked in ["127.0.0.1", "127.0.0.2"] {
            let client = UdpSocket::bind(("127.0.0.3", 0)).unwrap();
            // From here on it hears this address only.
            client.connect((asked, number)).unwrap();
            client.send(b"you").unwrap();
            let mut heard = [0; 64];
            let length = client.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"hello 127.0.0.3 you", "{asked}");
        }
    }

    #[test]
    fn when_it_is_settled_every_datagram_is_answered() {
        let datagrams = Datagrams::default();
        let ports = [
            served(Protocol::Udp, Service::Echo, &datagrams),
            served(Protocol::Udp, Service::Echo, &datagrams),
        ];
        let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        for round in 0..50 {
            for (number, port) in (0..40_u8).flat_map(|it| ports.map(|port| (it, port))) {
                client
                    .send_to(&[round, number], ("127.0.0.1", port))
                    .unwrap();
            }
            datagrams.settle();
            client.set_nonblocking(true).unwrap();
            let mut heard = [0; 8];
            let answers = std::iter::from_fn(|| client.recv(&mut heard).ok());
            assert_eq!(answers.count(), 80, "round {round}");
            client.set_nonblocking(false).unwrap();
        }
    }

    #[test]
    fn everything_that_is_listed_is_served() {
        let free = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap();
        let number = free.port();
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(&list, format!("tcp/{number}\nudp/{number}\n")).unwrap();
        serve_listed(list.path(), &Datagrams::default()).unwrap();
        fs::write(&list, "tcp\n").unwrap();
        let error = serve_listed(list.path(), &Datagrams::default()).unwrap_err();
        assert!(error.to_string().starts_with("`tcp` is no port"), "{error}");
        let mut connection = TcpStream::connect(("127.0.0.1", number)).unwrap();
        connection.write_all(b"you\n").unwrap();
        let mut heard = [0; 20];
        connection.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello 127.0.0.1 you\n");
    }

    #[test]
    fn taken_ports_are_named() {
        let datagrams = Datagrams::default();
        for (protocol, name) in [(Protocol::Tcp, "Tcp port"), (Protocol::Udp, "Udp port")] {
            let number = served(protocol, Service::Echo, &datagrams);
            let port = Port { protocol, number };
            let error = serve(port, Service::Echo, &datagrams).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
}
