//! The command line of the harness: types only, no logic.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use portreeve_vm_tests::tier::Tier;

/// Tries who reaches what: on the model, in namespaces, or on real kernels in virtual machines.
///
/// Ends with 0 when all is well, 2 when the command line makes no sense, 3 when a file is no scenario,
/// 4 when a scenario fails, and 10 when something could not be found out: broken, or skipped though it
/// is required.
#[derive(Debug, Parser)]
#[command(name = "portreeve-harness", max_term_width = 100)]
pub(crate) struct Arguments {
    /// Run these scenarios, by name or file [default: all of --scenarios]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Do something else
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// On the `model`, on this machine's kernel in `netns`, or on others in a `vm`
    #[arg(long, value_name = "TIER", default_value_t = Tier::Vm)]
    pub(crate) on: Tier,
    /// What would be skipped is a failure
    #[arg(long)]
    pub(crate) require: bool,
    /// So many machines at a time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// So many power cuts wherever a scenario has some, the first by seed S
    #[arg(long, value_name = "N[@S]", value_parser = cuts)]
    pub(crate) cuts: Option<(u64, u64)>,
    /// Write the results for programs that collect them
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Run VMs on this machine's own processor, if a few instructions show that it can
    #[arg(long)]
    pub(crate) kvm: bool,
    /// Print a JSON value for each scenario instead of a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Where everything is.
    #[command(flatten)]
    pub(crate) places: Places,
}

/// What to do instead of running scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Download the packages that the lock file names
    Fetch {
        /// Name the newest ones first
        #[arg(long)]
        update: bool,
    },
    /// Boot a VM and run what stdin says in it, a line at a time
    Shell,
    /// List the pairs of kernel and nft, or those that --kernel means
    Pairs,
}

/// Which machines are meant, and where what they are made of is.
#[derive(Args, Debug)]
pub(crate) struct Places {
    /// This kernel or pair; may be repeated; `all` is every pair [default: 5.10/0.9.8, 6.1/1.0.6 and
    /// 6.1/systemd-252; on `netns` this machine's own nft instead of a pair's]
    #[arg(long = "kernel", global = true, value_name = "K")]
    pub(crate) kernels: Vec<String>,
    /// The portreeve that is tested; a static build on `vm`
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) portreeve: Option<PathBuf>,
    /// The agent that goes with it [default: `portreeve-vm-agent` beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Both as cargo has built them there, for each architecture
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) target: Option<PathBuf>,
    /// Where scenarios have names
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Other `kernels.toml`, `kernels.lock` and `known_differences.toml` than this program carries
    #[arg(long = "kernels", global = true, value_name = "DIR")]
    pub(crate) kernels_from: Option<PathBuf>,
    /// Where packages, images and templates are [default: portreeve/ in the user's cache]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

/// How many power cuts, and the first one's seed.
fn cuts(word: &str) -> Result<(u64, u64), String> {
    let (times, seed) = word.split_once('@').unwrap_or((word, "0"));
    let number = |word: &str| {
        let number = word.parse().ok();
        number.ok_or_else(|| format!("`{word}` is no number; write `25` or `25@200`"))
    };
    Ok((number(times)?, number(seed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    /// Losing this, a word would be taken for the name of a scenario, or the other way round.
    #[test]
    fn scenarios_and_commands_are_told_apart() {
        let both = read("h --on netns --cuts 25@200 ./fetch mine.toml");
        assert_eq!(both.names, ["./fetch", "mine.toml"]);
        assert_eq!((both.on, both.cuts), (Tier::Namespaces, Some((25, 200))));
        let fetch = read("h --target t fetch --update --kernel 6.1 --kernel sid");
        assert!(matches!(
            fetch.command,
            Some(Command::Fetch { update: true })
        ));
        assert_eq!(fetch.places.kernels, ["6.1", "sid"]);
        assert_eq!(fetch.places.target, Some("t".into()));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (line, expected) in [
            ("h --on kvm", "allowed are model, netns and vm"),
            ("h --cuts some", "`some` is no number"),
            ("h --jobs 0", "'0' for '--jobs <N>'"),
        ] {
            let error = Arguments::try_parse_from(line.split(' ')).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
