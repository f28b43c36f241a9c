//! Whether an object mentions a path of this machine. Owns no state.

use object::{CompressionFormat, Object, ObjectSection};

use super::find;

/// Bytes of an object's compressed sections, decompressed, that are looked through. A section says itself how large it will be, and a client may have written it: without a
/// limit some megabytes were as many gigabytes of this process.
pub(super) const DECOMPRESSED: u64 = 256 << 20;

/// Whether `path` is anywhere in an object file, compressed debug sections included. A file of another format
/// (assembler text) is searched as it is.
pub(crate) fn mentions(object: &[u8], path: &[u8]) -> bool {
    if find(object, path).is_some() {
        return true;
    }
    let Ok(file) = object::File::parse(object) else {
        return false;
    };
    let mut left = DECOMPRESSED;
    file.sections()
        .any(|section| match section.compressed_data() {
            Ok(data) if data.format == CompressionFormat::None => false,
            // What cannot be looked into cannot be vouched for.
            Ok(data) => {
                let Some(rest) = left.checked_sub(data.uncompressed_size) else {
                    return true;
                };
                left = rest;
                data.decompress()
                    .map_or(true, |plain| find(&plain, path).is_some())
            }
            Err(_) => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object with a section of this size, compressed by zstd: blocks of 128 KiB of one byte each.
    fn object(blocks: usize, byte: u8) -> Vec<u8> {
        const SHARE: u64 = 128 << 10;
        let mut section = Vec::new();
        // How it is compressed, the size, the alignment.
        section.extend([2_u32, 0].iter().flat_map(|number| number.to_le_bytes()));
        for number in [blocks as u64 * SHARE, 1] {
            section.extend(number.to_le_bytes());
        }
        // A frame with a window of 128 KiB.
        section.extend([0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3]);
        for block in 1..=blocks {
            let head = u32::from(block == blocks) | 1 << 1 | (SHARE as u32) << 3;
            section.extend(&head.to_le_bytes()[..3]);
            section.push(byte);
        }
        let names = b"\0.debug_x\0.names\0";
        let headers = 64 + section.len() + names.len();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([1_u16, 62].iter().flat_map(|number| number.to_le_bytes()));
        file.extend(1_u32.to_le_bytes());
        for number in [0, 0, headers as u64] {
            file.extend(number.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        let rest = [64_u16, 0, 0, 64, 3, 2];
        file.extend(rest.iter().flat_map(|number| number.to_le_bytes()));
        file.extend_from_slice(&section);
        file.extend_from_slice(names);
        let names_at = 64 + section.len();
        let header = |name: u32, kind: u32, flags: u64, at: usize, size: usize| {
            let mut header = [name, kind].map(u32::to_le_bytes).concat();
            for number in [flags, 0, at as u64, size as u64, 0, 1, 0] {
                header.extend(number.to_le_bytes());
            }
            header
        };
        file.extend([0; 64]);
        file.extend(header(1, 1, 0x800, 64, section.len()));
        file.extend(header(10, 3, 0, names_at, names.len()));
        file
    }

    #[test]
    fn compressed_sections_are_looked_into() {
        assert!(!mentions(&object(2, b'/'), b"/t/r"));
        assert!(mentions(&object(2, b'/'), b"////"));
    }

    /// Some kilobytes of a client's were as much memory as it liked.
    #[test]
    fn a_section_that_would_be_huge_is_not_decompressed() {
        let share = (DECOMPRESSED >> 17) as usize;
        let huge = object(share + 1, b'/');
        assert!(huge.len() < 16 << 10);
        assert!(mentions(&huge, b"/t/r"));
    }
}
