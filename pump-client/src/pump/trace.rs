//! A session's jobs as a trace in Chrome's form, which `chrome://tracing` and Perfetto show: a process for each host, a row for
//! each of its slots, a span for each job, and in it what the job did. Pure but for [`write`]; owns no state.
//!
//! Source: "Trace Event Format" of the Catapult project: complete events (`X`), counters (`C`), and names (`M`), times in
//! microseconds.

use super::error::PumpError;
use super::journal::{Answer, Job, Mode};
use super::times::Span;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// The row of jobs that had no slot.
const NO_SLOT: &str = "without a slot";

/// The whole file.
#[derive(Debug, Serialize)]
struct Trace<'a> {
    #[serde(rename = "traceEvents")]
    events: Vec<Event<'a>>,
    #[serde(rename = "displayTimeUnit")]
    unit: &'static str,
    #[serde(rename = "otherData")]
    about: Facts<'a>,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    program: &'static str,
    version: &'static str,
    command: &'a str,
    /// Jobs of clients that do not write down their times.
    jobs_left_out: usize,
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    name: Cow<'a, str>,
    #[serde(rename = "cat", skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(rename = "ph")]
    kind: &'static str,
    #[serde(rename = "ts")]
    at: u64,
    #[serde(rename = "dur", skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    pid: usize,
    tid: u32,
    /// A colour's name in `chrome://tracing`; Perfetto has colours of its own.
    #[serde(rename = "cname", skip_serializing_if = "Option::is_none")]
    colour: Option<&'static str>,
    args: Arguments<'a>,
}

/// What a viewer shows of an event that is selected.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Arguments<'a> {
    Nothing {},
    Name { name: Cow<'a, str> },
    Order { sort_index: usize },
    Count { jobs: usize },
    Job(JobFacts<'a>),
}

#[derive(Debug, Serialize)]
struct JobFacts<'a> {
    mode: &'static str,
    status: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    /// How long it was without a slot.
    waited_us: u64,
    /// The server did not do it: it was done elsewhere afterwards.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    in_vain: bool,
}

/// One bar of a row.
struct Bar<'a> {
    job: &'a Job,
    from: u64,
    to: u64,
    steps: &'a [Span],
    waited: u64,
    in_vain: bool,
}

/// The bars of each slot of each host.
type Rows<'a> = BTreeMap<&'a str, BTreeMap<u32, Vec<Bar<'a>>>>;

/// The file's text, for jobs of a session that began at `began` and ran `command`.
///
/// # Errors
/// None is known: there is nothing in it that JSON could not say.
pub fn render(jobs: &[Job], began: u64, command: &str) -> serde_json::Result<Vec<u8>> {
    let starts = jobs
        .iter()
        .filter_map(|job| Some(job.times.as_ref()?.start));
    let origin = starts.chain([began]).min().unwrap_or(began);
    let mut events = Vec::new();
    for (index, (host, slots)) in rows(jobs).into_iter().enumerate() {
        let pid = index + 1;
        let named = |name: Cow<'_, str>| Arguments::Name {
            name: Cow::Owned(name.into_owned()),
        };
        events.push(note("process_name", pid, 0, named(host.into())));
        let order = Arguments::Order { sort_index: index };
        events.push(note("process_sort_index", pid, 0, order));
        for (slot, bars) in slots {
            let tid = slot.saturating_add(1);
            let name = format!("slot {slot}");
            events.push(note("thread_name", pid, tid, named(name.into())));
            put_bars(&mut events, bars, origin, pid, tid);
        }
    }
    put_waiting(&mut events, jobs, origin);
    serde_json::to_vec(&Trace {
        events,
        unit: "ms",
        about: Facts {
            program: "pump",
            version: env!("CARGO_PKG_VERSION"),
            command,
            jobs_left_out: jobs.iter().filter(|job| job.times.is_none()).count(),
        },
    })
}

