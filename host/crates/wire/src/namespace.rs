//! Namespaces of our own: a machine without interfaces, rules or connections, gone when the last
//! process in it is.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, getgid, getuid, setgroups, setresgid, setresuid};

/// Moves this process, which has no other thread yet, into a network namespace of its own, inside a
/// user namespace of its own: whoever runs this is root in there and nowhere else.
///
/// # Errors
/// When the machine outside does not allow it; the error says what is missing.
pub fn enter() -> io::Result<()> {
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|error| {
        io::Error::other(format!(
            "no user and network namespace can be made: {error}; allow them (sysctl \
             user.max_user_namespaces, kernel.unprivileged_userns_clone)"
        ))
    })?;
    become_root(user, group)
}

/// The same; root needs no user namespace for it, and none is made where the kernel lets it do
/// without. In one of the machine's own, sets of any size can be loaded.
///
/// # Errors
/// As for [`enter`].
pub fn enter_as_root_may() -> io::Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => Ok(()),
        Err(_) => enter(),
    }
}

/// The user who owns nothing (`overflowuid` in proc_sys_kernel(5)).
const NOBODY: u32 = 65_534;

/// Moves this process, which has no other thread yet, into namespaces of every kind that a machine has
/// its own of; processes and their numbers begin with the next one that it starts. In there it is
/// root. Outside it has no right that any user would not have: root becomes nobody first, so that
/// nothing that is done in there, by whoever, meets the machine outside.
///
/// # Errors
/// As for [`enter`].
pub fn enter_machine() -> io::Result<()> {
    if getuid().is_root() {
        become_nobody()?;
    }
    let (user, group) = (getuid(), getgid());
    let kinds = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(kinds).map_err(|error| {
        io::Error::other(format!(
            "no namespaces can be made: {error}; allow them to users (sysctl \
             user.max_user_namespaces, kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns)"
        ))
    })?;
    become_root(user, group)
}

/// Gives up every right for good.
fn become_nobody() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    // In a container that has one user only there is no nobody, and its root is some user outside.
    match setgroups(&[]).and_then(|()| setresgid(group, group, group)) {
        Err(Errno::EINVAL | Errno::EPERM) => return Ok(()),
        changed => changed?,
    }
    setresuid(user, user, user)?;
    // Otherwise what is under `/proc/self` would be root's still.
    Ok(set_dumpable(true)?)
}

/// Has this process, new in its user namespace, be root there.
fn become_root(user: Uid, group: Gid) -> io::Result<()> {
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))
}

/// Gives one of the kernel's settings of this network namespace (`/proc/sys/net`) a value.
///
/// # Errors
/// When the kernel does not take it; the error names the setting.
pub fn set(name: &str, value: &str) -> io::Result<()> {
    write(&format!("/proc/sys/net/{name}"), value)
}

fn write(path: &str, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}
