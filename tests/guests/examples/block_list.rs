//! Does nothing wrong: SSH and 443 are open to everybody but the feed `blocked`.
//!
//! The setting `closed-by` changes how the rest is kept out, and nothing that a packet could
//! notice: by the chain policy, or by a last rule in a chain that lets everything in otherwise.

use hostile_guests::bindings::export;
use hostile_guests::bindings::portreeve::policy::description::{Constraint, FeedSpec, SettingSpec};
use hostile_guests::bindings::portreeve::policy::types::{
    AddressOperand, AddressTest, CtState, PortProtocol, PortRange, PortTest, Test, Value,
};
use hostile_guests::{
    ChainPolicy, Description, Draft, Family, Guest, Inputs, Match, Refusal, Rule, Set, SetNode,
    Statement, draft_of, honest_description, hook, rule,
};

const FEED: &str = "blocked";

struct BlockList;

impl Guest for BlockList {
    fn describe() -> Description {
        hook();
        let mut description = honest_description();
        description.name = "block-list".to_owned();
        description.feeds.push(FeedSpec {
            name: FEED.to_owned(),
            needs_elements: false,
            help: "who is kept out".to_owned(),
        });
        description.settings.push(SettingSpec {
            name: "closed-by".to_owned(),
            default: Value::Choice("policy".to_owned()),
            constraint: Constraint::OneOf(["policy", "rule"].map(str::to_owned).into()),
            help: "what keeps out the rest".to_owned(),
        });
        description
    }

    fn decide(inputs: Inputs) -> Result<Draft, Refusal> {
        hook();
        let by_rule = |value: &Value| matches!(value, Value::Choice(by) if by == "rule");
        let by_rule = inputs
            .settings
            .iter()
            .any(|setting| by_rule(&setting.value));
        let mut rules = vec![accept(
            "established",
            Test::CtState(vec![CtState::Established]),
        )];
        rules.extend(FAMILIES.map(|(family, set)| Rule {
            statements: vec![Statement::Drop],
            ..accept("blocked", from(family, set))
        }));
        rules.extend([22, 443].map(|port| accept("open", to(port))));
        if by_rule {
            rules.push(Rule {
                statements: vec![Statement::Drop],
                ..rule("the rest")
            });
        }
        let mut draft = draft_of(rules);
        if by_rule {
            let base = draft.chains[0].base.as_mut().expect("it has a base chain");
            base.policy = ChainPolicy::Accept;
        }
        draft.sets = FAMILIES.map(|(family, set)| blocked(family, set)).into();
        Ok(draft)
    }
}

export!(BlockList with_types_in hostile_guests::bindings);

const FAMILIES: [(Family, &str); 2] = [(Family::Ip, "blocked_v4"), (Family::Ip6, "blocked_v6")];

fn blocked(family: Family, set: &str) -> Set {
    Set {
        name: set.to_owned(),
        family,
        expression: vec![SetNode::Feed(FEED.to_owned())],
    }
}

fn accept(label: &str, test: Test) -> Rule {
    let negated = false;
    Rule {
        matches: vec![Match { negated, test }],
        ..rule(label)
    }
}

fn from(family: Family, set: &str) -> Test {
    let operand = AddressOperand::Set(set.to_owned());
    Test::Saddr(AddressTest { family, operand })
}

fn to(port: u16) -> Test {
    Test::Dport(PortTest {
        protocol: PortProtocol::Tcp,
        ports: vec![PortRange {
            first: port,
            last: port,
        }],
    })
}
