//! A rule set on trial, on a machine of its own: who can still get in, who can confirm, and what
//! is left when something goes wrong.
//!
//! Each test runs in a world of its own (`battery::world`); where none can be made, it says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use portreeve_tests::battery::kills::Campaign;
use portreeve_tests::battery::login::{PORT, Session, Terminal};
use portreeve_tests::battery::world::test_runs_inside;
use portreeve_tests::battery::{
    self, Door, Knocker, MACHINE, Machine, Processes, Programs, Sabotage, Trouble, WORLD,
};
use portreeve_tests::namespace::tool;
use portreeve_tests::program::{Run, portreeve};

/// Runs a test in a world of its own.
fn inside<Test: FnOnce()>(test: Test) {
    // `trial::name_of_the_test::{{closure}}`
    let path = std::any::type_name::<Test>();
    let name = path.split("::").nth(1).expect("it is a closure in a test");
    if test_runs_inside(name) {
        test();
    }
}

fn programs() -> Programs {
    Programs {
        portreeve: portreeve().canonicalize().expect("it is built"),
        battery: PathBuf::from(env!("CARGO_BIN_EXE_battery")),
    }
}

/// Longer than any test takes until it confirms, or does not.
const LONG: &str = "60s";

/// A rule set that lets SSH in, on trial; and the token that makes it permanent.
struct Trial {
    machine: Machine,
    /// Where `apply` runs.
    session: Session,
    token: String,
}

impl Trial {
    fn begin(confirm_within: &str) -> io::Result<Self> {
        let machine = Machine::boot(&programs())?;
        let mut session = machine.login()?;
        let apply = ["apply", "--confirm-within", confirm_within];
        session.start(&machine.portreeve(&apply), Terminal::No)?;
        let token = session.until(battery::token)?;
        Ok(Self {
            machine,
            session,
            token,
        })
    }

    /// The words of a confirmation.
    fn words(&self) -> Vec<String> {
        self.machine.portreeve(&["confirm", &self.token])
    }

    /// The trial goes on, and can still be confirmed as it must be.
    fn goes_on(mut self) -> io::Result<()> {
        let confirm = self.machine.login()?.run(&self.words())?;
        confirm.succeeds(&["confirmed"]);
        self.session.finish()?.succeeds(&[]);
        Ok(())
    }
}

/// A refusal that says why, with the state of the machine as its last line.
#[track_caller]
fn refused(run: &Run, parts: &[&str]) {
    run.fails(2, parts);
    assert!(run.stderr.contains("machine   on trial"), "{}", run.stderr);
}

/// A rule set that drops SSH is on trial, and the machine is in trouble.
fn judge(trouble: Trouble) {
    let verdict = battery::run(&programs(), trouble).expect("the machine works");
    let table = battery::table(std::slice::from_ref(&verdict));
    assert!(verdict.is_good(), "{table}");
    eprint!("{table}");
}

/// Losing this, the battery would measure itself: the same trial in nft's own words, without
/// portreeve, must be seen to end when the kernel ends it.
#[test]
fn the_battery_sees_the_kernel_end_a_trial_to_the_tick() {
    inside(|| {
        let machine = Machine::boot(&programs()).unwrap();
        let doors = MACHINE.map(|address| Knocker::at(SocketAddr::new(address, PORT)));
        let limit = Duration::from_secs(20);
        let wait = |door| {
            doors
                .each_ref()
                .map(|knocker| knocker.wait(door, limit).unwrap())
        };
        wait(Door::Open);
        let mut held = machine.login().unwrap();
        let rules = "table inet t {
        set trial { type nf_proto; flags timeout; elements = { ipv4 timeout 1s, ipv6 timeout 1s }; };
        chain shut { ct state established accept; tcp dport 22 drop; };
        chain input { type filter hook input priority 0; meta nfproto @trial goto shut; };
    }";
        let mut nft = machine.command(&tool("nft").unwrap());
        let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin
            .take()
            .unwrap()
            .write_all(rules.as_bytes())
            .unwrap();
        assert!(nft.wait().unwrap().success());
        let shut = wait(Door::Shut);
        held.echo("still here").unwrap();
        let open = wait(Door::Open);
        for (shut, open) in shut.into_iter().zip(open) {
            let (least, most) = (open.after - shut.by, open.by - shut.after);
            eprintln!("shut for {least:?} to {most:?}");
            let tick = Duration::from_millis(20);
            let second = Duration::from_secs(1);
            assert!(least < second + tick && most > second - tick);
        }
    });
}

