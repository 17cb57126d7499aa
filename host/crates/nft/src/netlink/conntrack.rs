//! Tells connection tracking of a connection that it has not seen begin, and has it forget one.
//!
//! Numbers are those of `linux/netfilter/nfnetlink_conntrack.h` and `nf_conntrack_tcp.h`.

use std::net::{IpAddr, SocketAddr};

use portreeve_model::field::PROTOCOL_TCP;

use super::attributes::Writer;
use super::message::Head;
use super::numbers::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};

/// `NFNL_SUBSYS_CTNETLINK`, with `IPCTNL_MSG_CT_NEW` or `IPCTNL_MSG_CT_DELETE`.
const NEW: u16 = 1 << 8;
const DELETE: u16 = 1 << 8 | 2;

/// `CTA_TUPLE_ORIG`, and `CTA_TUPLE_REPLY`.
const TUPLES: [u16; 2] = [1, 2];
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_TUPLE_MASTER: u16 = 14;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// `CTA_IP_V4_SRC`, `CTA_IP_V4_DST`.
const V4: [u16; 2] = [1, 2];
/// `CTA_IP_V6_SRC`, `CTA_IP_V6_DST`.
const V6: [u16; 2] = [3, 4];
const CTA_PROTO_NUM: u16 = 1;
/// `CTA_PROTO_SRC_PORT`, `CTA_PROTO_DST_PORT`.
const PORTS: [u16; 2] = [2, 3];
/// `CTA_PROTO_ICMP_ID`, `CTA_PROTO_ICMP_TYPE`, `CTA_PROTO_ICMP_CODE`.
const ICMP: [u16; 3] = [4, 5, 6];
/// The same of ICMPv6.
const ICMPV6: [u16; 3] = [7, 8, 9];
/// Types of an echo and of its answer.
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
/// `CTA_PROTOINFO_TCP_FLAGS_ORIGINAL`, `CTA_PROTOINFO_TCP_FLAGS_REPLY`.
const TCP_FLAGS: [u16; 2] = [4, 5];

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

/// A connection, as its first packet shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The number of its protocol.
    pub protocol: u8,
    /// Who began it.
    pub saddr: IpAddr,
    /// With whom.
    pub daddr: IpAddr,
    /// What tells it from others between the two.
    pub ends: Ends,
}

/// What tells connections of one protocol between two addresses from each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ends {
    /// Source and destination port.
    Ports(u16, u16),
    /// The identifier of echoes.
    Echo(u16),
    /// Nothing: there is only one.
    None,
}

impl Connection {
    /// The TCP connection that `client` opened to `server`.
    #[must_use]
    pub const fn tcp(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            protocol: PROTOCOL_TCP,
            saddr: client.ip(),
            daddr: server.ip(),
            ends: Ends::Ports(client.port(), server.port()),
        }
    }

    /// The message that makes conntrack know it as one that is established. The kernel refuses it
    /// (`EEXIST`) when it knows the connection already.
    #[must_use]
    pub fn know(&self, sequence: u32) -> Vec<u8> {
        let mut attributes = self.tuples();
        attributes.u32(CTA_STATUS, STATUS);
        if self.protocol == PROTOCOL_TCP {
            attributes.nested(CTA_PROTOINFO, |out| {
                out.nested(CTA_PROTOINFO_TCP, |out| {
                    out.bytes(CTA_PROTOINFO_TCP_STATE, &[ESTABLISHED]);
                    for side in TCP_FLAGS {
                        out.bytes(side, &LIBERAL);
                    }
                });
            });
        }
        self.message(NEW, NLM_F_CREATE | NLM_F_EXCL, sequence, attributes)
    }

    /// The message that makes conntrack know it as one that another connection, which it knows, has
    /// announced, and whose first packet is still to come.
    #[must_use]
    pub fn expect(&self, from: &Self, sequence: u32) -> Vec<u8> {
        let mut attributes = self.tuples();
        attributes.nested(CTA_TUPLE_MASTER, |out| from.tuple(out, false));
        self.message(NEW, NLM_F_CREATE | NLM_F_EXCL, sequence, attributes)
    }

    /// Both directions, and for how long.
    fn tuples(&self) -> Writer {
        let mut attributes = Writer::default();
        for (kind, reply) in TUPLES.into_iter().zip([false, true]) {
            attributes.nested(kind, |out| self.tuple(out, reply));
        }
        attributes.u32(CTA_TIMEOUT, TIMEOUT_SECONDS);
        attributes
    }

    /// The message that makes conntrack forget it.
    #[must_use]
    pub fn forget(&self, sequence: u32) -> Vec<u8> {
        let mut attributes = Writer::default();
        attributes.nested(TUPLES[0], |out| self.tuple(out, false));
        self.message(DELETE, 0, sequence, attributes)
    }

    fn message(&self, kind: u16, flags: u16, sequence: u32, attributes: Writer) -> Vec<u8> {
        let head = Head {
            kind,
            flags: flags | NLM_F_ACK,
            sequence,
            family: if self.saddr.is_ipv4() {
                AF_INET
            } else {
                AF_INET6
            },
            resource: 0,
        };
        let mut message = Vec::new();
        head.write(&attributes.into_bytes(), &mut message);
        message
    }

    /// The two ends, as a packet goes that opens it, or one that answers.
    fn tuple(&self, out: &mut Writer, reply: bool) {
        let mut addresses = [self.saddr, self.daddr];
        if reply {
            addresses.reverse();
        }
        out.nested(CTA_TUPLE_IP, |out| {
            for (address, (v4, v6)) in addresses.iter().zip(V4.into_iter().zip(V6)) {
                match address {
                    IpAddr::V4(address) => out.bytes(v4, &address.octets()),
                    IpAddr::V6(address) => out.bytes(v6, &address.octets()),
                };
            }
        });
        out.nested(CTA_TUPLE_PROTO, |out| {
            out.bytes(CTA_PROTO_NUM, &[self.protocol]);
            self.ends(out, reply);
        });
    }

    fn ends(&self, out: &mut Writer, reply: bool) {
        match self.ends {
            Ends::Ports(sport, dport) => {
                let ports = if reply {
                    [dport, sport]
                } else {
                    [sport, dport]
                };
                for (port, kind) in ports.into_iter().zip(PORTS) {
                    out.bytes(kind, &port.to_be_bytes());
                }
            }
            Ends::Echo(id) => {
                let ([of_id, of_type, of_code], types) = if self.saddr.is_ipv4() {
                    (ICMP, ECHO)
                } else {
                    (ICMPV6, ECHO_V6)
                };
                out.bytes(of_id, &id.to_be_bytes());
                out.bytes(of_type, &[types[usize::from(reply)]]);
                out.bytes(of_code, &[0]);
            }
            Ends::None => {}
        }
    }
}
