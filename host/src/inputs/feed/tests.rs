//! A bad list neither opens nor closes a port: each way of being bad has its case.

use super::*;

const IPS_V4: &str = include_str!("../../../data/cloudflare/ips-v4");
const IPS_V6: &str = include_str!("../../../data/cloudflare/ips-v6");
const IPS_JSON: &str = include_str!("../../../data/cloudflare/ips.json");

fn list(texts: &[&[u8]], contract: &Contract) -> Result<Contents, Vec<Diagnostic>> {
    let source = |bytes| Source {
        origin: "`f`".to_owned(),
        bytes,
    };
    let sources: Vec<_> = texts.iter().copied().map(source).collect();
    read("cf", &sources, contract)
}

/// A feed of an office: any addresses, of one family if need be.
fn private() -> Contract {
    Contract {
        min_entries: [0, 0],
        public: false,
        ..Contract::default()
    }
}

fn check_with(contract: &Contract, text: &str, expected: &[&str]) {
    let found: Vec<_> = match list(&[text.as_bytes()], contract) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expected, "{text:?}");
}

fn check(text: &str, expected: &str) {
    let contract = Contract {
        min_entries: [0, 0],
        ..Contract::default()
    };
    check_with(&contract, text, &[expected]);
}

fn prefixes(contents: &Contents) -> Vec<String> {
    let of_family = |family| merged_prefixes(&contents.addresses, family);
    let all = Family::BOTH.into_iter().flat_map(of_family);
    all.map(|prefix| prefix.to_string()).collect()
}

#[test]
fn all_forms_that_cloudflare_serves_mean_the_same() {
    let contract = Contract {
        min_entries: [15, 7],
        ..Contract::default()
    };
    let two_files = list(&[IPS_V4.as_bytes(), IPS_V6.as_bytes()], &contract).unwrap();
    assert_eq!(two_files.counts, [15, 7]);
    assert_eq!(two_files.note, None);
    assert!(
        two_files
            .addresses
            .contains("173.245.63.255".parse().unwrap())
    );
    assert!(
        !two_files
            .addresses
            .contains("173.245.64.0".parse().unwrap())
    );
    assert!(
        two_files
            .addresses
            .contains("2a06:98c7:ffff::".parse().unwrap())
    );
    let joined = format!("{IPS_V4}\n{IPS_V6}\n");
    let windows = format!("\u{feff}# both\r\n\r\n{}", joined.replace('\n', " # x\r\n"));
    for other in [joined.as_str(), &windows, IPS_JSON] {
        let other = list(&[other.as_bytes()], &contract).unwrap();
        assert_eq!(other.addresses, two_files.addresses);
        assert_eq!(other.digest, two_files.digest);
    }
}

/// The digest can be made by hand: `printf '192.0.2.0/24\n2001:db8::/32\n' | sha256sum`.
#[test]
fn the_digest_is_of_the_merged_prefixes_one_a_line() {
    let text = b"2001:db8::/32\n192.0.2.128/25\n192.0.2.0/25";
    let contents = list(&[text], &private()).unwrap();
    assert_eq!(prefixes(&contents), ["192.0.2.0/24", "2001:db8::/32"]);
    assert_eq!(contents.counts, [1, 1]);
    assert_eq!(
        contents.digest,
        "2869f46ecda9c71c548bfd15408876ac4337d51ac42a093d67736fcd038bc777"
    );
}

