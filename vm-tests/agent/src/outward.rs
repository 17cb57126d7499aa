//! What goes out from this machine: a connection to see whether it may, and tunnels through which
//! somebody outside asks a service in here.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use portreeve_vm_agent::{Protocol, Refused};

/// What a tunnel says first.
const REGISTER: &str = "REGISTER";

/// How long a local service may take.
const PATIENCE: Duration = Duration::from_secs(10);

const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Opens a TCP connection, and closes it: this machine's end of it.
///
/// # Errors
/// When it is not made in time.
pub(crate) fn connect(to: SocketAddr, within_ms: u64) -> Result<SocketAddr, Refused> {
    let connection = TcpStream::connect_timeout(&to, within(within_ms));
    connection.and_then(|it| it.local_addr()).map_err(refused)
}

/// Opens a tunnel, through which a local service is asked from then on: this machine's end of it.
///
/// # Errors
/// When it is not made in time.
pub(crate) fn tunnel(
    protocol: Protocol,
    to: SocketAddr,
    service: SocketAddr,
    within_ms: u64,
) -> Result<SocketAddr, Refused> {
    let within = within(within_ms);
    let tunnel = match protocol {
        Protocol::Tcp => tunnel_of_lines(to, service, within),
        Protocol::Udp => tunnel_of_datagrams(to, service, within),
    };
    tunnel.map_err(refused)
}

/// No time at all is not a time that can be waited for.
fn within(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds.max(1))
}

fn tunnel_of_lines(
    to: SocketAddr,
    service: SocketAddr,
    within: Duration,
) -> io::Result<SocketAddr> {
    let connection = TcpStream::connect_timeout(&to, within)?;
    connection.set_nodelay(true)?;
    let end = connection.local_addr()?;
    (&connection).write_all(format!("{REGISTER}\n").as_bytes())?;
    thread::spawn(move || -> io::Result<()> {
        for line in BufReader::new(&connection).lines() {
            let answer = ask(service, &line?);
            (&connection).write_all(format!("{answer}\n").as_bytes())?;
        }
        Ok(())
    });
    Ok(end)
}

fn tunnel_of_datagrams(
    to: SocketAddr,
    service: SocketAddr,
    within: Duration,
) -> io::Result<SocketAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(within))?;
    socket.send(REGISTER.as_bytes())?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    socket.recv(&mut datagram)?;
    socket.set_read_timeout(None)?;
    let end = socket.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            let length = socket.recv(&mut datagram)?;
            let line = String::from_utf8_lossy(&datagram[..length]);
            socket.send(ask(service, line.trim_end_matches('\n')).as_bytes())?;
        }
    });
    Ok(end)
}

/// What a local service says to a line, without the ends of lines.
fn ask(service: SocketAddr, line: &str) -> String {
    let asked = || -> io::Result<String> {
        let mut connection = TcpStream::connect_timeout(&service, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        match BufReader::new(connection).read_line(&mut answer)? {
            0 => Err(io::Error::other("it says nothing")),
            _ => Ok(answer.trim_end_matches('\n').to_owned()),
        }
    };
    asked().unwrap_or_else(|error| format!("no service: {error}"))
}

fn refused(error: io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Refused::Reset,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Refused::Silence,
        _ => Refused::Error(error.raw_os_error().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portreeve_vm_agent::{Port, Service};

    use crate::datagrams::Datagrams;
    use crate::services::serve;

    use super::*;

    const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    fn greeter() -> SocketAddr {
        let port = Port {
            protocol: Protocol::Tcp,
            number: 0,
        };
        let number = serve(port, Service::Greet, &Datagrams::default()).unwrap();
        (Ipv4Addr::LOCALHOST, number).into()
    }

    /// An address where nobody is: `tcpmux` has been out of use for long.
    fn nobody() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    #[test]
    fn connections_are_made_or_refused() {
        let listener = TcpListener::bind(LOCAL).unwrap();
        let end = connect(listener.local_addr().unwrap(), 5_000).unwrap();
        assert_eq!(listener.accept().unwrap().1, end);
        assert_eq!(connect(nobody(), 5_000), Err(Refused::Reset));
    }

    #[test]
    fn lines_that_come_down_a_tunnel_are_answered_by_the_service() {
        for (service, expected) in [
            (greeter(), ["hello 127.0.0.1 a", "hello 127.0.0.1 "]),
            (
                nobody(),
                ["no service: Connection refused (os error 111)"; 2],
            ),
        ] {
            let edge = TcpListener::bind(LOCAL).unwrap();
            let to = edge.local_addr().unwrap();
            let end = tunnel(Protocol::Tcp, to, service, 5_000).unwrap();
            let (mut down, from) = edge.accept().unwrap();
            assert_eq!(from, end);
            let mut up = BufReader::new(down.try_clone().unwrap()).lines();
            assert_eq!(up.next().unwrap().unwrap(), "REGISTER");
            down.write_all(b"a\n\n").unwrap();
            for expected in expected {
                assert_eq!(up.next().unwrap().unwrap(), expected);
            }
        }
    }

    #[test]
    fn datagrams_that_come_down_a_tunnel_are_answered_by_the_service() {
        let edge = UdpSocket::bind(LOCAL).unwrap();
        let to = edge.local_addr().unwrap();
        let service = greeter();
        let tunnel = thread::spawn(move || tunnel(Protocol::Udp, to, service, 5_000));
        let mut heard = [0; 64];
        let (length, from) = edge.recv_from(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"REGISTER");
        edge.send_to(b"yes", from).unwrap();
        assert_eq!(tunnel.join().unwrap().unwrap().port(), from.port());
        edge.send_to(b"a", from).unwrap();
        let length = edge.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"hello 127.0.0.1 a");
    }

    #[test]
    fn a_tunnel_that_nobody_acknowledges_does_not_stand() {
        let silent = UdpSocket::bind(LOCAL).unwrap();
        let to = silent.local_addr().unwrap();
        let refused = tunnel(Protocol::Udp, to, nobody(), 20);
        assert_eq!(refused, Err(Refused::Silence));
        let refused = tunnel(Protocol::Tcp, nobody(), nobody(), 5_000);
        assert_eq!(refused, Err(Refused::Reset));
    }
}
