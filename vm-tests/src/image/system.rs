//! A whole Debian system, as a guest finds it: its packages, and what their maintainer scripts and an
//! administrator would have made.
//!
//! No maintainer script is run: what each would have done is written here, as data, with the reason.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::image::archive::Tree;
use crate::image::depmod;
use crate::image::modules::Modules;
use crate::image::{Parts, Unpacked};

/// Debian has had these in `/usr` since its release 12; its packages say both.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What is for people, for other languages, and for hardware that no VM has.
const LEFT_OUT: [&str; 8] = [
    "usr/lib/systemd/catalog",
    "usr/lib/udev/hwdb.d",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/bash-completion",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zsh",
];

/// Folders of `base-files`, whose package is made of little else.
const FOLDERS: [(&str, u32); 12] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/local/sbin", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Users and groups: those of `base-passwd`, as far as anything here asks for them, and those that
/// systemd's scripts add. udev gives devices to groups, and complains of each that is not there.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
";
const GROUPS: [&str; 22] = [
    "root:0",
    "adm:4",
    "tty:5",
    "disk:6",
    "lp:7",
    "kmem:15",
    "dialout:20",
    "cdrom:24",
    "floppy:25",
    "tape:26",
    "audio:29",
    "shadow:42",
    "utmp:43",
    "video:44",
    "plugdev:46",
    "users:100",
    "input:995",
    "sgx:996",
    "kvm:997",
    "systemd-network:998",
    "render:999",
    "systemd-journal:994",
];

/// Files that an installer or a maintainer script writes.
const WRITTEN: [(&str, &str); 8] = [
    ("etc/passwd", PASSWD),
    ("etc/hostname", "machine\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    // Everything is in memory, unless a machine says otherwise.
    ("etc/fstab", ""),
    // A server has its addresses before anybody logs in.
    ("etc/systemd/network/50-eth0.network", NETWORK),
    // With none, systemd takes this for the first boot of an appliance, and enables every unit.
    ("etc/machine-id", "7c0a51b6d9a04b6f8d1f6ab2c35e9d10\n"),
    // What is older than /usr would be brought up to date, at every boot.
    ("etc/.updated", ""),
    ("var/.updated", ""),
];

/// The addresses of most scenarios. Whoever has others says so instead.
const NETWORK: &str = "\
[Match]
Name=eth0

[Network]
Address=203.0.113.10/24
Address=2001:db8:10::10/64
Gateway=203.0.113.1
Gateway=2001:db8:10::1
IPv6AcceptRA=no
";

/// Links that an administrator makes.
const LINKS: [(&str, &str); 4] = [
    ("init", "usr/lib/systemd/systemd"),
    ("usr/bin/sh", "dash"),
    (
        "etc/systemd/system/default.target",
        "/lib/systemd/system/multi-user.target",
    ),
    // Cards keep the names that the kernel gives them (systemd.net-naming-scheme(7)).
    ("etc/systemd/network/99-default.link", "/dev/null"),
];

/// Units that an administrator enables, with `systemctl enable`.
const ENABLED: [&str; 5] = [
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "portreeve-boot.service",
    "portreeve-vm-agent.service",
    "portreeve-vm-services.service",
];

/// Units for a person before a terminal, and for file systems, records and devices that nobody here
/// asks for. None has to do with network or firewall, and each costs an emulated processor a third of
/// a second.
const MASKED: [&str; 27] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "serial-getty@ttyS0.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-initctl.socket",
    "systemd-journal-flush.service",
    "systemd-journald-audit.socket",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
    "e2scrub_reap.service",
];

/// What makes units of terminals, encrypted disks and old scripts, of which there are none.
const MASKED_GENERATORS: [&str; 11] = [
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
];

/// What a release has of the firewall's, and the units of the tests.
const UNIT_FILES: [(&str, &str); 5] = [
    (
        "portreeve-boot.service",
        include_str!("../../../host/systemd/portreeve-boot.service"),
    ),
    (
        "nftables.service.d/portreeve.conf",
        include_str!("../../../host/systemd/nftables.service.d/portreeve.conf"),
    ),
    (
        "systemd-udev-trigger.service.d/trigger.conf",
        include_str!("../../system/trigger.conf"),
    ),
    (
        "portreeve-vm-agent.service",
        include_str!("../../system/portreeve-vm-agent.service"),
    ),
    (
        "portreeve-vm-services.service",
        include_str!("../../system/portreeve-vm-services.service"),
    ),
];

/// Where an administrator's units are, and where those of packages are.
const UNITS: [&str; 2] = ["etc/systemd/system", "usr/lib/systemd/system"];