/// What the battery finds when portreeve does this wrong; nothing happens to the machine.
#[track_caller]
fn is_called_bad(sabotage: Sabotage, faults: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let programs = sabotage.of(&programs(), folder.path());
    let programs = programs.expect("a script can be written");
    let verdict = battery::run(&programs, Trouble::Wait).expect("the machine works");
    let table = battery::table(std::slice::from_ref(&verdict));
    eprint!("{table}");
    let told = |(fault, beginning): (&String, &&str)| fault.starts_with(beginning);
    let all = verdict.faults.len() == faults.len();
    assert!(
        all && verdict.faults.iter().zip(faults).all(told),
        "{table}"
    );
    assert!(
        table.contains("BAD") && table.ends_with("0 of 1 good\n"),
        "{table}"
    );
}

/// Losing this, the battery would call a trial good that locks out for good.
#[test]
fn a_trial_that_never_lapses_is_called_bad() {
    inside(|| {
        is_called_bad(
            Sabotage::NeverLapses,
            &[
                "SSH never opened",
                "apply ended with Some(0)",
                "status says in_force: 2",
                "status says confirmed: 2",
                "status says nothing of the lapse",
                "a boot loads",
                "the kernel holds",
            ],
        );
    });
}

/// Losing this, "within 1 s" would mean nothing.
#[test]
fn a_trial_that_lapses_late_is_called_bad() {
    inside(|| is_called_bad(Sabotage::LapsesLate, &["SSH opened 30"]));
}

/// Losing this, unconfirmed rules could come with the next boot.
#[test]
fn a_boot_into_what_was_on_trial_is_called_bad() {
    inside(|| is_called_bad(Sabotage::BootsTheCandidate, &["a boot loads"]));
}

/// Losing this, `status` could keep a lapse to itself.
#[test]
fn a_status_that_hides_the_lapse_is_called_bad() {
    inside(|| {
        let fault = "status says nothing of the lapse";
        is_called_bad(Sabotage::HidesTheLapse, &[fault]);
    });
}

/// Losing this, `status` could call rules in force that nobody confirmed.
#[test]
fn a_status_that_lies_about_the_rules_is_called_bad() {
    inside(|| is_called_bad(Sabotage::LiesAboutTheRules, &["status says in_force: 2"]));
}

/// Losing this, nobody could make a rule set permanent, or anybody who was let in before could.
#[test]
fn a_new_connection_that_the_rules_let_in_confirms() {
    inside(|| {
        let mut trial = Trial::begin(LONG).unwrap();
        let mut new = trial.machine.login().unwrap();
        new.run(&trial.words()).unwrap().succeeds(&["confirmed"]);
        trial.session.finish().unwrap().succeeds(&[]);

        // A token is good once.
        let again = new.run(&trial.words()).unwrap();
        again.fails(2, &["error[A013]"]);
        trial.machine.run(&["status"]).succeeds(&["in force"]);
    });
}

/// Losing this, rules that let nobody in would be confirmed by whoever was in already.
#[test]
fn the_connection_that_was_there_before_confirms_nothing() {
    inside(|| {
        let machine = Machine::boot(&programs()).unwrap();
        let mut old = machine.login().unwrap();
        let mut session = machine.login().unwrap();
        let apply = machine.portreeve(&["apply", "--confirm-within", LONG]);
        session.start(&apply, Terminal::No).unwrap();
        let token = session.until(battery::token).unwrap();
        let trial = Trial {
            machine,
            session,
            token,
        };
        refused(
            &old.run(&trial.words()).unwrap(),
            &["opened before the trial began"],
        );
        trial.goes_on().unwrap();
    });
}

