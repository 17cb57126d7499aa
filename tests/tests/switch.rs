//! What the kernel and nft make of the netlink that portreeve speaks by itself.
//!
//! Each test runs once more in a network namespace of its own, as root there. Where this machine
//! allows no such namespace, each test says why it was skipped.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use nix::errno::Errno;
use portreeve::apply::kernel::{Changes, Kernel, KernelError};
use portreeve_model::draft::{self, Draft, Statement};
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::layout::Number;
use portreeve_nft::netlink::{About, BaseChain, Batch, Lead, Meaning, Rule};
use portreeve_nft::switch::{self, Side};
use portreeve_nft::{Installed, lift_installed, stage};
use portreeve_tests::namespace::{Namespace, tool};

#[path = "switch/generations.rs"]
mod generations;

/// Says that this process is in the namespace already.
const INSIDE: &str = "PORTREEVE_TEST_INSIDE";

const MINUTE: Duration = Duration::from_secs(60);

/// What our table is before a trial.
const STAGED: &str = "
    table inet portreeve {
        chain t42_input { drop; }
        chain g41_input { accept; }
    }";

/// Runs `test` inside: the test program starts itself there, for this one test.
fn inside(name: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    let program = env::current_exe().expect("a program has a path");
    let mut command = namespace.command(&program);
    let output = command
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("it runs here, so it runs there");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // A name that is misspelled runs no test, which succeeds.
    assert!(said.contains("1 passed"), "{said}");
}

fn nft(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("probed: nft is there");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("nft reads all");
    drop(stdin);
    let output = child.wait_with_output().expect("it was started");
    assert!(output.status.success(), "nft {arguments:?}\n{input}");
    String::from_utf8(output.stdout).expect("nft prints text")
}

fn load(text: &str) {
    nft(&["-f", "-"], text);
}

fn list(options: &[&str]) -> String {
    nft(
        &[options, &["list", "table", "inet", "portreeve"]].concat(),
        "",
    )
}

fn base(hook: Hook, priority: i32, policy: ChainPolicy) -> BaseChain {
    BaseChain {
        hook,
        priority,
        policy,
        chain_type: "filter".to_owned(),
    }
}

fn goto(chain: &str) -> Lead {
    Lead::Goto(chain.to_owned())
}

/// The batch that puts generation 42 on trial.
fn trial(within: Duration) -> Batch {
    let mut batch = Batch::new();
    batch.add_trial("trial42", within);
    batch.add_chain("input", Some(base(Hook::Input, 0, ChainPolicy::Drop)));
    batch.add_rule("input", Some("trial42"), &goto("t42_input"));
    batch.add_rule("input", None, &goto("g41_input"));
    batch
}

/// The batch that confirms it.
fn confirm() -> Batch {
    let mut batch = Batch::new();
    batch.delete_trial_elements("trial42");
    batch.flush_chain("input");
    batch.add_rule("input", None, &goto("t42_input"));
    batch
}

/// Waits until the kernel has let the trial lapse, for which there is no event.
fn wait_for_lapse(kernel: &mut Kernel) {
    while let Some(left) = kernel.time_left("trial42").expect("it tells") {
        thread::sleep(left);
    }
}

