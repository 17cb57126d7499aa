//! What a trial takes, from its beginning to each of its ends, beside `nft -f` with the same rules.

use std::io;

use portreeve_tests::battery::token;
use portreeve_tests::program::Run;

use crate::Bench;
use crate::measure::{Contender, Cost, Paired, ROUNDS};
use crate::table::Figure;

/// Trials that are left to lapse: each takes a second.
const LAPSES: usize = 11;

/// What `apply` exits with when nobody confirmed.
const LAPSED: u8 = 7;

/// Puts one rule set after the other on trial, where a confirmed one with the same sets is in
/// force.
pub(crate) fn trials(bench: &Bench, nft: &Contender<'_>) -> io::Result<Vec<Figure>> {
    bench.portreeve(&["apply", "--no-trial"]).run()?;
    let mut begun = Paired::default();
    let mut confirmed = Paired::default();
    let mut taken_back = Paired::default();
    for round in 0..=ROUNDS {
        let apply = apply(bench, "5m", round, &["--no-wait"]);
        let first = apply.run()?;
        let beside_first = nft.run()?;
        let back = bench.portreeve(&["rollback"]).run()?;
        let beside_back = nft.run()?;
        let second = apply.run()?;
        let token = said_token(&second)?;
        let confirm = ["confirm", &token, "--from-console"];
        let confirm = bench.portreeve(&confirm).run()?;
        // The first round only warms the page cache.
        if round > 0 {
            begun.push(first, &beside_first);
            taken_back.push(back, &beside_back);
            confirmed.push(confirm, &nft.run()?);
        }
    }
    let mut lapsed = Paired::default();
    for round in 0..LAPSES {
        let apply = apply(bench, "1s", round, &[]).ends_with(LAPSED);
        lapsed.push(apply.run()?, &nft.run()?);
    }
    let figure = |what: &str, paired: &Paired, bar| {
        eprintln!("{what}: {paired}");
        Figure::new(format!("{what}, CPU ÷ nft -f"), paired.ratio(), bar, "×")
    };
    Ok(vec![
        figure(
            "apply --no-wait, without the watcher it leaves",
            &begun,
            2.0,
        ),
        figure("confirm", &confirmed, 1.0),
        figure("rollback of a trial", &taken_back, 1.0),
        figure(
            "apply, with its watcher until a lapse after 1 s",
            &lapsed,
            2.0,
        ),
    ])
}

/// Another rule set each round, with the same sets.
fn apply(bench: &Bench, within: &str, round: usize, options: &[&str]) -> Contender<'static> {
    let ports = ["ports=8443", "ports=443"][round % 2];
    let apply = ["apply", "--set", ports, "--confirm-within", within];
    bench.portreeve(&[&apply, options].concat())
}

fn said_token(apply: &Cost) -> io::Result<String> {
    let said = Run {
        stdout: apply.stdout.clone(),
        ..Run::default()
    };
    token(&said).ok_or_else(|| io::Error::other(format!("no token in: {}", said.stdout)))
}
