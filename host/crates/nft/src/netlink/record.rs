//! The record of arrivals: the set that connections are written to, and the rule that does it.
//!
//! Both are said as nft says them, so that it lists them as its own:
//!
//! ```text
//! set arrivals42_ip {
//!     type ipv4_addr . inet_service . ipv4_addr . inet_service
//!     size 65535; flags dynamic,timeout; timeout 1m
//! }
//! iifname != "lo" tcp flags & (fin | syn | rst | ack) == syn
//!     add @arrivals42_ip { ip saddr . tcp sport . ip daddr . tcp dport }
//! ```

use core::time::Duration;

use portreeve_model::address::Family;

use super::attributes::Writer;
use super::expressions::{expression, load_meta};
use super::numbers::{
    IPPROTO_TCP, NFT_BITWISE_BOOL, NFT_CMP_EQ, NFT_CMP_NEQ, NFT_DYNSET_OP_ADD, NFT_META_IIFNAME,
    NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REG_1, NFT_REG32_00, NFT_SET_EVAL, NFT_SET_TIMEOUT, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN,
    NFTA_BITWISE_MASK, NFTA_BITWISE_OP, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR, NFTA_CMP_DATA,
    NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_DATA_VALUE, NFTA_DYNSET_OP, NFTA_DYNSET_SET_NAME,
    NFTA_DYNSET_SREG_KEY, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN,
    NFTA_PAYLOAD_OFFSET, NFTA_SET_FLAGS, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE,
    NFTA_SET_TIMEOUT, NFTA_SET_USERDATA,
};

/// Registers are numbered by words of this many bytes, and so long is the least part of a key.
const WORD_BYTES: u32 = 4;

/// The loopback interface, as long as the kernel's names of interfaces are.
const LOOPBACK: [u8; 16] = *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// nft's numbers for the types of the parts of a key.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const INET_SERVICE: u32 = 13;

/// The flags in TCP's header that tell the first packet of a connection from the others: fin,
/// syn, rst and ack.
const FLAGS: Payload = transport(13, 1);
const HANDSHAKE: u8 = 0x01 | SYN | 0x04 | 0x10;
const SYN: u8 = 0x02;

/// Bytes of a packet.
#[derive(Clone, Copy)]
struct Payload {
    header: u32,
    offset: u32,
    length: u32,
}

const fn network(offset: u32, length: u32) -> Payload {
    Payload {
        header: NFT_PAYLOAD_NETWORK_HEADER,
        offset,
        length,
    }
}

const fn transport(offset: u32, length: u32) -> Payload {
    Payload {
        header: NFT_PAYLOAD_TRANSPORT_HEADER,
        offset,
        length,
    }
}

impl Payload {
    const fn words(self) -> u32 {
        self.length.div_ceil(WORD_BYTES)
    }
}

/// What a connection is known by, and the types of it: source address and port, destination
/// address and port.
fn key(family: Family) -> [(Payload, u32); 4] {
    let [source, destination] = match family {
        Family::Ip => [(network(12, 4), IPV4_ADDR), (network(16, 4), IPV4_ADDR)],
        Family::Ip6 => [(network(8, 16), IPV6_ADDR), (network(24, 16), IPV6_ADDR)],
    };
    let port = |offset| (transport(offset, 2), INET_SERVICE);
    [source, port(0), destination, port(2)]
}

/// Writes what follows the names of the table and the set. The kernel adds connections to it for
/// as long as `timeout` each.
///
/// No size is asked for, which nft would do. The kernel gives 65,535 to a set that rules add to
/// (`nft_dynset_init`): a flood fills it and no more, and what was recorded before stays. For one
/// that was asked for it clears two megabytes at once (`nft_rhash_init`).
pub(super) fn write_set(out: &mut Writer, id: u32, family: Family, timeout: Duration) {
    // nft's types of keys with several parts have six bits for each.
    let kind = |kinds, (_, kind)| kinds << 6 | kind;
    let words = key(family).map(|(from, _)| from.words());
    out.u32(NFTA_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT)
        .u32(NFTA_SET_KEY_TYPE, key(family).into_iter().fold(0, kind))
        .u32(NFTA_SET_KEY_LEN, words.iter().sum::<u32>() * WORD_BYTES)
        .u32(NFTA_SET_ID, id)
        .u64(NFTA_SET_TIMEOUT, milliseconds(timeout))
        .bytes(NFTA_SET_USERDATA, &userdata());
}