/// Losing this, whoever guesses could confirm.
#[test]
fn a_wrong_token_confirms_nothing() {
    inside(|| {
        let trial = Trial::begin(LONG).unwrap();
        let mut new = trial.machine.login().unwrap();
        // The same characters, in another order.
        let wrong: String = trial.token.chars().rev().collect();
        let words = trial.machine.portreeve(&["confirm", &wrong]);
        refused(&new.run(&words).unwrap(), &["the token is not that of"]);
        for none in ["", "wrong", &trial.token[1..]] {
            let words = trial.machine.portreeve(&["confirm", none]);
            new.run(&words).unwrap().fails(2, &["a token has"]);
        }
        trial.goes_on().unwrap();
    });
}

/// Losing this, a script on the machine itself could stand in for an operator outside.
#[test]
fn a_connection_from_the_machine_to_itself_confirms_nothing() {
    inside(|| {
        let trial = Trial::begin(LONG).unwrap();
        let words = trial.words();
        for address in ["127.0.0.1", "[::1]", "203.0.113.10"] {
            let address = format!("{address}:{PORT}");
            let login = trial.machine.battery(&["login", &address]);
            refused(
                &trial.machine.run_words(&[login, words.clone()].concat()),
                &["comes from this machine itself"],
            );
        }
        trial.goes_on().unwrap();
    });
}

/// Losing this, any user of the machine could make rules permanent.
#[test]
fn who_is_not_root_confirms_nothing() {
    inside(|| {
        let trial = Trial::begin(LONG).unwrap();
        let mut new = trial.machine.login().unwrap();
        // Where the binary is built, another user may not look; where tests keep files, all may.
        let program = trial.machine.path("portreeve");
        std::fs::copy(programs().portreeve, &program).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(trial.machine.path(""), open).unwrap();
        let setpriv = tool("setpriv").unwrap().display().to_string();
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned);
        let mut words = trial.words();
        words[0] = program.display().to_string();
        for console in [&[][..], &["--from-console".to_owned()]] {
            let words = [std::slice::from_ref(&setpriv), &nobody[..], &words, console].concat();
            let run = new.run(&words).unwrap();
            if run.stderr.contains("setpriv") {
                eprintln!("skipped: only root can give up its privileges");
            } else {
                assert!(matches!(run.code, Some(1 | 6)), "{}", run.stderr);
            }
        }
        trial.goes_on().unwrap();
    });
}

/// Losing this, an operator at the console of a machine without a network could confirm nothing,
/// or one who is connected could skip the proof.
#[test]
fn the_console_confirms_only_when_it_is_the_console() {
    inside(|| {
        let mut trial = Trial::begin(LONG).unwrap();
        let without = trial.machine.run_words(&trial.words());
        refused(&without, &["no connection leads to this session"]);
        let console = ["confirm", &trial.token, "--from-console"];
        let words = trial.machine.portreeve(&console);
        let mut new = trial.machine.login().unwrap();
        let connected = new.run(&words).unwrap();
        refused(&connected, &["came over the network"]);
        trial.machine.run(&console).succeeds(&["confirmed"]);
        trial.session.finish().unwrap().succeeds(&[]);
    });
}

/// Losing this, a rule set that the kernel has already taken back would come again.
#[test]
fn a_trial_that_has_lapsed_is_never_confirmed() {
    inside(|| {
        let mut trial = Trial::begin("1s").unwrap();
        let console = ["confirm", &trial.token, "--from-console"];
        // Stopped, the watcher clears nothing away: the command meets what the lapse has left.
        let portreeve = Processes::Portreeve;
        trial.machine.signal(portreeve, Signal::SIGSTOP).unwrap();
        trial.machine.lapse();
        trial.machine.run(&console).fails(7, &["lapsed"]);
        // All of them: one that was about to become nft has stopped as well, and is nft now.
        let everybody = Processes::All;
        trial.machine.signal(everybody, Signal::SIGCONT).unwrap();
        let apply = trial.session.finish().unwrap();
        assert_eq!(apply.code, Some(7), "{}", apply.stderr);

        let mut new = trial.machine.login().unwrap();
        new.run(&trial.words()).unwrap().fails(7, &["lapsed"]);
        trial.machine.run(&console).fails(7, &["lapsed"]);
    });
}

