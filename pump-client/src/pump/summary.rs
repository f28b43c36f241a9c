//! What `pump` says at the end: how many jobs went where, and why some did not go in pump mode. Pure; owns no state.

use super::journal::{Answer, Job, Mode};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many reasons are listed.
const REASONS: usize = 10;

/// The summary's lines. `incidents` are what happened to the session itself.
#[must_use]
pub fn render(jobs: &[Job], incidents: &[String]) -> String {
    let mut text = String::new();
    let count = |mode: Mode| jobs.iter().filter(|job| job.mode == mode).count();
    let total = jobs.len();
    if total == 0 {
        text.push_str("__________Summary: no compile went through distcc\n");
    } else {
        let jobs_word = if total == 1 { "job" } else { "jobs" };
        let _ = writeln!(
            text,
            "__________Summary: {total} {jobs_word}: {} in pump mode, {} preprocessed here, {} done here",
            count(Mode::Pump),
            count(Mode::Plain),
            count(Mode::Local),
        );
        put_hosts(&mut text, jobs);
        put_answers(&mut text, jobs);
        put_reasons(&mut text, "preprocessed here", jobs, |job| {
            (job.mode == Mode::Plain).then_some(&job.reason)
        });
        put_reasons(&mut text, "done here", jobs, |job| {
            (job.mode == Mode::Local && !is_done_twice(job)).then_some(&job.reason)
        });
        put_reasons(
            &mut text,
            "done here after a server had failed",
            jobs,
            |job| is_done_twice(job).then_some(&job.reason),
        );
    }
    for incident in incidents {
        let _ = writeln!(text, "  {incident}");
    }
    text
}

/// A job that a server got and that was then done here all the same.
fn is_done_twice(job: &Job) -> bool {
    job.mode == Mode::Local && job.host != "localhost"
}

fn put_hosts(text: &mut String, jobs: &[Job]) {
    let mut hosts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for job in jobs {
        let counts = match job.mode {
            Mode::Pump => (1, 0),
            Mode::Plain => (0, 1),
            Mode::Local => continue,
        };
        let sum = hosts.entry(&job.host).or_default();
        *sum = (sum.0 + counts.0, sum.1 + counts.1);
    }
    for (host, (pump, plain)) in hosts {
        let _ = match plain {
            0 => writeln!(text, "  {host}: {pump}"),
            _ => writeln!(
                text,
                "  {host}: {pump} in pump mode, {plain} preprocessed here"
            ),
        };
    }
}

/// What the servers had done before, and why not the rest.
fn put_answers(text: &mut String, jobs: &[Job]) {
    let answered = jobs.iter().filter(|job| job.answer.is_some()).count();
    let hits = jobs.iter().filter(|job| job.answer == Some(Answer::Hit));
    let hits = hits.count();
    if answered > 0 {
        let _ = writeln!(
            text,
            "  {hits} of {answered} were answered with the result of an earlier compile"
        );
    }
    put_reasons(
        text,
        "compiled, and kept for the next time",
        jobs,
        |job| match &job.answer {
            Some(Answer::Miss(why)) => Some(why),
            _ => None,
        },
    );
    put_reasons(text, "compiled, and not kept", jobs, |job| {
        match &job.answer {
            Some(Answer::None(why)) => Some(why),
            _ => None,
        }
    });
}

/// One line for each reason, the most frequent first.
fn put_reasons<'a>(
    text: &mut String,
    title: &str,
    jobs: &'a [Job],
    reason: impl Fn(&'a Job) -> Option<&'a String>,
) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in jobs.iter().filter_map(reason) {
        let reason = if reason.is_empty() {
            "no reason was given"
        } else {
            reason.as_str()
        };
        *counts.entry(reason).or_default() += 1;
    }
    if counts.is_empty() {
        return;
    }
    let mut reasons: Vec<(&str, usize)> = counts.into_iter().collect();
    reasons.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    let _ = writeln!(text, "  {title}:");
    for (reason, count) in reasons.iter().take(REASONS) {
        let _ = writeln!(text, "  {count:>6}  {reason}");
    }
    if reasons.len() > REASONS {
        let rest: usize = reasons[REASONS..].iter().map(|(_, count)| count).sum();
        let _ = writeln!(
            text,
            "  {rest:>6}  for {} more reasons",
            reasons.len() - REASONS
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(mode: Mode, host: &str, reason: &str) -> Job {
        Job {
            mode,
            host: host.to_owned(),
            status: 0,
            reason: reason.to_owned(),
            answer: None,
            source: String::new(),
            times: None,
        }
    }

    #[test]
    fn everything_is_counted() {
        let mut jobs = vec![job(Mode::Pump, "127.0.0.1:4000", ""); 40];
        jobs.push(job(Mode::Pump, "box:3632", ""));
        jobs[0].answer = Some(Answer::Hit);
        jobs[1].answer = Some(Answer::Hit);
        jobs[2].answer = Some(Answer::Miss("a.h has changed".to_owned()));
        jobs[3].answer = Some(Answer::None("b.c mentions __DATE__".to_owned()));
        jobs.push(job(Mode::Plain, "box:3632", "the source uses __DATE__"));
        jobs.push(job(Mode::Local, "localhost", "configure probe"));
        jobs.extend(vec![job(Mode::Local, "localhost", "link step"); 2]);
        jobs.push(job(
            Mode::Local,
            "box:3632",
            "the server closed the connection",
        ));
        let incidents = ["the include server stopped 1 time and was started again".to_owned()];
        let expected = [
            "__________Summary: 46 jobs: 41 in pump mode, 1 preprocessed here, 4 done here",
            "  127.0.0.1:4000: 40",
            "  box:3632: 1 in pump mode, 1 preprocessed here",
            "  2 of 4 were answered with the result of an earlier compile",
            "  compiled, and kept for the next time:",
            "       1  a.h has changed",
            "  compiled, and not kept:",
            "       1  b.c mentions __DATE__",
            "  preprocessed here:",
            "       1  the source uses __DATE__",
            "  done here:",
            "       2  link step",
            "       1  configure probe",
            "  done here after a server had failed:",
            "       1  the server closed the connection",
            "  the include server stopped 1 time and was started again",
        ];
        assert_eq!(
            render(&jobs, &incidents).lines().collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn at_most_ten_reasons() {
        let jobs: Vec<Job> = (0..13)
            .map(|n| job(Mode::Local, "localhost", &format!("reason {n:02}")))
            .collect();
        let text = render(&jobs, &[]);
        assert!(
            text.contains("reason 09") && !text.contains("reason 10"),
            "{text}"
        );
        assert!(text.ends_with("       3  for 3 more reasons\n"), "{text}");
    }

    #[test]
    fn nothing_to_tell() {
        let expected = ["__________Summary: no compile went through distcc"];
        assert_eq!(render(&[], &[]).lines().collect::<Vec<_>>(), expected);
    }
}
