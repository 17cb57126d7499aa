//! Which QEMU there is, and how fast it can be: found out by doing.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kernels::Architecture;

/// The program that is a machine of an architecture, and Debian's package of it.
#[must_use]
pub const fn name(architecture: Architecture) -> (&'static str, &'static str) {
    match architecture {
        Architecture::Amd64 => ("qemu-system-x86_64", "qemu-system-x86"),
        Architecture::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
    }
}

/// Where it is, if this machine has it.
#[must_use]
pub fn find(architecture: Architecture) -> Option<PathBuf> {
    let (program, _) = name(architecture);
    let folders = ["/usr/bin", "/usr/local/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(program));
    paths.find(|path| path.is_file())
}

/// How instructions are executed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accelerator {
    /// One by one, everywhere.
    Tcg,
    /// By this machine's own processor.
    Kvm,
}

impl Accelerator {
    /// As QEMU has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }

    /// Has a machine of amd64 run a few instructions under it. A device that opens may still run
    /// nothing, and hang whoever waits for it, so nothing less than that says anything.
    ///
    /// # Errors
    /// When they are not run, with the reason as far as there is one.
    pub fn runs(self, emulator: &Path) -> Result<()> {
        let (mut said, theirs) = UnixStream::pair()?;
        said.set_read_timeout(Some(RUNS_WITHIN))?;
        let program = tempfile::NamedTempFile::new()?;
        fs::write(program.path(), leaving())?;
        let words = "-nodefaults -no-user-config -display none -no-reboot -machine q35 -m 32 \
                     -device isa-debug-exit,iobase=0xf4,iosize=4 -accel";
        let mut qemu = Command::new(emulator)
            .args(words.split_whitespace())
            .arg(self.word())
            .arg("-kernel")
            .arg(program.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(OwnedFd::from(theirs))
            .spawn()
            .with_context(|| format!("cannot start {}", emulator.display()))?;
        // What it says ends when it ends.
        let mut text = String::new();
        let ended = said.read_to_string(&mut text);
        // It is gone already, or it goes now.
        let _ = qemu.kill();
        let status = qemu.wait()?;
        let (word, text) = (self.word(), text.trim());
        if ended.is_err() {
            let seconds = RUNS_WITHIN.as_secs();
            bail!("a machine with {word} runs nothing within {seconds} s; {text}");
        }
        if status.code() != Some(LEFT) {
            bail!("a machine with {word} does not run: {status}; {text}");
        }
        Ok(())
    }
}

/// What machines run under if they may use this machine's own processor: KVM, unless it is shown that
/// it runs nothing here; then the reason is said.
///
/// # Errors
/// When nothing runs even without it, so that nothing is shown.
pub fn fastest(emulator: &Path) -> Result<Accelerator> {
    Accelerator::Tcg.runs(emulator)?;
    match Accelerator::Kvm.runs(emulator) {
        Ok(()) => Ok(Accelerator::Kvm),
        Err(error) => {
            eprintln!("vm: {error:#}: machines are emulated");
            Ok(Accelerator::Tcg)
        }
    }
}

/// How long a few instructions may take, firmware and all.
const RUNS_WITHIN: Duration = Duration::from_secs(3);

/// What QEMU exits with when a machine writes 42 to the port of `isa-debug-exit`
/// (hw/misc/debugexit.c: twice the value, and one).
const LEFT: i32 = 85;

/// A kernel that leaves at once, with 42: an ELF file with the entry point of PVH
/// (docs/misc/pvh.pandoc in Xen), which QEMU starts in 32-bit mode.
fn leaving() -> Vec<u8> {
    const ADDRESS: u64 = 0x10_0000;
    const HEADERS: u64 = 64 + 2 * 56;
    const NOTE: u64 = 24;
    // mov al, 42; out 0xf4, al; hlt; and again.
    const CODE: [u8; 7] = [0xb0, 42, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
    const ENTRY: u64 = ADDRESS + HEADERS + NOTE;
    const WHOLE: u64 = HEADERS + NOTE + CODE.len() as u64;
    let halves = |of: &[u16]| -> Vec<u8> { of.iter().flat_map(|it| it.to_le_bytes()).collect() };
    let words = |of: &[u32]| -> Vec<u8> { of.iter().flat_map(|it| it.to_le_bytes()).collect() };
    let longs = |of: &[u64]| -> Vec<u8> { of.iter().flat_map(|it| it.to_le_bytes()).collect() };
    let segment = |kind: u32, offset: u64, length: u64| {
        let place = ADDRESS + offset;
        // Readable and executable.
        let numbers = [offset, place, place, length, length, 4];
        [words(&[kind, 5]), longs(&numbers)].concat()
    };
    [
        // 64 bits, little-endian, version 1; an executable for x86-64.
        b"\x7fELF\x02\x01\x01".to_vec(),
        vec![0; 9],
        halves(&[2, 62]),
        words(&[1]),
        longs(&[ENTRY, 64, 0]),
        words(&[0]),
        halves(&[64, 56, 2, 0, 0, 0]),
        segment(1, 0, WHOLE),
        segment(4, HEADERS, NOTE),
        // The note XEN_ELFNOTE_PHYS32_ENTRY.
        words(&[4, 8, 18]),
        b"Xen\0".to_vec(),
        longs(&[ENTRY]),
        CODE.to_vec(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_well_and_has_run_nothing_is_no_machine() {
        let error = Accelerator::Tcg.runs(Path::new("/bin/true")).unwrap_err();
        let text = error.to_string();
        let expected = "a machine with tcg does not run: exit status: 0; ";
        assert_eq!(text, expected);
    }
}
