//! A kernel's modules as `modprobe` finds them: each in its place, beside the indexes that `depmod`
//! makes when a kernel is installed.
//!
//! A kernel asks for what it lacks by an alias, such as `nft-expr-ct`: without indexes no rule would
//! load. The format is kmod's own (libkmod/libkmod-index.c): a tree whose arcs are characters, each
//! node after its children.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::image::archive::Tree;
use crate::image::modules::{Modules, modinfo, needed, said};

/// Folders whose modules are all installed: what rules and connections may ask for.
const WHOLE: [&str; 4] = [
    "kernel/net",
    "kernel/crypto",
    "kernel/lib",
    "kernel/drivers/virtio",
];

/// What a machine of ours is made of besides, and what systemd asks for. All other hardware is left
/// out: there is none.
const SINGLE: [&str; 16] = [
    "autofs4",
    "bridge",
    "configfs",
    "crc32c_intel",
    "dummy",
    "efi_pstore",
    "ext4",
    "fuse",
    "overlay",
    "tun",
    "veth",
    "virtio_blk",
    "virtio_console",
    "virtio_net",
    "virtio_rng",
    "vmgenid",
];

/// Installs modules and their indexes.
pub(super) fn install(tree: &mut Tree, modules: &Modules) -> Result<()> {
    let mut wanted: Vec<&str> = modules.below(&WHOLE).collect();
    wanted.extend(SINGLE);
    let folder = format!("usr/lib/modules/{}", modules.release);
    let loaded = modules.load(&wanted)?.modules;
    let (mut depended, mut aliases) = (Index::default(), Index::default());
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (priority, (name, bytes)) in (0..).zip(loaded) {
        let about = modinfo(&bytes).with_context(|| format!("failed to read module {name}"))?;
        let place = |name: &str| modules.place(name).to_string_lossy().into_owned();
        // Each before what it needs: `modprobe` begins at the end.
        let mut chain: Vec<String> = Vec::new();
        for it in needed(about) {
            chain.extend(chains.get(&it).into_iter().flatten().cloned());
            chain.push(it);
        }
        let mut seen = BTreeSet::new();
        chain.retain(|it| seen.insert(it.clone()));
        let line = chain.iter().rev().map(|it| format!(" {}", place(it)));
        let line = format!("{}:{}", place(&name), line.collect::<String>());
        depended.add(&name, priority, &line);
        for alias in said(about, "alias") {
            aliases.add(&underscored(&alias), priority, &name);
        }
        tree.file(&format!("{folder}/{}", place(&name)), 0o644, bytes);
        chains.insert(name, chain);
    }
    let mut builtin = Index::default();
    for name in &modules.builtin {
        builtin.add(name, 0, "");
    }
    for (name, index) in [
        ("dep", depended),
        ("alias", aliases),
        ("builtin", builtin),
        // Nobody asks for a symbol, but `modprobe` wants to see that.
        ("symbols", Index::default()),
    ] {
        let path = format!("{folder}/modules.{name}.bin");
        tree.file(&path, 0o644, index.to_bytes());
    }
    Ok(())
}

/// An alias as it is looked up: with no hyphen, but in what stands between brackets.
fn underscored(alias: &str) -> String {
    let mut inside = false;
    let characters = alias.chars().map(|character| {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            '-' if !inside => return '_',
            _ => {}
        }
        character
    });
    characters.collect()
}

/// Texts by keys; of several with one key, each has a priority.
#[derive(Default)]
struct Index(BTreeMap<Vec<u8>, Vec<(u32, String)>>);

/// `INDEX_MAGIC`, and version 2.1.
const HEAD: [u32; 2] = [0xb007_f457, 0x0002_0001];

/// What a node has, in the highest bits of its place.
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

