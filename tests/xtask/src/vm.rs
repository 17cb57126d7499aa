//! `cargo xtask vm`: builds what goes into virtual machines, sees to it that their packages are here,
//! and runs scenarios in them.

use std::io;

use crate::machine::MUSL;
use crate::setup;
use crate::step::{self, Ended, cargo};

/// The emulator of what is tested unless somebody asks for more, and Debian's package of it.
const EMULATORS: [(&str, &str); 1] = [("qemu-system-x86_64", "qemu-system-x86")];

/// The profile of everything that is emulated, and of what talks to it.
const PROFILE: &str = "vm";

/// Does what the words say; scenarios are run unless they say something else.
pub(crate) fn run(words: &[&str]) -> io::Result<Ended> {
    setup::ensure_virtual_machines(&EMULATORS)?;
    let harness = ["build", "--locked", "--profile", PROFILE];
    if cargo(&harness)
        .args(&["--package", "portreeve-vm-tests"])
        .run()?
        == Ended::Badly
    {
        return Ok(Ended::Badly);
    }
    let vm = step::built(PROFILE, "vm")?;
    let asks = |word: &str| words.contains(&word);
    if !asks("fetch") && !asks("pairs") {
        let emulated = cargo(&harness).args(&["--target", MUSL, "--bins"]);
        let emulated =
            emulated.args(&["--package", "portreeve", "--package", "portreeve-vm-agent"]);
        if emulated.run()? == Ended::Badly || fetch(words)? == Ended::Badly {
            return Ok(Ended::Badly);
        }
    }
    step::program(&vm).args(words).reading().run()
}

/// Downloads the packages of the pairs that are meant, as far as they are not here.
fn fetch(words: &[&str]) -> io::Result<Ended> {
    let mut fetch = step::program(&step::built(PROFILE, "vm")?).arg("fetch");
    for option in words.windows(2).filter(|pair| pair[0] == "--kernel") {
        fetch = fetch.args(option);
    }
    fetch.run()
}