#[test]
fn duplicates_and_overlaps_are_merged_and_said() {
    let text = b"192.0.2.0\n192.0.2.0/24\n198.51.100.0/24\n192.0.2.0/24\n192.0.2.0\n";
    let contents = list(&[text], &private()).unwrap();
    assert_eq!(prefixes(&contents), ["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(
        contents.note.as_deref(),
        Some("feed `cf`: merged 2 prefixes that came twice and 1 prefix inside another")
    );
}

#[test]
fn an_entry_that_is_no_prefix_is_named_with_its_line() {
    check(
        "104.16.0.0/13\n\n104.24.0.0/33",
        "error[F005]: feed `cf`, `f` line 3: `104.24.0.0/33`: \
         prefix length is 33, the family has 32 bits",
    );
    let not = "not an address or prefix";
    check(
        "cloudflare.com",
        &format!("error[F005]: feed `cf`, `f` line 1: `cloudflare.com`: {not}"),
    );
    check(
        "1.2.3",
        &format!("error[F005]: feed `cf`, `f` line 1: `1.2.3`: {not}"),
    );
    check(
        "104.16.0.1/13 # office",
        "error[F006]: feed `cf`, `f` line 1: `104.16.0.1/13`: \
         bits are set after the prefix length; the prefix is 104.16.0.0/13",
    );
    check(
        "\u{1b}[2J",
        &format!("error[F005]: feed `cf`, `f` line 1: `\\u{{1b}}[2J`: {not}"),
    );
}

#[test]
fn two_lists_run_together_are_recognised() {
    let joined = format!("{IPS_V4}{IPS_V6}");
    check(
        &joined,
        "error[F002]: feed `cf`, `f` line 15: \
         `131.0.72.0/22` and `2400:cb00::/32` stand together without a line break",
    );
    check(
        "1.0.0.0/241.1.1.0/24",
        "error[F002]: feed `cf`, `f` line 1: \
         `1.0.0.0/24` and `1.1.1.0/24` stand together without a line break",
    );
}

#[test]
fn a_feed_never_holds_every_address() {
    for route in ["0.0.0.0/0", "::/0"] {
        let expected = format!("error[F007]: feed `cf`, `f` line 1: `{route}` is a default route");
        check(route, &expected);
        check_with(&private(), route, &[&expected]);
    }
    let whole = Contract {
        max_coverage: 1.0,
        ..private()
    };
    check_with(
        &whole,
        "0.0.0.0/1\n128.0.0.0/1",
        &["error[F007]: feed `cf`: the ipv4 prefixes together are a default route"],
    );
    check_with(
        &whole,
        "::/1\n8000::/1",
        &["error[F007]: feed `cf`: the ipv6 prefixes together are a default route"],
    );
    check_with(&whole, "0.0.0.0/1\n::/1", &[]);
}

#[test]
fn reserved_addresses_are_refused_in_a_public_feed_only() {
    for (text, reason) in [
        ("10.1.0.0/16", "10.0.0.0/8: private use, RFC 1918"),
        ("127.0.0.1", "127.0.0.0/8: loopback, RFC 1122"),
        (
            "100.64.0.0/10",
            "100.64.0.0/10: shared address space, RFC 6598",
        ),
        ("fd00::/8", "fc00::/7: unique local, RFC 4193"),
        (
            "::ffff:104.16.0.0/109",
            "::ffff:0:0/96: IPv4-mapped addresses, RFC 4291",
        ),
    ] {
        let prefix: Prefix = text.parse().unwrap();
        let message = format!("`{prefix}` shares addresses with {reason}");
        check(
            text,
            &format!("error[F008]: feed `cf`, `f` line 1: {message}"),
        );
        check_with(&private(), text, &[]);
    }
}

#[test]
fn too_few_and_too_many_addresses_break_the_contract() {
    let few = |family: &str, found, least| {
        format!(
            "error[F009]: feed `cf`: found {found} {family} prefixes, at least {least} are needed"
        )
    };
    let default = Contract::default();
    let (no_ip, no_ip6) = (few("ipv4", 0, 1), few("ipv6", 0, 1));
    check_with(&default, "", &[&no_ip, &no_ip6]);
    check_with(&default, IPS_V4, &[&no_ip6]);
    check_with(
        &Contract {
            min_entries: [15, 0],
            ..default.clone()
        },
        IPS_V4,
        &[],
    );
    let sixteen = Contract {
        min_entries: [16, 0],
        ..default
    };
    check_with(&sixteen, IPS_V4, &[&few("ipv4", 15, 16)]);
    check_with(&private(), "8.0.0.0/5", &[]);
    check_with(
        &private(),
        "8.0.0.0/5\n32.0.0.0/5",
        &["error[F010]: feed `cf`: covers 0.0625 of all ipv4 addresses, allowed is at most 0.05"],
    );
}

#[test]
fn what_is_not_a_list_at_all_is_called_that() {
    check(
        " \n<!DOCTYPE html>\n<html>",
        "error[F004]: feed `cf`, `f`: found a web page, allowed is a list of prefixes",
    );
    let gzip = [0x1f, 0x8b, 8, 0];
    let found = list(&[&gzip], &private()).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "error[F003]: feed `cf`, `f`: byte 2 is not text"
    );
    let long = "x".repeat(1001);
    check(
        &long,
        "error[F011]: feed `cf`, `f` line 1: the line has 1001 bytes, at most 1000 are allowed",
    );
}

#[test]
fn json_of_another_shape_is_refused() {
    let code = |text: &str| {
        let found = list(&[text.as_bytes()], &private()).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found[0].code
    };
    let with =
        |ip: &str, ip6: &str| format!(r#"{{"result":{{"ipv4_cidrs":{ip},"ipv6_cidrs":{ip6}}}}}"#);
    list(&[with("[]", "[]").as_bytes()], &private()).unwrap();
    for bad in [
        "{}",
        "{\"result\":null}",
        "{\"result\":{\"ipv4_cidrs\":[]}}",
        "{\"result\":{\"ipv4_cidrs\":[1],\"ipv6_cidrs\":[]}}",
        "{\"success\":false,\"result\":{\"ipv4_cidrs\":[],\"ipv6_cidrs\":[]}}",
        "{\"result\"",
        &"{\"a\":".repeat(100_000),
    ] {
        assert_eq!(code(bad), "F012", "{}", &bad[..bad.len().min(80)]);
    }
    check_with(
        &private(),
        "{}",
        &["error[F012]: feed `cf`, `f`: not the JSON expected: \
           `missing field 'result' at line 1 column 2`"],
    );
    let expected = "error[F005]: feed `cf`, `f` ipv4_cidrs entry 1: `2001:db8::/32` is not an \
                    ipv4 prefix";
    check_with(&private(), &with("[\"2001:db8::/32\"]", "[]"), &[expected]);
}

#[test]
fn at_most_ten_entries_are_shown_and_the_rest_is_counted() {
    let found = list(&["x\n".repeat(1_000).as_bytes()], &private()).unwrap_err();
    assert_eq!(found.len(), 11);
    assert_eq!(
        found[10].to_string(),
        "error[F013]: feed `cf`: 990 more entries are wrong and not shown"
    );
}

#[test]
fn no_bytes_make_the_parser_panic() {
    let pieces: [&[u8]; 16] = [
        b"1",
        b"255",
        b".",
        b"/",
        b":",
        b"::",
        b"f",
        b"\n",
        b"\r\n",
        b"#",
        b" ",
        b"{",
        b"\"",
        b"<",
        b"\xff",
        "é".as_bytes(),
    ];
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..50_000 {
        let mut bytes = Vec::new();
        for _ in 0..12 {
            // xorshift32 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            bytes.extend_from_slice(pieces[state as usize % pieces.len()]);
        }
        let _ = list(&[&bytes], &private());
    }
}
