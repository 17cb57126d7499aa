//! The libraries that a program is loaded with, found without running it.
//!
//! `ldd` would run it, and only on a machine like the guest.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::image::overlay::Overlay;
use crate::kernels::Architecture;

/// What libc opens when it looks into `/etc/protocols`, if it does not have it built in. No program
/// says that it needs it.
const OPENED_LATER: &str = "libnss_files.so.2";

/// What `program` is loaded with: its loader, its libraries and theirs, by their paths in a guest.
pub(super) fn closure(
    program: &[u8],
    architecture: Architecture,
    packages: &Overlay,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut ahead = needed(program, architecture)?;
    if !ahead.is_empty() {
        ahead.push(OPENED_LATER.to_owned());
    }
    while let Some(name) = ahead.pop() {
        let mut paths = places(&name, architecture).into_iter();
        let found = paths.find_map(|path| Some((packages.resolve(&path)?, path)));
        let (file, path) = found.with_context(|| format!("no package has {name}"))?;
        // A loader is found by the path that the program says, wherever the package puts it.
        let path = if name.starts_with('/') { name } else { path };
        if files.contains_key(&path) {
            continue;
        }
        let bytes =
            fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let further = needed(&bytes, architecture);
        ahead.extend(further.with_context(|| format!("library {path}"))?);
        files.insert(path, bytes);
    }
    Ok(files)
}

/// Where `name` may be. Packages differ on whether `/lib` is a folder of its own.
fn places(name: &str, architecture: Architecture) -> Vec<String> {
    if name.starts_with('/') {
        return vec![name.to_owned(), format!("/usr{name}")];
    }
    let triplet = match architecture {
        Architecture::Amd64 => "x86_64-linux-gnu",
        Architecture::Arm64 => "aarch64-linux-gnu",
    };
    let folders = [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")];
    folders.map(|folder| format!("{folder}/{name}")).to_vec()
}

/// The loader's path and the names of libraries that an ELF file asks for; none, if it is static.
fn needed(file: &[u8], architecture: Architecture) -> Result<Vec<String>> {
    let header = elf::FileHeader64::<Endianness>::parse(file).context("not a 64-bit program")?;
    let endian = header.endian()?;
    let machine = match architecture {
        Architecture::Amd64 => elf::EM_X86_64,
        Architecture::Arm64 => elf::EM_AARCH64,
    };
    ensure!(
        header.e_machine(endian) == machine,
        "not for {architecture}"
    );
    let mut needed = Vec::new();
    for segment in header.program_headers(endian, file)? {
        let loader = segment.interpreter(endian, file)?;
        needed.extend(loader.map(|path| String::from_utf8_lossy(path).into_owned()));
    }
    let sections = header.sections(endian, file)?;
    let Some((entries, link)) = sections.dynamic(endian, file)? else {
        return Ok(needed);
    };
    let strings = sections.strings(endian, file, link)?;
    for entry in entries {
        if entry.tag(endian) == elf::DT_NEEDED {
            let name = entry.string(endian, strings)?;
            needed.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// An ELF file for x86-64 that is loaded by `loader` with `libraries`.
    fn program(loader: Option<&str>, libraries: &[&str]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut entries: Vec<u64> = Vec::new();
        for library in libraries {
            entries.extend([1, strings.len() as u64]);
            strings.extend(library.bytes().chain([0]));
        }
        entries.extend([0, 0]);
        let loader_at = strings.len();
        let loader_length = loader.map_or(0, |loader| loader.len() + 1);
        strings.extend(
            loader
                .into_iter()
                .flat_map(|loader| loader.bytes().chain([0])),
        );
        // One segment at byte 64, three sections at byte 120, then the entries, then the strings.
        let entries_at: u64 = 120 + 3 * 64;
        let strings_at = entries_at + 8 * entries.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        let put = |elf: &mut Vec<u8>, width: usize, values: &[u64]| {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes()[..width].to_vec());
            elf.extend(bytes);
        };
        put(&mut elf, 2, &[3, 62]);
        put(&mut elf, 4, &[1]);
        put(&mut elf, 8, &[0, 64, 120]);
        put(&mut elf, 4, &[0]);
        put(
            &mut elf,
            2,
            &[64, 56, u64::from(loader.is_some()), 64, 3, 2],
        );
        put(&mut elf, 4, &[3, 4]);
        let (at, length) = (strings_at + loader_at as u64, loader_length as u64);
        put(&mut elf, 8, &[at, 0, 0, length, length, 1]);
        elf.resize(120 + 64, 0);
        for (kind, at, length, link) in [
            (6, entries_at, 8 * entries.len() as u64, 2),
            (3, strings_at, strings.len() as u64, 0),
        ] {
            put(&mut elf, 4, &[0, kind]);
            put(&mut elf, 8, &[0, 0, at, length]);
            put(&mut elf, 4, &[link, 0]);
            put(&mut elf, 8, &[1, 0]);
        }
        put(&mut elf, 8, &entries);
        elf.extend(strings);
        elf
    }

    fn packages(root: &Path) -> Overlay {
        let [lib, usr] =
            ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|folder| root.join(folder));
        for folder in [&lib, &usr, &root.join("usr/lib64")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(lib.join("ld-2.31.so"), program(None, &[])).unwrap();
        symlink(
            "/lib/x86_64-linux-gnu/ld-2.31.so",
            root.join("usr/lib64/ld.so"),
        )
        .unwrap();
        fs::write(lib.join("libc.so.6"), program(None, &["ld.so"])).unwrap();
        symlink("ld-2.31.so", lib.join("ld.so")).unwrap();
        fs::write(lib.join(OPENED_LATER), program(None, &["libc.so.6"])).unwrap();
        fs::write(usr.join("libmnl.so.0.2"), program(None, &["libc.so.6"])).unwrap();
        symlink("libmnl.so.0.2", usr.join("libmnl.so.0")).unwrap();
        Overlay::new(vec![root.to_owned()])
    }

    #[test]
    fn library_brings_those_it_is_loaded_with_itself() {
        let root = tempfile::tempdir().unwrap();
        let packages = packages(root.path());
        let nft = program(Some("/lib64/ld.so"), &["libmnl.so.0", "libc.so.6"]);
        let files = closure(&nft, Architecture::Amd64, &packages).unwrap();
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        let expected = [
            "/lib/x86_64-linux-gnu/ld.so",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libnss_files.so.2",
            "/lib64/ld.so",
            "/usr/lib/x86_64-linux-gnu/libmnl.so.0",
        ];
        assert_eq!(paths, expected);
        let static_program = program(None, &[]);
        assert!(
            closure(&static_program, Architecture::Amd64, &packages)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_cannot_be_loaded_is_named() {
        let root = tempfile::tempdir().unwrap();
        let packages = packages(root.path());
        let check = |file: &[u8], architecture, expected: &str| {
            let error = closure(file, architecture, &packages).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let nft = program(None, &["libgone.so.1"]);
        check(&nft, Architecture::Amd64, "no package has libgone.so.1");
        check(&nft, Architecture::Arm64, "not for arm64");
        check(b"#!/bin/sh", Architecture::Amd64, "not a 64-bit program");
    }
}
