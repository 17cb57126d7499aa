//! The program as its users meet it: what it prints, how it ends, what it leaves behind.

#[path = "cli/applied.rs"]
mod applied;
#[path = "cli/boot.rs"]
mod boot;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/proofs.rs"]
mod proofs;
#[path = "cli/state_dir.rs"]
mod state_dir;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::{Run, Subject, namespace};

/// A namespace whose kernel holds no table yet, and a program that has applied nothing.
fn fresh() -> Option<(Namespace, Subject)> {
    Some((namespace()?, Subject::new()))
}

/// Losing this, a command that was refused would have changed what packets meet.
#[track_caller]
fn has_no_table(namespace: &Namespace) {
    assert_eq!(namespace.nft(&["list", "tables"], ""), Ok(String::new()));
}

#[test]
fn plan_works_on_a_fresh_machine_without_anything() {
    if Path::new("/etc/portreeve/portreeve.toml").exists() {
        eprintln!("skipped: this machine has a configuration of its own");
        return;
    }
    let subject = Subject::new();
    let mut command = subject.without_configuration(Command::new(&subject.program), &["plan"]);
    // No `PATH`: no program can be found, and none is needed.
    let run = Run::of(command.env_clear().current_dir("/"));
    run.succeeds(&[
        "policy    strict-origin",
        "settings  ssh-port=22 ports=443",
        "feed      cloudflare: 15 IPv4 and 7 IPv6 prefixes",
        "ip saddr @cloudflare_v4 tcp dport 443 accept",
    ]);
    assert!(
        !subject.path("state").exists(),
        "a plan leaves nothing behind"
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_every_format() {
    let subject = Subject::new();
    for format in ["human", "plain", "json", "nft", "nft-json"] {
        let (first, second) = (
            subject.run(&["plan", "--format", format]),
            subject.run(&["plan", "--format", format]),
        );
        first.succeeds(&["cloudflare_v4"]);
        assert_eq!(first.stdout, second.stdout, "{format}");
        assert!(
            !first.stdout.contains('\u{1b}'),
            "no colour but on a terminal"
        );
    }
}

#[test]
fn json_carries_the_facts_that_people_see() {
    let plan = Subject::new().run(&["plan", "--format", "json"]).json();
    assert_eq!(plan["plan"]["policy"]["name"], "strict-origin");
    assert_eq!(plan["plan"]["settings"]["ssh-port"], "22");
    assert_eq!(plan["plan"]["chains"][0]["base"]["policy"], "drop");
    assert_eq!(plan["plan"]["goals"][0]["answer"], "proved");
}

#[test]
fn mistakes_in_settings_are_all_named_with_what_is_allowed() {
    let subject = Subject::new();
    subject
        .run(&["plan", "--set", "ssh-prt=1", "--set", "ports=0"])
        .fails(
            3,
            &[
                "error[S001]",
                "write `ssh-port`",
                "a port is a number from 1 to 65535",
                "unchanged",
            ],
        );
    subject
        .configured(
            "policy = \"strict-origin\"\n\n[settings]\nssh-port = \"many\"\n",
            &["plan"],
        )
        .fails(
            3,
            &["portreeve.toml` line 4", "ssh-port", "`\"many\"`", "a port"],
        );
    subject
        .configured("polcy = \"strict-origin\"\n", &["plan"])
        .fails(3, &["line 1", "`policy`"]);
    fs::remove_file(subject.path("portreeve.toml")).unwrap();
    Run::of(&mut subject.with(Command::new(&subject.program), &["plan"]))
        .fails(3, &["error[C001]", "portreeve.toml"]);
    subject
        .run(&["plan", "--set", "ports=22"])
        .fails(3, &["error[W030]", "ssh-port"]);
}

#[test]
fn a_feed_that_cannot_be_had_or_trusted_stops_the_plan() {
    let subject = Subject::new();
    let plan = |list: &str| {
        fs::write(subject.path("list"), list).unwrap();
        subject.configured("[feeds.cloudflare]\nsource = \"file:list\"\n", &["plan"])
    };
    plan("173.245.48.0/20\n2400:cb00::/32").succeeds(&["1 IPv4 and 1 IPv6 prefixes"]);
    plan("<html>Sign in</html>").fails(3, &["error[F"]);
    plan("173.245.48.0/20\n0.0.0.0/0\n2400:cb00::/32").fails(3, &["0.0.0.0/0"]);
    plan("173.245.48.0/20\n131.0.72.0/222400:cb00::/32")
        .fails(3, &["`131.0.72.0/22` and `2400:cb00::/32` stand together"]);
    plan("173.245.48.0/20").fails(3, &["found 0 ipv6 prefixes"]);
    plan("").fails(3, &["error[F"]);
    let missing = "[feeds.cloudflare]\nsource = \"file:/nonexistent/list\"\n";
    subject
        .configured(missing, &["plan"])
        .fails(9, &["/nonexistent/list", "unchanged"]);
}

#[test]
fn a_usage_error_is_one_and_says_what_is_possible() {
    let subject = Subject::new();
    assert_eq!(subject.run(&[]).code, Some(2));
    assert_eq!(subject.run(&["aply"]).code, Some(2));
    assert_eq!(subject.run(&["--version"]).code, Some(0));
    subject
        .run(&["status", "--format", "nft"])
        .fails(2, &["only `plan`"]);
    for contradiction in [
        ["apply", "--no-trial", "--no-wait"].as_slice(),
        &["apply", "--no-trial", "--confirm-within", "60s"],
        &["confirm"],
        &["rollback", "last"],
    ] {
        assert_eq!(
            subject.run(contradiction).code,
            Some(2),
            "{contradiction:?}"
        );
    }
}

#[test]
fn a_period_for_which_no_trial_may_run_is_refused_before_anything_runs() {
    let subject = Subject::new();
    for period in ["0s", "2h", "1500ms", "soon", "-1s", ""] {
        let argument = format!("--confirm-within={period}");
        subject.run(&["apply", &argument]).fails(
            2,
            &[
                "error[A001]",
                &format!("--confirm-within is `{period}`"),
                "from `1s` to `1h`",
                "unchanged",
            ],
        );
    }
    subject
        .configured("[apply]\nconfirm-within = \"2h\"\n", &["apply"])
        .fails(3, &["line 2", "confirm-within", "from `1s` to `1h`"]);
    assert!(!subject.path("state").exists());
}

#[test]
fn what_is_no_token_is_told_before_anything_is_looked_at() {
    let subject = Subject::new();
    let confirm = |token: &str| subject.run(&["confirm", token]);
    let unchanged = "machine   unchanged";
    confirm("7K3M-Q0X").fails(2, &["error[A001]", "found 7 characters", unchanged]);
    confirm("7K3M-Q0XWW").fails(2, &["found 9 characters", "`7K3M-Q0XW`", unchanged]);
    confirm("7K3M-Q0XU").fails(2, &["found `U`", "without I, L, O and U", unchanged]);
    confirm("").fails(2, &["found 0 characters", unchanged]);
    assert!(!subject.path("state").exists());
}

#[test]
fn a_failure_in_json_is_json() {
    let run = Subject::new().run(&["plan", "--format", "json", "--set", "echo=maybe"]);
    assert_eq!(run.code, Some(3));
    let failure = run.json();
    assert_eq!(failure["exit_code"], 3);
    assert_eq!(failure["errors"][0]["code"], "S002");
    // Each part is there, whatever is known of it.
    let machine = serde_json::json!({
        "words": "unchanged",
        "state": "unchanged",
        "in_force": null,
        "confirmed": null,
        "lapses_in_ms": null,
    });
    assert_eq!(failure["machine"], machine);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let subject = Subject::new();
    let mut command = subject.with(Command::new(&subject.program), &["plan"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn who_may_not_change_the_firewall_is_told_so() {
    let Some(namespace) = namespace() else { return };
    if namespace.is_in_user_namespace() {
        eprintln!("skipped: only root can give up its privileges");
        return;
    }
    let subject = Subject::new();
    // Where the binary is built, another user may not look; where tests keep files, all may.
    let program = subject.path("portreeve");
    fs::copy(&subject.program, &program).unwrap();
    fs::set_permissions(subject.path(""), PermissionsExt::from_mode(0o777)).unwrap();
    let run = |arguments: &[&str]| {
        Run::of(&mut subject.with(namespace.unprivileged_command(&program), arguments))
    };
    run(&["plan"]).succeeds(&["policy    strict-origin"]);
    for changing in [
        ["apply"].as_slice(),
        &["apply", "--no-trial"],
        &["confirm", "7K3M-Q0XW", "--from-console"],
        &["rollback"],
        &["boot"],
    ] {
        run(changing).fails(6, &["error[A017]", "only root", "run as root", "unchanged"]);
    }
    run(&["status"]).fails(6, &["error[A017]", "only root", "machine   unknown"]);
    run(&["history"]).succeeds(&["nothing was ever applied here"]);
    has_no_table(&namespace);
}

#[test]
fn check_asks_a_kernel_without_changing_it() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    subject
        .run_in(&namespace, &["check"])
        .succeeds(&["would take the rule set", "unchanged"]);
    has_no_table(&namespace);
}

/// Losing this, who tries a large feed in a container would read what nft says to programmers.
#[test]
fn what_the_kernel_refuses_is_told_in_words() {
    let Ok(namespace) = Namespace::in_user_namespace() else {
        eprintln!("skipped: no user namespace can be made");
        return;
    };
    let subject = Subject::new();
    // More than the largest message that a user namespace may send to the kernel.
    let prefixes = (0..20_000_u32)
        .map(|n| format!("{}.{}.{}.0/28\n", 20 + n / 16_384, n / 64 % 256, n % 64 * 4));
    let list: String = prefixes.chain(["2400:cb00::/32\n".to_owned()]).collect();
    fs::write(subject.path("list"), list).unwrap();
    subject.configure("[feeds.cloudflare]\nsource = \"file:list\"\n");
    let apply = subject.run_in(&namespace, &["apply", "--no-trial"]);
    apply.fails(
        6,
        &[
            "error[A008]",
            "user namespace",
            "open: portreeve filters nothing",
        ],
    );
    let status = subject.run_in(&namespace, &["status"]);
    status.succeeds(&["open: portreeve filters nothing, and nothing is confirmed"]);
}

#[test]
fn what_plan_prints_is_what_the_kernel_lists() {
    let Some(namespace) = namespace() else { return };
    let subject = Subject::new();
    let variants = [
        "",
        "\n[settings]\nlog = true\notherwise = \"reject\"\necho = false\n",
    ];
    for policy in ["strict-origin", "tunnel-origin"] {
        for variant in variants {
            let config = format!("policy = \"{policy}\"\n{variant}");
            let plan = |format| {
                subject
                    .configured(&config, &["plan", "--format", format])
                    .stdout
            };
            let planned = portreeve_nft::lift(&plan("nft-json")).unwrap();
            for (format, load) in [
                ("nft", ["-f", "-"].as_slice()),
                ("nft-json", &["-j", "-f", "-"]),
            ] {
                namespace.nft(load, &plan(format)).unwrap();
                let list = ["-n", "-j", "list", "table", "inet", "portreeve"];
                let listed = portreeve_nft::lift(&namespace.nft(&list, "").unwrap()).unwrap();
                assert_eq!(listed, planned, "{policy} {variant} as {format}");
                namespace
                    .nft(&["delete", "table", "inet", "portreeve"], "")
                    .unwrap();
            }
        }
    }
}

#[test]
fn the_program_of_another_directory_is_not_started() {
    let Some(namespace) = namespace() else { return };
    let subject = Subject::new();
    let trap = subject.path("nft");
    fs::write(&trap, "#!/bin/sh\ntouch \"$(dirname \"$0\")/sprung\"\n").unwrap();
    fs::set_permissions(&trap, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = subject.with(namespace.command(&subject.program), &["check"]);
    let run = Run::of(
        command
            .env("PATH", subject.path(""))
            .current_dir(Path::new("/")),
    );
    run.succeeds(&["would take the rule set"]);
    assert!(!subject.path("sprung").exists());
}

#[test]
fn a_policy_that_the_binary_does_not_carry_is_told_with_those_that_it_does() {
    let run = Subject::new().configured("policy = \"strict-orign\"\n", &["plan"]);
    run.fails(3, &["error[W008]", "`strict-origin`", "unchanged"]);
}
