//! What we send is what nft sends; what the kernel lists is read, and rubbish is refused.

use core::time::Duration;

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;

use super::*;

/// A table as kernel 6.18 lists it, one message a line. nft 1.0.6 had loaded it:
///
/// ```text
/// set trial42 { type nf_proto; flags timeout; elements = { ipv4 timeout 60s, ipv6 timeout 60s } }
/// set seen { type ipv4_addr; flags dynamic; size 9; }
/// chain t42_input { drop; }
/// chain input { type filter hook input priority -10; policy drop;
///     meta nfproto @trial42 goto t42_input
///     meta nfproto != @trial42 accept comment "x"
///     tcp dport { 22, 23 } add @seen { ip saddr } jump t42_input
/// }
/// ```
const LISTING: &str = include_str!("tests/listing.hex");

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("is hexadecimal") as u8;
    let pair = |pair: &[u8]| digit(pair[0]) << 4 | digit(pair[1]);
    hex.as_bytes().chunks_exact(2).map(pair).collect()
}

fn messages() -> impl Iterator<Item = Vec<u8>> {
    let is_message = |line: &&str| !line.starts_with('#');
    LISTING.lines().filter(is_message).map(bytes)
}

fn base(policy: ChainPolicy) -> BaseChain {
    BaseChain {
        hook: Hook::Input,
        priority: -10,
        policy,
        chain_type: "filter".to_owned(),
    }
}

