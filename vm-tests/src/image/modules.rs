//! A kernel's modules: which a guest loads, and in which order.
//!
//! A package has no index of them, so what a module depends on is read from the module itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, elf};

use crate::image::compression::{Compression, decompress};

/// Modules in the order to load them in, and what was wanted but is not a module here.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    pub(super) modules: Vec<(String, Vec<u8>)>,
    pub(super) absent: Vec<String>,
}

/// The modules of one kernel.
#[derive(Clone, Debug)]
pub(super) struct Modules {
    /// What `uname -r` says.
    pub(super) release: String,
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
    pub(super) builtin: BTreeSet<String>,
    /// Where decompressed ones are kept.
    cache: PathBuf,
}

impl Modules {
    /// Those in the package folders `roots`.
    pub(super) fn find(roots: &[PathBuf], cache: PathBuf) -> Result<Self> {
        let parents = roots
            .iter()
            .flat_map(|root| [root.join("lib/modules"), root.join("usr/lib/modules")]);
        // Debian's kernel and its modules are two packages that share the folder.
        let folder = parents
            .filter_map(|parent| fs::read_dir(parent).ok()?.next()?.ok())
            .map(|entry| entry.path())
            .find(|folder| folder.join("kernel").is_dir())
            .context("no package has modules")?;
        let release = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let mut files = BTreeMap::new();
        collect(&folder.join("kernel"), &mut files)?;
        Ok(Self {
            release,
            folder,
            files,
            builtin: builtin.lines().filter_map(module_name).collect(),
            cache,
        })
    }

    /// Those of `wanted` that are modules, each after what it depends on.
    pub(super) fn load(&self, wanted: &[&str]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut seen = BTreeSet::new();
        for name in wanted {
            if self.files.contains_key(*name) {
                self.visit(name, &mut seen, &mut loaded.modules)?;
            } else if !self.builtin.contains(*name) {
                loaded.absent.push((*name).to_owned());
            }
        }
        Ok(loaded)
    }

    /// The names of those in folders such as `kernel/net`.
    pub(super) fn below(&self, folders: &[&str]) -> impl Iterator<Item = &str> {
        let all = self.files.keys().map(String::as_str);
        all.filter(|name| folders.iter().any(|it| self.place(name).starts_with(it)))
    }

    /// Where a module is, in the folder of this kernel's modules. A decompressed one has the name
    /// that it would have had if it had never been compressed.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        let file = self.files.get(name).map_or(Path::new(""), PathBuf::as_path);
        let place = file.strip_prefix(&self.folder).unwrap_or(file);
        match place.extension() {
            Some(extension) if extension != "ko" => place.with_extension(""),
            _ => place.to_owned(),
        }
    }

    fn visit(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        loaded: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let Some(file) = self
            .files
            .get(name)
            .filter(|_| seen.insert(name.to_owned()))
        else {
            return Ok(());
        };
        let failed = || format!("failed to read module {name}");
        let bytes = self.read(name, file).with_context(failed)?;
        let said = modinfo(&bytes).with_context(failed)?;
        for depended in needed(said).into_iter().chain(liked(said)) {
            self.visit(&depended, seen, loaded)?;
        }
        loaded.push((name.to_owned(), bytes));
        Ok(())
    }

    fn read(&self, name: &str, file: &Path) -> Result<Vec<u8>> {
        let cached = self.cache.join(format!("{name}.ko"));
        if let Ok(bytes) = fs::read(&cached) {
            return Ok(bytes);
        }
        let shipped = fs::read(file)?;
        let plain = match Compression::of(&shipped) {
            Compression::None => return Ok(unsigned(&shipped).to_owned()),
            _ => decompress(&shipped)?,
        };
        let module = unsigned(&plain);
        super::write_whole(&cached, module)?;
        Ok(module.to_owned())
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The kernel's name for the module in a file: it writes no hyphens.
fn module_name(file: &str) -> Option<String> {
    let (_, file) = file.rsplit_once('/').unwrap_or(("", file));
    let suffixes = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];
    let name = suffixes
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))?;
    Some(name.replace('-', "_"))
}

/// What a module says of itself: strings such as `depends=a,b`, with a zero after each.
pub(super) fn modinfo(module: &[u8]) -> Result<&[u8]> {
    let header = elf::FileHeader64::<Endianness>::parse(module)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, module)?;
    let Some((_, section)) = sections.section_by_name(endian, b".modinfo") else {
        bail!("it has no section `.modinfo`");
    };
    Ok(section.data(endian, module)?)
}

/// The modules that it cannot be without.
pub(super) fn needed(modinfo: &[u8]) -> Vec<String> {
    let lists = said(modinfo, "depends");
    names(lists.iter().flat_map(|list| list.split(',')))
}

/// The modules that it would like to find: `softdep=pre: c`.
fn liked(modinfo: &[u8]) -> Vec<String> {
    let lists = said(modinfo, "softdep");
    let words = lists.iter().flat_map(|list| list.split_whitespace());
    names(words.filter(|word| !word.ends_with(':')))
}

/// Everything that it says under a key.
pub(super) fn said(modinfo: &[u8], key: &str) -> Vec<String> {
    let lines = modinfo
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy);
    let values = lines.filter_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found == key).then(|| value.to_owned())
    });
    values.collect()
}

fn names<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| word.replace('-', "_")).collect()
}

const SIGNED: &[u8] = b"~Module signature appended~\n";

/// Before the mark: eight bytes about the signature, then four that say how long it is.
const SIGNATURE_INFO: usize = 8;

/// The module without its signature: to verify it, the guest would compute for most of a second.
fn unsigned(module: &[u8]) -> &[u8] {
    let without = || {
        let signed = module.strip_suffix(SIGNED)?;
        let (rest, length) = signed.split_last_chunk()?;
        let length = u32::from_be_bytes(*length) as usize + SIGNATURE_INFO;
        rest.get(..rest.len().checked_sub(length)?)
    };
    without().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_cut_off_to_the_byte() {
        let check = |module: &[u8], expected: &[u8]| assert_eq!(unsigned(module), expected);
        let signed = |length: u8| {
            let parts: [&[u8]; 5] = [b"module", b"sig", &[0; 8], &[0, 0, 0, length], SIGNED];
            parts.concat()
        };
        check(&signed(3), b"module");
        check(&signed(9), b"");
        check(b"module", b"module");
        // A length that cannot be true is none of ours to judge: the kernel refuses it.
        check(&signed(10), &signed(10));
        check(SIGNED, SIGNED);
    }

    #[test]
    fn what_a_module_needs_is_read() {
        let check = |modinfo: &str, [hard, soft]: [&[&str]; 2]| {
            assert_eq!(needed(modinfo.as_bytes()), hard, "{modinfo}");
            assert_eq!(liked(modinfo.as_bytes()), soft, "{modinfo}");
        };
        check(
            "license=GPL\0depends=nf_tables,nf-conntrack\0",
            [&["nf_tables", "nf_conntrack"], &[]],
        );
        check("depends=\0name=dummy\0", [&[], &[]]);
        check(
            "softdep=pre: crc32c post: nf_log\0\0\0depends=a",
            [&["a"], &["crc32c", "nf_log"]],
        );
    }

    #[test]
    fn module_is_named_as_the_kernel_does() {
        let check = |file: &str, expected: Option<&str>| {
            assert_eq!(module_name(file).as_deref(), expected, "{file}");
        };
        check("kernel/net/virtio-net.ko", Some("virtio_net"));
        check("ext4.ko.xz", Some("ext4"));
        check("ext4.ko.zst", Some("ext4"));
        check("modules.order", None);
    }
}