/// Every verdict, with and without a trial, at every hook: nft must read them as its own. Losing
/// this, an operator could not read what is in force, and neither could portreeve.
#[test]
fn nft_lists_what_we_send_as_if_it_had_sent_it() {
    inside("nft_lists_what_we_send_as_if_it_had_sent_it", || {
        let chains = Hook::ALL.map(|hook| {
            let rules = ["", "meta nfproto @trial42 "].map(|only| {
                format!("{only}jump target; {only}goto target; {only}drop; {only}accept;")
            });
            format!(
                "chain {hook} {{ type filter hook {hook} priority -7; policy drop; {} }}",
                rules.concat()
            )
        });
        load(&format!(
            "table inet portreeve {{
                set trial42 {{ type nf_proto; flags timeout; \
                    elements = {{ ipv4 timeout 60s, ipv6 timeout 60s }} }}
                chain target {{ }}
                {}
            }}",
            chains.join("\n")
        ));
        let by_nft = list(&["-s"]);
        let by_nft_json = list(&["-s", "-j"]);

        load("delete table inet portreeve; add table inet portreeve");
        let mut batch = Batch::new();
        batch.add_trial("trial42", MINUTE);
        batch.add_chain("target", None);
        for hook in Hook::ALL {
            let place = base(hook, -7, ChainPolicy::Drop);
            batch.add_chain(hook.keyword(), Some(place));
            for only_while in [None, Some("trial42")] {
                let jump = Lead::Jump("target".to_owned());
                for lead in [jump, goto("target"), Lead::Drop, Lead::Accept] {
                    batch.add_rule(hook.keyword(), only_while, &lead);
                }
            }
        }
        Kernel::open().unwrap().commit(&batch).unwrap();
        assert_eq!(settled(&list(&["-s"])), settled(&by_nft));
        assert_eq!(settled(&list(&["-s", "-j"])), settled(&by_nft_json));
    });
}

/// A listing without what differs from moment to moment: handles, and how long elements stay.
fn settled(listing: &str) -> String {
    let mut settled = String::new();
    let mut rest = listing;
    while let Some((before, number)) = ["expires ", "\"expires\": ", "\"handle\": "]
        .iter()
        .filter_map(|word| rest.find(word).map(|at| at + word.len()))
        .min()
        .map(|at| rest.split_at(at))
    {
        settled.push_str(before);
        rest = number.trim_start_matches(|sign: char| sign.is_ascii_digit() || "ms".contains(sign));
    }
    settled + rest
}

/// Losing this, portreeve would not know which generation packets meet.
#[test]
fn what_we_send_is_told_as_it_was_meant() {
    inside("what_we_send_is_told_as_it_was_meant", || {
        let mut kernel = Kernel::open().unwrap();
        assert!(!kernel.objects().unwrap().table);
        load(STAGED);
        // What is not ours is not told.
        load("table inet other { set s { type inet_service; }; chain input { accept; }\n}");
        load("table ip portreeve { set s { type inet_service; }; chain input { accept; }\n}");
        kernel.commit(&trial(MINUTE)).unwrap();

        let objects = kernel.objects().unwrap();
        assert!(objects.table);
        let chains = objects.chains.iter().map(|chain| chain.name.as_str());
        assert_eq!(
            chains.collect::<Vec<_>>(),
            ["t42_input", "g41_input", "input"]
        );
        let place = base(Hook::Input, 0, ChainPolicy::Drop);
        assert_eq!(objects.chains[2].base.as_ref(), Some(&place));
        assert_eq!(objects.chains[0].base, None);
        let sets = objects.sets.iter().map(|set| set.name.as_str());
        assert_eq!(sets.collect::<Vec<_>>(), ["trial42"]);
        let rules: Vec<&Rule> = objects
            .rules
            .iter()
            .filter(|rule| rule.chain == "input")
            .collect();
        let lead = |only_while: Option<&str>, chain| Meaning::Lead {
            only_while: only_while.map(str::to_owned),
            verdict: goto(chain),
        };
        let [first, second] = rules.as_slice() else {
            panic!("{rules:?}");
        };
        assert_eq!(first.meaning, lead(Some("trial42"), "t42_input"));
        assert_eq!((first.sets.concat(), first.chains.concat()), {
            ("trial42".to_owned(), "t42_input".to_owned())
        });
        assert_eq!(second.meaning, lead(None, "g41_input"));
    });
}

