//! Gives packets their connections and their numbers.

use std::collections::HashSet;

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use portreeve_model::packet::CtState;
use portreeve_wire::device::Layer;
use portreeve_wire::packet::{Damage, Recipe};

use super::sketch::{Sketch, tame};
use super::{Entry, Salvo, Shot};
use crate::arena::{HARDWARE_ADDRESS, INTERFACES, SENDER_ADDRESS};
use crate::conntrack::{ECHO, Ends, turned};
use crate::draw::values::remote;
use crate::facts::route;
use crate::observer::{MARKING_HOP_LIMIT, Number};
use crate::random::Random;

/// Connections that a round begins with, at most.
const CONNECTIONS_MAX: usize = 64;

/// Collects the packets of a round.
#[derive(Debug, Default)]
pub(super) struct Gunner {
    sketches: Vec<Sketch>,
    before: Vec<Recipe>,
    connections: HashSet<Ends>,
}

impl Gunner {
    /// One more packet.
    pub(super) fn add(&mut self, random: &mut Random, mut sketch: Sketch) {
        tame(random, &mut sketch);
        if self.connections.len() >= 2 * CONNECTIONS_MAX
            && matches!(sketch.state, Some(CtState::Established | CtState::Related))
        {
            sketch.state = Some(CtState::New);
        }
        match sketch.state {
            Some(CtState::Established) => self.connect(random, &mut sketch),
            Some(CtState::Related) => self.relate(&mut sketch),
            Some(CtState::Invalid)
                if random.one_in(2) && sketch.recipe.protocol == PROTOCOL_TCP =>
            {
                sketch.recipe.tcp_flags = random.pick(&[0, 0xff, 3, 6, 0x29]);
            }
            Some(CtState::Invalid) => sketch.recipe.damage = Damage::Checksum,
            Some(CtState::New | CtState::Untracked) | None => {}
        }
        self.sketches.push(sketch);
    }

    /// Begins the connection that the packet is a part of.
    fn connect(&mut self, random: &mut Random, sketch: &mut Sketch) {
        let reply = sketch.reply;
        let recipe = &mut sketch.recipe;
        // Whoever is called first must be there.
        if reply && !route(recipe.family, recipe.saddr).is_reached() {
            recipe.saddr = remote(random, recipe.family) | 1;
        } else if !reply && !route(recipe.family, recipe.daddr).is_reached() {
            recipe.daddr = remote(random, recipe.family);
        }
        let [request, answer] = match recipe.family {
            Family::Ip => [8, 0],
            Family::Ip6 => [128, 129],
        };
        match recipe.protocol {
            PROTOCOL_TCP => recipe.tcp_flags = 0x10 | recipe.tcp_flags & 8,
            PROTOCOL_UDP => {}
            PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
                recipe.icmp_type = if reply { answer } else { request };
                recipe.icmp_code = 0;
            }
            _ => recipe.protocol = PROTOCOL_UDP,
        }
        let ends = ends(recipe);
        if self.connections.contains(&ends) {
            return;
        }
        let mut first = Recipe {
            number: Number::PREPARING.0,
            hop_limit: random.pick(&[64, MARKING_HOP_LIMIT]),
            payload: Vec::new(),
            ..recipe.clone()
        };
        first.icmp_type = request;
        if reply {
            turn(&mut first);
        }
        let mut second = first.clone();
        turn(&mut second);
        second.icmp_type = answer;
        if first.protocol == PROTOCOL_TCP {
            let third = first.clone();
            first.tcp_flags = 2;
            second.tcp_flags = 0x12;
            let third = Recipe {
                tcp_flags: 0x10,
                ..third
            };
            self.before.extend([first, second, third]);
        } else {
            self.before.extend([first, second]);
        }
        self.connections.extend([ends, turned(ends)]);
    }

    /// Makes the packet an error about a connection that its receiver has begun.
    fn relate(&mut self, sketch: &mut Sketch) {
        let recipe = &mut sketch.recipe;
        let family = recipe.family;
        let (protocol, error) = match family {
            Family::Ip => (PROTOCOL_ICMP, 3),
            Family::Ip6 => (PROTOCOL_ICMPV6, 1),
        };
        let away = match family {
            Family::Ip => 0xc612_0909,
            Family::Ip6 => 0x2001_0db8_0018 << 80 | 0x909,
        };
        let about = Recipe {
            number: Number::PREPARING.0,
            saddr: recipe.daddr,
            daddr: away,
            hop_limit: 64,
            protocol: PROTOCOL_UDP,
            payload: Vec::new(),
            damage: Damage::None,
            ..recipe.clone()
        };
        let ends = ends(&about);
        if self.connections.insert(ends) {
            self.connections.insert(turned(ends));
            self.before.push(about.clone());
        }
        recipe.protocol = protocol;
        recipe.icmp_type = error;
        recipe.icmp_code %= 4;
        recipe.icmp_id = 0;
        recipe.icmp_sequence = 0;
        recipe.payload = about.bytes();
    }

    /// All of them, with their numbers.
    pub(super) fn finish(self) -> Salvo {
        let mut counts = [0_u16; 8];
        let mut salvo = Salvo::default();
        for mut sketch in self.sketches {
            let connected = matches!(sketch.state, Some(CtState::Established | CtState::Related));
            // What is new by chance on a connection that is there would not be new.
            let clashes = !connected && self.connections.contains(&ends(&sketch.recipe));
            let untracked = clashes || matches!(sketch.state, Some(CtState::Untracked) | None);
            let class = |mark: u16| usize::from(mark | u16::from(untracked) << 2);
            let room = (0..4).map(|more| (sketch.mark + more) & 3);
            let room = room
                .into_iter()
                .find(|it| counts[class(*it)] + 1 < Number::PER_CLASS);
            let Some(mark) = room else { continue };
            counts[class(mark)] += 1;
            sketch.recipe.number = Number::new(counts[class(mark)], mark, untracked).0;
            salvo
                .shots
                .push(shot(sketch.entry, sketch.pkttype, &sketch.recipe));
        }
        let first = Entry::Wire(0);
        salvo.before = self.before.iter().map(|it| shot(first, 0, it)).collect();
        salvo
    }
}

fn ends(recipe: &Recipe) -> Ends {
    let Recipe {
        protocol,
        saddr,
        daddr,
        ..
    } = *recipe;
    let id = u32::from(recipe.icmp_id);
    let (sport, dport) = match (protocol, recipe.icmp_type) {
        (PROTOCOL_ICMP | PROTOCOL_ICMPV6, 0 | 129) => (ECHO, id),
        (PROTOCOL_ICMP | PROTOCOL_ICMPV6, _) => (id, ECHO),
        _ => (recipe.sport.into(), recipe.dport.into()),
    };
    (protocol, saddr, sport, daddr, dport)
}

/// Swaps the ends of a packet.
fn turn(recipe: &mut Recipe) {
    std::mem::swap(&mut recipe.saddr, &mut recipe.daddr);
    std::mem::swap(&mut recipe.sport, &mut recipe.dport);
}

fn shot(entry: Entry, pkttype: u8, recipe: &Recipe) -> Shot {
    let framed = match entry {
        Entry::Wire(at) => INTERFACES[at].layer == Layer::Link,
        Entry::Sent => false,
    };
    if !framed {
        return Shot {
            entry,
            bytes: recipe.bytes(),
        };
    }
    let to = match pkttype {
        0 => HARDWARE_ADDRESS,
        1 => [0xff; 6],
        _ => [1, 0, 0x5e, 0, 0, 1],
    };
    Shot {
        entry,
        bytes: recipe.frame(SENDER_ADDRESS, to),
    }
}
