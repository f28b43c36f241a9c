//! What the user typed after `lsdistcc`: options glued to their values, then names or a format. Pure; owns no state.

use protocol::version::Version;
use std::ffi::OsString;
use std::time::Duration;

/// What to look for and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which names.
    pub names: Names,
    /// `-l`: print the time that a connection or a compile took.
    pub latency: bool,
    /// `-n`: print addresses.
    pub numeric: bool,
    /// `-x`: print hosts that do not answer, too.
    pub with_down: bool,
    /// `-v`: tell on stderr what is done.
    pub verbose: bool,
    /// `-d`: append this machine's DNS domain to the names.
    pub domain: bool,
    /// `-t`: when to stop.
    pub search_time: Duration,
    /// `-c`: how long to wait for a connection; zero to try none.
    pub connect_time: Duration,
    /// `-k`: how long to wait for a compile; zero to try none.
    pub compile_time: Duration,
    /// `-m`: how many leading bits of an address must be the first found host's.
    pub same_bits: u32,
    /// `-o`: names looked up ahead.
    pub overlap: usize,
    /// `-g`: names in a row that may be missing.
    pub gap: usize,
    /// `-r`: the port.
    pub port: u16,
    /// `-P`: the protocol.
    pub version: Version,
    /// `-p`: the compiler that a host must have.
    pub compiler: Option<String>,
}

/// The names to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// These.
    Listed(Vec<String>),
    /// Numbered ones, from 1 on: what stands before the number, its least width (filled with zeros), and what follows.
    Numbered {
        /// Before the number.
        before: String,
        /// Least digits.
        width: usize,
        /// Behind the number.
        after: String,
    },
}

impl Names {
    /// Name number `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<String> {
        match self {
            Self::Listed(names) => names.get(index).cloned(),
            Self::Numbered {
                before,
                width,
                after,
            } => Some(format!("{before}{:0width$}{after}", index + 1)),
        }
    }

    fn from_format(format: &str) -> Option<Self> {
        let (before, rest) = format.split_once('%')?;
        let (width, after) = rest.split_once('d')?;
        let width = if width.is_empty() {
            0
        } else {
            width.parse().ok()?
        };
        if width > 20 || after.contains('%') {
            return None;
        }
        Some(Self::Numbered {
            before: before.to_owned(),
            width,
            after: after.to_owned(),
        })
    }
}

impl Plan {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// What is wrong; nothing when the user only wants the usage.
    pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Self, Option<String>> {
        let mut plan = Self::default();
        let mut names = Vec::new();
        for word in words {
            let word = word
                .into_string()
                .map_err(|word| Some(format!("{word:?} is no host name")))?;
            match word.strip_prefix('-') {
                Some(option) => plan.take(option)?,
                None => names.push(word),
            }
        }
        let has_format = names.iter().any(|name| name.contains('%'));
        plan.names = match names.as_slice() {
            [] => plan.names,
            [format] if has_format => match Names::from_format(format) {
                Some(names) => names,
                None => return Err(Some(format!("{format:?} is no format like distcc%d"))),
            },
            _ if has_format => return Err(Some("a format stands alone".to_owned())),
            _ => Names::Listed(names),
        };
        Ok(plan)
    }