/// Sorts the jobs into rows.
fn rows(jobs: &[Job]) -> Rows<'_> {
    let mut rows = Rows::new();
    let mut without = Vec::new();
    for job in jobs {
        let Some(times) = &job.times else { continue };
        let waited: u64 = times.outside.iter().map(Span::length).sum();
        if times.stays.is_empty() {
            without.push(Bar {
                job,
                from: times.start,
                to: times.end,
                steps: &times.outside,
                waited: 0,
                in_vain: false,
            });
        }
        let last = times.stays.len().saturating_sub(1);
        for (index, stay) in times.stays.iter().enumerate() {
            let slots = rows.entry(&stay.host).or_default();
            slots.entry(stay.slot).or_default().push(Bar {
                job,
                from: stay.from,
                to: stay.to,
                steps: &stay.steps,
                waited,
                in_vain: index < last,
            });
        }
    }
    if !without.is_empty() {
        rows.insert(NO_SLOT, side_by_side(without));
    }
    rows
}

/// Gives each bar the first row that is free by then.
fn side_by_side(mut bars: Vec<Bar<'_>>) -> BTreeMap<u32, Vec<Bar<'_>>> {
    bars.sort_by_key(|bar| bar.from);
    let mut free_at: Vec<u64> = Vec::new();
    let mut rows: BTreeMap<u32, Vec<Bar<'_>>> = BTreeMap::new();
    for bar in bars {
        let row = free_at.iter().position(|&free| free <= bar.from);
        let row = row.unwrap_or_else(|| {
            free_at.push(0);
            free_at.len() - 1
        });
        free_at[row] = bar.to;
        rows.entry(u32::try_from(row).unwrap_or(u32::MAX))
            .or_default()
            .push(bar);
    }
    rows
}

/// The spans of one row. Those of one row never overlap, whatever the journal says: viewers would nest them.
fn put_bars<'a>(
    events: &mut Vec<Event<'a>>,
    mut bars: Vec<Bar<'a>>,
    origin: u64,
    pid: usize,
    tid: u32,
) {
    bars.sort_by_key(|bar| (bar.from, bar.to));
    let mut free = 0;
    for bar in bars {
        let (from, to) = (bar.from.max(free), bar.to.max(free));
        free = to;
        let span = |name: Cow<'a, str>, category, from: u64, to: u64| Event {
            name,
            category: Some(category),
            kind: "X",
            at: from.saturating_sub(origin),
            duration: Some(to - from),
            pid,
            tid,
            colour: None,
            args: Arguments::Nothing {},
        };
        let source = match bar.job.source.as_str() {
            "" => "(no source)",
            source => source,
        };
        events.push(Event {
            colour: Some(colour(&bar)),
            args: Arguments::Job(facts(&bar)),
            ..span(source.into(), "job", from, to)
        });
        for (index, step) in bar.steps.iter().enumerate() {
            let (begin, end) = (step.from.max(from), step.to.max(from));
            let next = bar.steps.get(index + 1);
            let name = shown(&step.step, next.map(|next| next.step.as_str()), bar.job);
            events.push(span(name.into(), "step", begin, end));
        }
    }
}

/// A step's name for people.
fn shown<'a>(step: &'a str, next: Option<&str>, job: &Job) -> &'a str {
    match (step, next) {
        // With our servers, before it is known what they lack.
        ("compile", Some("send")) => "server looks what it lacks",
        ("compile", _) if job.answer == Some(Answer::Hit) => "server looks up the result",
        _ => step,
    }
}

