//! The commands that a driver would start, as `-###` prints them. Owns no state.
//!
//! Their options are the compiler's defaults, also those that no macro shows (`-tune-cpu`, `--64` for the assembler).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command(Vec<Vec<u8>>);

/// What is compiled when a compiler is asked.
pub(crate) const INPUT: &str = "/dev/null";

impl Command {
    /// All commands in `text`: lines that start with a blank, words in quotes where they need them.
    pub(crate) fn all(text: &[u8]) -> Vec<Self> {
        let lines = text.split(|&byte| byte == b'\n');
        let commands = lines.filter_map(|line| line.strip_prefix(b" "));
        commands
            .filter(|line| line.trim_ascii() != b"(in-process)")
            .map(|line| Self(words(line)))
            .filter(|command| !command.0.is_empty())
            .collect()
    }

    /// As the driver would start it: a path, or a name that is looked for on `PATH`.
    pub(crate) fn program(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0[0]))
    }

    /// The last component of the program's path.
    pub(crate) fn name(&self) -> &[u8] {
        self.program().file_name().map_or(b"", OsStr::as_bytes)
    }

    pub(crate) fn has(&self, word: &[u8]) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Words that load code into the compiler.
    pub(crate) fn loads(&self) -> Option<&[u8]> {
        let loads = |word: &&Vec<u8>| {
            word.starts_with(b"-fplugin=")
                || word.starts_with(b"-fpass-plugin=")
                || word.as_slice() == b"-load"
        };
        self.0.iter().find(loads).map(Vec::as_slice)
    }

    /// The words without those that only say where something stands: paths, and the options whose values they are.
    pub(crate) fn settings(&self) -> Vec<&[u8]> {
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut before_is_option = false;
        for word in &self.0[1..] {
            let word = word.as_slice();
            let is_path = word.contains(&b'/');
            if is_path && before_is_option && word != INPUT.as_bytes() && !word.starts_with(b"-") {
                kept.pop();
            } else if !is_path && word != b"|" {
                kept.push(word);
            }
            before_is_option = !is_path && word.starts_with(b"-");
        }
        kept
    }
}

/// The words of a line; inside quotes, and nowhere else, a backslash takes the next character as it is.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' if quoted => word.get_or_insert_default().extend(bytes.next()),
            b' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcc_and_clang_quote_alike() {
        let text = b"Target: x\n /usr/lib/12/cc1 -quiet /dev/null -dumpbase null \"-mtune=generic\" -o - |\n as --64\n";
        let commands = Command::all(text);
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0].name(), b"cc1");
        let settings = ["-quiet", "-dumpbase", "null", "-mtune=generic", "-o", "-"];
        let settings: Vec<&[u8]> = settings.iter().map(|word| word.as_bytes()).collect();
        assert_eq!(commands[0].settings(), settings);
        assert_eq!(commands[1].program(), Path::new("as"));
        let text = b" (in-process)\n \"/my clang/\\\"x\\\"\" \"-cc1\" \"\" \"-resource-dir\" \"/a b\" \"-fdir=/x\" \"/dev/null\"\n";
        let commands = Command::all(text);
        assert_eq!(commands.len(), 1);
        assert_eq!(commands[0].program(), Path::new("/my clang/\"x\""));
        assert_eq!(commands[0].settings(), [&b"-cc1"[..], b""]);
    }

    #[test]
    fn places_do_not_count_but_defaults_do() {
        let command = |line: &str| Command::all(line.as_bytes()).remove(0);
        let home = command(" /usr/cc1 -iprefix /usr/lib/ -O2 -imultiarch x86 /dev/null -fno-x");
        let away = command(" /opt/cc1 -O2 -imultiarch x86 /dev/null -fno-x");
        let other = command(" /opt/cc1 -O2 -imultiarch x86 /dev/null");
        assert_eq!(home.settings(), away.settings());
        assert_ne!(away.settings(), other.settings());
        assert_eq!(home.loads(), None);
        let plugin = command(" cc1 -fplugin=/x/y.so");
        assert_eq!(plugin.loads(), Some(&b"-fplugin=/x/y.so"[..]));
    }
}