/// All files of a system.
pub(super) fn tree(packages: &Unpacked, modules: &Modules, parts: &Parts<'_>) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, mode) in FOLDERS {
        tree.folder(path, mode);
    }
    for name in MERGED {
        tree.folder(&format!("usr/{name}"), 0o755);
        tree.link(name, &format!("usr/{name}"));
    }
    for package in &packages.folders {
        unpack(&mut tree, package, "")?;
    }
    depmod::install(&mut tree, modules)?;
    tree.device("dev/console", 0o600, (5, 1));
    tree.device("dev/null", 0o666, (1, 3));
    for (path, text) in WRITTEN {
        tree.file(path, 0o644, text);
    }
    let groups = GROUPS.map(|it| it.replace(':', ":x:") + ":\n");
    tree.file("etc/group", 0o644, groups.concat());
    for (path, to) in LINKS {
        tree.link(path, to);
    }
    let [own, _] = UNITS;
    for (unit, text) in UNIT_FILES {
        tree.file(&format!("{own}/{unit}"), 0o644, text);
    }
    for unit in MASKED {
        tree.link(&format!("{own}/{unit}"), "/dev/null");
    }
    for generator in MASKED_GENERATORS {
        let path = format!("etc/systemd/system-generators/{generator}");
        tree.link(&path, "/dev/null");
    }
    for (path, program) in [
        ("usr/local/sbin/portreeve-vm-agent", Some(parts.agent)),
        ("usr/local/sbin/portreeve", parts.portreeve),
    ] {
        let Some(program) = program else { continue };
        let bytes = fs::read(program);
        let bytes = bytes.with_context(|| format!("failed to read {}", program.display()))?;
        tree.file(path, 0o755, bytes);
    }
    for (path, mode, bytes) in &parts.files {
        tree.file(path, *mode, bytes.clone());
    }
    for unit in ENABLED {
        enable(&mut tree, unit)?;
    }
    Ok(tree)
}

/// Adds the files of a package, below a folder of it.
fn unpack(tree: &mut Tree, package: &Path, below: &str) -> Result<()> {
    let folder = package.join(below);
    let failed = || format!("failed to read {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        let inside = Path::new(below).join(&name).to_string_lossy().into_owned();
        let path = installed(&inside);
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let about = entry.metadata().with_context(failed)?;
        let mode = about.permissions().mode() & 0o7777;
        if about.is_dir() {
            if !MERGED.contains(&inside.as_str()) {
                tree.folder(&path, mode);
            }
            unpack(tree, package, &inside)?;
        } else if about.is_symlink() {
            let to = fs::read_link(entry.path()).with_context(failed)?;
            tree.link(&path, &to.to_string_lossy());
        } else {
            tree.file(&path, mode, fs::read(entry.path()).with_context(failed)?);
        }
    }
    Ok(())
}

/// Where a file of a package is, once it is installed.
fn installed(path: &str) -> String {
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    if MERGED.contains(&first) {
        return format!("usr/{path}");
    }
    path.to_owned()
}

/// Makes the links that `systemctl enable` makes of a unit's section `[Install]`.
fn enable(tree: &mut Tree, unit: &str) -> Result<()> {
    let paths = UNITS.map(|folder| format!("{folder}/{unit}"));
    let found = paths
        .iter()
        .find_map(|path| Some((path, tree.bytes(path)?)));
    let (path, text) = found.with_context(|| format!("there is no unit {unit}"))?;
    let text = String::from_utf8_lossy(text).into_owned();
    let install = text.split_once("[Install]").map_or("", |(_, rest)| rest);
    let [own, _] = UNITS;
    for line in install.lines() {
        let Some((key, values)) = line.split_once('=') else {
            continue;
        };
        for value in values.split_whitespace() {
            let link = match key.trim() {
                "WantedBy" => format!("{own}/{value}.wants/{unit}"),
                "RequiredBy" => format!("{own}/{value}.requires/{unit}"),
                "Alias" => format!("{own}/{value}"),
                "Also" => {
                    enable(tree, value)?;
                    continue;
                }
                _ => continue,
            };
            tree.link(&link, &format!("/{path}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_enabled_as_its_file_says() {
        let mut tree = Tree::default();
        let text = "[Unit]\nWantedBy=nothing\n[Install]\nWantedBy=a.target b.target\n\
                    Alias=other.service\nAlso=second.socket\n";
        tree.file("etc/systemd/system/first.service", 0o644, text);
        let text = "[Install]\nRequiredBy=c.target\n";
        tree.file("usr/lib/systemd/system/second.socket", 0o644, text);
        enable(&mut tree, "first.service").unwrap();
        let first = Some("/etc/systemd/system/first.service");
        let check = |path: &str, expected: Option<&str>| {
            let path = format!("etc/systemd/system/{path}");
            assert_eq!(tree.target(&path), expected, "{path}");
        };
        check("a.target.wants/first.service", first);
        check("b.target.wants/first.service", first);
        check("other.service", first);
        check(
            "c.target.requires/second.socket",
            Some("/usr/lib/systemd/system/second.socket"),
        );
        check("nothing.wants/first.service", None);
        let error = enable(&mut tree, "gone.service").unwrap_err();
        assert_eq!(error.to_string(), "there is no unit gone.service");
    }

    #[test]
    fn packages_of_before_and_after_the_merge_are_installed_alike() {
        let check = |path: &str, expected: &str| assert_eq!(installed(path), expected);
        check("lib/systemd/systemd", "usr/lib/systemd/systemd");
        check("usr/lib/systemd/systemd", "usr/lib/systemd/systemd");
        check("libexec", "libexec");
        check("sbin", "usr/sbin");
    }
}