/// Losing this, changing the rules would cost every user his connection.
#[test]
fn conversations_outlive_everything() {
    inside(|| {
        let machine = Machine::boot(&programs()).unwrap();
        let mut inward = machine.login().unwrap();
        let listener = TcpListener::bind(SocketAddr::new(WORLD[1], 7)).unwrap();
        let call = machine.battery(&["call", &listener.local_addr().unwrap().to_string()]);
        let mut caller = machine.login().unwrap();
        caller.start(&call, Terminal::No).unwrap();
        let (mut outward, _) = listener.accept().unwrap();
        let patience = Some(Duration::from_secs(20));
        outward.set_read_timeout(patience).unwrap();
        let mut talk = |when: &str| {
            inward
                .echo(when)
                .unwrap_or_else(|error| panic!("from outside, {when}: {error}"));
            outward.write_all(when.as_bytes()).unwrap();
            let mut answer = vec![0; when.len()];
            let answered = outward.read_exact(&mut answer);
            answered.unwrap_or_else(|error| panic!("from inside, {when}: {error}"));
            assert_eq!(answer, when.as_bytes());
        };
        // Until the first rules come the kernel tracks no connection.
        talk("before");
        for round in 0..100 {
            let ports = ["ports=443", "ports=8443"][round % 2];
            machine
                .run(&["apply", "--no-trial", "--set", ports])
                .succeeds(&["confirmed"]);
            talk(&format!("after apply {round}"));
        }
        let mut session = machine.login().unwrap();
        let shut_out = ["--set", "ssh-port=2", "--allow-lockout"];
        let apply = [["apply", "--confirm-within", "2s"], shut_out].concat();
        session
            .start(&machine.portreeve(&apply), Terminal::No)
            .unwrap();
        session.until(battery::token).unwrap();
        talk("while a trial runs");
        assert_eq!(session.finish().unwrap().code, Some(7));
        talk("after it lapsed");
        machine.run(&["rollback"]).succeeds(&["rolled back"]);
        talk("after a rollback");
    });
}

/// Losing this, a kill at the wrong moment would leave rules that nobody wrote, or a disk that
/// nothing can be read from.
#[test]
fn a_command_that_is_killed_leaves_one_rule_set_or_the_other() {
    inside(|| {
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        eprintln!("seed {seed}");
        let campaign = Campaign { seed, runs: 0..100 };
        let tally = campaign.run(&programs()).unwrap();
        assert!(tally.faults.is_empty(), "{tally}");
        assert_eq!(tally.runs(), 100);
    });
}

/// Losing this, an operator who is locked out and waits would stay locked out.
#[test]
fn ssh_opens_again_when_nothing_happens() {
    inside(|| {
        judge(Trouble::Wait);
    });
}

/// Losing this, an operator whose terminal hangs up would stay locked out.
#[test]
fn ssh_opens_again_when_the_terminal_hangs_up() {
    inside(|| {
        judge(Trouble::HangUp);
    });
}

/// Losing this, an operator whose `apply` is asked to end would stay locked out.
#[test]
fn ssh_opens_again_when_apply_is_asked_to_end() {
    inside(|| {
        judge(Trouble::Terminate);
    });
}

/// Losing this, an operator whose `apply` is killed would stay locked out.
#[test]
fn ssh_opens_again_when_portreeve_is_killed() {
    inside(|| {
        judge(Trouble::Kill);
    });
}

/// Losing this, an operator whose machine is paused would stay locked out.
#[test]
fn ssh_opens_again_when_the_machine_is_paused() {
    inside(|| {
        judge(Trouble::Pause);
    });
}

/// Losing this, an operator whose disk is full would stay locked out.
#[test]
fn ssh_opens_again_when_the_disk_is_full() {
    inside(|| {
        judge(Trouble::DiskFull);
    });
}

/// Losing this, an operator whose disk can only be read would stay locked out.
#[test]
fn ssh_opens_again_when_the_disk_is_read_only() {
    inside(|| {
        judge(Trouble::DiskReadOnly);
    });
}

/// Losing this, an operator whose nft is gone would stay locked out.
#[test]
fn ssh_opens_again_when_nft_is_removed() {
    inside(|| {
        judge(Trouble::NftRemoved);
    });
}