/// The first message of a batch as hexadecimal digits, the way nft sends it: it asks for no answer.
fn sent(fill: impl FnOnce(&mut Batch)) -> String {
    let mut batch = Batch::new();
    fill(&mut batch);
    let edge = 20;
    let sent = batch.to_bytes(0)[edge..].to_vec();
    let length = u32::from_ne_bytes(sent[..4].try_into().unwrap()) as usize;
    let (mut message, rest) = (sent[..length].to_vec(), &sent[length..]);
    if rest.len() == edge {
        message[6] -= 4;
    }
    message.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares messages with those of nft, without what each of them says of the table.
#[cfg(target_endian = "little")]
fn check_messages<const ROWS: usize>(rows: [(String, &str); ROWS]) {
    let table = "010000000e000100706f72747265657665000000";
    for (sent, by_nft) in rows {
        // Netlink's header, then what all messages say of the table, then the rest.
        assert_eq!(sent, [&by_nft[..32], table, &by_nft[32..]].concat());
    }
}

/// Each as nft 1.0.6 sends it, but that it also gives the number that the set has in its own
/// memory when it looks one up.
#[cfg(target_endian = "little")]
#[test]
fn messages_are_those_of_nft() {
    let minute = Duration::from_secs(60);
    check_messages([
        (
            sent(|batch| batch.add_chain("input_m10", Some(base(ChainPolicy::Accept)))),
            "5c000000030a010401000000000000000e000300696e7075745f6d31300000000b00070066696c7465720000\
             080005000000000114000480080001000000000108000200fffffff6",
        ),
        (
            sent(|batch| batch.add_chain("t42_input", None)),
            "34000000030a010401000000000000000e0003007434325f696e707574000000",
        ),
        (
            sent(|batch| batch.add_trial("trial42", minute)),
            "5c000000090a010401000000000000000c000200747269616c3432000800030000000010080004000000000\
             2080005000000000108000a00000000010a000d000004000000000000",
        ),
        (
            sent(|batch| batch.delete_trial_elements("trial42")),
            "540000000e0a010001000000000000000c000200747269616c3432002400038010000180\
             0c0001800500010002000000100002800c000180050001000a000000",
        ),
        (
            sent(|batch| batch.flush_chain("input")),
            "30000000080a010001000000000000000a000200696e707574000000",
        ),
        (
            sent(|batch| batch.delete_set("trial42")),
            "300000000b0a010001000000000000000c000200747269616c343200",
        ),
        (
            sent(|batch| batch.add_rule("input", None, &Lead::Goto("t42_input".to_owned()))),
            "74000000060a010c01000000000000000a000200696e70757400000044000480400001800e000100696d6d65\
             6469617465000000\
             2c0002800800010000000000200002801c00028008000100fffffffc0e0002007434325f696e707574000000",
        ),
        (
            sent(|batch| batch.add_rule("input", Some("trial42"), &Lead::Accept)),
            "b0000000060a010c01000000000000000a000200696e7075740000008000048024000180090001006d657461\
             0000000014000280080002000000000f0800010000000001280001800b0001006c6f6f6b7570000018000280\
             08000200000000010c000100747269616c343200\
             300001800e000100696d6d656469617465000000\
             1c0002800800010000000000100002800c0002800800010000000001",
        ),
    ]);
}

/// What the record of arrivals is made of: `create set`, less the size that nft asks for, and the
/// rule of [`super::record`].
#[cfg(target_endian = "little")]
#[test]
fn the_record_of_arrivals_is_that_of_nft() {
    let minute = Duration::from_secs(60);
    check_messages([
        (
            sent(|batch| batch.add_record("arrivals42_ip", Family::Ip, minute)),
            "78000000090a01060100000000000000120002006172726976616c7334325f6970000000080003000000\
             003008000400001cd1cd080005000000001008000a00000000010c000b00\
             000000000000ea6014000d00000400000000030800040d0000000100",
        ),
        (
            sent(|batch| batch.add_record("arrivals42_ip6", Family::Ip6, minute)),
            "78000000090a01060100000000000000130002006172726976616c7334325f6970360000080003000000\
             0030080004000020d20d080005000000002808000a00000000010c000b00\
             000000000000ea6014000d00000400000000030800040d0000000100",
        ),
        (
            sent(|batch| batch.add_arrival_rule("arrivals42", Family::Ip, "arrivals42_ip")),
            "e8020000060a010c01000000000000000f0002006172726976616c7334320000b4020480240001800900\
             01006d6574610000000014000280080002000000000608000100000000013800018008000100636d7000\
             2c0002800800010000000001080002000000000118000380140001006c6f000000000000000000000000\
             000024000180090001006d6574610000000014000280080002000000001008000100000000012c000180\
             08000100636d700020000280080001000000000108000200000000000c00038005000100060000003400\
             01800c0001007061796c6f6164002400028008000100000000010800020000000002080003000000000d\
             08000400000000014c0001800c00010062697477697365003c0002800800010000000001080002000000\
             0001080006000000000008000300000000010c00048005000100170000000c0005800500010000000000\
             2c00018008000100636d700020000280080001000000000108000200000000000c000380050001000200\
             000024000180090001006d6574610000000014000280080002000000000f08000100000000012c000180\
             08000100636d700020000280080001000000000108000200000000000c00038005000100020000003400\
             01800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c\
             0800040000000004340001800c0001007061796c6f616400240002800800010000000009080002000000\
             000208000300000000000800040000000002340001800c0001007061796c6f6164002400028008000100\
             0000000a080002000000000108000300000000100800040000000004340001800c0001007061796c6f61\
             640024000280080001000000000b08000200000000020800030000000002080004000000000238000180\
             0b00010064796e7365740000280002800800040000000001080003000000000012000100617272697661\
             6c7334325f6970000000",
        ),
        (
            sent(|batch| batch.add_arrival_rule("arrivals42", Family::Ip6, "arrivals42_ip6")),
            "e8020000060a010c01000000000000000f0002006172726976616c7334320000b4020480240001800900\
             01006d6574610000000014000280080002000000000608000100000000013800018008000100636d7000\
             2c0002800800010000000001080002000000000118000380140001006c6f000000000000000000000000\
             000024000180090001006d6574610000000014000280080002000000001008000100000000012c000180\
             08000100636d700020000280080001000000000108000200000000000c00038005000100060000003400\
             01800c0001007061796c6f6164002400028008000100000000010800020000000002080003000000000d\
             08000400000000014c0001800c00010062697477697365003c0002800800010000000001080002000000\
             0001080006000000000008000300000000010c00048005000100170000000c0005800500010000000000\
             2c00018008000100636d700020000280080001000000000108000200000000000c000380050001000200\
             000024000180090001006d6574610000000014000280080002000000000f08000100000000012c000180\
             08000100636d700020000280080001000000000108000200000000000c000380050001000a0000003400\
             01800c0001007061796c6f61640024000280080001000000000108000200000000010800030000000008\
             0800040000000010340001800c0001007061796c6f616400240002800800010000000002080002000000\
             000208000300000000000800040000000002340001800c0001007061796c6f6164002400028008000100\
             0000000d080002000000000108000300000000180800040000000010340001800c0001007061796c6f61\
             640024000280080001000000001108000200000000020800030000000002080004000000000238000180\
             0b00010064796e7365740000280002800800040000000001080003000000000013000100617272697661\
             6c7334325f6970360000",
        ),
    ]);
}

#[test]
fn a_trial_never_lasts_forever() {
    // What rounds to 0 would mean that to the kernel.
    let mut batch = Batch::new();
    batch.add_trial("trial42", Duration::from_micros(1));
    let timeout = [12, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let bytes = batch.to_bytes(1);
    assert_eq!(
        bytes.windows(12).filter(|bytes| *bytes == timeout).count(),
        2
    );
}

#[test]
fn a_refusal_is_traced_to_its_message() {
    let mut batch = Batch::new();
    assert!(batch.is_empty());
    batch.delete_set("one");
    batch.delete_chain("two\u{1b}");
    let about: Vec<String> = (0..batch.len())
        .filter_map(|index| batch.about(index))
        .map(About::to_string)
        .collect();
    assert_eq!(
        about,
        ["to delete set `one`", "to delete chain `two\\u{1b}`"]
    );
}

#[test]
fn a_listing_is_read() {
    let (mut objects, mut elements, mut generation) = (Objects::default(), Vec::new(), None);
    let mut ends = 0;
    for message in messages() {
        for answer in answers(&message) {
            let answer = answer.unwrap();
            assert_eq!((answer.sequence, answer.is_interrupted), (7, false));
            match answer.says {
                Says::Item(Item::Elements(some)) => elements.extend(some),
                Says::Item(Item::Generation(number)) => generation = Some(number),
                Says::Item(item) => objects.add(item),
                Says::Done => ends += 1,
                // The set of the ports has no name of its own.
                Says::Nothing => {}
                Says::Failed(number) => panic!("{number}"),
            }
        }
    }
    assert_eq!((ends, generation), (6, Some(2)));
    let keys: Vec<&[u8]> = elements
        .iter()
        .map(|element| element.key.as_slice())
        .collect();
    assert_eq!(keys, [[2], [10]]);
    assert!(elements.iter().all(|element| {
        let left = element.left.unwrap();
        left > Duration::from_secs(50) && left <= Duration::from_secs(60)
    }));
    assert_eq!(objects, listed());
}

/// What [`LISTING`] says.
fn listed() -> Objects {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let rule = |chain: &str, handle, meaning, sets: &[&str], chains: &[&str]| Rule {
        chain: chain.to_owned(),
        handle,
        meaning,
        sets: names(sets),
        chains: names(chains),
    };
    let drop = Meaning::Lead {
        only_while: None,
        verdict: Lead::Drop,
    };
    let goto = Meaning::Lead {
        only_while: Some("trial42".to_owned()),
        verdict: Lead::Goto("t42_input".to_owned()),
    };
    let chain = |name: &str, base| Chain {
        name: name.to_owned(),
        base,
    };
    let set = |name: &str| Set {
        name: name.to_owned(),
    };
    Objects {
        table: true,
        chains: vec![
            chain("t42_input", None),
            chain("input", Some(base(ChainPolicy::Drop))),
        ],
        rules: vec![
            rule("t42_input", 5, drop, &[], &[]),
            rule("input", 6, goto, &["trial42"], &["t42_input"]),
            rule("input", 7, Meaning::Other, &["trial42"], &[]),
            rule(
                "input",
                9,
                Meaning::Other,
                &["__set0", "seen"],
                &["t42_input"],
            ),
        ],
        sets: vec![set("trial42"), set("seen")],
    }
}

/// Losing this, a garbled answer would stop portreeve in the middle of what it does.
#[test]
fn no_bytes_make_the_reader_panic() {
    let read = |bytes: &[u8]| answers(bytes).all(|answer| answer.is_ok());
    for message in messages() {
        for length in 1..message.len() {
            assert!(!read(&message[..length]), "cut to {length} bytes");
            // As if it had been that short from the beginning.
            let mut cut = message[..length].to_vec();
            if let Some(head) = cut.first_chunk_mut() {
                *head = u32::try_from(length).unwrap().to_ne_bytes();
                read(&cut);
            }
        }
        // Every byte of it, as another one.
        for at in 0..message.len() {
            for value in [0, 1, 3, 4, 5, 0x7f, 0x80, 0xff] {
                let mut garbled = message.clone();
                garbled[at] = value;
                read(&garbled);
            }
        }
    }
}

#[test]
fn endless_answers_end() {
    // A message that says that it has no length is none.
    assert_eq!(answers(&[0; 64]).count(), 1);
    assert_eq!(answers(&[]).count(), 0);
    let mut state = 1_u64;
    for _ in 0..10_000 {
        let random = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        let mut bytes: Vec<u8> = (0..256).map(random).collect();
        // So that it looks like a rule of our table.
        bytes[..4].copy_from_slice(&256_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&[6, 10]);
        assert!(answers(&bytes).count() <= 1);
    }
}

#[test]
fn errors_are_numbers_above_zero() {
    let answer = |kind: u8, number: i32| {
        let mut bytes = vec![20, 0, 0, 0, kind, 0, 0x10, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(number.to_ne_bytes());
        let mut answers = answers(&bytes);
        answers.next().expect("there is one").unwrap()
    };
    let check = |kind, number, says| {
        let answer = answer(kind, number);
        assert_eq!(answer.says, says);
        #[cfg(target_endian = "little")]
        assert_eq!((answer.sequence, answer.is_interrupted), (9, true));
    };
    check(2, 0, Says::Done);
    check(2, -2, Says::Failed(2));
    check(2, i32::MIN, Says::Failed(i32::MAX));
    check(3, 0, Says::Done);
    check(3, -4, Says::Failed(4));
    check(9, 0, Says::Nothing);
}

/// Losing this, the guard would take a machine with rules of others for one that has none.
#[cfg(target_endian = "little")]
#[test]
fn a_table_of_others_is_told_from_ours_by_family_and_name() {
    let check = |family: u8, name: &str, expected| {
        let mut attribute = vec![(name.len() + 5) as u8, 0, 1, 0];
        attribute.extend(name.bytes().chain([0]));
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        let mut bytes = vec![20 + attribute.len() as u8, 0, 0, 0, 0, 10, 2, 0];
        bytes.extend([0; 8].into_iter().chain([family, 0, 0, 0]).chain(attribute));
        let answer = answers(&bytes).next().expect("there is one").unwrap();
        assert_eq!(answer.says, Says::Item(expected));
    };
    check(1, crate::TABLE, Item::Table);
    check(2, crate::TABLE, Item::OtherTable);
    check(1, "filter", Item::OtherTable);
    check(7, "x", Item::OtherTable);
}
