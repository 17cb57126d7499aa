//! What generations keep to themselves when one takes the place of another: what they translate,
//! what they remember, and where their verdict maps lead.

use std::io::Read as _;

use portreeve_model::address::Family;
use portreeve_model::draft::{
    ChainType, Contents, FieldSet, Match, Nat, Selector, SetOperation, Test, Values, Verdict,
};
use portreeve_model::field::PortProtocol;

use super::*;

const TCP: Selector = Selector::Dport(PortProtocol::Tcp);

fn to_port(port: u16) -> Vec<Match> {
    let test = Test::Dport(PortProtocol::Tcp, vec![port..=port]);
    let negated = false;
    vec![Match { negated, test }]
}

fn drafted(chain_type: ChainType, hook: Hook, rules: Vec<draft::Rule>) -> Draft {
    let base = draft::Base {
        chain_type,
        hook,
        priority: -100,
        policy: ChainPolicy::Accept,
    };
    let chain = draft::Chain {
        name: "web".to_owned(),
        base: Some(base),
        rules,
    };
    Draft {
        chains: vec![chain],
        ..Draft::default()
    }
}

fn rule(matches: Vec<Match>, statement: Statement) -> draft::Rule {
    draft::Rule {
        label: "rule".to_owned(),
        matches,
        statements: vec![statement],
    }
}

/// Leads what this machine sends to port 8000 to another port.
fn redirects_to(port: u16) -> Ruleset {
    let ports = Some(port..=port);
    let redirect = Statement::Nat(Nat::Redirect { ports });
    let rules = vec![rule(to_port(8000), redirect)];
    let draft = drafted(ChainType::Nat, Hook::Output, rules);
    validate(&draft, &Feeds::default()).expect("is valid")
}

/// Answers every byte on this port with the port's last two digits, for as long as it is spoken to.
fn answer_on(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("it came in");
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    stream.write_all(&[(port % 100) as u8]).expect("it is read");
                }
            });
        }
    });
}

/// The interface on which this machine speaks to itself is down in a namespace that is new.
fn loopback() {
    let ip = tool("ip").expect("probed: ip is there");
    let status = Command::new(ip).args(["link", "set", "lo", "up"]).status();
    assert!(status.expect("it runs").success());
}

fn open() -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, 8000)).expect("it is led to a listener")
}

/// Who answers.
fn ask(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"?").expect("it is open");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("it is answered");
    answer[0]
}

/// Losing this, a trial could cut the conversations that NAT leads somewhere, or the docs would
/// promise that a lapse takes them back.
#[test]
fn a_translation_lasts_as_long_as_its_connection() {
    inside(
        "generations::a_translation_lasts_as_long_as_its_connection",
        || {
            loopback();
            let mut kernel = Kernel::open().unwrap();
            answer_on(8041);
            answer_on(8042);
            let (one, other) = (redirects_to(8041), redirects_to(8042));
            let confirmed = staged(41, &one);
            let batch = switch::lead_to(&kernel.objects().unwrap(), &confirmed);
            kernel.commit(&batch).unwrap();
            let mut before = open();
            assert_eq!(ask(&mut before), 41);

            let candidate = staged(42, &other);
            let objects = kernel.objects().unwrap();
            let within = Duration::from_millis(500);
            let batch = switch::put_on_trial(&objects, Some(&confirmed), &candidate, within);
            kernel.commit(&batch).unwrap();
            let mut during = open();
            assert_eq!([&mut before, &mut during].map(ask), [41, 42]);
            let expected = Installed {
                confirmed: Some((41, one)),
                trial: Some((42, other)),
            };
            assert_eq!(lift_installed(&list(&["-j"])).unwrap(), expected);

            wait_for_lapse(&mut kernel);
            let mut after = open();
            assert_eq!(
                [&mut before, &mut during, &mut after].map(ask),
                [41, 42, 41]
            );
        },
    );
}

/// Remembers the sources of port 8000, and leads there by a verdict map.
fn remembers() -> Ruleset {
    let update = Statement::UpdateSet {
        set: "seen".to_owned(),
        operation: SetOperation::Add,
        limit: None,
    };
    let elements = vec![(
        vec![Values::Numbers(8000..=8000)],
        Verdict::Jump("remember".to_owned()),
    )];
    let fields = vec![TCP];
    let leads = rule(Vec::new(), Statement::VerdictMap { fields, elements });
    let mut draft = drafted(ChainType::Filter, Hook::Input, vec![leads]);
    draft.chains.push(draft::Chain {
        name: "remember".to_owned(),
        base: None,
        rules: vec![rule(Vec::new(), update)],
    });
    let contents = Contents::Dynamic {
        timeout: 3_600,
        size: 10,
    };
    draft.field_sets.push(FieldSet {
        name: "seen".to_owned(),
        fields: vec![Selector::Saddr(Family::Ip)],
        contents,
    });
    validate(&draft, &Feeds::default()).expect("is valid")
}

/// Whether a set of this name has elements, if it is there.
fn has_elements(set: &str) -> Option<bool> {
    let listing = list(&[]);
    let (_, after) = listing.split_once(&format!("set {set} {{"))?;
    let (set, _) = after.split_once('}')?;
    Some(set.contains("elements"))
}

/// Losing this, whoever one rule set has counted would be blocked by the next one; or sweeping what
/// is left over would empty a chain that only a verdict map leads to.
#[test]
fn a_new_generation_begins_with_an_empty_dynamic_set() {
    let name = "generations::a_new_generation_begins_with_an_empty_dynamic_set";
    inside(name, || {
        loopback();
        let mut kernel = Kernel::open().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8000)).unwrap();
        let ruleset = remembers();
        let confirmed = staged(41, &ruleset);
        let batch = switch::lead_to(&kernel.objects().unwrap(), &confirmed);
        kernel.commit(&batch).unwrap();
        let batch = switch::sweep(&kernel.objects().unwrap());
        kernel.commit(&batch).unwrap();
        assert_eq!(has_elements("d41_seen"), Some(false));
        drop(open());
        drop(listener.accept().unwrap());
        assert_eq!(has_elements("d41_seen"), Some(true));

        let next = staged(42, &ruleset);
        assert_eq!(has_elements("d42_seen"), Some(false));
        let objects = kernel.objects().unwrap();
        assert_eq!(switch::missing(&objects, 42, &ruleset), None);
        let batch = switch::lead_to(&objects, &next);
        kernel.commit(&batch).unwrap();
        let batch = switch::sweep(&kernel.objects().unwrap());
        kernel.commit(&batch).unwrap();
        assert_eq!(has_elements("d41_seen"), None);
        let expected = Installed {
            confirmed: Some((42, ruleset)),
            trial: None,
        };
        assert_eq!(lift_installed(&list(&["-j"])).unwrap(), expected);
    });
}
