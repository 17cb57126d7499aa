//! `cargo xtask vm`: builds what goes into machines under test, sees to it that their packages are here,
//! and runs scenarios in them.

use std::env::consts::ARCH;
use std::io;

use crate::architecture::{AMD64, Architecture};
use crate::setup::{self, Needs};
use crate::step::{self, Ended, Step, cargo};

/// The profile of everything that is emulated, and of what talks to it.
const PROFILE: &str = "vm";

/// What a machine of namespaces has of this one, and what Debian calls that.
const OF_THIS_MACHINE: [(&str, &str); 2] = [("nft", "nftables"), ("busybox", "busybox")];

/// Does what the words say; scenarios are run unless they say something else.
pub(crate) fn run(words: &[&str]) -> io::Result<Ended> {
    setup::ensure(Needs::Toolchain)?;
    let build = ["build", "--locked", "--profile", PROFILE];
    let build = cargo(&build).args(&["--package", "portreeve-vm-tests"]);
    if build.run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let asks = |word: &str| words.contains(&word);
    if !asks("fetch") && !asks("pairs") && prepare(words)? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    harness()?.args(words).reading().run()
}

/// The program that runs scenarios, and where it finds what is ours.
fn harness() -> io::Result<Step> {
    let harness = step::built(PROFILE, "portreeve-harness")?;
    // Cargo has put it two folders below.
    let target = harness.ancestors().nth(2).unwrap_or(&harness);
    let folder = step::root().join("vm-tests");
    Ok(step::program(&harness)
        .arg("--target")
        .arg(target)
        .arg("--store")
        .arg(target.join("machines"))
        .arg("--kernels")
        .arg(&folder)
        .arg("--scenarios")
        .arg(folder.join("scenarios")))
}

/// Has everything here that scenarios are tried on. Packages are downloaded as far as they are not here.
fn prepare(words: &[&str]) -> io::Result<Ended> {
    let kernels = options("--kernel", words);
    let (architectures, tools, of_packages) = match options("--on", words).last() {
        Some(&"model") => (Architecture::of_this_machine(), Vec::new(), false),
        Some(&"netns") => {
            let tools = OF_THIS_MACHINE.to_vec();
            (Architecture::of_this_machine(), tools, !kernels.is_empty())
        }
        _ => {
            let Some(architectures) = architectures(&kernels)? else {
                return Ok(Ended::Badly);
            };
            let emulators = architectures.iter().map(|it| it.emulator).collect();
            (architectures, emulators, true)
        }
    };
    setup::ensure_tools(&tools);
    let built = build(&architectures)?;
    if built == Ended::Badly || !of_packages {
        return Ok(built);
    }
    harness()?.arg("fetch").args(&kernels).run()
}

/// An option with its value, as often as it is said.
fn options<'a>(option: &str, words: &[&'a str]) -> Vec<&'a str> {
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.flatten().copied().collect()
}

/// Builds what machines of these architectures run.
fn build(architectures: &[&Architecture]) -> io::Result<Ended> {
    for architecture in architectures {
        setup::ensure_compiler(architecture)?;
        if cargo(&architecture.build(PROFILE, ARCH)).run()? == Ended::Badly {
            return Ok(Ended::Badly);
        }
    }
    Ok(Ended::Well)
}

/// What the pairs are of that are meant. Where none is named it is a PC; an unknown one has been told by
/// the harness.
fn architectures(kernels: &[&str]) -> io::Result<Option<Vec<&'static Architecture>>> {
    if kernels.is_empty() {
        return Ok(Some(vec![&AMD64]));
    }
    let mut pairs = Vec::new();
    let asked = harness()?.arg("pairs").args(kernels);
    Ok(match asked.watch(|pair| pairs.push(pair.to_owned()))? {
        Ended::Well => Some(Architecture::of(&pairs)),
        Ended::Badly => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_that_is_meant_is_prepared_for() {
        let check = |line: &str, expected: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(options("--kernel", &words).join(" "), expected, "{line}");
        };
        check("", "");
        check("strict-origin --require", "");
        check("--jobs 1 --kernel 6.12 reject", "--kernel 6.12");
        check("--kernel 6.1 x --kernel all", "--kernel 6.1 --kernel all");
        check("--kernel", "");
    }
}