/// Losing this, a rule that somebody wrote into a base chain would pass for one of ours.
#[test]
fn no_other_rule_is_taken_for_ours() {
    inside("no_other_rule_is_taken_for_ours", || {
        let others = [
            "counter accept",
            "accept comment \"mine\"",
            "meta nfproto @trial42 counter accept",
            "meta nfproto != @trial42 accept",
            "meta l4proto @numbers accept",
            "meta nfproto ipv4 accept",
            "meta nfproto @trial42",
            "return",
            "continue",
            "tcp dport 22 goto target",
            "ip saddr vmap @verdicts",
            "tcp dport { 22, 23 } add @seen { ip saddr } jump target",
            "log prefix \"x\" accept",
        ];
        load(&format!(
            "table inet portreeve {{
                set trial42 {{ type nf_proto; flags timeout; }}
                set numbers {{ type inet_proto; }}
                set seen {{ type ipv4_addr; flags dynamic; size 9; }}
                map verdicts {{ type ipv4_addr : verdict; }}
                chain target {{ }}
                chain others {{ {}
 }}
            }}",
            others.join("\n")
        ));
        let objects = Kernel::open().unwrap().objects().unwrap();
        let rules: Vec<&Rule> = objects
            .rules
            .iter()
            .filter(|rule| rule.chain == "others")
            .collect();
        assert_eq!(rules.len(), others.len());
        for (rule, text) in rules.iter().zip(others) {
            assert_eq!(rule.meaning, Meaning::Other, "{text}");
        }
        let of = |text: &str| rules[others.iter().position(|other| *other == text).unwrap()];
        assert_eq!(of(others[3]).sets, ["trial42"]);
        assert_eq!(of("tcp dport 22 goto target").chains, ["target"]);
        assert_eq!(of("ip saddr vmap @verdicts").sets, ["verdicts"]);
        let adds = of(others[11]);
        // The ports are a set without a name of its own.
        assert_eq!(adds.sets[1..], ["seen"]);
        assert_eq!(adds.chains, ["target"]);
        let sets = objects.sets.iter().map(|set| set.name.as_str());
        assert_eq!(
            sets.collect::<Vec<_>>(),
            ["trial42", "numbers", "seen", "verdicts"]
        );
    });
}

/// Losing this, a confirmation that came too late would put a rule set into force that the
/// operator had been told was gone.
#[test]
fn a_confirmation_after_the_lapse_changes_nothing() {
    inside("a_confirmation_after_the_lapse_changes_nothing", || {
        load(STAGED);
        let mut kernel = Kernel::open().unwrap();
        kernel.commit(&trial(Duration::from_millis(50))).unwrap();
        wait_for_lapse(&mut kernel);
        let before = kernel.objects().unwrap();
        let error = kernel.commit(&confirm()).unwrap_err();
        assert!(error.is_lapse() && error.is_an_answer(), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the kernel refused to empty set `trial42`"
        );
        assert_eq!(kernel.objects().unwrap(), before);
    });
}

/// Losing this, nothing could be confirmed at all.
#[test]
fn a_confirmation_in_time_leads_to_the_candidate_for_good() {
    inside(
        "a_confirmation_in_time_leads_to_the_candidate_for_good",
        || {
            load(STAGED);
            let mut kernel = Kernel::open().unwrap();
            kernel.commit(&trial(MINUTE)).unwrap();
            let mut batch = confirm();
            // The base chain is there: only its policy changes.
            batch.add_chain("input", Some(base(Hook::Input, 0, ChainPolicy::Accept)));
            kernel.commit(&batch).unwrap();
            let listing = list(&[]);
            let expected = "\tchain input {\n\
                            \t\ttype filter hook input priority filter; policy accept;\n\
                            \t\tgoto t42_input\n\
                            \t}\n";
            assert!(listing.contains(expected), "{listing}");
            assert_eq!(kernel.time_left("trial42").unwrap(), None);

            let mut sweep = Batch::new();
            sweep.delete_set("trial42");
            sweep.flush_chain("g41_input");
            sweep.delete_chain("g41_input");
            kernel.commit(&sweep).unwrap();
            let listing = list(&[]);
            assert!(!listing.contains("g41_input") && !listing.contains("trial42"));
            let mut end = Batch::new();
            end.delete_table();
            kernel.commit(&end).unwrap();
            assert!(!kernel.objects().unwrap().table);
        },
    );
}

