//! Network interfaces whose other end is this program: what is written to one is received by the
//! kernel as if it came from a wire.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use nix::libc::{IFF_NO_PI, IFF_TAP, IFF_TUN, IFNAMSIZ, Ioctl, c_char, c_short, ifreq, ioctl};
use nix::request_code_write;

/// `TUNSETIFF` in `linux/if_tun.h`.
const TUNSETIFF: Ioctl = request_code_write!(b'T', 202, size_of::<i32>());

/// What an interface carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layer {
    /// Packets of IP, as on a tunnel.
    Network,
    /// Frames of Ethernet.
    Link,
}

/// The wire's end of an interface. The interface is gone when this is dropped.
#[derive(Debug)]
pub struct Wire(File);

impl Wire {
    /// Makes the interface `name` in the network namespace of this thread.
    ///
    /// # Errors
    /// When `/dev/net/tun` is missing or may not be used, and what to do about it.
    pub fn lay(name: &str, layer: Layer) -> io::Result<Self> {
        let device = "/dev/net/tun";
        let file = OpenOptions::new().read(true).write(true).open(device);
        let file = file.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{device}: {error}; load the kernel module tun, and let this user use it"),
            )
        })?;
        let flags = IFF_NO_PI
            | match layer {
                Layer::Network => IFF_TUN,
                Layer::Link => IFF_TAP,
            };
        let mut request = request(name)?;
        request.ifr_ifru.ifru_flags = flags as c_short;
        // SAFETY: TUNSETIFF reads and writes one `ifreq`, which this is, and which outlives the
        // call; the descriptor is open.
        #[expect(unsafe_code, reason = "no crate has this request")]
        let status = unsafe { ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
        if status == 0 {
            Ok(Self(file))
        } else {
            let error = io::Error::last_os_error();
            Err(io::Error::other(format!("interface {name}: {error}")))
        }
    }

    /// Has the kernel receive this packet or frame. When this returns, every hook has seen it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let written = (&self.0).write(bytes)?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(io::Error::other("the kernel took a part of a packet"))
        }
    }
}

/// A request about the interface `name`.
pub(crate) fn request(name: &str) -> io::Result<ifreq> {
    // SAFETY: all of `ifreq` is numbers, arrays of them and pointers, for which zero is a value.
    #[expect(unsafe_code, reason = "the C structure has no constructor")]
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= IFNAMSIZ {
        return Err(io::Error::other(format!(
            "interface name `{name}` is {} bytes long, the kernel takes {}",
            name.len(),
            IFNAMSIZ - 1
        )));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        // A `char` of C is signed on some processors and not on others.
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(request)
}
