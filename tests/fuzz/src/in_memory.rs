//! A file that is in memory only, with a path all the same: what reads files is fuzzed as it is.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// The file, which is gone with this value.
pub(crate) struct InMemory(File);

impl InMemory {
    /// A file with these bytes, which nobody else may write to.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let descriptor = memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC).expect("there is memory");
        let mut file = File::from(descriptor);
        file.set_permissions(Permissions::from_mode(0o600))
            .and_then(|()| file.write_all(bytes))
            .expect("there is memory");
        Self(file)
    }

    /// Where this process finds it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
