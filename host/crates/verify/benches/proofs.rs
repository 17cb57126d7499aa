//! What proofs cost, beside the time it takes to start nft. Run by `cargo xtask bench proofs`.
//!
//! Each figure is the median of several runs of everything from parsed prefixes to the answer:
//! sets normalised, atoms, diagram, goals. Nothing here is asserted: a bar that is missed is printed
//! as missed.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::{Field, Kind, PortProtocol, interface};
use portreeve_model::goal::Quantifier;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{
    Attachment, Base, Chain, ChainType, Elements, Expression, Lookup, Match, Operand, Part, Rule,
    Set, SetIndex, Table, TableFamily, Tables, Verdict,
};
use portreeve_verify::{Answer, Budget, Claim, Inquiry, Way};

const RUNS: usize = 9;

fn main() {
    println!("{:<52} {:>12} {:>12}", "what", "measured", "bar");
    let nft = start_of_nft();
    let small = Feed::small();
    let typical = || typical(&small, 0);
    let proof = median(|| prove(&typical(), &small));
    row(
        "51 rules, 22 prefixes: compile and four goals",
        proof,
        Some(1.0),
    );
    if let Some(nft) = nft {
        row("  the start of nft in the same run", nft, None);
        let ratio = proof.as_secs_f64() / nft.as_secs_f64();
        println!("{:<52} {ratio:>10.3} ×", "  ratio");
    }
    let changed = self::typical(&small, 1);
    row(
        "51 rules: a full diff",
        median(|| diff(&typical(), &changed)),
        Some(1.0),
    );
    let thousand = many_rules(1_000);
    row(
        "1,000 rules, 30 sets: compile and four goals",
        median(|| prove(&thousand, &small)),
        Some(20.0),
    );
    for (what, ip6, bar) in [
        ("1,000,000 IPv4 prefixes: to the answer", 0, 150.0),
        ("and 1,000,000 IPv6 prefixes", 1_000_000, 600.0),
    ] {
        let mut feed = Some(Feed::large(1_000_000, ip6));
        let taken = median(|| {
            let again = feed.take().expect("it is put back").normalised();
            prove(&self::typical(&again, 0), &again);
            feed = Some(again);
        });
        row(what, taken, Some(bar));
    }
    match peak_megabytes() {
        Some(peak) => println!(
            "{:<52} {peak:>9.0} MB {:>9} MB",
            "peak memory of this program", 200
        ),
        None => println!("peak memory: not told by this machine"),
    }
}

fn row(what: &str, measured: Duration, bar: Option<f64>) {
    let milliseconds = measured.as_secs_f64() * 1e3;
    let bar = bar.map_or(String::new(), |bar| {
        let verdict = if milliseconds <= bar { "met" } else { "MISSED" };
        format!("{bar:>9.1} ms  {verdict}")
    });
    println!("{what:<52} {milliseconds:>9.2} ms {bar}");
}

/// The median of several runs: of the processor's time where the machine tells it, for it is shared.
/// A run is as many turns as it takes to be told.
fn median(mut turn: impl FnMut()) -> Duration {
    let start = Instant::now();
    turn();
    let turns = (TOLD.as_secs_f64() / start.elapsed().as_secs_f64()).ceil() as u32;
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let (start, before) = (Instant::now(), on_processor());
            (0..turns).for_each(|_| turn());
            let all = match (before, on_processor()) {
                (Some(before), Some(after)) => after - before,
                _ => start.elapsed(),
            };
            all / turns
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

/// The machine tells the processor's time in ticks of some milliseconds.
const TOLD: Duration = Duration::from_millis(100);

/// How long this thread has been on a processor (the first number of `schedstat` in proc(5)).
fn on_processor() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// How long nft takes to say its version; none where there is no nft.
fn start_of_nft() -> Option<Duration> {
    let nft = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
    let nft = nft
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())?;
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let mut nft = Command::new(nft);
            let status = nft.arg("--version").stdout(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "nft starts");
            start.elapsed()
        })
        .collect();
    times.sort();
    // The others had to wait for a processor.
    times.first().copied()
}

