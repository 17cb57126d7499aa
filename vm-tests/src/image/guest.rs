//! What a guest finds when it starts: an agent, nft, a few tools, and nothing that it could miss.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::image::Parts;
use crate::image::archive::Tree;
use crate::image::libraries;
use crate::image::modules::Loaded;
use crate::image::overlay::Overlay;
use crate::kernels::Architecture;

/// What a guest loads before anything else: nothing does so for it later. No kernel has all of them
/// as modules; an old one's `log` needs what a new one has no more.
pub(super) const MODULES: [&str; 44] = [
    // The machine, and a disk.
    "virtio_pci",
    "virtio_mmio",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "virtio_blk",
    "ext4",
    // What rules are made of.
    "nfnetlink",
    "nf_tables",
    "nf_tables_set",
    "nft_set_hash",
    "nft_counter",
    "nft_limit",
    "nft_quota",
    "nft_objref",
    "nft_numgen",
    "nft_hash",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nft_ct",
    "nft_connlimit",
    "nft_socket",
    "nft_synproxy",
    "nft_log",
    "nf_log_syslog",
    "nf_log_common",
    "nf_log_ipv4",
    "nf_log_ipv6",
    "nfnetlink_log",
    "nft_reject",
    "nft_reject_inet",
    "nft_reject_ipv4",
    "nft_reject_ipv6",
    "nft_fib",
    "nft_fib_inet",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nf_nat",
    "nft_nat",
    "nft_chain_nat",
    "nft_masq",
    "nft_redir",
    // Further interfaces.
    "dummy",
    "veth",
];

const FOLDERS: [&str; 8] = [
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "var/cache",
    "var/lib",
    "var/log",
];

/// Files that name protocols and ports; nft has its own names where they are missing.
pub(super) const NAMES: [&str; 2] = ["etc/protocols", "etc/services"];

/// Names of busybox's tools that scripts and people call.
const TOOLS: [&str; 40] = [
    "cat", "chmod", "cp", "cut", "date", "dmesg", "echo", "env", "false", "free", "grep", "head",
    "ip", "kill", "ln", "ls", "lsmod", "mkdir", "mount", "mv", "nc", "netstat", "ping", "ps",
    "readlink", "rm", "sed", "sh", "sleep", "sort", "stat", "sync", "sysctl", "tail", "test",
    "top", "true", "umount", "uname", "wc",
];

/// All files of a guest.
pub(super) fn tree(
    architecture: Architecture,
    packages: &Overlay,
    loaded: &Loaded,
    parts: &Parts<'_>,
) -> Result<Tree> {
    let mut tree = skeleton();
    tree.device("dev/console", 0o600, (5, 1));
    tree.device("dev/null", 0o666, (1, 3));
    for names in NAMES {
        tree.file(names, 0o644, of_package(packages, &[names])?);
    }

    let mut programs = Vec::new();
    for path in ["usr/sbin/nft", "sbin/mke2fs", "sbin/e2fsck"] {
        let moved = format!("usr/{path}");
        programs.push((path, of_package(packages, &[path, &moved])?));
    }
    programs.push(("init", of_machine(parts.agent)?));
    if let Some(portreeve) = parts.portreeve {
        programs.push(("usr/sbin/portreeve", of_machine(portreeve)?));
    }
    let busybox = of_package(packages, &["bin/busybox", "usr/bin/busybox"])?;
    programs.push(("bin/busybox", busybox));
    let linker = Linker {
        architecture,
        packages,
    };
    for (path, program) in programs {
        linker.add(&mut tree, path, program)?;
    }
    for tool in tools() {
        tree.link(&tool, "busybox");
    }

    let mut list = String::new();
    for (name, module) in &loaded.modules {
        let path = format!("/modules/{name}.ko");
        tree.file(&path, 0o644, module.clone());
        list = list + &path + "\n";
    }
    tree.file("etc/modules", 0o644, list);
    for (path, mode, bytes) in &parts.files {
        tree.file(path, *mode, bytes.clone());
    }
    Ok(tree)
}

/// What every guest has, whatever its programs are.
pub(super) fn skeleton() -> Tree {
    let mut tree = Tree::default();
    for folder in FOLDERS {
        tree.folder(folder, 0o755);
    }
    tree.folder("root", 0o700);
    tree.folder("tmp", 0o1777);
    tree.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.file("etc/group", 0o644, "root:x:0:\n");
    tree.link("sbin/nft", "../usr/sbin/nft");
    tree
}

/// Where busybox's tools are.
pub(super) fn tools() -> impl Iterator<Item = String> {
    TOOLS.into_iter().map(|tool| format!("bin/{tool}"))
}

/// What programs are linked with.
pub(super) struct Linker<'a> {
    pub(super) architecture: Architecture,
    pub(super) packages: &'a Overlay,
}

impl Linker<'_> {
    /// Adds a program, and what it is linked with.
    pub(super) fn add(&self, tree: &mut Tree, path: &str, program: Vec<u8>) -> Result<()> {
        let libraries = libraries::closure(&program, self.architecture, self.packages);
        for (path, library) in libraries.with_context(|| format!("failed to link {path}"))? {
            tree.file(&path, 0o755, library);
        }
        tree.file(path, 0o755, program);
        Ok(())
    }
}

/// A file that a package has at one of `paths`.
fn of_package(packages: &Overlay, paths: &[&str]) -> Result<Vec<u8>> {
    let found = paths.iter().find_map(|path| packages.resolve(path));
    let found = found.with_context(|| format!("no package has {}", paths[0]))?;
    of_machine(&found)
}

pub(super) fn of_machine(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}