/// Losing this, an operator would read that "the kernel refused" and not what.
#[test]
fn a_refusal_names_what_was_refused() {
    inside("a_refusal_names_what_was_refused", || {
        load(STAGED);
        let mut kernel = Kernel::open().unwrap();
        let mut batch = trial(MINUTE);
        batch.add_rule("input", None, &goto("g40_input"));
        batch.delete_set("trial41");
        match kernel.commit(&batch) {
            Err(KernelError::Refused {
                about: Some(About::AddRule(chain)),
                errno: Errno::ENOENT,
            }) => assert_eq!(chain, "input"),
            other => panic!("{other:?}"),
        }
        assert_eq!(kernel.objects().unwrap().sets, []);
        // Answers to a batch that was refused are not taken for answers to the next.
        kernel.commit(&trial(MINUTE)).unwrap();
        kernel.commit(&Batch::new()).unwrap();
        assert_eq!(kernel.objects().unwrap().sets.len(), 1);
    });
}

/// Losing this, `status` could not say when the trial ends.
#[test]
fn a_trial_says_how_long_it_has_left() {
    inside("a_trial_says_how_long_it_has_left", || {
        load(STAGED);
        let mut kernel = Kernel::open().unwrap();
        assert_eq!(kernel.time_left("trial42").unwrap(), None);
        kernel.commit(&trial(MINUTE)).unwrap();
        let first = kernel.time_left("trial42").unwrap().unwrap();
        assert!(first <= MINUTE && first > MINUTE / 2, "{first:?}");
        let started = Instant::now();
        while kernel.time_left("trial42").unwrap().unwrap() >= first {
            assert!(started.elapsed() < MINUTE / 2, "time stands still");
        }
        // With one of the two protocols gone, the trial is over.
        load("delete element inet portreeve trial42 { ipv6 }");
        assert_eq!(kernel.time_left("trial42").unwrap(), None);
    });
}

/// A rule set that lets everything in, by a rule of this label.
fn ruleset(label: &str, policy: ChainPolicy) -> Ruleset {
    let rule = draft::Rule {
        label: label.to_owned(),
        matches: Vec::new(),
        statements: vec![Statement::Accept],
    };
    let base = draft::Base {
        chain_type: draft::ChainType::Filter,
        hook: Hook::Input,
        priority: 0,
        policy,
    };
    let chain = draft::Chain {
        name: "web".to_owned(),
        base: Some(base),
        rules: vec![rule],
    };
    let draft = Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: vec![chain],
    };
    validate(&draft, &Feeds::default()).expect("is valid")
}

/// Stages a rule set as `apply` does.
fn staged(number: Number, ruleset: &Ruleset) -> Side {
    let transaction = stage(ruleset, number, &BTreeSet::new());
    nft(&["-j", "-f", "-"], &transaction.to_json());
    Side::of(number, ruleset)
}

/// Generation 41 is confirmed, 42 on trial, and nft has made nothing but their own chains.
fn put_on_trial(kernel: &mut Kernel, confirmed: &Ruleset, candidate: &Ruleset) -> Side {
    let confirmed = staged(41, confirmed);
    let batch = switch::lead_to(&kernel.objects().expect("the kernel tells"), &confirmed);
    kernel.commit(&batch).expect("the kernel takes it");
    let candidate = staged(42, candidate);
    let objects = kernel.objects().expect("the kernel tells");
    let batch = switch::put_on_trial(&objects, Some(&confirmed), &candidate, MINUTE);
    kernel.commit(&batch).expect("the kernel takes it");
    candidate
}

