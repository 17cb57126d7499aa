//! A goal that is misread would be proved all the same: so nothing is guessed.

use crate::inputs::config::tests::messages;

/// What is wrong with a goal, after the file's name.
fn in_goal(keys: &str, expected: &[&str]) {
    let found = messages(&format!("[[goal]]\n{keys}"));
    let expected: Vec<_> = expected
        .iter()
        .map(|rest| rest.replacen(": line", ": `/etc/p.toml` line", 1))
        .collect();
    assert_eq!(found, expected, "{keys}");
}

#[test]
fn a_goal_that_makes_no_sense_is_named_with_what_does() {
    in_goal(
        "",
        &[
            "error[C006]: line 1, key `goal`: the key `name` is missing",
            "error[C006]: line 1, key `goal`: the key `packets` is missing",
            "error[C006]: line 1, key `goal`: the key `verdict` is missing",
        ],
    );
    in_goal(
        "name = \"\"\npackets = 22\nverdict = \"reject\"\nfrom = \"not any\"\nform = 1",
        &[
            "error[C005]: line 2, key `goal.name`: found `\"\"`, \
             allowed is one plain line of 1 to 200 bytes",
            "error[C005]: line 3, key `goal.packets`: found `22`, allowed is a text such as \
             `input tcp dport 22 ct new`, or a list of texts",
            "error[C005]: line 4, key `goal.verdict`: found `\"reject\"`, \
             allowed is `accept`, `drop`, `accept-exactly`",
            "error[C005]: line 5, key `goal.from`: found `\"not any\"`, allowed is `any`, \
             `operator`, a feed, a setting of prefixes or a prefix, or `not` and one of these but \
             `any`; or a list of them",
            "error[C004]: line 6, key `goal.form`: there is no such key, \
             allowed are `name`, `packets`, `from`, `verdict`",
        ],
    );
    let with = |packets: &str| format!("name = \"g\"\nverdict = \"drop\"\npackets = {packets}");
    in_goal(
        &with("\"tcp dport ssh\""),
        &["error[C012]: line 4, key `goal.packets`: found `ssh`, \
           allowed is a port from 1 to 65535, or a range such as `8080-8090`"],
    );
    in_goal(
        &with("[\"input tcp\",\n\"output tcp\"]"),
        &[
            "error[C005]: line 5, key `goal.packets`: found `\"output tcp\"`, \
           allowed is the hook of the first text",
        ],
    );
    in_goal(
        &with("\"tcp\"\nfrom = [\"office\", \"not 192.0.2.1/24\"]"),
        &[
            "error[C005]: line 5, key `goal.from`: found `not 192.0.2.1/24`: \
           bits are set after the prefix length; the prefix is 192.0.2.0/24",
        ],
    );
    for from in ["[]", "\"\"", "\"Office\"", "\"not\"", "7", "[[]]"] {
        let found = messages(&format!("[[goal]]\n{}\nfrom = {from}", with("\"tcp\"")));
        assert!(
            found.len() == 1 && found[0].contains("C005"),
            "{from}: {found:?}"
        );
    }
}

/// Otherwise it would hold, whatever the rules are.
#[test]
fn a_goal_about_packets_that_cannot_be_is_refused() {
    let sound = "name = \"h\"\nverdict = \"drop\"\npackets = \"tcp\"";
    let with = |packets: &str| format!("name = \"g\"\nverdict = \"drop\"\npackets = \"{packets}\"");
    in_goal(
        &with("output tcp iifname eth0"),
        &["error[C013]: line 1, goal `g`: no packet has iifname at hook output"],
    );
    in_goal(
        &format!("{sound}\n\n[[goal]]\n{}", with("oifname eth0")),
        &["error[C013]: line 6, goal `g`: no packet has oifname at hook input"],
    );
    in_goal(
        &with("icmp type 8 icmpv6 type 128"),
        &["error[V027]: line 1, goal `g`: no packet can match: icmpv6 type leaves no meta nfproto"],
    );
}

#[test]
fn goals_are_told_apart_by_their_names_and_counted() {
    let goal = |name: &str| {
        format!("[[goal]]\nname = \"{name}\"\npackets = \"tcp\"\nverdict = \"drop\"\n")
    };
    assert_eq!(
        messages(&goal("g").repeat(2)),
        [
            "error[C005]: `/etc/p.toml` line 6, key `goal.name`: found `\"g\"`, \
           allowed is a name that no other goal has",
        ],
    );
    let many: String = (0..65).map(|number| goal(&number.to_string())).collect();
    let found = messages(&many);
    assert!(
        found[0].ends_with("key `goal`: found 65 goals, at most 64 fit"),
        "{found:?}"
    );
    assert_eq!(
        messages("[goal]\nname = \"g\""),
        [
            "error[C005]: `/etc/p.toml` line 1, key `goal`: found `{ … }`, \
           allowed is tables with the heading `[[goal]]`",
        ],
    );
}
