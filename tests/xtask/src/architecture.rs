//! What machines under test run on: which of their names say so, what builds programs for them, and
//! what emulates them.

use std::env::consts::ARCH;

use crate::machine::MUSL;

/// An architecture of virtual machines.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Architecture {
    /// What the names of its pairs of kernel and nft have behind these two: a PC's have nothing.
    suffix: Option<&'static str>,
    /// Rust's name for what runs there.
    pub(crate) target: &'static str,
    /// The C compiler for it, and what Debian calls that.
    pub(crate) compiler: (&'static str, &'static [&'static str]),
    /// The emulator of it, and what Debian calls that.
    pub(crate) emulator: (&'static str, &'static str),
}

/// A PC: what is tested unless somebody asks for more.
pub(crate) const AMD64: Architecture = Architecture {
    suffix: None,
    target: MUSL,
    compiler: ("x86_64-linux-musl-gcc", &["musl-tools"]),
    emulator: ("qemu-system-x86_64", "qemu-system-x86"),
};

/// A 64-bit Arm machine. Its C compiler is one for glibc, of which musl takes nothing but headers;
/// `.cargo/config.toml` names it.
pub(crate) const ARM64: Architecture = Architecture {
    suffix: Some("arm64"),
    target: "aarch64-unknown-linux-musl",
    compiler: (
        "aarch64-linux-gnu-gcc",
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    ),
    emulator: ("qemu-system-aarch64", "qemu-system-arm"),
};

const ALL: [&Architecture; 2] = [&AMD64, &ARM64];

impl Architecture {
    /// That of this machine, if there are machines of it.
    pub(crate) fn of_this_machine() -> Vec<&'static Self> {
        let all = ALL.into_iter();
        all.filter(|it| it.target.starts_with(ARCH)).collect()
    }

    /// Those that pairs of these names are of.
    pub(crate) fn of(pairs: &[String]) -> Vec<&'static Self> {
        let is_of = |it: &Self, pair: &String| pair.split('/').nth(2) == it.suffix;
        let all = ALL.into_iter();
        all.filter(|it| pairs.iter().any(|pair| is_of(it, pair)))
            .collect()
    }

    /// What cargo is told on a processor, as Rust calls it, to build what runs there.
    pub(crate) fn build(&self, profile: &'static str, processor: &str) -> Vec<&'static str> {
        let mut words = vec!["build", "--locked", "--profile", profile, "--bins"];
        words.extend(["--package", "portreeve", "--package", "portreeve-vm-agent"]);
        words.extend(["--target", self.target]);
        if !self.target.starts_with(processor) {
            words.extend(["--features", "portreeve/cross"]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_built_for_arm_unless_a_pair_is_of_it() {
        let check = |pairs: &[&str], expected: &[&Architecture]| {
            let pairs: Vec<String> = pairs.iter().copied().map(str::to_owned).collect();
            assert_eq!(Architecture::of(&pairs), expected, "{pairs:?}");
        };
        check(&["5.10/0.9.8", "6.1/systemd-252"], &[&AMD64]);
        check(&["6.12/1.1.3/arm64"], &[&ARM64]);
        check(&["6.12/1.1.3", "6.12/1.1.3/arm64"], &[&AMD64, &ARM64]);
        check(&["6.12/1.1.3/riscv64"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn cargo_takes_the_compiler_that_is_installed() {
        let text = include_str!("../../../.cargo/config.toml");
        let (target, (compiler, _)) = (ARM64.target, ARM64.compiler);
        let linker = format!("[target.{target}]\nlinker = {compiler:?}\n");
        assert!(text.contains(&linker), "{linker}");
        let compiler = format!("CC_{} = {compiler:?}\n", target.replace('-', "_"));
        assert!(text.contains(&compiler), "{compiler}");
    }

    #[test]
    fn policies_are_compiled_for_another_processor_only_by_who_can() {
        let check = |architecture: &Architecture, processor: &str, expected: &str| {
            let line = architecture.build("vm", processor).join(" ");
            let same = "build --locked --profile vm --bins \
                        --package portreeve --package portreeve-vm-agent --target";
            assert_eq!(line, format!("{same} {expected}"));
        };
        check(&AMD64, "x86_64", "x86_64-unknown-linux-musl");
        let arm = "aarch64-unknown-linux-musl";
        check(&ARM64, "aarch64", arm);
        check(
            &ARM64,
            "x86_64",
            &format!("{arm} --features portreeve/cross"),
        );
    }
}