/// The most memory that this process has had (`VmHWM` in proc(5)).
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// Prefixes of both families.
struct Feed {
    prefixes: [Vec<Prefix>; 2],
    sets: [Arc<Intervals>; 2],
}

impl Feed {
    fn of(prefixes: [Vec<Prefix>; 2]) -> Self {
        Self {
            prefixes,
            sets: [Arc::default(), Arc::default()],
        }
        .normalised()
    }

    /// As many as Cloudflare has.
    fn small() -> Self {
        let ip = (0..15).map(|at| prefix(Family::Ip, 0x6810_0000 + (at << 20), 20));
        let ip6 = (0..7).map(|at| prefix(Family::Ip6, (0x2400_cb00 + (at << 8)) << 96, 32));
        Self::of([ip.collect(), ip6.collect()])
    }

    /// In no order, as a blocklist comes.
    fn large(ip: u128, ip6: u128) -> Self {
        let scattered = |at: u128| at.wrapping_mul(2_654_435_761) & 0xffff_ffff;
        let length = |at: u128| if at.is_multiple_of(7) { 31 } else { 32 };
        let ip = (0..ip).map(|at| prefix(Family::Ip, scattered(at), length(at)));
        let ip6 = (0..ip6).map(|at| prefix(Family::Ip6, 0x2a00 << 112 | scattered(at) << 64, 64));
        Self::of([ip.collect(), ip6.collect()])
    }

    /// With the sets made anew from the prefixes.
    fn normalised(self) -> Self {
        let set = |prefixes: &Vec<Prefix>| {
            let intervals = prefixes.iter().map(|prefix| prefix.interval());
            Arc::new(intervals.collect::<Intervals>())
        };
        Self {
            sets: [set(&self.prefixes[0]), set(&self.prefixes[1])],
            prefixes: self.prefixes,
        }
    }
}

fn prefix(family: Family, bits: u128, length: u8) -> Prefix {
    Prefix::around(family.address(bits), length)
}

fn numbers(values: impl IntoIterator<Item = u128>) -> Intervals {
    values.into_iter().map(Interval::single).collect()
}

fn is(field: Field, values: Intervals) -> Part {
    Part::Match(condition(field, values))
}

fn condition(field: Field, values: Intervals) -> Match {
    Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers(values),
    }
}

fn accepts(parts: impl IntoIterator<Item = Part>) -> Rule {
    let accept = Part::Verdict(Verdict::Accept);
    Rule {
        handle: None,
        comment: None,
        parts: parts.into_iter().chain([accept]).collect(),
    }
}

const TCP: PortProtocol = PortProtocol::Tcp;

/// A host behind a feed: loopback, established, ICMP, SSH, the web from the feed, and services.
fn typical(feed: &Feed, more: u128) -> Tables {
    let sets = Family::BOTH.into_iter().zip(&feed.sets);
    let sets = sets.map(|(family, elements)| Set {
        name: format!("feed_{}", family.keyword()),
        key: vec![Kind::Address(family)],
        changing: false,
        elements: Some(Elements::Numbers(Arc::clone(elements))),
    });
    let states = [CtState::Established, CtState::Related].map(|state| state as u128);
    let mut rules = vec![
        accepts([is(Field::Iifname, interface::set(["lo"]))]),
        accepts([is(Field::CtState, numbers(states))]),
        accepts([is(Field::IcmpType(Family::Ip), numbers([3, 8, 11, 12]))]),
        accepts([is(
            Field::IcmpType(Family::Ip6),
            numbers([1, 2, 3, 4, 128, 133, 135, 136]),
        )]),
        accepts([is(Field::Dport(TCP), numbers([22]))]),
    ];
    for (at, family) in Family::BOTH.into_iter().enumerate() {
        let from = Part::Match(Match {
            left: Expression::Field(Field::Saddr(family)),
            negated: false,
            right: Operand::Elements(Lookup::Named(SetIndex(at))),
        });
        rules.push(accepts([from, is(Field::Dport(TCP), numbers([443]))]));
    }
    for service in 0..44 {
        let network = Interval::new(0x0a00_0000 + (service << 12), 0x0a00_0fff + (service << 12));
        rules.push(accepts([
            is(Field::Saddr(Family::Ip), network.into_iter().collect()),
            is(Field::Dport(TCP), numbers([8000 + service + more])),
        ]));
    }
    machine(sets.collect(), rules)
}