/// What nft lists of a generation on trial.
const ON_TRIAL: &str = r#"table inet portreeve {
	set trial42 {
		type nf_proto
		flags timeout
		elements = { ipv4 timeout 1m expires , ipv6 timeout 1m expires  }
	}

	set arrivals42_ip {
		type ipv4_addr . inet_service . ipv4_addr . inet_service
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set arrivals42_ip6 {
		type ipv6_addr . inet_service . ipv6_addr . inet_service
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	chain g41_web {
		accept comment "all"
	}

	chain e41_web {
		jump g41_web
		accept
	}

	chain input {
		type filter hook input priority filter; policy accept;
		meta nfproto @trial42 goto e42_web
		goto e41_web
	}

	chain g42_web {
		accept comment "all the same"
	}

	chain arrivals42 {
		iifname != "lo" tcp flags syn / fin,syn,rst,ack add @arrivals42_ip { ip saddr . tcp sport . ip daddr . tcp dport }
		iifname != "lo" tcp flags syn / fin,syn,rst,ack add @arrivals42_ip6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport }
	}

	chain e42_web {
		jump g42_web
		drop
	}

	chain arrivals {
		type filter hook input priority 2147483647; policy accept;
		meta nfproto @trial42 goto arrivals42
	}
}
"#;

/// Losing this, an operator could not read during a trial what is in force, and neither could
/// portreeve.
#[test]
fn a_whole_trial_is_listed_as_it_is_meant() {
    inside("a_whole_trial_is_listed_as_it_is_meant", || {
        let mut kernel = Kernel::open().unwrap();
        let confirmed = ruleset("all", ChainPolicy::Accept);
        let candidate = ruleset("all the same", ChainPolicy::Drop);
        let side = put_on_trial(&mut kernel, &confirmed, &candidate);
        assert_eq!(settled(&list(&[])), ON_TRIAL);
        let installed = |options: &[&str]| lift_installed(&list(options)).unwrap();
        for options in [&["-j"][..], &["-j", "-n"]] {
            let expected = Installed {
                confirmed: Some((41, confirmed.clone())),
                trial: Some((42, candidate.clone())),
            };
            assert_eq!(installed(options), expected);
        }

        // The record is not taken up from an earlier trial.
        let objects = kernel.objects().unwrap();
        let again = switch::put_on_trial(&objects, None, &side, MINUTE);
        let error = kernel.commit(&again).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel refused to add set `arrivals42_ip`"
        );

        let batch = switch::confirm(&objects, &side);
        kernel.commit(&batch).unwrap();
        let batch = switch::sweep(&kernel.objects().unwrap());
        kernel.commit(&batch).unwrap();
        let expected = Installed {
            confirmed: Some((42, candidate)),
            trial: None,
        };
        assert_eq!(installed(&["-j"]), expected);
        assert!(!list(&[]).contains("arrivals"), "{}", list(&[]));
    });
}

/// Opens a connection from this machine to itself, and says whether the record has it.
fn is_recorded(kernel: &mut Kernel, address: IpAddr) -> bool {
    let listener = TcpListener::bind((address, 0)).expect("a port is free");
    let there = listener.local_addr().expect("it has an address");
    let stream = TcpStream::connect(there).expect("it listens");
    let half = |end: SocketAddr| {
        let mut bytes = match end.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        bytes.extend(end.port().to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    };
    let key = [
        half(stream.local_addr().expect("it has an address")),
        half(there),
    ]
    .concat();
    let set = match address {
        IpAddr::V4(_) => "arrivals42_ip",
        IpAddr::V6(_) => "arrivals42_ip6",
    };
    kernel.holds(set, &key).expect("the kernel tells")
}

/// Losing this, nobody could confirm, or whoever is on the machine already could do it without
/// having come in from outside.
#[test]
fn who_connects_from_outside_is_recorded() {
    inside("who_connects_from_outside_is_recorded", || {
        let ip = |arguments: &[&str]| {
            let ip = tool("ip").expect("probed: ip is there");
            let status = Command::new(ip).args(arguments).status();
            assert!(status.expect("it runs").success(), "ip {arguments:?}");
        };
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        ip(&["link", "set", "lo", "up"]);
        let mut kernel = Kernel::open().unwrap();
        let everything = ruleset("all", ChainPolicy::Drop);
        put_on_trial(&mut kernel, &everything, &everything);
        for address in addresses {
            assert!(!is_recorded(&mut kernel, address), "{address}");
        }
        // Any other interface is outside, whatever is behind it.
        ip(&["link", "set", "lo", "down"]);
        ip(&["link", "set", "lo", "name", "outside"]);
        ip(&["link", "set", "outside", "up"]);
        for address in addresses {
            assert!(is_recorded(&mut kernel, address), "{address}");
        }
    });
}

/// Losing this, no confirmation would count as coming from outside.
#[test]
fn an_arrival_that_was_recorded_is_found() {
    inside("an_arrival_that_was_recorded_is_found", || {
        load(
            "table inet portreeve {
                set arrivals42_ip { type ipv4_addr . inet_service . ipv4_addr . inet_service; \
                    flags dynamic,timeout; size 65535; timeout 60s; \
                    elements = { 192.0.2.7 . 40000 . 192.0.2.10 . 22 } }
            }",
        );
        let mut kernel = Kernel::open().unwrap();
        let mut key = [192, 0, 2, 7, 0x9c, 0x40, 0, 0, 192, 0, 2, 10, 0, 22, 0, 0];
        assert!(kernel.holds("arrivals42_ip", &key).unwrap());
        assert!(!kernel.holds("arrivals42_ip6", &key).unwrap());
        key[5] += 1;
        assert!(!kernel.holds("arrivals42_ip", &key).unwrap());
        // A key of another length is a question that the kernel does not understand.
        assert!(kernel.holds("arrivals42_ip", &key[..3]).is_err());
    });
}

