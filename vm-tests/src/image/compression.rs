//! Kernels and modules, out of what distributions squeeze them with.

use std::io::Read;

use anyhow::{Context, Result, bail};

/// How something is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compression {
    None,
    Gzip,
    /// In the format that only kernels still use.
    Lz4,
    Xz,
    Zstd,
}

const LZ4_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// How much comes out of one block, at most.
const LZ4_BLOCK: usize = 8 << 20;

impl Compression {
    /// Told by how it begins.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ if bytes.starts_with(&LZ4_MAGIC) => Compression::Lz4,
            _ => Compression::None,
        }
    }
}

/// What `bytes` are before they are compressed, if they are.
pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    match Compression::of(bytes) {
        Compression::None => plain.extend(bytes),
        Compression::Gzip => bail!("compressed with gzip, which no kernel of Debian's is"),
        Compression::Lz4 => return decompress_lz4(bytes),
        Compression::Xz => lzma_rs::xz_decompress(&mut &*bytes, &mut plain)?,
        Compression::Zstd => {
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(bytes)?;
            decoder.read_to_end(&mut plain)?;
        }
    }
    Ok(plain)
}

/// Blocks, each after its length. What follows the last is the kernel's own note of its size.
fn decompress_lz4(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    let mut rest = &bytes[LZ4_MAGIC.len()..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let Some((compressed, after)) =
            after.split_at_checked(u32::from_le_bytes(*length) as usize)
        else {
            break;
        };
        let length = lz4_flex::block::decompress_into(compressed, &mut block)
            .context("not what lz4 writes")?;
        plain.extend(&block[..length]);
        rest = after;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_kernel_is_squeezed_with_comes_out_again() {
        let plain = b"kernel ".repeat(1000);
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut &*plain, &mut xz).unwrap();
        let zstd =
            ruzstd::encoding::compress_to_vec(&*plain, ruzstd::encoding::CompressionLevel::Fastest);
        let mut lz4 = LZ4_MAGIC.to_vec();
        for half in plain.chunks(3500) {
            let block = lz4_flex::block::compress(half);
            lz4.extend((block.len() as u32).to_le_bytes());
            lz4.extend(block);
        }
        lz4.extend((plain.len() as u32).to_le_bytes());
        let rows = [
            (Compression::None, plain.clone()),
            (Compression::Lz4, lz4),
            (Compression::Xz, xz),
            (Compression::Zstd, zstd),
        ];
        for (compression, bytes) in rows {
            assert_eq!(Compression::of(&bytes), compression);
            assert!(decompress(&bytes).unwrap() == plain, "{compression:?}");
        }
    }

    #[test]
    fn what_cannot_be_decompressed_is_refused() {
        let check = |bytes: &[u8]| assert!(decompress(bytes).is_err(), "{bytes:x?}");
        check(&[0x1f, 0x8b, 8, 0]);
        check(&[0x28, 0xb5, 0x2f, 0xfd, 0xff]);
        check(&[0xfd, b'7', b'z', b'X', b'Z', 0, 1]);
        check(&[0x02, 0x21, 0x4c, 0x18, 1, 0, 0, 0, 0xff]);
    }
}
