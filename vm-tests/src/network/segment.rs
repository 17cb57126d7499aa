//! The Ethernet behind one network card, on which every address but the machine's own is ours.
//!
//! It answers ARP and neighbour discovery for everybody. It never answers for the machine itself, nor
//! a machine that asks whether an address is free (RFC 4862, 5.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use anyhow::{Result, anyhow};
use portreeve_vm_agent::BARRIER;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags,
    NdiscRepr,
};

use super::card::Card;

/// The hardware address of everybody else.
pub const EVERYBODY: EthernetAddress = EthernetAddress([0x02, 0xfe, 0, 0, 0, 1]);

/// The Ethernet behind one card.
#[derive(Debug)]
pub struct Segment {
    card: Card,
    machine: EthernetAddress,
    addresses: Vec<IpAddr>,
    /// How often the machine asked where an address is.
    pub asked: u64,
}

/// What came from the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// A packet to somebody.
    Packet(Vec<u8>),
    /// The answer to a barrier.
    Barrier,
    /// What needs no attention, or has had it.
    Other,
}

impl Segment {
    /// The Ethernet behind a card with a hardware address.
    #[must_use]
    pub const fn new(card: Card, machine: EthernetAddress) -> Self {
        Self {
            card,
            machine,
            addresses: Vec::new(),
            asked: 0,
        }
    }

    /// Which addresses are the machine's own.
    pub fn belongs_to_machine(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.addresses = addresses.into_iter().collect();
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Sends a packet to the machine.
    ///
    /// # Errors
    /// When the card takes none.
    pub fn send(&mut self, packet: &[u8]) -> Result<()> {
        let protocol = match packet.first().map(|first| first >> 4) {
            Some(6) => EthernetProtocol::Ipv6,
            _ => EthernetProtocol::Ipv4,
        };
        self.send_to(self.machine, protocol, packet)
    }

    /// Asks the machine for something that it answers after everything that it was sent before, and
    /// after its answers to that: the queue of its card is one, and its kernel answers while it
    /// empties it.
    ///
    /// # Errors
    /// When the card takes no frame.
    pub fn send_barrier(&mut self) -> Result<()> {
        // The sender has no address yet, as RFC 5227 has it: so the machine learns no neighbour.
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EVERYBODY,
            source_protocol_addr: Ipv4Addr::UNSPECIFIED,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: BARRIER,
        };
        self.send_to(
            EthernetAddress::BROADCAST,
            EthernetProtocol::Arp,
            &arp(&request),
        )
    }

    /// What the machine sends next, when it does in time.
    ///
    /// # Errors
    /// When the wire is cut.
    pub fn hear(&mut self, until: Instant) -> Result<Option<Heard>> {
        let Some(frame) = self.card.receive(until)? else {
            return Ok(None);
        };
        let frame = EthernetFrame::new_checked(frame.as_slice());
        let frame = frame.map_err(|_| anyhow!("the machine sent a frame without a header"))?;
        match frame.ethertype() {
            EthernetProtocol::Arp => self.hear_arp(frame.payload()),
            EthernetProtocol::Ipv4 => Ok(Heard::Packet(frame.payload().to_vec())),
            EthernetProtocol::Ipv6 => self.hear_ipv6(frame.payload()),
            EthernetProtocol::Unknown(_) => Ok(Heard::Other),
        }
        .map(Some)
    }

    fn hear_arp(&mut self, packet: &[u8]) -> Result<Heard> {
        let Ok(repr) = ArpPacket::new_checked(packet).and_then(|it| ArpRepr::parse(&it)) else {
            return Ok(Heard::Other);
        };
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: machine,
            source_protocol_addr: asker,
            target_protocol_addr: wanted,
            ..
        } = repr
        else {
            return Ok(Heard::Other);
        };
        match operation {
            ArpOperation::Reply if asker == BARRIER => Ok(Heard::Barrier),
            ArpOperation::Request if !asker.is_unspecified() && !self.is_own(wanted.into()) => {
                self.asked += 1;
                let reply = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Reply,
                    source_hardware_addr: EVERYBODY,
                    source_protocol_addr: wanted,
                    target_hardware_addr: machine,
                    target_protocol_addr: asker,
                };
                self.send_to(machine, EthernetProtocol::Arp, &arp(&reply))?;
                Ok(Heard::Other)
            }
            _ => Ok(Heard::Other),
        }
    }

    fn hear_ipv6(&mut self, packet: &[u8]) -> Result<Heard> {
        let Some((from, discovered)) = discovered(packet) else {
            return Ok(Heard::Packet(packet.to_vec()));
        };
        match discovered {
            Discovered::Solicitation(target) if !from.is_unspecified() => {
                if !self.is_own(target.into()) {
                    self.asked += 1;
                    let advertisement = NdiscRepr::NeighborAdvert {
                        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
                        target_addr: target,
                        lladdr: Some(EVERYBODY.into()),
                    };
                    self.send(&discovery(target, from, advertisement))?;
                }
                Ok(Heard::Other)
            }
            Discovered::Solicitation(_) | Discovered::Other => Ok(Heard::Other),
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || address == BARRIER
    }

    fn send_to(
        &mut self,
        to: EthernetAddress,
        ethertype: EthernetProtocol,
        payload: &[u8],
    ) -> Result<()> {
        let header = EthernetRepr {
            src_addr: EVERYBODY,
            dst_addr: to,
            ethertype,
        };
        let mut bytes = vec![0; header.buffer_len() + payload.len()];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        header.emit(&mut frame);
        frame.payload_mut().copy_from_slice(payload);
        self.card.send(&bytes)
    }
}

/// What neighbour discovery says, as far as it matters here.
enum Discovered {
    Solicitation(Ipv6Addr),
    Other,
}

/// Neighbour discovery and its sender; none when the packet is anything else. What is multicast
/// listener discovery is [`Discovered::Other`]: no packet that anybody waits for.
fn discovered(packet: &[u8]) -> Option<(Ipv6Addr, Discovered)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let from = packet.src_addr();
    if packet.next_header() == IpProtocol::HopByHop {
        return Some((from, Discovered::Other));
    }
    if packet.next_header() != IpProtocol::Icmpv6 {
        return None;
    }
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    match u8::from(message.msg_type()) {
        // RFC 4861: router solicitation and advertisement, redirect.
        133 | 134 | 137 => return Some((from, Discovered::Other)),
        135 | 136 => {}
        _ => return None,
    }
    Some((
        from,
        match NdiscRepr::parse(&message) {
            Ok(NdiscRepr::NeighborSolicit { target_addr, .. }) => {
                Discovered::Solicitation(target_addr)
            }
            _ => Discovered::Other,
        },
    ))
}

fn arp(repr: &ArpRepr) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    bytes
}

/// A message of neighbour discovery, from its own link (RFC 4861, 7.1.1: hop limit 255).
fn discovery(from: Ipv6Addr, to: Ipv6Addr, message: NdiscRepr<'_>) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let header = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: 255,
    };
    let mut bytes = vec![0; header.buffer_len() + message.buffer_len()];
    header.emit(&mut Ipv6Packet::new_unchecked(&mut bytes[..]));
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[header.buffer_len()..]);
    let checksums = ChecksumCapabilities::default();
    message.emit(&from, &to, &mut packet, &checksums);
    bytes
}