fn colour(bar: &Bar<'_>) -> &'static str {
    match (bar.in_vain, bar.job.mode, &bar.job.answer) {
        (true, ..) => "terrible",
        (false, Mode::Pump, Some(Answer::Hit)) => "good",
        (false, Mode::Pump, _) => "thread_state_running",
        (false, Mode::Plain, _) => "thread_state_runnable",
        (false, Mode::Local, _) => "thread_state_iowait",
    }
}

fn facts<'a>(bar: &Bar<'a>) -> JobFacts<'a> {
    let job = bar.job;
    let (answer, why) = match &job.answer {
        None => (None, None),
        Some(Answer::Hit) => (Some("hit"), None),
        Some(Answer::Miss(why)) => (Some("miss"), Some(why.as_str())),
        Some(Answer::None(why)) => (Some("not kept"), Some(why.as_str())),
    };
    JobFacts {
        mode: match job.mode {
            Mode::Pump => "in pump mode",
            Mode::Plain => "preprocessed here",
            Mode::Local => "done here",
        },
        status: job.status,
        reason: &job.reason,
        answer,
        why,
        waited_us: bar.waited,
        in_vain: bar.in_vain,
    }
}

/// How many jobs waited for a slot, whenever that changed.
fn put_waiting(events: &mut Vec<Event<'_>>, jobs: &[Job], origin: u64) {
    let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
    let waits = jobs.iter().filter_map(|job| job.times.as_ref());
    let waits = waits.flat_map(|times| &times.outside);
    for wait in waits.filter(|span| span.step == "blocked") {
        *changes.entry(wait.from).or_default() += 1;
        *changes.entry(wait.to).or_default() -= 1;
    }
    let mut waiting: i64 = 0;
    for (at, change) in changes {
        waiting += change;
        if change != 0 {
            let jobs = usize::try_from(waiting).unwrap_or(0);
            events.push(Event {
                kind: "C",
                at: at.saturating_sub(origin),
                ..note("jobs that wait for a slot", 0, 0, Arguments::Count { jobs })
            });
        }
    }
}

/// An event without a time: something about a row.
fn note<'a>(name: &'a str, pid: usize, tid: u32, args: Arguments<'a>) -> Event<'a> {
    Event {
        name: name.into(),
        category: None,
        kind: "M",
        at: 0,
        duration: None,
        pid,
        tid,
        colour: None,
        args,
    }
}

/// Whether there is something that is written to rather than replaced: a pipe, a terminal.
#[must_use]
pub fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file())
}