/// So many rules over thirty sets.
fn many_rules(count: u128) -> Tables {
    let set = |at: u128| {
        let elements = (0..100).map(|it| {
            let first = (at * 7_919 + it * 104_729) << 8 & 0xffff_ffff;
            Interval::new(first, first | 0xff).expect("bits that are set add")
        });
        Set {
            name: format!("s{at}"),
            key: vec![Kind::Address(Family::Ip)],
            changing: false,
            elements: Some(Elements::Numbers(Arc::new(elements.collect()))),
        }
    };
    let rules = (0..count).map(|at| {
        let from = Part::Match(Match {
            left: Expression::Field(Field::Saddr(Family::Ip)),
            negated: false,
            right: Operand::Elements(Lookup::Named(SetIndex((at % 30) as usize))),
        });
        accepts([from, is(Field::Dport(TCP), numbers([1_000 + at]))])
    });
    machine((0..30).map(set).collect(), rules.collect())
}

fn machine(sets: Vec<Set>, rules: Vec<Rule>) -> Tables {
    let base = Base {
        chain_type: ChainType::Filter,
        attachment: Attachment::Hook(Hook::Input),
        priority: 0,
        policy: ChainPolicy::Drop,
    };
    let chain = Chain {
        name: "input".to_owned(),
        base: Some(base),
        rules,
    };
    let table = Table {
        family: TableFamily::Inet,
        name: "portreeve".to_owned(),
        dormant: false,
        listed: false,
        sets,
        chains: vec![chain],
        unknown: Vec::new(),
    };
    Tables {
        tables: vec![table],
        unknown: Vec::new(),
    }
}

/// SSH from anywhere, 443 from the feed and from nobody else, nothing else that begins a connection.
fn prove(tables: &Tables, feed: &Feed) {
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(tables);
    let new = || condition(Field::CtState, numbers([CtState::New as u128]));
    let outside = || Match {
        negated: true,
        ..condition(Field::Iifname, interface::set(["lo"]))
    };
    let port = |port| condition(Field::Dport(TCP), numbers([port]));
    let from = |family: Family, negated| Match {
        left: Expression::Field(Field::Saddr(family)),
        negated,
        right: Operand::Elements(Lookup::Anonymous(Elements::Numbers(Arc::clone(
            &feed.sets[usize::from(family == Family::Ip6)],
        )))),
    };
    let both = |negated| -> Vec<Vec<Match>> {
        let clauses = Family::BOTH.into_iter();
        clauses
            .map(|family| vec![outside(), new(), from(family, negated), port(443)])
            .collect()
    };
    let odd = condition(Field::Dport(TCP), numbers([23, 25, 80]));
    let goals = [
        (
            inquiry.packets(&[vec![new(), port(22)]]),
            Quantifier::AllAccepted,
        ),
        (inquiry.packets(&both(false)), Quantifier::AllAccepted),
        (inquiry.packets(&both(true)), Quantifier::NoneAccepted),
        (
            inquiry.packets(&[vec![outside(), new(), odd]]),
            Quantifier::NoneAccepted,
        ),
    ];
    let mut prover = inquiry.prover(Budget::DEFAULT);
    for (packets, quantifier) in goals {
        let answer = prover.decide(Claim {
            rules,
            way: Way::At(Hook::Input),
            packets,
            quantifier,
        });
        assert!(!matches!(answer, Answer::Undecided(_)), "{answer:?}");
    }
}

fn diff(before: &Tables, after: &Tables) {
    let mut inquiry = Inquiry::new();
    let (before, after) = (inquiry.rules(before), inquiry.rules(after));
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let changes = prover.changes(before, after, Way::At(Hook::Input));
    assert!(
        !changes.expect("few rules").is_empty(),
        "ports were changed"
    );
}
