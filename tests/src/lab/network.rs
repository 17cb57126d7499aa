//! Two namespaces, one cable: made with `unshare` and `ip`, gone when their processes end.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use portreeve_model::address::Family;

/// The interface's name, on either side.
pub(super) const INTERFACE: &str = "eth0";

/// The server's addresses.
pub(super) const SERVER: [IpAddr; 2] = [
    IpAddr::V4(SERVER_V4),
    IpAddr::V6(std::net::Ipv6Addr::new(
        0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10,
    )),
];

/// The address that answers barriers.
pub(super) const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// The address that barriers are asked from; no probe uses it.
pub(super) const BARRIER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// How this machine lets us make a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Namespaces(&'static [&'static str]);

impl Namespaces {
    /// A command that runs `program` in a network namespace of its own, as its root.
    #[must_use]
    pub fn command(self, program: &Path) -> Command {
        let unshare = tool("unshare").unwrap_or_else(|_| "unshare".into());
        let mut command = Command::new(unshare);
        command.args(self.0).arg("--").arg(program);
        command
    }

    /// Whether `program` runs there and ends well; otherwise what it says.
    fn tries(self, program: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command(program);
        match command.args(arguments).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Finds out by doing it whether rules can be loaded in a namespace and a cable be laid there, or
/// says why not.
///
/// # Errors
/// One line: what was tried and what came of it.
pub fn namespaces() -> Result<Namespaces, String> {
    let tool = |name| tool(name).map_err(|error| error.to_string());
    let (nft, ip) = (tool("nft")?, tool("ip")?);
    let cable = ["link", "add", INTERFACE, "type", "veth"];
    let mut reasons = Vec::new();
    for way in [&["-n"][..], &["-U", "-r", "-n"]] {
        let namespaces = Namespaces(way);
        let tried = namespaces
            .tries(&nft, &["list", "ruleset"])
            .and_then(|()| namespaces.tries(&ip, &cable));
        match tried {
            Ok(()) => return Ok(namespaces),
            Err(reason) => reasons.push(format!("unshare {}: {reason}", way.join(" "))),
        }
    }
    Err(reasons.join("; ").replace('\n', " "))
}

/// The absolute path of a system tool. `PATH` of an ordinary user often lacks the `sbin` folders.
pub(super) fn tool(name: &str) -> io::Result<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .into_iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| io::Error::other(format!("`{name}` is not installed")))
}

/// Starts this program again as `client` in a namespace of its own, talking over pipes.
pub(super) fn start_client() -> io::Result<Child> {
    Namespaces(&["-n"])
        .command(&std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Lays the cable from the server, where this runs, to the namespace of `client`.
pub(super) fn connect_server(client: u32) -> io::Result<()> {
    let mut lines = format!(
        "link set lo up\n\
         link add {INTERFACE} type veth peer name {INTERFACE} netns {client}\n"
    );
    lines += &format!("link set {INTERFACE} up\n");
    for (address, length) in SERVER.into_iter().zip([24, 64]) {
        lines += &address_line(address, length);
    }
    lines += &default_routes();
    // Rejects are answers here, not a load to be limited. Older kernels keep this one for
    // themselves, so it is no error when it cannot be set.
    for limit in ["ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"] {
        let _ = std::fs::write(Path::new("/proc/sys/net").join(limit), "0");
    }
    ip(&lines)
}

/// Gives the client, where this runs, its addresses.
pub(super) fn connect_client(addresses: &[IpAddr]) -> io::Result<()> {
    let mut lines = format!("link set lo up\nlink set {INTERFACE} up\n");
    for address in addresses {
        lines += &address_line(*address, Family::of(*address).bits());
    }
    ip(&(lines + &default_routes()))
}

/// Forgets every neighbour, so that the next packets must resolve them through the rules.
pub(super) fn forget_neighbours() -> io::Result<()> {
    ip(&format!("neigh flush dev {INTERFACE}\n"))
}

/// Without duplicate address detection, an IPv6 address can be used at once.
fn address_line(address: IpAddr, length: u8) -> String {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    format!("address add {address}/{length} dev {INTERFACE}{nodad}\n")
}

/// Everybody is on the link: each address is resolved by ARP or neighbour discovery.
fn default_routes() -> String {
    format!("route add 0.0.0.0/0 dev {INTERFACE}\nroute add ::/0 dev {INTERFACE}\n")
}

fn ip(lines: &str) -> io::Result<()> {
    let mut child = Command::new(tool("ip")?)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    Err(io::Error::other(format!("ip: {said}")))
}
