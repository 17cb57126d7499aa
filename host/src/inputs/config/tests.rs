//! A mistake in the configuration costs the operator one look, not one run each.

use super::*;

pub(super) fn messages(text: &str) -> Vec<String> {
    match reader::read(text, Path::new("/etc/p.toml")) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(messages(text), expected, "{text}");
}

fn ok(text: &str) -> Config {
    reader::read(text, Path::new("/etc/p.toml")).unwrap()
}

#[test]
fn every_key_of_this_version_is_taken() {
    let config = ok(r#"
        policy = "policies/mine.wasm"
        [settings]
        ssh-port = 22022
        ports = [443, "8080-8090"]
        [feeds.office]
        source = ["file:a.txt", "file:/srv/b.txt"]
        min-entries = { v4 = 5, v6 = 0 }
        max-coverage = 0.5
        public = false
        [feeds.cloudflare]
        source = "builtin:cloudflare"
        [apply]
        confirm-within = "2m 30s"
        [[goal]]
        name = "ssh stays reachable"
        packets = "input tcp dport 22022 ct new"
        from = "any"
        verdict = "accept"
        [[goal]]
        name = "only the office reaches the rest"
        packets = ["tcp", "udp"]
        from = ["not office"]
        verdict = "drop"
    "#);
    let goals: Vec<_> = config.goals().iter().map(|goal| goal.name()).collect();
    assert_eq!(
        goals,
        ["ssh stays reachable", "only the office reaches the rest"]
    );
    assert_eq!(config.confirm_within(), Duration::from_secs(150));
    assert_eq!(config.policy(), "/etc/policies/mine.wasm");
    let settings: Vec<_> = config
        .settings
        .iter()
        .map(|entry| format!("{} {} {}", entry.place, entry.key, entry.value))
        .collect();
    assert_eq!(
        settings,
        [
            "`/etc/p.toml` line 5 ports `[443, \"8080-8090\"]`",
            "`/etc/p.toml` line 4 ssh-port `22022`",
        ]
    );
    let [cloudflare, office] = config.feeds.as_slice() else {
        panic!("two feeds: {:?}", config.feeds);
    };
    assert_eq!(cloudflare.sources, [FeedSource::BuiltInCloudflare]);
    assert_eq!(cloudflare.contract, Contract::default());
    let files = ["/etc/a.txt", "/srv/b.txt"].map(|path| FeedSource::File(path.into()));
    assert_eq!(office.sources, files);
    let contract = Contract {
        min_entries: [5, 0],
        max_coverage: 0.5,
        public: false,
    };
    assert_eq!(office.contract, contract);
}

#[test]
fn an_empty_file_means_the_same_as_none() {
    assert_eq!(ok(""), Config::default());
    assert_eq!(ok("# nothing\n"), Config::default());
    assert_eq!(Config::default().policy(), "strict-origin");
    assert_eq!(Config::default().confirm_within(), Duration::from_secs(60));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    check(
        "polcy = \"x\"\n[feeds.cf]\nmax-coverage = 2\nrefresh = \"6h\"\n[apply]\nwait = 1\n",
        &[
            "error[C004]: `/etc/p.toml` line 1, key `polcy`: there is no such key, \
             allowed are `policy`, `settings`, `feeds`, `apply`, `goal`",
            "error[C006]: `/etc/p.toml` line 2, key `feeds.cf`: the key `source` is missing",
            "error[C005]: `/etc/p.toml` line 3, key `feeds.cf.max-coverage`: found `2`, \
             allowed is a number above 0, at most 1",
            "error[C007]: `/etc/p.toml` line 4, key `feeds.cf.refresh`: \
             this version does not do what the key asks for",
            "error[C004]: `/etc/p.toml` line 6, key `apply.wait`: there is no such key, \
             allowed are `confirm-within`",
        ],
    );
}

#[test]
fn a_key_that_this_version_cannot_honour_is_refused() {
    let later = "this version does not do what the key asks for";
    for (text, key) in [
        (
            "[feeds.a]\nsource = \"file:x\"\nrefresh = \"6h\"",
            "feeds.a.refresh",
        ),
        (
            "[feeds.a]\nsource = \"file:x\"\nmax-shrink = 0.5",
            "feeds.a.max-shrink",
        ),
    ] {
        let found = messages(text);
        assert!(found.len() == 1 && found[0].contains("C007"), "{found:?}");
        assert!(
            found[0].ends_with(&format!("key `{key}`: {later}")),
            "{found:?}"
        );
    }
    for scheme in ["https", "dns"] {
        check(
            &format!("[feeds.a]\nsource = \"{scheme}://example.org/list\""),
            &[&format!(
                "error[C007]: `/etc/p.toml` line 2, key `feeds.a.source`: \
                 this version does not read feeds from `{scheme}:`"
            )],
        );
    }
}

#[test]
fn a_value_that_makes_no_sense_is_shown_with_what_does() {
    let refused = |text: &str, rest: &str| {
        let found = messages(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(
            found[0].starts_with("error[C005]: `/etc/p.toml` line "),
            "{found:?}"
        );
        assert!(found[0].ends_with(rest), "{text}: {found:?}");
    };
    let policy = "allowed is the name of a built-in policy, or the path of a component";
    refused("policy = 7", &format!("found `7`, {policy}"));
    refused("policy = \"\"", &format!("found `\"\"`, {policy}"));
    refused(
        "settings = 1",
        "key `settings`: found `1`, allowed is a table",
    );
    refused("feeds = []", "key `feeds`: found `[]`, allowed is a table");
    refused(
        "feeds.a = true",
        "key `feeds.a`: found `true`, allowed is a table",
    );
    let source = "allowed is `builtin:cloudflare` or `file:PATH`";
    for found in [
        "\"builtin:fastly\"",
        "\"file:\"",
        "\"x\"",
        "[]",
        "1",
        "\"http://a\"",
    ] {
        refused(
            &format!("[feeds.a]\nsource = {found}"),
            &format!("found `{found}`, {source}"),
        );
    }
    let feed = |key: &str| format!("[feeds.a]\nsource = \"file:x\"\n{key}");
    refused(&feed("public = 1"), "found `1`, allowed is true or false");
    for found in ["0", "0.0", "-1", "1.01", "nan", "inf", "\"5%\""] {
        let rest = format!("found `{found}`, allowed is a number above 0, at most 1");
        refused(&feed(&format!("max-coverage = {found}")), &rest);
    }
    refused("apply = 60", "key `apply`: found `60`, allowed is a table");
    for found in ["60", "\"0s\"", "\"61m\"", "\"1500ms\"", "\"soon\"", "true"] {
        let rest = format!(
            "key `apply.confirm-within`: found `{found}`, \
             allowed is whole seconds from `1s` to `1h`, such as `60s` or `2m 30s`"
        );
        refused(&format!("[apply]\nconfirm-within = {found}"), &rest);
    }
    for found in ["-1", "1.5", "99999999999999999999", "true"] {
        let rest = format!("found `{found}`, allowed is a whole number, 0 or more");
        refused(&feed(&format!("min-entries.v4 = {found}")), &rest);
    }
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let found = messages("policy = \"x\"\n[settings\nssh-port = = 1\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(
        found[0].starts_with("error[C003]: `/etc/p.toml` line 2: not TOML: "),
        "{found:?}"
    );
    assert!(
        found.iter().all(|line| line.starts_with("error[C003]")),
        "{found:?}"
    );
    let twice = messages("policy = \"x\"\npolicy = \"y\"\n");
    assert!(
        twice[0].starts_with("error[C003]: `/etc/p.toml` line 2: "),
        "{twice:?}"
    );
}

#[test]
fn a_key_cannot_move_the_cursor() {
    let found = messages("\"a\\u001b[2J\" = 1");
    assert!(found[0].contains("key `a\\u{1b}[2J`"), "{found:?}");
}

#[test]
fn the_command_line_outdoes_the_file_and_its_own_earlier_words() {
    let mut config = ok("[settings]\nssh-port = 1");
    config.set("ssh-port=2").unwrap();
    config.set("ssh-port=3=4").unwrap();
    let first = &config.settings[0];
    assert_eq!(
        (first.key.as_str(), &first.value),
        ("ssh-port", &Raw::Argument("3=4".into()))
    );
    for bad in ["ssh-port", "=22", ""] {
        let found = config.set(bad).unwrap_err().into_diagnostics();
        assert_eq!(
            found[0].to_string(),
            format!("error[C008]: `--set`: found `{bad}`, allowed is KEY=VALUE")
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_when_it_was_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |path: &Path, rest: &str| {
        let found = Config::load(Some(path)).unwrap_err().into_diagnostics();
        assert_eq!(found[0].code, "C001");
        assert!(found[0].message.starts_with(rest), "{}", found[0].message);
    };
    check(&directory.path().join("absent"), "does not exist");
    check(directory.path(), "is not a regular file");
    let file = directory.path().join("config");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    check(&file, "invalid utf-8");
    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    check(&file, "is longer than the 1048576 bytes allowed");
    std::fs::write(&file, "policy = \"tunnel-origin\"").unwrap();
    let config = Config::load(Some(&file)).unwrap();
    assert_eq!(config.policy(), "tunnel-origin");
}

/// Whoever may write this file may open root's firewall.
#[test]
fn a_file_that_others_may_write_is_refused() {
    assert_eq!(others_who_may_write(0, 0o100_644), None);
    assert_eq!(others_who_may_write(0, 0o100_600), None);
    assert_eq!(
        others_who_may_write(0, 0o100_664).as_deref(),
        Some("its mode is 0664")
    );
    assert_eq!(
        others_who_may_write(0, 0o100_646).as_deref(),
        Some("its mode is 0646")
    );
    assert_eq!(
        others_who_may_write(1000, 0o100_600).as_deref(),
        Some("user 1000 owns it")
    );
    let found = writable(Path::new("/etc/p.toml"), "its mode is 0666").into_diagnostics();
    assert_eq!(
        found[0].to_string(),
        "error[C002]: configuration `/etc/p.toml`: \
         others than root may write it: its mode is 0666"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    let pieces = [
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\"",
        "'",
        "\n",
        "#",
        "1",
        "-",
        "é",
        "\u{0}",
        "feeds",
        "settings",
        "source",
        "min-entries",
        "apply",
        "goal",
        "policy",
        "nan",
        "\\",
    ];
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            // xorshift32 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            text.push_str(pieces[state as usize % pieces.len()]);
        }
        let _ = reader::read(&text, Path::new("x"));
    }
}
