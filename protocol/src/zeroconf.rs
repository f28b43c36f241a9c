//! What a server says of itself on the local network by DNS-SD (`distccd --zeroconf`), and what a client makes of it
//! (`+zeroconf`). Pure: the names and texts, not the packets.
//!
//! Service, subtype and most keys are stock's, so that both kinds of program find each other; stock has no word for what
//! a server can do, so its clients and servers never come to pump mode in this way. Ours have `features`.
//!
//! Whoever is on the network may say anything here, so [`Announcement::read`] takes numbers only within limits and
//! ignores what it does not know.

/// The service.
pub const SERVICE: &str = "_distcc._tcp.local.";

/// The most jobs that an announced server is believed to take at a time.
pub const MOST_JOBS: u32 = 1024;

/// Jobs for each processor, where a server names no number.
const JOBS_PER_PROCESSOR: u32 = 4;

/// Longest label of a name in the DNS.
const LABEL: usize = 63;

/// What `cc` says of itself; servers and clients whose `cc` differ are not for each other, as with stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultCompiler {
    /// `cc -dumpmachine`.
    pub machine: String,
    /// `cc -dumpversion`.
    pub version: String,
}

impl DefaultCompiler {
    /// The service with the subtype that stock clients look for.
    #[must_use]
    pub fn subtype(&self) -> String {
        let plain = |text: &str| -> String {
            let plain = text.chars().map(|c| match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9') => c,
                _ => '-',
            });
            plain.collect()
        };
        let mut label = format!("_{}--{}", plain(&self.machine), plain(&self.version));
        label.truncate(LABEL);
        format!("{label}._sub.{SERVICE}")
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Jobs at a time.
    pub jobs: u32,
    /// It decompresses: `,lzo`.
    pub lzo: bool,
    /// It takes jobs in pump mode: `,cpp`.
    pub cpp: bool,
    /// Its `cc`.
    pub compiler: Option<DefaultCompiler>,
}

impl Announcement {
    /// The keys and values that are announced.
    #[must_use]
    pub fn properties(&self, processors: usize, triple: &str, ours: &str) -> Vec<(String, String)> {
        let mut features = Vec::new();
        features.extend(self.lzo.then_some("lzo"));
        features.extend(self.cpp.then_some("cpp"));
        let mut pairs = vec![
            ("txtvers", "1".to_owned()),
            ("cpus", processors.to_string()),
            ("jobs", self.jobs.to_string()),
            ("distcc", "3.4".to_owned()),
            ("gnuhost", triple.to_owned()),
        ];
        if let Some(compiler) = &self.compiler {
            pairs.push(("cc_version", compiler.version.clone()));
            pairs.push(("cc_machine", compiler.machine.clone()));
        }
        pairs.push(("pumphouse", ours.to_owned()));
        pairs.push(("features", features.join(",")));
        let owned = pairs.into_iter();
        owned.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Reads what was announced; `value` gives a key's value.
    #[must_use]
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let text = |key: &str| std::str::from_utf8(value(key)?).ok();
        let number = |key: &str| {
            text(key)
                .and_then(|text| text.parse::<u32>().ok())
                .filter(|&number| number > 0)
        };
        let jobs = number("jobs").unwrap_or_else(|| {
            let processors = number("cpus").unwrap_or(1);
            processors.saturating_mul(JOBS_PER_PROCESSOR)
        });
        let features = text("features").unwrap_or_default();
        let has = |feature| features.split(',').any(|word| word == feature);
        let compiler = text("cc_machine")
            .zip(text("cc_version"))
            .map(|(machine, version)| DefaultCompiler {
                machine: machine.to_owned(),
                version: version.to_owned(),
            });
        Self {
            jobs: jobs.min(MOST_JOBS),
            lzo: has("lzo"),
            cpp: has("cpp"),
            compiler,
        }
    }

    /// What stands behind the address in a host list: `/JOBS` and options.
    #[must_use]
    pub fn host_options(&self) -> String {
        let options = match (self.lzo, self.cpp) {
            (true, true) => ",cpp,lzo",
            (true, false) => ",lzo",
            // Pump mode is nothing without compression.
            (false, _) => "",
        };
        format!("/{}{options}", self.jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Announcement {
        Announcement::read(|key| {
            let pair = pairs.iter().find(|(name, _)| *name == key)?;
            Some(pair.1.as_bytes())
        })
    }

    #[test]
    fn what_is_announced_is_read_again() {
        let said = Announcement {
            jobs: 10,
            lzo: true,
            cpp: true,
            compiler: Some(DefaultCompiler {
                machine: "x86_64-linux-gnu".into(),
                version: "12".into(),
            }),
        };
        let pairs = said.properties(8, "x86_64-pc-linux-gnu", "0.1.0");
        let heard = Announcement::read(|key| {
            let pair = pairs.iter().find(|(name, _)| name == key)?;
            Some(pair.1.as_bytes())
        });
        assert_eq!(heard, said);
        assert_eq!(heard.host_options(), "/10,cpp,lzo");
    }

    #[test]
    fn stocks_servers_are_plain_and_numbers_have_limits() {
        let options = |pairs: &[(&str, &str)]| read(pairs).host_options();
        assert_eq!(options(&[("cpus", "8"), ("jobs", "10")]), "/10");
        assert_eq!(options(&[("cpus", "8")]), "/32");
        assert_eq!(options(&[]), "/4");
        assert_eq!(options(&[("jobs", "0"), ("cpus", "2")]), "/8");
        assert_eq!(options(&[("jobs", "-5")]), "/4");
        assert_eq!(options(&[("cpus", "4294967295")]), "/1024");
        assert_eq!(options(&[("jobs", "99999999999")]), "/4");
        assert_eq!(options(&[("features", "cpp")]), "/4");
        assert_eq!(options(&[("features", "lzo,cppx,new")]), "/4,lzo");
        assert!(read(&[("cc_machine", "m")]).compiler.is_none());
        let bytes = Announcement::read(|_| Some(b"\xff\xfe"));
        assert_eq!(bytes, read(&[]));
    }

    #[test]
    fn subtypes_are_stocks() {
        let of = |machine: &str, version: &str| {
            let compiler = DefaultCompiler {
                machine: machine.into(),
                version: version.into(),
            };
            compiler.subtype()
        };
        assert_eq!(
            of("x86_64-Linux-gnu", "12.2"),
            "_x86-64-linux-gnu--12-2._sub._distcc._tcp.local."
        );
        let long = of(&"m".repeat(99), "1");
        assert_eq!(long.find('.'), Some(LABEL));
    }
}