/// Losing this, a large rule set would be read in part, and the rest swept away.
#[test]
fn a_large_table_is_read_whole() {
    inside("a_large_table_is_read_whole", || {
        const RULES: usize = 3_000;
        let rule = "ip saddr 192.0.2.7 tcp dport 22 log prefix \"a rule of some length\" accept;";
        let some = rule.repeat(RULES / 10);
        for _ in 0..10 {
            // All at once is more than nft can send where the namespace belongs to a user.
            load(&format!(
                "table inet portreeve {{ chain g41_input {{ {some} }}\n}}"
            ));
        }
        let mut kernel = Kernel::open().unwrap();
        let rules = kernel.objects().unwrap().rules;
        assert_eq!(rules.len(), RULES);
        assert!(rules.is_sorted_by_key(|rule| rule.handle));
        // So is a batch sent whole that is larger than what a socket takes.
        let mut batch = Batch::new();
        for number in 0..3_000 {
            batch.add_chain(&format!("g42_{number}"), None);
        }
        kernel.commit(&batch).unwrap();
        assert_eq!(kernel.objects().unwrap().chains.len(), 3_001);
        // And so is why it is refused, even when every part of it is.
        let mut batch = Batch::new();
        for number in 0..3_000 {
            batch.delete_set(&format!("set{number}"));
        }
        match kernel.commit(&batch) {
            Err(KernelError::Refused {
                about: Some(About::DeleteSet(name)),
                ..
            }) => assert_eq!(name, "set0"),
            other => panic!("{other:?}"),
        }
    });
}

/// Losing this, the watcher would not notice that somebody else ended its trial.
#[test]
fn a_change_wakes_who_waits_for_it() {
    inside("a_change_wakes_who_waits_for_it", || {
        let changes = Changes::listen().unwrap();
        assert!(!changes.wait(Some(Duration::ZERO)).unwrap());
        assert!(!changes.wait(Some(Duration::from_millis(5))).unwrap());
        load("add table inet other");
        assert!(changes.wait(None).unwrap());
        assert!(!changes.wait(Some(Duration::ZERO)).unwrap(), "told once");
        thread::scope(|scope| {
            let waiter = scope.spawn(|| changes.wait(Some(MINUTE)).unwrap());
            load("delete table inet other");
            assert!(waiter.join().unwrap());
        });
        // More than the socket can hold is a change, too.
        let element = |number: u32| format!("set s{number} {{ type inet_service; }}\n");
        let sets: String = (0..2_000).map(element).collect();
        load(&format!("table inet other {{ {sets} }}"));
        assert!(changes.wait(Some(Duration::ZERO)).unwrap());
        assert!(!changes.wait(Some(Duration::ZERO)).unwrap(), "told once");
    });
}
