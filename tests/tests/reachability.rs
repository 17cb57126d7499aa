//! Who reaches what, on a real kernel, is what the model says.

use std::path::{Path, PathBuf};
use std::process::Command;

use portreeve_tests::lab::{self, Outcome, Report, Service};

/// Applies a policy in the lab and compares every probe, or says why that cannot be done here.
fn observe(policy: &str, settings: &[&str]) -> Option<Report> {
    if let Err(reason) = lab::namespaces() {
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

/// The binary next to this test: built with the workspace, or else here.
fn portreeve() -> PathBuf {
    let lab = Path::new(env!("CARGO_BIN_EXE_lab"));
    let program = lab.with_file_name("portreeve");
    if !program.is_file() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "portreeve"])
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "portreeve is built"
        );
    }
    program
}

/// Whether just the sources inside the feed, or all of them, or none, reach `service`.
fn check(report: &Report, service: Service, reaches: impl Fn(&lab::Source) -> bool) {
    for source in &report.sources {
        let probe =
            |o: &&lab::Observation| o.probe.saddr == source.address && o.probe.service == service;
        let found = report.after.iter().find(probe).map(|o| o.outcome);
        let wanted = if reaches(source) {
            Outcome::Open
        } else {
            Outcome::Dropped
        };
        assert_eq!(
            found,
            Some(wanted),
            "{} from {}",
            service.name(),
            source.address
        );
    }
}

#[test]
fn strict_origin_does_to_every_probe_what_the_model_says() {
    let Some(report) = observe("strict-origin", &[]) else {
        return;
    };
    check(&report, Service::Tcp(22), |_| true);
    check(&report, Service::Tcp(443), |source| source.in_feed);
    check(&report, Service::Tcp(80), |_| false);
    check(&report, Service::Tcp(lab::HIGH_PORT), |_| false);
    check(&report, Service::Udp(lab::HIGH_PORT), |_| false);
}

#[test]
fn tunnel_origin_lets_in_ssh_and_nothing_else() {
    let Some(report) = observe("tunnel-origin", &[]) else {
        return;
    };
    check(&report, Service::Tcp(22), |_| true);
    for port in [443, 80, lab::HIGH_PORT] {
        check(&report, Service::Tcp(port), |_| false);
    }
    check(&report, Service::Udp(lab::HIGH_PORT), |_| false);
}
