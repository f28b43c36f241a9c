//! Whether an object mentions a path of this machine. Owns no state.

use object::{CompressionFormat, Object, ObjectSection};

use super::find;

/// Whether `path` is anywhere in an object file, compressed debug sections included. A file of another format
/// (assembler text) is searched as it is.
pub(crate) fn mentions(object: &[u8], path: &[u8]) -> bool {
    if find(object, path).is_some() {
        return true;
    }
    let Ok(file) = object::File::parse(object) else {
        return false;
    };
    file.sections()
        .any(|section| match section.compressed_data() {
            Ok(data) if data.format == CompressionFormat::None => false,
            // What cannot be looked into cannot be vouched for.
            Ok(data) => data
                .decompress()
                .map_or(true, |plain| find(&plain, path).is_some()),
            Err(_) => true,
        })
}
