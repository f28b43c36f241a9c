//! Names from anywhere as text for people. Pure; owns no state.

/// Characters that are shown as something, or as nothing that would mislead: everything but controls, and what is not seen or turns
/// the direction of writing.
const fn is_plain(c: char) -> bool {
    !matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The first `limit` bytes of a name, with `?` for each character that a terminal would obey or that would not be seen.
#[must_use]
pub fn printable(name: &[u8], limit: usize) -> String {
    let name = &name[..name.len().min(limit)];
    let characters = String::from_utf8_lossy(name);
    characters
        .chars()
        .map(|c| if is_plain(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_obeyed_is_left() {
        let name = b"a\x1b[2J\x07\xff\xe2\x80\xaeb.c\n\xc2\x9b31m";
        assert_eq!(printable(name, 99), "a?[2J?\u{fffd}?b.c??31m");
        assert_eq!(printable("ä名.c".as_bytes(), 99), "ä名.c");
        assert_eq!(printable(b"<b>&\"", 99), "<b>&\"");
        assert_eq!(printable("xä".as_bytes(), 2), "x\u{fffd}");
    }
}
