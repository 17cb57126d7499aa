//! `cargo xtask vm`: builds what goes into virtual machines, sees to it that their packages are here,
//! and runs scenarios in them.

use std::env::consts::ARCH;
use std::io;
use std::path::Path;

use crate::architecture::{AMD64, Architecture};
use crate::setup::{self, Needs};
use crate::step::{self, Ended, cargo};

/// The profile of everything that is emulated, and of what talks to it.
const PROFILE: &str = "vm";

/// Does what the words say; scenarios are run unless they say something else.
pub(crate) fn run(words: &[&str]) -> io::Result<Ended> {
    setup::ensure(Needs::Toolchain)?;
    let harness = ["build", "--locked", "--profile", PROFILE];
    let harness = cargo(&harness).args(&["--package", "portreeve-vm-tests"]);
    if harness.run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let vm = step::built(PROFILE, "vm")?;
    let asks = |word: &str| words.contains(&word);
    if !asks("fetch") && !asks("pairs") && prepare(&vm, &kernels(words))? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    step::program(&vm).args(words).reading().run()
}

/// The options that say which pairs of kernel and nft are meant.
fn kernels<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let options = words.windows(2).filter(|pair| pair[0] == "--kernel");
    options.flatten().copied().collect()
}

/// Builds what the machines of these pairs run, and downloads their packages as far as they are not
/// here.
fn prepare(vm: &Path, kernels: &[&str]) -> io::Result<Ended> {
    let Some(architectures) = architectures(vm, kernels)? else {
        return Ok(Ended::Badly);
    };
    for architecture in architectures {
        setup::ensure_virtual_machines(architecture)?;
        if cargo(&architecture.build(PROFILE, ARCH)).run()? == Ended::Badly {
            return Ok(Ended::Badly);
        }
    }
    step::program(vm).arg("fetch").args(kernels).run()
}

/// What these pairs are of. Where none is named it is a PC; an unknown one has been told by the
/// harness.
fn architectures(vm: &Path, kernels: &[&str]) -> io::Result<Option<Vec<&'static Architecture>>> {
    if kernels.is_empty() {
        return Ok(Some(vec![&AMD64]));
    }
    let mut pairs = Vec::new();
    let asked = step::program(vm).arg("pairs").args(kernels);
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
            assert_eq!(kernels(&words).join(" "), expected, "{line}");
        };
        check("", "");
        check("strict-origin --require", "");
        check("--jobs 1 --kernel 6.12 reject", "--kernel 6.12");
        check("--kernel 6.1 x --kernel all", "--kernel 6.1 --kernel all");
        check("--kernel", "");
    }
}
