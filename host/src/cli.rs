//! The command line: types only, no logic.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Firewall policies as sandboxed WebAssembly components, applied through nftables.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub options: Options,
}

/// Options that every command takes.
#[derive(Args, Debug)]
pub struct Options {
    /// Configuration file [default: /etc/portreeve/portreeve.toml, when it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting of the policy, over the configuration's; may be given again for other settings
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Where applied rule sets are recorded
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PORTREEVE_STATE_DIR",
        default_value = "/var/lib/portreeve"
    )]
    pub state_dir: PathBuf,
    /// Where compiled policies are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PORTREEVE_CACHE_DIR",
        default_value = "/var/cache/portreeve"
    )]
    pub cache_dir: PathBuf,
    /// Where those who log in are told of a trial; empty: nowhere
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "DIR",
        env = "PORTREEVE_MOTD_DIR",
        default_value = "/run/motd.d"
    )]
    pub motd_dir: OsString,
    /// How to print the answer
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people, with colour on a terminal
    Human,
    /// For people, without colour
    Plain,
    /// For programs
    Json,
    /// The rule set as `nft -f` loads it (`plan` only)
    Nft,
    /// The transaction as `nft -j -f` loads it (`plan` only)
    NftJson,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the rule set that the policy computes from its inputs, what is proved of it, who reaches
    /// what, and what it would change; changes nothing
    Plan(Plan),
    /// Plan, then ask the kernel whether it would accept the rule set; changes nothing
    Check,
    /// Plan, then put the rule set on trial; the kernel takes it back unless it is confirmed
    Apply(Apply),
    /// Make the rule set on trial permanent, from a new connection that it let in
    Confirm(Confirm),
    /// End the trial now, or go back to an earlier rule set
    Rollback(Rollback),
    /// Load the last confirmed rule set; needs no network, no feed, no policy
    Boot,
    /// Show what is in force, since when, by which policy and inputs
    Status,
    /// Show what was applied, and what became of it
    History,
    /// Show what a rule set does to one packet, rule by rule, and why; changes nothing
    Explain(Explain),
    /// Show which packets fare otherwise under two rule sets, with one of each kind; changes nothing
    Diff(Diff),
    /// Try scenarios: who reaches what, on the model, in a namespace or on real kernels; changes nothing
    Test(Test),
}

/// Show what would be applied.
#[derive(Args, Debug)]
pub struct Plan {
    /// Try it on the real kernel as well, in a namespace that is thrown away: one packet for every
    /// path through the rules
    #[arg(long)]
    pub probe: bool,
}

/// Plan, then put the rule set on trial.
#[derive(Args, Debug)]
pub struct Apply {
    /// How long the trial lasts, 1s to 1h [default: the configuration's, or 60s]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_trial")]
    pub confirm_within: Option<String>,
    /// Come back at once, and watch over the trial from the background
    #[arg(long, conflicts_with = "no_trial")]
    pub no_wait: bool,
    /// Make the rule set permanent at once: for provisioning, where nobody can be locked out
    #[arg(long)]
    pub no_trial: bool,
    /// Apply it even if it locks you out: it says what will happen
    #[arg(long)]
    pub allow_lockout: bool,
}

/// Make the rule set on trial permanent.
#[derive(Args, Debug)]
pub struct Confirm {
    /// What `portreeve apply` printed
    #[arg(value_name = "TOKEN")]
    pub token: String,
    /// You are at the machine itself, and no connection shows that the rules let you in
    #[arg(long)]
    pub from_console: bool,
}

/// End the trial now, or go back to an earlier rule set.
#[derive(Args, Debug)]
pub struct Rollback {
    /// A confirmed generation, as `portreeve history` numbers them [default: the last one]
    #[arg(value_name = "GENERATION")]
    pub generation: Option<u64>,
}

/// Show what a rule set does to one packet.
#[derive(Args, Debug)]
pub struct Explain {
    /// For example: tcp 192.0.2.7:40000 to 198.51.100.10:443
    #[arg(required = true, value_name = "PACKET", long_help = PACKET_HELP)]
    pub packet: Vec<String>,
    /// Which rule set: `live`, the one in force here (as root); or a file with the output of
    /// `nft -j list ruleset` of any machine, `-` for stdin [default: the planned one]
    #[arg(long, value_name = "FILE|live")]
    pub ruleset: Option<String>,
    /// Show every rule that was looked at, however many
    #[arg(long)]
    pub all: bool,
}

/// Show which packets fare otherwise under two rule sets.
#[derive(Args, Debug)]
pub struct Diff {
    /// The first: `live`, every table of this machine (as root); `planned`; a generation's number;
    /// or a file with the output of `nft -j list ruleset` of any machine, `-` for stdin
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The second, named likewise
    #[arg(value_name = "AFTER", default_value = "planned")]
    pub after: String,
}

/// Try scenarios.
#[derive(Args, Debug)]
pub struct Test {
    /// Files that say who must reach what; each says its policy itself
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What they are tried on
    #[arg(long, value_enum, default_value_t = Tier::Model)]
    pub on: Tier,
    /// With `vm`: this kernel, or kernel and nft; may be given again; `all` is every one. With `netns`:
    /// the nft that goes with it
    #[arg(long = "kernel", value_name = "KERNEL")]
    pub kernels: Vec<String>,
    /// Also write the results for programs that collect them
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What scenarios are tried on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Tier {
    /// The rule set as it would be installed, and the model's word on it; no machine is needed
    Model,
    /// This machine's kernel and nft, in a namespace that is thrown away
    Netns,
    /// Other kernels and nfts, in virtual machines
    Vm,
}

/// The grammar of a packet, as `portreeve explain --help` shows it.
const PACKET_HELP: &str = "\
For example: tcp 192.0.2.7:40000 to 198.51.100.10:443

[HOOK] [INTERFACE] tcp|udp|sctp|dccp|udplite SOURCE[:PORT] to DESTINATION:PORT [STATE] [FACT...]
[HOOK] [INTERFACE] icmp|icmpv6 TYPE SOURCE to DESTINATION [STATE] [FACT...]
[HOOK] [INTERFACE] protocol N SOURCE to DESTINATION [STATE] [FACT...]
[HOOK] [INTERFACE] fragment N SOURCE to DESTINATION [STATE] [FACT...]

HOOK says where the packet is going: `input` (to this machine), `forward` (through it) or `output`
(from it); the hooks before and after that one see it, too. At `forward`, write `iifname NAME
oifname NAME`. STATE is conntrack's: new, established, related, invalid or untracked. A FACT is
`hoplimit N` or a field with its value in nft's words: `meta mark 0x5`, `tcp flags syn,ack`,
`ip dscp 46`, `ct mark 7`, `meta skuid 1000`, `iifgroup 3`, `fib daddr type local`; or `unknown`,
or `absent`.

Left out, the hook is `input`, the interface `eth0`, the source port 40000, the state what conntrack
says of a first packet. IPv6 addresses with a port stand in brackets.";
