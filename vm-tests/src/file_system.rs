//! The file system on a machine's disk, on which lies everything of portreeve's that outlives the
//! machine: what it was told, what it has confirmed, and what it has fetched.
//!
//! It is ext4, made by the tools of the machine's own suite, with the defaults of a large disk.

use anyhow::Result;
use portreeve_vm_agent::Run;

use crate::subject::Subject;

const DISK: &str = "/dev/vda";

/// Where it is mounted. `/var/lib/portreeve` is not there before portreeve makes it.
const PLACE: &str = "/var";

/// Directories that a machine has before portreeve comes.
const DIRECTORIES: [&str; 3] = ["/var/lib", "/var/cache", "/var/etc/portreeve"];

/// What lies on the disk although it is elsewhere: the directory and its place.
const CONFIGURATION: [&str; 2] = ["/var/etc/portreeve", "/etc/portreeve"];

/// Makes the file system, and leaves it as it is when nothing is mounted.
///
/// # Errors
/// When the machine cannot.
pub fn make(subject: &mut Subject) -> Result<()> {
    // Small disks would get small blocks, and a kernel that still writes zeros a minute later.
    let how = "-q -F -t ext4 -b 4096 -E lazy_itable_init=0,nodiscard";
    let mut words: Vec<&str> = how.split(' ').collect();
    words.push(DISK);
    must(subject, "/sbin/mke2fs", &words)?;
    must(subject, "mount", &["-t", "ext4", DISK, PLACE])?;
    must(subject, "mkdir", &[&["-p"], &DIRECTORIES[..]].concat())?;
    must(subject, "umount", &[PLACE])
}

/// Mounts it as a machine does that begins: the kernel replays the journal.
///
/// # Errors
/// When the machine cannot.
pub fn mount(subject: &mut Subject) -> Result<()> {
    let [directory, place] = CONFIGURATION;
    must(subject, "mount", &["-t", "ext4", DISK, PLACE])?;
    must(subject, "mkdir", &["-p", place])?;
    must(subject, "mount", &["-o", "bind", directory, place])
}

/// Unmounts it as a machine does that ends: all of it lasts.
///
/// # Errors
/// When the machine cannot.
pub fn unmount(subject: &mut Subject) -> Result<()> {
    must(subject, "umount", &[CONFIGURATION[1]])?;
    must(subject, "umount", &[PLACE])
}

fn must(subject: &mut Subject, program: &str, words: &[&str]) -> Result<()> {
    subject.must_run(Run::new(program, words)).map(drop)
}
