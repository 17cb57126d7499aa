//! Tells connection tracking of a TCP connection that began before it ran.
//!
//! Numbers are those of `linux/netfilter/nfnetlink_conntrack.h` and `nf_conntrack_tcp.h`.

use std::net::{IpAddr, SocketAddr};

use super::attributes::Writer;
use super::message::Head;
use super::numbers::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_NEW`.
const MESSAGE: u16 = 1 << 8;

/// `CTA_TUPLE_ORIG`, and `CTA_TUPLE_REPLY`.
const TUPLES: [u16; 2] = [1, 2];
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// `CTA_IP_V4_SRC`, `CTA_IP_V4_DST`.
const V4: [u16; 2] = [1, 2];
/// `CTA_IP_V6_SRC`, `CTA_IP_V6_DST`.
const V6: [u16; 2] = [3, 4];
const CTA_PROTO_NUM: u16 = 1;
/// `CTA_PROTO_SRC_PORT`, `CTA_PROTO_DST_PORT`.
const PORTS: [u16; 2] = [2, 3];

const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
/// `CTA_PROTOINFO_TCP_FLAGS_ORIGINAL`, `CTA_PROTOINFO_TCP_FLAGS_REPLY`.
const TCP_FLAGS: [u16; 2] = [4, 5];

const IPPROTO_TCP: u8 = 6;
/// `IPS_SEEN_REPLY`, `IPS_ASSURED` and `IPS_CONFIRMED`: both sides have spoken.
const STATUS: u32 = 1 << 1 | 1 << 2 | 1 << 3;
/// `TCP_CONNTRACK_ESTABLISHED`.
const ESTABLISHED: u8 = 3;
/// `IP_CT_TCP_FLAG_BE_LIBERAL`, as a value and as the mask: nobody has seen its windows.
const LIBERAL: [u8; 2] = [8, 8];
/// Seconds that a silent connection is remembered: the kernel's own for an established one
/// (`nf_conntrack_tcp_timeout_established`).
const TIMEOUT_SECONDS: u32 = 432_000;

/// The address family in a message.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The message that makes conntrack know the connection that `client` opened to `server` as one
/// that is established. The kernel refuses it (`EEXIST`) when it knows the connection already.
#[must_use]
pub fn adopt(client: SocketAddr, server: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut attributes = Writer::default();
    let directions = [(client, server), (server, client)];
    for (kind, (from, to)) in TUPLES.into_iter().zip(directions) {
        attributes.nested(kind, |out| tuple(out, [from, to]));
    }
    attributes.u32(CTA_STATUS, STATUS);
    attributes.nested(CTA_PROTOINFO, |out| {
        out.nested(CTA_PROTOINFO_TCP, |out| {
            out.bytes(CTA_PROTOINFO_TCP_STATE, &[ESTABLISHED]);
            for side in TCP_FLAGS {
                out.bytes(side, &LIBERAL);
            }
        });
    });
    attributes.u32(CTA_TIMEOUT, TIMEOUT_SECONDS);
    let head = Head {
        kind: MESSAGE,
        flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
        sequence,
        family: if client.is_ipv4() { AF_INET } else { AF_INET6 },
        resource: 0,
    };
    let mut message = Vec::new();
    head.write(&attributes.into_bytes(), &mut message);
    message
}

/// Source and destination of one direction.
fn tuple(out: &mut Writer, ends: [SocketAddr; 2]) {
    out.nested(CTA_TUPLE_IP, |out| {
        for (end, (v4, v6)) in ends.iter().zip(V4.into_iter().zip(V6)) {
            match end.ip() {
                IpAddr::V4(address) => out.bytes(v4, &address.octets()),
                IpAddr::V6(address) => out.bytes(v6, &address.octets()),
            };
        }
    });
    out.nested(CTA_TUPLE_PROTO, |out| {
        out.bytes(CTA_PROTO_NUM, &[IPPROTO_TCP]);
        for (end, port) in ends.iter().zip(PORTS) {
            out.bytes(port, &end.port().to_be_bytes());
        }
    });
}
