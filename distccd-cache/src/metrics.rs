//! The daemon's numbers in the text form that Prometheus reads, at `/metrics` of the statistics port. Owns nothing but the form.
//!
//! Source of the form: "Exposition formats" in the Prometheus documentation (text, version 0.0.4).

use std::fmt::Write as _;

use crate::admission;
use crate::results::Tally;
use crate::statistics::{ENDINGS, Snapshot};
use crate::store::Statistics as Stored;

/// What the statistics port says of the type of this text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// All that is told.
#[derive(Debug)]
pub(crate) struct Numbers<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) admission: &'a admission::Tally,
    pub(crate) store: Option<&'a Stored>,
    pub(crate) results: Option<&'a Tally>,
}

/// The text.
pub(crate) fn render(numbers: &Numbers<'_>) -> String {
    let mut page = Page(String::new());
    let snapshot = numbers.snapshot;
    page.counter(
        "connections_total",
        "Connections that were accepted.",
        snapshot.accepted,
    );
    page.head("endings_total", "counter", "Connections by how they ended.");
    for ending in ENDINGS {
        let label = format!("{{ending=\"{}\"}}", ending.word().to_ascii_lowercase());
        page.value("endings_total", &label, snapshot.endings[ending as usize]);
    }
    page.admission(numbers.admission);
    if let Some(store) = numbers.store {
        page.gauge("store_blobs", "Files in the store.", store.blobs);
        page.gauge("store_bytes", "Room that they take on disk.", store.bytes);
        page.gauge("store_limit_bytes", "Room that they may take.", store.limit);
        page.counter("store_puts_total", "Files that clients sent.", store.puts);
        page.counter("store_put_bytes_total", "Their bytes.", store.put_bytes);
        page.counter(
            "store_uploads_shared_total",
            "Times that a job waited for another's upload of the same file.",
            store.claims_shared,
        );
        page.counter(
            "store_evicted_total",
            "Files and results removed for lack of room.",
            store.evicted,
        );
        page.counter(
            "store_damaged_total",
            "Files and results that were found damaged, and removed.",
            store.damaged,
        );
    }
    if let Some(results) = numbers.results {
        let help = "Jobs by what became of their result: given again, kept, not kept.";
        page.head("results_total", "counter", help);
        page.value("results_total", "{fate=\"hit\"}", results.hits);
        page.value("results_total", "{fate=\"kept\"}", results.kept);
        page.value("results_total", "{fate=\"not_kept\"}", results.not_kept);
        page.counter(
            "results_waited_total",
            "Hits that waited for another client's compile of the same.",
            results.waited,
        );
        page.counter(
            "results_hit_bytes_total",
            "Bytes of results that were given again.",
            results.hit_bytes,
        );
    }
    page.0
}

struct Page(String);

// Writing to a String does not fail.
impl Page {
    fn admission(&mut self, tally: &admission::Tally) {
        let help = "Compiles that may run at a time.";
        self.gauge("slots", help, tally.slots as u64);
        self.gauge("slots_busy", "Compiles that run now.", tally.running as u64);
        let help = "Jobs that wait for a slot.";
        self.gauge("queue_jobs", help, tally.waiting as u64);
        let help = "1 while compiles are held back for lack of memory.";
        self.gauge("memory_short", help, u64::from(tally.is_holding));
        let help = "Compiles that got a slot.";
        self.counter("slots_given_total", help, tally.started);
        let name = "queue_seconds_total";
        self.head(name, "counter", "Time that those had waited for it.");
        let _ = writeln!(self.0, "distccd_{name} {:.6}", tally.waited.as_secs_f64());
        let help = "Jobs that were told to go elsewhere, because too many waited.";
        self.counter("queue_refused_total", help, tally.turned_back);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP distccd_{name} {help}\n# TYPE distccd_{name} {kind}"
        );
    }

    fn value(&mut self, name: &str, label: &str, value: u64) {
        let _ = writeln!(self.0, "distccd_{name}{label} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.value(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.value(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Ending;

    #[test]
    fn every_line_is_a_comment_or_a_number_with_a_name() {
        let mut snapshot = Snapshot {
            accepted: 9,
            ..Snapshot::default()
        };
        snapshot.endings[Ending::CompileError as usize] = 3;
        let results = Tally {
            hits: 5,
            ..Tally::default()
        };
        let admission = admission::Tally {
            slots: 4,
            running: 1,
            waiting: 7,
            waited: std::time::Duration::from_millis(1500),
            ..admission::Tally::default()
        };
        let text = render(&Numbers {
            snapshot: &snapshot,
            admission: &admission,
            store: Some(&Stored::default()),
            results: Some(&results),
        });
        let mut known = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                known.push(rest.split(' ').next().expect("a name").to_owned());
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').expect("two words");
                let name = name.split('{').next().expect("a name");
                assert_eq!(known.last().map(String::as_str), Some(name), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        for line in [
            "distccd_connections_total 9",
            "distccd_endings_total{ending=\"compile_error\"} 3",
            "distccd_slots_busy 1",
            "distccd_queue_jobs 7",
            "distccd_queue_seconds_total 1.500000",
            "distccd_results_total{fate=\"hit\"} 5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
