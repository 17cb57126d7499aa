//! A region is what it says: everything in it shares the packet's fate.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::evaluate::{Fate, Journey, Place, journey, region};
use crate::testing::{Dice, neighbour, packet, tables};

/// Where a packet ends, and who decides at every place on its way there.
fn fates<'a>(journey: &Journey<'a>) -> Vec<(Place, Vec<Fate<'a>>)> {
    let stops = journey.stops.iter();
    stops
        .map(|stop| (stop.place, stop.evaluation.fates.clone()))
        .collect()
}

#[test]
fn every_packet_in_a_region_shares_the_fate() {
    let (mut regions, mut inside, mut outside) = (0, 0, 0);
    for seed in 0..1_500 {
        let mut dice = Dice::new(seed);
        let tables = tables(&mut dice);
        for _ in 0..6 {
            let packet = packet(&mut dice);
            let own = journey(&tables, &packet);
            let Ok(region) = region(&tables, &packet, &own) else {
                continue;
            };
            regions += 1;
            assert!(region.contains(&packet), "{seed}: {packet:?}\n{region:?}");
            for _ in 0..20 {
                let near = neighbour(&mut dice, &packet);
                if !region.contains(&near) {
                    outside += 1;
                    continue;
                }
                inside += 1;
                let theirs = journey(&tables, &near);
                let said = || -> String {
                    format!("seed {seed}\n{packet:?}\n{near:?}\n{region:?}\n{tables:?}")
                };
                assert_eq!(fates(&own), fates(&theirs), "{}", said());
            }
        }
    }
    assert!(
        regions > 3_000 && inside > 15_000 && outside > 15_000,
        "{regions} regions, {inside} packets inside, {outside} outside"
    );
}