/// Rounded up: to the kernel, a timeout of 0 means "never".
fn milliseconds(timeout: Duration) -> u64 {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(milliseconds).unwrap_or(u64::MAX)
}

/// What nft notes with a set of this type: "the byte order of the key, four bytes: none; how the
/// key was spelled, eight bytes: as a concatenation, four bytes: 13, of nothing further".
fn userdata() -> Vec<u8> {
    let concatenation = 13_u32.to_ne_bytes();
    [&[0, 4, 0, 0, 0, 0, 3, 8, 0, 4], &concatenation[..], &[1, 0]].concat()
}

/// Writes the rule that adds the connection to `set` when a packet from outside opens one.
pub(super) fn write_rule(list: &mut Writer, family: Family, set: &str) {
    load_meta(list, NFT_META_IIFNAME);
    compare(list, NFT_CMP_NEQ, &LOOPBACK);
    load_meta(list, NFT_META_L4PROTO);
    compare(list, NFT_CMP_EQ, &[IPPROTO_TCP]);
    load(list, FLAGS, NFT_REG_1);
    mask(list, HANDSHAKE);
    compare(list, NFT_CMP_EQ, &[SYN]);
    load_meta(list, NFT_META_NFPROTO);
    compare(list, NFT_CMP_EQ, &[family.number()]);
    let mut word = 0;
    for (from, _) in key(family) {
        load(list, from, register(word));
        word += from.words();
    }
    expression(list, "dynset", |data| {
        data.u32(NFTA_DYNSET_SREG_KEY, NFT_REG_1)
            .u32(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD)
            .text(NFTA_DYNSET_SET_NAME, set);
    });
}

/// The register that begins with this word. Four words are one of the registers that older kernels
/// had, and go by its name.
const fn register(word: u32) -> u32 {
    if word.is_multiple_of(4) {
        NFT_REG_1 + word / 4
    } else {
        NFT_REG32_00 + word
    }
}

fn load(list: &mut Writer, from: Payload, register: u32) {
    expression(list, "payload", |data| {
        data.u32(NFTA_PAYLOAD_DREG, register)
            .u32(NFTA_PAYLOAD_BASE, from.header)
            .u32(NFTA_PAYLOAD_OFFSET, from.offset)
            .u32(NFTA_PAYLOAD_LEN, from.length);
    });
}

/// Leaves only these bits of the one byte in the first register.
fn mask(list: &mut Writer, bits: u8) {
    let byte = |byte: u8| {
        move |data: &mut Writer| {
            data.bytes(NFTA_DATA_VALUE, &[byte]);
        }
    };
    expression(list, "bitwise", |data| {
        data.u32(NFTA_BITWISE_SREG, NFT_REG_1)
            .u32(NFTA_BITWISE_DREG, NFT_REG_1)
            .u32(NFTA_BITWISE_OP, NFT_BITWISE_BOOL)
            .u32(NFTA_BITWISE_LEN, 1)
            .nested(NFTA_BITWISE_MASK, byte(bits))
            .nested(NFTA_BITWISE_XOR, byte(0));
    });
}

/// Goes on when the first register compares so with `value`.
fn compare(list: &mut Writer, how: u32, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.u32(NFTA_CMP_SREG, NFT_REG_1)
            .u32(NFTA_CMP_OP, how)
            .nested(NFTA_CMP_DATA, |data| {
                data.bytes(NFTA_DATA_VALUE, value);
            });
    });
}
