//! The packets of a round: aimed at the rules of a rule set, beside them, and at random.

mod gunner;
mod sketch;

use portreeve_wire::device::Layer;

use self::gunner::Gunner;
use self::sketch::{Sketch, stray, ways};
use crate::arena::{INTERFACES, Interface};
use crate::draw::Ruleset;
use crate::observer::Number;
use crate::random::Random;

/// How a packet enters the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// By the interface at this position of [`INTERFACES`].
    Wire(usize),
    /// The machine sends it itself.
    Sent,
}

/// A packet and its way in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shot {
    /// How it enters.
    pub entry: Entry,
    /// The packet, or the frame where the interface carries frames.
    pub bytes: Vec<u8>,
}

impl Shot {
    /// The number it carries.
    #[must_use]
    pub fn number(&self) -> Number {
        let packet = self.packet();
        match packet[0] >> 4 {
            4 => Number(u16::from_be_bytes([packet[4], packet[5]])),
            _ => Number(u16::from_be_bytes([packet[2], packet[3]])),
        }
    }

    /// The packet without the header of the link layer.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.bytes[self.link_header().len()..]
    }

    /// The header of the link layer.
    #[must_use]
    pub fn link_header(&self) -> &[u8] {
        match self.entry {
            Entry::Wire(at) if INTERFACES[at].layer == Layer::Link => &self.bytes[..14],
            Entry::Wire(_) | Entry::Sent => &[],
        }
    }

    /// The interface it enters by.
    #[must_use]
    pub fn interface(&self) -> Option<&'static Interface> {
        match self.entry {
            Entry::Wire(at) => Some(&INTERFACES[at]),
            Entry::Sent => None,
        }
    }
}

/// The packets of a round.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Salvo {
    /// What goes before the rules are loaded, so that there are connections.
    pub before: Vec<Shot>,
    /// What the rules see.
    pub shots: Vec<Shot>,
}

/// Packets for `ruleset`: one for each way through its rules and one beside each, and then more, so
/// that they are at least `count`.
#[must_use]
pub fn salvo(random: &mut Random, ruleset: &Ruleset, count: usize) -> Salvo {
    let mut gunner = Gunner::default();
    let ways = ways(ruleset);
    let mut sent = 0;
    let mut add = |random: &mut Random, sketch: Sketch| {
        gunner.add(random, sketch);
        sent += 1;
        sent < count
    };
    for way in &ways {
        let witness = way.packet(random, None);
        add(random, witness);
        let beside = random.up_to(way.conditions().max(1));
        let neighbour = way.packet(random, Some(beside));
        add(random, neighbour);
    }
    loop {
        let sketch = if ways.is_empty() || random.one_in(6) {
            stray(random, ruleset)
        } else {
            let way = &ways[random.up_to(ways.len())];
            let beside = random.up_to(way.conditions().max(1) * 3);
            way.packet(random, Some(beside))
        };
        if !add(random, sketch) {
            return gunner.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;

    /// Losing this, rules that nothing is aimed at would agree with the kernel by never being met.
    #[test]
    fn each_way_has_a_packet_and_one_beside_it() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let rules = draw::draw(&mut random);
            let ways = ways(&rules).len();
            let shots = salvo(&mut random, &rules, 1).shots.len();
            assert!(ways > 0 || shots == 1, "seed {seed}");
            assert!(
                shots >= 2 * ways,
                "seed {seed}: {ways} ways, {shots} packets"
            );
        }
    }
}
