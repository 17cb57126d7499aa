//! Every limit of the model, with the reason for its number.

/// Bytes in the name of a chain or set. Longer ones exist in nft (`NFT_NAME_MAXLEN` is 256), but
/// 31 bytes is what every released version lists without cutting.
pub const NAME_BYTES_MAX: usize = 31;

/// Bytes in a label or log prefix. nft keeps 128 with the final zero (`NFTNL_UDATA_COMMENT_MAXLEN`)
/// and a log prefix 127; one number for both leaves room for what we may add.
pub const TEXT_BYTES_MAX: usize = 120;

/// Bytes in an interface name: `IFNAMSIZ` (16) less the final zero.
pub const INTERFACE_BYTES_MAX: usize = 15;

/// Chains in a draft. Ours: a host firewall has fewer than ten.
pub const CHAINS_MAX: usize = 256;

/// Sets in a draft. Ours.
pub const SETS_MAX: usize = 256;

/// Rules in a draft, all chains together. Ours: the largest of 245 published rule sets has 184.
pub const RULES_MAX: usize = 10_000;

/// Matches and statements in one rule. nft's own limit is 128 expressions (`NFT_RULE_MAXEXPRS`),
/// and one match may take five of them.
pub const RULE_PARTS_MAX: usize = 16;

/// Nodes in one set expression. Ours.
pub const SET_NODES_MAX: usize = 1_000;

/// Depth of one set expression. Ours.
pub const SET_DEPTH_MAX: usize = 32;

/// Operands in one set expression, all nodes together. Ours.
pub const SET_OPERANDS_MAX: usize = 10_000;

/// Intervals that the set expressions of a draft may go through, all together: what the host
/// spends on a policy's behalf. Ours: a feed of a million prefixes can be used several times.
pub const SET_WORK_MAX: usize = 10_000_000;

/// Values written out in one match (ports, types, prefixes). Ours: longer lists are sets.
pub const MATCH_VALUES_MAX: usize = 1_000;

/// Fields that may be asked together. Ours: five are the two ends of a connection and its protocol.
pub const FIELDS_TOGETHER_MAX: usize = 5;

/// Bytes that fields together may have: the kernel's registers (`NFT_REG32_COUNT` times four, in
/// `nf_tables.h`). nft 1.0.6 stops with an assertion where they do not fit.
pub const KEY_BYTES_MAX: u32 = 64;

/// Elements written out in one field set. Ours.
pub const FIELD_SET_ELEMENTS_MAX: usize = 10_000;

/// Elements that a dynamic set may have room for. Ours: each takes the kernel some hundred bytes,
/// and whoever sends packets fills it.
pub const DYNAMIC_SET_SIZE_MAX: u32 = 1_000_000;

/// Seconds that an element of a dynamic set may stay. Ours: a week.
pub const TIMEOUT_MAX: u32 = 7 * 24 * 60 * 60;

/// Bytes of a quota. Ours: far more than a machine sends in its life, and an exact number in every
/// JSON reader (2^53).
pub const QUOTA_MAX: u64 = 1 << 53;

/// Connections that a `ct count` may name: nft lists more of them as a negative number.
pub const CT_COUNT_MAX: u32 = i32::MAX as u32;

/// Jumps and gotos that may nest. The kernel follows 15 (`NFT_JUMP_STACK_SIZE` is 16, base chain
/// included, in `net/netfilter/nf_tables.h`), and two of them lead into a rule set that is on trial.
pub const JUMP_DEPTH_MAX: usize = 13;

/// Rules that one packet may be led through at one hook. Ours: as many as a draft may hold, ten
/// times over.
pub const VISITS_MAX: u64 = 100_000;

/// The lowest and highest priority of a base chain. The named ones of nft(8) lie between -400
/// (`raw` at the bridge is -300) and 300.
pub const PRIORITY_MAX: i32 = 400;

/// The priority after which a packet has a conntrack entry (`NF_IP_PRI_CONNTRACK`).
pub const CONNTRACK_PRIORITY: i32 = -200;

/// The highest rate and burst of a `limit`. Ours; a slow rate allows a smaller burst yet, because
/// of the kernel's arithmetic (`validate::burst_max`).
pub const LIMIT_MAX: u32 = 1_000_000;

/// Rules that the evaluation of one packet at one hook looks at. Ours: a table that the kernel takes
/// may lead a packet through more than it could ever finish, and a listing may come from anywhere.
pub const WALK_MAX: usize = 1_000_000;

/// Jumps and gotos that the kernel follows from a base chain (`NFT_JUMP_STACK_SIZE`).
pub const JUMP_STACK: u8 = 16;
