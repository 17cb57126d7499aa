//! The other process: a machine of its own, whose interfaces are wires in its hands, with the real
//! kernel's rules. It is gone with the process.

use std::io::{self, Read as _};

use nix::net::if_::if_nametoindex;
use portreeve_model::address::{Family, Prefix};
use portreeve_model::tables::TableFamily;
use portreeve_nft::netlink::Connection;
use portreeve_wire::device::{Layer, Wire};
use portreeve_wire::links::{LOOPBACK, Links};
use portreeve_wire::namespace;

use super::job::{Failed, Job, Seen, Shot, Told};
use super::recorder::{self, Notes};
use super::shot::HARDWARE_ADDRESS;
use crate::apply::kernel::Kernel;
use crate::apply::nft::{Nft, NftError};
use crate::apply::with_causes;

/// What the kernel forbids unless it is told: packets from its own addresses, which all are here;
/// and what it would say by itself.
const SETTINGS: [(&str, &str); 5] = [
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/accept_local", "1"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

/// Addresses that IPv6 looks for behind one interface only (RFC 4291, 2.4).
const LINK_LOCAL: &str = "fe80::";

/// What each interface is called, in each family: NAT takes an interface's own address, and drops
/// packets where there is none. For documentation, RFC 5737 and RFC 3849.
const ADDRESSES: [&str; 2] = ["192.0.2.254", "2001:db8::fffe"];

/// How often packets are sent whose notes were lost.
const ATTEMPTS: u32 = 3;

/// Reads a job from stdin, and tells what came of it on stdout.
pub(super) fn serve() -> io::Result<()> {
    let mut job = String::new();
    io::stdin().lock().read_to_string(&mut job)?;
    let job: Job = serde_json::from_str(&job)?;
    let told = match run(&job) {
        Ok(seen) => Told::Seen(seen),
        Err(failed) => Told::Failed(failed),
    };
    serde_json::to_writer(io::stdout().lock(), &told)?;
    Ok(())
}

fn run(job: &Job) -> Result<Vec<Seen>, Failed> {
    let wires = build(&job.interfaces).map_err(|error| here(&error))?;
    let nft = Nft::find().map_err(|error| here(&error))?;
    nft.load_text(&recorder::table())
        .map_err(|error| here(&error))?;
    if let Some(foreign) = &job.foreign {
        let refused = |error: NftError| Failed::Foreign(with_causes(&error));
        nft.load_listing(foreign).map_err(refused)?;
    }
    let refused = |error: NftError| Failed::Candidate(with_causes(&error));
    nft.load_listing(&job.candidate).map_err(refused)?;
    let mut kernel = Kernel::open().map_err(|error| here(&error))?;
    let mut lost = 0;
    for _ in 0..ATTEMPTS {
        fire(job, &wires, &mut kernel).map_err(|error| here(&error))?;
        let listing = nft.list_table(TableFamily::Inet, recorder::TABLE);
        let listing = listing.map_err(|error| here(&error))?;
        let notes = listing.as_deref().and_then(Notes::read);
        let notes = notes.ok_or_else(|| Failed::Here("nft lists no notes".to_owned()))?;
        if notes.lost == lost {
            let of_shot = |shot: &Shot| notes.seen[usize::from(shot.number)];
            return Ok(job.shots.iter().map(of_shot).collect());
        }
        lost = notes.lost;
        nft.load_text(&recorder::forget())
            .map_err(|error| here(&error))?;
    }
    Err(Failed::Here(format!(
        "the kernel had no room for notes {ATTEMPTS} times"
    )))
}

fn here(error: &(dyn std::error::Error + 'static)) -> Failed {
    Failed::Here(with_causes(error))
}

/// Makes the machine, and moves into it.
fn build(interfaces: &[String]) -> io::Result<Vec<Wire>> {
    namespace::enter_as_root_may()?;
    for (name, value) in SETTINGS {
        namespace::set(name, value)?;
    }
    let wires = interfaces.iter().map(|it| Wire::lay(it, Layer::Link));
    let wires = wires.collect::<io::Result<_>>()?;
    let links = Links::open()?;
    links.up(LOOPBACK, None)?;
    for family in Family::BOTH {
        links.own(Prefix::around(family.address(0), 0), LOOPBACK)?;
    }
    let link_local = LINK_LOCAL.parse().expect("an address");
    for name in interfaces {
        let index = if_nametoindex(name.as_str())?;
        links.up(index, Some(HARDWARE_ADDRESS))?;
        links.own(Prefix::around(link_local, 10), index)?;
        for address in ADDRESSES {
            links.address(address.parse().expect("an address"), index)?;
        }
    }
    Ok(wires)
}

/// Sends every packet, each to find the connections that it shall, and no other.
fn fire(job: &Job, wires: &[Wire], kernel: &mut Kernel) -> io::Result<()> {
    for shot in &job.shots {
        // Where conntrack takes no connection, the packet's state tells.
        let mut known: Vec<Connection> = Vec::new();
        for flow in &shot.finds {
            let connection = flow.connection();
            let taken = match known.last() {
                None => kernel.know(&connection),
                Some(from) => kernel.expect(&connection, from),
            };
            if taken.is_ok() {
                known.push(connection);
            }
        }
        let wire = wires.get(shot.interface);
        let wire = wire.ok_or_else(|| io::Error::other("no such interface"))?;
        wire.send(&shot.frame)?;
        for connection in known.iter().rev() {
            kernel.forget(connection).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
