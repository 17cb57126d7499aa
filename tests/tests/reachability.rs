//! Who reaches what, on a real kernel, is what the model says.

use std::process::Command;

use portreeve_tests::lab::{self, Outcome, Report, Service, Source};
use portreeve_tests::namespace::Namespaces;
use portreeve_tests::program::portreeve;

/// Applies a policy in the lab and compares every probe, or says why that cannot be done here.
fn observe(policy: &str, settings: &[&str]) -> Option<Report> {
    if let Err(reason) = Namespaces::find() {
        eprintln!("skipped: no network namespace with nftables can be made: {reason}");
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg(portreeve())
        .arg(policy)
        .args(settings)
        .arg("--json")
        .output()
        .expect("the lab starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("the lab worked: {} {said}", output.status));
    let text = report.text(lab::Paint::Plain);
    assert!(report.is_good(), "{text}");
    // Twenty addresses, six services: a lab that tried less would prove less.
    assert_eq!((report.before.len(), report.after.len()), (120, 120));
    assert_eq!(report.held.len(), 20);
    Some(report)
}

/// What comes of trying `service` from each source.
fn check(report: &Report, service: Service, expected: impl Fn(&Source) -> Outcome) {
    for source in &report.sources {
        let found = report
            .after
            .iter()
            .find(|o| o.probe.saddr == source.address && o.probe.service == service)
            .map(|o| o.outcome);
        let at = format!("{} from {}", service.name(), source.address);
        assert_eq!(found, Some(expected(source)), "{at}");
    }
}

const OPEN: fn(&Source) -> Outcome = |_| Outcome::Open;
const DROPPED: fn(&Source) -> Outcome = |_| Outcome::Dropped;
const CLOUDFLARE: fn(&Source) -> Outcome = |source| {
    if source.in_feed {
        Outcome::Open
    } else {
        Outcome::Dropped
    }
};

#[test]
fn strict_origin_does_to_every_probe_what_the_model_says() {
    let Some(report) = observe("strict-origin", &[]) else {
        return;
    };
    check(&report, Service::Tcp(22), OPEN);
    check(&report, Service::Tcp(443), CLOUDFLARE);
    check(&report, Service::Tcp(80), DROPPED);
    check(&report, Service::Tcp(lab::HIGH_PORT), DROPPED);
    check(&report, Service::Udp(lab::HIGH_PORT), DROPPED);
    check(&report, Service::Echo, OPEN);
}

#[test]
fn tunnel_origin_lets_in_ssh_and_nothing_else() {
    let Some(report) = observe("tunnel-origin", &[]) else {
        return;
    };
    check(&report, Service::Tcp(22), OPEN);
    for port in [443, 80, lab::HIGH_PORT] {
        check(&report, Service::Tcp(port), DROPPED);
    }
    check(&report, Service::Udp(lab::HIGH_PORT), DROPPED);
    check(&report, Service::Echo, OPEN);
}

#[test]
fn settings_move_the_ports_silence_the_echo_and_answer_strangers() {
    let settings = [
        "ssh-port=80",
        "ports=443,50000",
        "echo=false",
        "otherwise=reject",
    ];
    let Some(report) = observe("strict-origin", &settings) else {
        return;
    };
    let reset = |source: &Source| match CLOUDFLARE(source) {
        Outcome::Open => Outcome::Open,
        _ => Outcome::Reset,
    };
    // "Port unreachable" is code 3 of ICMP and code 4 of ICMPv6.
    let unreachable =
        |source: &Source| Outcome::Rejected(if source.address.is_ipv4() { 3 } else { 4 });
    check(&report, Service::Tcp(80), OPEN);
    check(&report, Service::Tcp(443), reset);
    check(&report, Service::Tcp(lab::HIGH_PORT), reset);
    check(&report, Service::Tcp(22), |_| Outcome::Reset);
    check(&report, Service::Udp(lab::HIGH_PORT), unreachable);
    check(&report, Service::Echo, unreachable);
}
