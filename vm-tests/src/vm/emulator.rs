//! Which QEMU there is, and how fast it can be: found out by doing.

use std::path::{Path, PathBuf};

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

/// How instructions are executed. KVM is not tried: a device that opens may still run nothing, and
/// hang whoever waits for it; what is emulated is fast enough here.
#[must_use]
pub const fn accelerator() -> &'static str {
    "tcg"
}
