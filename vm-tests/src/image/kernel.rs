//! A kernel in the form that costs a guest least to start.
//!
//! On a PC that is the bare ELF file with an entry point for virtual machines, for otherwise the
//! guest would decompress itself, instruction by emulated instruction. An Arm kernel is bare anyway.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::image::compression::decompress;

/// What to start, and why it is packed, if it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Start {
    pub(super) kernel: PathBuf,
    pub(super) packed: Option<String>,
}

/// The kernel in the package folders `roots`.
pub(super) fn find(roots: &[PathBuf]) -> Result<PathBuf> {
    let in_boot = roots.iter().map(|root| root.join("boot"));
    // Where Debian puts it since it has split kernels from their modules.
    let beside_modules = roots.iter().map(|root| root.join("usr/lib/modules"));
    let beside_modules = beside_modules.flat_map(|modules| entries(&modules));
    in_boot
        .chain(beside_modules)
        .flat_map(|folder| entries(&folder))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz"))
        })
        .context("no package has a file `vmlinuz`")
}

/// What is in a folder, by name; nothing, if there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Unpacks the kernel `shipped` to `unpacked`, unless that has been done before.
pub(super) fn unpack(shipped: &Path, unpacked: &Path) -> Result<Start> {
    if unpacked.exists() {
        return Ok(Start {
            kernel: unpacked.to_owned(),
            packed: None,
        });
    }
    let bytes = fs::read(shipped)?;
    let start = match bare(&bytes) {
        Ok(kernel) => {
            super::write_whole(unpacked, &kernel)?;
            Start {
                kernel: unpacked.to_owned(),
                packed: None,
            }
        }
        Err(reason) => Start {
            kernel: shipped.to_owned(),
            packed: Some(format!("{reason:#}")),
        },
    };
    Ok(start)
}

/// The kernel that `shipped` holds, as QEMU can start it.
fn bare(shipped: &[u8]) -> Result<Vec<u8>> {
    if let Some(payload) = boot_protocol_payload(shipped) {
        let kernel = decompress(payload)?;
        ensure!(
            has_entry_for_machines(&kernel)?,
            "kernel has no entry point for virtual machines"
        );
        return Ok(kernel);
    }
    let kernel = decompress(self_extracting_payload(shipped).unwrap_or(shipped))?;
    ensure!(
        is_arm_image(&kernel),
        "not a kernel in a form that is known"
    );
    Ok(kernel)
}

/// Out of a PC's `bzImage`: the kernel's documentation calls these fields `setup_sects`,
/// `payload_offset` and `payload_length`.
fn boot_protocol_payload(shipped: &[u8]) -> Option<&[u8]> {
    if shipped.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = match shipped[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + number(shipped, 0x248)?;
    shipped.get(start..)?.get(..number(shipped, 0x24c)?)
}

/// Out of a program for UEFI that unpacks the kernel.
fn self_extracting_payload(shipped: &[u8]) -> Option<&[u8]> {
    if !shipped.starts_with(b"MZ\0\0zimg") {
        return None;
    }
    shipped
        .get(number(shipped, 8)?..)?
        .get(..number(shipped, 12)?)
}

fn is_arm_image(kernel: &[u8]) -> bool {
    kernel.get(56..60) == Some(b"ARM\x64")
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let (bytes, _) = bytes.get(at..)?.split_first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// The note that names the 32-bit entry point; QEMU looks for it in what `-kernel` names.
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

fn has_entry_for_machines(kernel: &[u8]) -> Result<bool> {
    let header = elf::FileHeader64::<Endianness>::parse(kernel)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, kernel)? {
        let Some(mut notes) = segment.notes(endian, kernel)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(endian).0 == XEN_ELFNOTE_PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel for virtual machines: headers and one note.
    fn elf(note: u32) -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
        let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
        let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
        // An executable for x86-64; its one segment is described at byte 64.
        half(&mut elf, 2);
        half(&mut elf, 62);
        word(&mut elf, 1);
        for value in [0, 64, 0] {
            long(&mut elf, value);
        }
        word(&mut elf, 0);
        for value in [64, 56, 1, 64, 0, 0] {
            half(&mut elf, value);
        }
        // Notes, 20 bytes at byte 120.
        word(&mut elf, 4);
        word(&mut elf, 4);
        for value in [120, 0, 0, 20, 20, 4] {
            long(&mut elf, value);
        }
        for value in [4, 4, note] {
            word(&mut elf, value);
        }
        elf.extend(b"Xen\0");
        word(&mut elf, 0x100_0000);
        elf
    }

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        image.extend(payload);
        image.extend(b"whatever follows");
        image
    }

    fn arm_image() -> Vec<u8> {
        let mut image = vec![0; 64];
        image[56..60].copy_from_slice(b"ARM\x64");
        image
    }

    #[test]
    fn kernel_comes_out_of_whatever_it_is_shipped_in() {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = |plain: &[u8]| ruzstd::encoding::compress_to_vec(plain, level);
        let packed = zstd(&arm_image());
        let mut zboot = b"MZ\0\0zimg".to_vec();
        zboot.extend(16_u32.to_le_bytes());
        zboot.extend((packed.len() as u32).to_le_bytes());
        zboot.extend(&packed);
        let check = |shipped: &[u8], expected: &[u8]| assert_eq!(bare(shipped).unwrap(), expected);
        check(&bz_image(&zstd(&elf(18))), &elf(18));
        check(&arm_image(), &arm_image());
        check(&packed, &arm_image());
        check(&zboot, &arm_image());
    }

    #[test]
    fn kernel_that_stays_packed_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let (shipped, unpacked) = (folder.path().join("vmlinuz"), folder.path().join("vmlinux"));
        let check = |bytes: &[u8], expected: &str| {
            fs::write(&shipped, bytes).unwrap();
            let start = unpack(&shipped, &unpacked).unwrap();
            assert_eq!(start.packed.as_deref(), Some(expected));
            assert_eq!(start.kernel, shipped);
        };
        check(
            &bz_image(&elf(17)),
            "kernel has no entry point for virtual machines",
        );
        check(
            &bz_image(&[0x1f, 0x8b]),
            "compressed with gzip, which no kernel of Debian's is",
        );
        check(b"GRUB", "not a kernel in a form that is known");
    }
}