    /// One word without its dash: single letters may share a word, the last may have a value.
    fn take(&mut self, option: &str) -> Result<(), Option<String>> {
        if option == "-help" || option.is_empty() {
            return Err(None);
        }
        let mut rest = option;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                'l' => self.latency = true,
                'n' => self.numeric = true,
                'x' => self.with_down = true,
                'v' => self.verbose = true,
                'd' => self.domain = true,
                _ => return self.take_value(letter, rest),
            }
        }
        Ok(())
    }

    fn take_value(&mut self, letter: char, value: &str) -> Result<(), Option<String>> {
        let wrong = || Some(format!("-{letter} takes a number, not {value:?}"));
        let number = |most: u32| {
            value
                .parse::<u32>()
                .ok()
                .filter(|&number| number <= most)
                .ok_or_else(wrong)
        };
        let milliseconds = |number: u32| Duration::from_millis(number.into());
        match letter {
            't' => self.search_time = Duration::from_secs(number(1_000_000)?.into()),
            // The system's resolver asks again by itself; the value is only checked.
            'h' => drop(number(u32::MAX)?),
            'c' => self.connect_time = milliseconds(number(u32::MAX)?),
            'k' => self.compile_time = milliseconds(number(u32::MAX)?),
            'm' => self.same_bits = number(128)?,
            'o' => self.overlap = number(1000)? as usize,
            'g' => self.gap = number(1_000_000)? as usize,
            'r' => {
                self.port = u16::try_from(number(65535)?)
                    .ok()
                    .filter(|&port| port > 0)
                    .ok_or_else(wrong)?
            }
            'P' => self.version = Version::from_number(number(3)?).map_err(|_| wrong())?,
            'p' if !value.is_empty() => self.compiler = Some(value.to_owned()),
            _ => return Err(Some(format!("unknown option -{letter}"))),
        }
        Ok(())
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            names: Names::Numbered {
                before: "distcc".to_owned(),
                width: 0,
                after: String::new(),
            },
            latency: false,
            numeric: false,
            with_down: false,
            verbose: false,
            domain: false,
            search_time: Duration::from_secs(7),
            connect_time: Duration::from_millis(900),
            compile_time: Duration::from_millis(1500),
            same_bits: 0,
            overlap: 1,
            gap: 0,
            port: crate::host_list::DEFAULT_PORT,
            version: Version::Plain1,
            compiler: None,
        }
    }
}

/// What is printed when the words make no sense.
pub const USAGE: &str = "\
Usage: lsdistcc [OPTION...] [FORMAT | HOST...]
Prints those hosts that have a distcc server. FORMAT, distcc%d when nothing is
given, stands for distcc1, distcc2 and so on, up to the first one that has no
address. A HOST may be HOST:PORT.
Options:
-l        print the latency in milliseconds behind each host (without DNS)
-n        print addresses instead of names
-x        print hosts that do not answer, too, marked \",down\"
-v        tell on stderr what is done
-d        append this machine's DNS domain to the names
-tSEC     stop after so many seconds [7]
-cMSEC    wait so long for a connection [900]; 0: try none
-kMSEC    wait so long for a compile [1500]; 0: try none
-hMSEC    accepted; the system's resolver knows when to ask again
-mBITS    leading bits of an address that must be the first host's [0]
-oN       names to look up ahead [1]
-gN       names in a row that may be missing [0]
-rPORT    port to connect to [3632]
-PN       protocol, 1 to 3 [1]
-pNAME    the server must have this compiler
--help    this text
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Plan, Option<String>> {
        Plan::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn letters_may_share_a_word() {
        let plan =
            parse(&["-lnx", "-vt3", "-c150", "-P3", "-pgcc-12", "a", "b:1"]).expect("all good");
        assert!(plan.latency && plan.numeric && plan.with_down && plan.verbose && !plan.domain);
        assert_eq!(plan.search_time, Duration::from_secs(3));
        assert_eq!(plan.connect_time, Duration::from_millis(150));
        assert_eq!(
            (plan.version, plan.compiler.as_deref()),
            (Version::Pump3, Some("gcc-12"))
        );
        assert_eq!(plan.names, Names::Listed(vec!["a".into(), "b:1".into()]));
    }

    #[test]
    fn formats() {
        let names = parse(&["box%03d.lan"]).expect("a format").names;
        assert_eq!(names.get(6).as_deref(), Some("box007.lan"));
        assert_eq!(Plan::default().names.get(0).as_deref(), Some("distcc1"));
        for bad in ["%s", "a%", "%d%d", "%99999d", "%xd"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["a%d", "b"]).is_err());
    }

    #[test]
    fn mistakes() {
        assert_eq!(parse(&["--help"]), Err(None));
        for bad in [
            "-P4", "-P0", "-r0", "-r70000", "-q", "-t", "-tx", "-p", "-m129",
        ] {
            assert!(matches!(parse(&[bad]), Err(Some(_))), "{bad}");
        }
    }
}