/// Puts a trace in its place: whole, or not at all.
///
/// # Errors
/// [`PumpError::Trace`].
pub fn write(path: &Path, text: &[u8]) -> Result<(), PumpError> {
    let put = || -> io::Result<()> {
        if is_special(path) || path.is_symlink() {
            return std::fs::write(path, text);
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut builder = tempfile::Builder::new();
        // As any new file: what the umask leaves.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let mut file = builder.permissions(mode).tempfile_in(directory)?;
        file.write_all(text)?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|cause| PumpError::Trace {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pump::times::Times;
    use serde_json::Value;

    fn job(source: &str, mode: Mode, times: &str) -> Job {
        Job {
            mode,
            host: String::new(),
            status: 0,
            reason: String::new(),
            answer: None,
            source: source.to_owned(),
            times: Times::parse(times),
        }
    }

    fn events(jobs: &[Job]) -> Vec<Value> {
        let text = render(jobs, 900, "make -j2").expect("it can be said");
        let mut trace: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(trace["otherData"]["command"], "make -j2");
        let Value::Array(events) = trace["traceEvents"].take() else {
            panic!("{trace}");
        };
        events
    }

    /// Fails when two spans of a row overlap without one lying in the other.
    fn assert_nested(events: &[Value]) {
        let mut open: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
        let number = |value: &Value| value.as_u64().expect("a number");
        let mut spans: Vec<(u64, u64, u64, u64)> = events
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| {
                let from = number(&event["ts"]);
                let to = from + number(&event["dur"]);
                (number(&event["pid"]), number(&event["tid"]), from, to)
            })
            .collect();
        spans.sort_by_key(|&(pid, tid, from, to)| (pid, tid, from, std::cmp::Reverse(to)));
        for (pid, tid, from, to) in spans {
            let open = open.entry((pid, tid)).or_default();
            open.retain(|&(_, end)| end > from);
            assert!(open.iter().all(|&(_, end)| end >= to), "{pid} {tid} {from}");
            open.push((from, to));
        }
    }

    fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
        events
            .iter()
            .filter(|event| event["name"] == name)
            .collect()
    }

    #[test]
    fn a_row_for_each_slot_and_a_span_for_each_job() {
        let mut hit = job(
            "b.c",
            Mode::Pump,
            "1010 @box:3632/0+5 scan+5 compile+6 free+10 end+11",
        );
        hit.answer = Some(Answer::Hit);
        let jobs = [
            job(
                "a.c",
                Mode::Pump,
                "1000 blocked+1 @box:3632/0+2 scan+2 send+4 compile+6 send+7 compile+8 free+12 end+13",
            ),
            hit,
            job(
                "c.c",
                Mode::Local,
                "1000 blocked+2 @box:3632/1+3 connect+3 free+9 blocked+10 @localhost/0+11 compile+11 free+20 end+21",
            ),
            job("d", Mode::Local, "1001 compile+1 end+9"),
            job("e", Mode::Local, "1002 compile+1 end+9"),
            job("old", Mode::Local, ""),
        ];
        let events = events(&jobs);
        assert_nested(&events);
        let a = named(&events, "a.c")[0];
        assert_eq!((&a["ts"], &a["dur"]), (&102.into(), &10.into()));
        assert_eq!(a["args"]["waited_us"], 1);
        let b = named(&events, "b.c")[0];
        assert_eq!((&b["pid"], &b["tid"]), (&a["pid"], &a["tid"]));
        assert_eq!(b["args"]["answer"], "hit");
        let c = named(&events, "c.c");
        assert_eq!(c.len(), 2);
        assert_eq!(c[0]["args"]["in_vain"], true);
        assert_eq!(c[1]["args"]["in_vain"], Value::Null);
        assert_ne!(named(&events, "d")[0]["tid"], named(&events, "e")[0]["tid"]);
        assert!(named(&events, "old").is_empty());
        assert_eq!(named(&events, "server looks what it lacks").len(), 1);
        assert_eq!(named(&events, "server looks up the result").len(), 1);
        let hosts: Vec<_> = named(&events, "process_name")
            .iter()
            .map(|event| event["args"]["name"].clone())
            .collect();
        assert_eq!(hosts, ["box:3632", "localhost", NO_SLOT]);
        let waiting = named(&events, "jobs that wait for a slot");
        let counts: Vec<_> = waiting
            .iter()
            .map(|event| event["args"]["jobs"].clone())
            .collect();
        assert_eq!(counts, [1, 0, 1, 0]);
    }

    #[test]
    fn spans_of_a_row_never_overlap_whatever_the_journal_says() {
        let jobs = [
            job(
                "a.c",
                Mode::Pump,
                "1000 @h/0+0 scan+1 compile+5 free+50 end+50",
            ),
            job(
                "b.c",
                Mode::Pump,
                "1010 @h/0+0 scan+1 compile+5 free+60 end+60",
            ),
            job("c.c", Mode::Pump, "1020 @h/0+0 scan+1 free+2 end+60"),
        ];
        assert_nested(&events(&jobs));
    }

    #[test]
    fn any_name_is_text() {
        let name = "</script>\u{1b}[2J\"\\.c";
        let jobs = [job(name, Mode::Pump, "1 @h/0+0 scan+1 free+2 end+3")];
        assert_eq!(named(&events(&jobs), name).len(), 1);
        assert!(events(&[]).is_empty());
    }

    #[test]
    fn a_trace_is_put_in_its_place_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("trace.json");
        for text in ["one", "two"] {
            write(&path, text.as_bytes()).expect("it can be written");
            assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("it is there").count(),
            1
        );
        let error = write(&dir.path().join("no/trace"), b"").expect_err("no directory");
        assert!(error.to_string().contains("no/trace"), "{error}");
    }
}
