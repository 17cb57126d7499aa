//! The cable between the prober and the machine under test, which is the namespace that this
//! process runs in.
//!
//! The prober's end lies in a namespace of its own, where no address answers by itself. It lives
//! as long as the socket that this module opens there.

use std::fs;
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::cmsg_space;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, bind, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::classes::{MACHINE_V4, MACHINE_V6};
use super::frames::{self, MACHINE_MAC, PROBER_MAC, Received};
use crate::namespace::{ip_batch, tool};

/// The interface's name, on either side.
const INTERFACE: &str = "eth0";
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);
const GATEWAY_V6: &str = "2001:db8:10::fe";

/// How long an answer is waited for that must come. Reaching it is never a verdict.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a cable is tried that does not carry anything yet.
const NUDGE: Duration = Duration::from_millis(50);

/// The prober's end of the cable.
#[derive(Debug)]
pub(super) struct Cable {
    socket: Socket,
    control: Vec<u8>,
    barrier: Vec<u8>,
    /// Frames that the kernel could not hand over, as counted with the last one that it could.
    lost: u32,
}

/// A frame that came in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) received: Received,
    /// Whether frames before it were lost.
    pub(super) after_loss: bool,
}

impl Cable {
    /// Lays the cable and opens its far end.
    pub(super) fn lay() -> io::Result<Self> {
        ip("link set lo up\n")?;
        let far_end = thread::spawn(|| {
            // Only this thread moves, and with it the socket that it opens.
            unshare(CloneFlags::CLONE_NEWNET)?;
            fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
            ip(&format!(
                "link add {INTERFACE} address {} type veth \
                 peer name {INTERFACE} address {} netns {}\n\
                 link set {INTERFACE} up\n",
                text(PROBER_MAC),
                text(MACHINE_MAC),
                std::process::id()
            ))?;
            open()
        });
        let socket = far_end.join().expect("it does not panic")?;
        ip(&machine())?;
        let mut cable = Self {
            socket,
            control: cmsg_space!(u32),
            barrier: frames::barrier(GATEWAY_V4, MACHINE_V4),
            lost: 0,
        };
        cable.wait_until_it_carries()?;
        Ok(cable)
    }

    /// The kernel takes up to a second to notice that both ends are up; until then it drops what
    /// is sent, and says nothing.
    fn wait_until_it_carries(&mut self) -> io::Result<()> {
        self.socket.set_read_timeout(Some(NUDGE))?;
        for _ in 0..PATIENCE.as_millis() / NUDGE.as_millis() {
            // Right after the ends came up this can be refused, too.
            let _ = self.send_barrier();
            if self.receive()?.is_some() {
                // No answer of now may be taken for one to a later barrier.
                while self.receive()?.is_some() {}
                return self.socket.set_read_timeout(Some(PATIENCE));
            }
        }
        Err(io::Error::other("the cable carries nothing"))
    }

    /// Puts a frame on the cable. Whether it arrived is known when a barrier has come back.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Puts a frame on the cable that comes back after the answers to everything before it.
    ///
    /// What is sent from one processor goes through one queue, first in, first out, and the
    /// machine's kernel answers TCP and ARP while it empties that queue.
    pub(super) fn send_barrier(&self) -> io::Result<()> {
        self.send(&self.barrier)
    }

    /// The next frame from the machine, or nothing when none comes for a long time.
    pub(super) fn receive(&mut self) -> io::Result<Option<Arrival>> {
        let mut buffer = [0; 256];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut self.control),
            MsgFlags::empty(),
        );
        let message = match message {
            Ok(message) => message,
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut lost = self.lost;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::RxqOvfl(count) = control {
                lost = count;
            }
        }
        let length = message.bytes;
        let after_loss = std::mem::replace(&mut self.lost, lost) != lost;
        Ok(Some(Arrival {
            received: frames::read(&buffer[..length]),
            after_loss,
        }))
    }
}

/// A socket for every frame that comes through the cable.
fn open() -> io::Result<Socket> {
    let all = Protocol::from(i32::from(ETHERTYPE_ALL.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all))?;
    let link: LinkAddr = getifaddrs()?
        .filter(|found| found.interface_name == INTERFACE)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::other(format!("no interface {INTERFACE}")))?;
    bind(socket.as_raw_fd(), &link)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    // A tick's answers are a hundredth of it.
    socket.set_recv_buffer_size(4 << 20)?;
    Ok(socket)
}

const ETHERTYPE_ALL: u16 = 3;

/// The machine's side: everybody is behind one gateway, whose hardware address is known, so that
/// nothing has to be resolved.
fn machine() -> String {
    let mac = text(PROBER_MAC);
    format!(
        "link set {INTERFACE} up\n\
         address add {MACHINE_V4}/24 dev {INTERFACE}\n\
         address add {MACHINE_V6}/64 dev {INTERFACE} nodad\n\
         neighbour replace {GATEWAY_V4} lladdr {mac} dev {INTERFACE} nud permanent\n\
         neighbour replace {GATEWAY_V6} lladdr {mac} dev {INTERFACE} nud permanent\n\
         route add default via {GATEWAY_V4} dev {INTERFACE}\n\
         route add default via {GATEWAY_V6} dev {INTERFACE}\n"
    )
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn ip(lines: &str) -> io::Result<()> {
    ip_batch(&mut Command::new(tool("ip")?), lines)
}