impl Index {
    fn add(&mut self, key: &str, priority: u32, value: &str) {
        let values = self.0.entry(key.as_bytes().to_vec()).or_default();
        values.push((priority, value.to_owned()));
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEAD.map(u32::to_be_bytes).concat();
        let root_at = bytes.len();
        bytes.extend([0; 4]);
        let entries: Vec<_> = self.0.iter().map(|(key, it)| (&key[..], &it[..])).collect();
        let root = node(&mut bytes, &entries);
        bytes[root_at..root_at + 4].copy_from_slice(&root.to_be_bytes());
        bytes
    }
}

/// What is left of a key below a node, and its values.
type Entry<'a> = (&'a [u8], &'a [(u32, String)]);

/// Writes the node that these entries hang on, and returns its place.
fn node(bytes: &mut Vec<u8>, entries: &[Entry<'_>]) -> u32 {
    let shared = shared_prefix(entries);
    let (prefix, values) = match entries.first() {
        Some((key, values)) if key.len() == shared => (*key, *values),
        Some((key, _)) => (&key[..shared], &[][..]),
        None => (&[][..], &[][..]),
    };
    let below = entries.iter().filter(|(key, _)| key.len() > shared);
    let mut groups: BTreeMap<u8, Vec<Entry<'_>>> = BTreeMap::new();
    for (key, values) in below {
        let rest = (&key[shared + 1..], *values);
        groups.entry(key[shared]).or_default().push(rest);
    }
    let children: BTreeMap<u8, u32> = groups
        .into_iter()
        .map(|(character, entries)| (character, node(bytes, &entries)))
        .collect();
    let mut place = u32::try_from(bytes.len()).expect("an index is far below 256 MB");
    if !prefix.is_empty() {
        place |= HAS_PREFIX;
        bytes.extend_from_slice(prefix);
        bytes.push(0);
    }
    if let (Some((first, _)), Some((last, _))) =
        (children.first_key_value(), children.last_key_value())
    {
        place |= HAS_CHILDREN;
        bytes.extend([*first, *last]);
        for character in *first..=*last {
            let child = children.get(&character).copied().unwrap_or(0);
            bytes.extend(child.to_be_bytes());
        }
    }
    if !values.is_empty() {
        place |= HAS_VALUES;
        bytes.extend((values.len() as u32).to_be_bytes());
        for (priority, value) in values {
            bytes.extend(priority.to_be_bytes());
            bytes.extend(value.as_bytes());
            bytes.push(0);
        }
    }
    place
}

/// How many bytes all keys begin with. They are sorted: what the first and the last share, all share.
fn shared_prefix(entries: &[Entry<'_>]) -> usize {
    let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
        return 0;
    };
    let both = first.iter().zip(*last);
    both.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_written_as_kmod_reads_it() {
        let mut index = Index::default();
        index.add("on", 1, "x");
        index.add("one", 2, "y");
        index.add("one", 3, "z");
        let expected: [&[u8]; 9] = [
            b"\xb0\x07\xf4\x57\x00\x02\x00\x01",
            // The root is at byte 28, and has everything.
            b"\xe0\x00\x00\x1c",
            // `one`: what is left of it is its arc, so it has its two values only.
            b"\0\0\0\x02",
            b"\0\0\0\x02y\0",
            b"\0\0\0\x03z\0",
            b"on\0",
            b"ee\x40\0\0\x0c",
            b"\0\0\0\x01",
            b"\0\0\0\x01x\0",
        ];
        assert_eq!(index.to_bytes(), expected.concat());
    }

    #[test]
    fn alias_is_written_as_it_is_looked_up() {
        assert_eq!(underscored("nft-expr-ct"), "nft_expr_ct");
        assert_eq!(underscored("pci:v[0-9]-*"), "pci:v[0-9]_*");
    }

    #[test]
    fn nothing_is_an_index_too() {
        let expected = b"\xb0\x07\xf4\x57\x00\x02\x00\x01\0\0\0\x0c";
        assert_eq!(Index::default().to_bytes(), expected);
    }
}
