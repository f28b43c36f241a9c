//! The daemon's messages, in stock's form: `PROG[PID] (function) Severity: text`. Owns the process's one sink.
//!
//! Messages are `tracing` events. Stock has more severities than tracing has levels: an event's field `severity` names
//! one of those (see [`notice!`] and [`critical!`]). The `(function)` is the last component of the event's target.

use std::ffi::CString;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Says something of ordinary but lasting interest; shown by default.
macro_rules! notice {
    (target: $target:expr, $($arg:tt)+) => { tracing::info!(target: $target, severity = "notice", $($arg)+) };
    ($($arg:tt)+) => { tracing::info!(severity = "notice", $($arg)+) };
}
pub(crate) use notice;

/// Says that somebody should look at this now.
macro_rules! critical {
    ($($arg:tt)+) => { tracing::error!(severity = "critical", $($arg)+) };
}
pub(crate) use critical;

/// How much a message matters, as syslog has it; smaller matters more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Severity {
    /// The system is unusable.
    Emergency = libc::LOG_EMERG,
    /// Somebody must act at once.
    Alert = libc::LOG_ALERT,
    /// Somebody should look at this now.
    Critical = libc::LOG_CRIT,
    /// Something failed.
    Error = libc::LOG_ERR,
    /// Something may be wrong.
    Warning = libc::LOG_WARNING,
    /// Ordinary but of lasting interest: one per job.
    Notice = libc::LOG_NOTICE,
    /// For a person who wants to know more.
    Info = libc::LOG_INFO,
    /// For a person who looks for an error.
    Debug = libc::LOG_DEBUG,
}

impl Severity {
    /// The severity of this name, as `--log-level` takes it; `None` when there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "emerg" | "emergency" => Self::Emergency,
            "alert" => Self::Alert,
            "crit" | "critical" => Self::Critical,
            "err" | "error" => Self::Error,
            "warn" | "warning" => Self::Warning,
            "note" | "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }

    /// What stands before the text of a message.
    fn prefix(self) -> &'static str {
        match self {
            Self::Emergency => "EMERGENCY! ",
            Self::Alert => "ALERT! ",
            Self::Critical => "CRITICAL! ",
            Self::Error => "ERROR: ",
            Self::Warning => "Warning: ",
            Self::Notice | Self::Info | Self::Debug => "",
        }
    }

    fn of_level(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    fn level_filter(self) -> LevelFilter {
        match self {
            Self::Emergency | Self::Alert | Self::Critical | Self::Error => LevelFilter::ERROR,
            Self::Warning => LevelFilter::WARN,
            Self::Notice | Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub enum Sink {
    /// The system's log, facility `daemon`.
    Syslog,
    /// Standard error.
    Stderr,
    /// A file, opened for appending.
    File(File),
}

impl Sink {
    /// Opens a log file for appending.
    ///
    /// # Errors
    /// What the system said.
    pub fn file(path: &Path) -> std::io::Result<Self> {
        Ok(Self::File(
            File::options().append(true).create(true).open(path)?,
        ))
    }
}

/// Directs all messages of at least `threshold` to `sink`, from now to the end of the process. A second call has no
/// effect.
pub fn start(sink: Sink, threshold: Severity) {
    if matches!(sink, Sink::Syslog) {
        // SAFETY: the name is a literal and so lives for ever, which openlog needs.
        unsafe { libc::openlog(c"distccd".as_ptr(), libc::LOG_PID, libc::LOG_DAEMON) };
    }
    let layer = Log { sink, threshold }.with_filter(threshold.level_filter());
    // Fails only when a subscriber is there already, as in a test that calls twice.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(layer));
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no text");
        tracing::error!("internal error at {place}: {text}; please report it");
    }));
}

/// The layer that writes events. A sink that cannot be written to loses messages; there is nobody to tell.
struct Log {
    sink: Sink,
    threshold: Severity,
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut reader = Reader::default();
        event.record(&mut reader);
        let metadata = event.metadata();
        let severity = reader
            .severity
            .unwrap_or_else(|| Severity::of_level(*metadata.level()));
        if severity > self.threshold {
            return;
        }
        let function = metadata.target().rsplit("::").next().unwrap_or_default();
        let text = format!(
            "({function}) {}{}{}",
            severity.prefix(),
            reader.message,
            reader.fields
        );
        match &self.sink {
            Sink::Syslog => {
                // No NUL is left after `printable`.
                if let Ok(text) = CString::new(printable(&text)) {
                    // SAFETY: both strings are terminated, and the format takes exactly one string.
                    unsafe { libc::syslog(severity as i32, c"%s".as_ptr(), text.as_ptr()) };
                }
            }
            // One write per message, so that lines of several processes do not mix.
            Sink::Stderr => drop(std::io::stderr().write_all(self.line(&text).as_bytes())),
            Sink::File(file) => drop((&*file).write_all(self.line(&text).as_bytes())),
        }
    }
}

impl Log {
    fn line(&self, text: &str) -> String {
        format!("distccd[{}] {}\n", std::process::id(), printable(text))
    }
}

/// A text with its control characters escaped: a peer's words must not forge lines.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out
}

/// Reads an event's fields.
#[derive(Default)]
struct Reader {
    message: String,
    severity: Option<Severity>,
    fields: String,
}

impl Visit for Reader {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "severity" {
            self.severity = Severity::from_name(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Bytes for a person.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn logged(threshold: Severity, speak: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sink = Sink::file(file.path()).unwrap();
        let layer = Log { sink, threshold }.with_filter(threshold.level_filter());
        tracing::subscriber::with_default(Registry::default().with(layer), speak);
        let mut text = String::new();
        file.reopen().unwrap().read_to_string(&mut text).unwrap();
        text.replace(&format!("distccd[{}]", std::process::id()), "distccd[PID]")
    }

    fn speak() {
        critical!("one");
        tracing::error!("two {}", 2);
        tracing::warn!(target: "dcc_x", "three");
        notice!(target: "a::dcc_job_summary", "four");
        tracing::info!("five");
        tracing::debug!("six\nforged[1] (x) seven\u{1b}[0m");
    }

    #[test]
    fn lines_look_like_stocks() {
        let all = "\
distccd[PID] (tests) CRITICAL! one
distccd[PID] (tests) ERROR: two 2
distccd[PID] (dcc_x) Warning: three
distccd[PID] (dcc_job_summary) four
distccd[PID] (tests) five
distccd[PID] (tests) six\\nforged[1] (x) seven\\u{1b}[0m
";
        assert_eq!(logged(Severity::Debug, speak), all);
    }

    #[test]
    fn a_threshold_hides_what_matters_less() {
        for (name, lines) in [
            ("crit", 1),
            ("err", 2),
            ("warning", 3),
            ("notice", 4),
            ("info", 5),
            ("debug", 6),
        ] {
            let threshold = Severity::from_name(name).unwrap();
            assert_eq!(logged(threshold, speak).lines().count(), lines, "{name}");
        }
    }

    #[test]
    fn level_names_are_stocks() {
        assert_eq!(Severity::from_name("Critical"), Some(Severity::Critical));
        assert_eq!(Severity::from_name("note"), Some(Severity::Notice));
        assert_eq!(Severity::from_name("loud"), None);
    }
}
