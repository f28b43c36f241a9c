//! A [`Scene`] drawn into a buffer of any size. Pure; owns no state.
//!
//! From the top: the session, its counts, hosts with a letter for each slot, jobs that run, reasons, the keys. What there is no
//! room for is left out, the least important first.

use super::paint::{
    ELSEWHERE, HEADING, HERE, HIT, MIDDLE, PREPROCESSED, QUIET, WRONG, letter, percent, shown_age,
};
use super::scene::{Counts, Scene};
use super::tables::{hosts_table, jobs_table, reasons_table};
use crate::job_state::Phase;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Where a picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To a terminal, with colours, by a person who can press keys.
    Screen,
    /// To whoever reads text.
    Text,
}

/// Lines of each part.
struct Heights {
    bar: u16,
    gap: u16,
    hosts: u16,
    jobs: u16,
    reasons: u16,
    keys: u16,
}

/// The lines that a scene would fill, all of it.
#[must_use]
pub fn height(scene: &Scene) -> u16 {
    let lines = |count: usize| {
        u16::try_from(count)
            .unwrap_or(u16::MAX / 8)
            .min(u16::MAX / 8)
    };
    let reasons = scene
        .counts
        .as_ref()
        .map_or(0, |counts| counts.reasons.0.len());
    let trouble = u16::from(scene.trouble.is_some());
    let reasons = if reasons > 0 { lines(reasons) + 3 } else { 0 };
    3 + trouble + lines(scene.hosts.len()) + 2 + lines(scene.jobs.len().max(1)) + 2 + reasons
}

/// Draws.
pub fn draw(scene: &Scene, form: Form, area: Rect, buffer: &mut Buffer) {
    let mut rest = area.intersection(buffer.area);
    put(buffer, &mut rest, title(scene, area.width));
    put(buffer, &mut rest, counts_line(scene, area.width));
    if let Some(trouble) = &scene.trouble {
        put(
            buffer,
            &mut rest,
            Line::styled(trouble.as_str(), Style::new().fg(WRONG)),
        );
    }
    let heights = share(scene, form, rest.height);
    if heights.bar > 0
        && let Some(counts) = &scene.counts
    {
        put(buffer, &mut rest, fates_bar(counts, area.width));
    }
    if heights.keys > 0 {
        rest.height -= 1;
        let line = Rect {
            y: rest.bottom(),
            height: 1,
            ..rest
        };
        keys(scene, area.width).render(line, buffer);
    }
    rest = below(rest, heights.gap);
    hosts_table(scene, take(&mut rest, heights.hosts), buffer);
    rest = below(rest, heights.gap);
    jobs_table(scene, take(&mut rest, heights.jobs), buffer);
    rest = below(rest, heights.gap);
    if let Some(counts) = &scene.counts {
        reasons_table(counts, take(&mut rest, heights.reasons), buffer);
    }
}

/// Shares the lines below the first ones out.
fn share(scene: &Scene, form: Form, height: u16) -> Heights {
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let reasons = scene
        .counts
        .as_ref()
        .map_or(0, |counts| counts.reasons.0.len());
    let is_screen = form == Form::Screen;
    let keys = u16::from(is_screen && height >= 7);
    // Without colours it says nothing.
    let bar = u16::from(is_screen && height >= 12 && scene.counts.is_some());
    let gap = u16::from(height >= 16);
    let gaps = gap * if reasons > 0 { 3 } else { 2 };
    let room = height.saturating_sub(keys + bar + gaps);
    let wanted_hosts = lines(scene.hosts.len()).saturating_add(1);
    let wanted_jobs = lines(scene.jobs.len().max(1)).saturating_add(1);
    let wanted_reasons = if reasons > 0 {
        lines(reasons).saturating_add(1)
    } else {
        0
    };
    // Each has what it wants up to a part of the room that is its own; what is left over goes to the others in this order.
    let least_hosts = wanted_hosts.min((room / 3).max(3));
    let least_reasons = if room < 9 {
        0
    } else {
        wanted_reasons.min((room / 4).max(3))
    };
    let mut hosts = least_hosts.min(room);
    let mut reasons = least_reasons.min(room - hosts);
    let jobs = wanted_jobs.min(room - hosts - reasons);
    hosts = wanted_hosts.min(room - jobs - reasons);
    reasons = wanted_reasons.min(if room < 9 { 0 } else { room - hosts - jobs });
    Heights {
        bar,
        gap,
        hosts,
        jobs,
        reasons,
        keys,
    }
}

fn put(buffer: &mut Buffer, rest: &mut Rect, line: Line<'_>) {
    line.render(take(rest, 1), buffer);
}

/// Cuts lines off at the top.
fn take(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let part = Rect { height, ..*rest };
    *rest = below(*rest, height);
    part
}

fn below(rest: Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    Rect {
        y: rest.y + height,
        height: rest.height - height,
        ..rest
    }
}

fn title(scene: &Scene, width: u16) -> Line<'static> {
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    let mut right = String::new();
    let left = match &scene.session {
        None => " pump top  no session of pump runs".to_owned(),
        Some(session) => {
            if session.place.1 > 1 {
                right = format!("session {} of {}  ", session.place.0, session.place.1);
            }
            if session.is_over {
                right.push_str("over after ");
            } else if let Some(counts) = &scene.counts
                && counts.rate > 0.0
                && width >= MIDDLE
            {
                right.push_str(&format!("{:.1} jobs/s  ", counts.rate));
            }
            right.push_str(&session.age.map(shown_age).unwrap_or_default());
            let command = match session.command.as_str() {
                "" => "a session of pump --startup",
                command => command,
            };
            format!(" pump top  {command}")
        }
    };
    let width = usize::from(width);
    let right = Span::raw(format!(" {right} "));
    let room = width.saturating_sub(right.width());
    let left = fitted(&left, room);
    let line = Line::from(vec![Span::raw(left), right]);
    line.style(bar)
}

/// A text cut or filled up to exactly this many columns.
fn fitted(text: &str, columns: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    for character in text.chars() {
        let next = Span::raw(character.to_string()).width();
        if used + next > columns {
            break;
        }
        used += next;
        fitted.push(character);
    }
    fitted.extend(std::iter::repeat_n(' ', columns - used));
    fitted
}

fn counts_line(scene: &Scene, width: u16) -> Line<'static> {
    let running = scene
        .jobs
        .iter()
        .filter(|job| !job.place.is_empty())
        .count();
    let waiting = scene.jobs.len() - running;
    let mut spans = vec![Span::styled(format!(" {running} running"), HEADING)];
    if waiting > 0 {
        spans.push(Span::raw(format!("  {waiting} waiting")));
    }
    let Some(counts) = &scene.counts else {
        return Line::from(spans);
    };
    let [hits, misses, plain, here] = counts.fates;
    spans.push(Span::raw(format!("  {} done", counts.total())));
    let mut more = Vec::new();
    if counts.failed > 0 {
        more.push((format!("  {} failed", counts.failed), WRONG));
    }
    more.push((format!("  {} pump", hits + misses), ELSEWHERE));
    if counts.hits.0 > 0 {
        let share = percent(counts.hits.1, counts.hits.0);
        more.push((format!("  {share} hits"), HIT));
    }
    let at_plain = more.len();
    more.push((format!("  {plain} preprocessed here"), PREPROCESSED));
    more.push((format!("  {here} done here"), HERE));
    let used: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used);
    if more.iter().map(|(text, _)| text.len()).sum::<usize>() > room {
        more[at_plain].0 = format!("  {plain} cpp");
        more[at_plain + 1].0 = format!("  {here} local");
    }
    // What does not fit even so is left out as a whole.
    let mut used = 0;
    for (text, colour) in more {
        used += text.len();
        if used > room {
            break;
        }
        spans.push(Span::styled(text, colour));
    }
    Line::from(spans)
}

/// A line whose parts are as long as the shares of how jobs were done.
fn fates_bar(counts: &Counts, width: u16) -> Line<'static> {
    let colours = [HIT, ELSEWHERE, PREPROCESSED, HERE];
    let total = counts.total();
    let width = usize::from(width.saturating_sub(2));
    if total == 0 {
        return Line::styled(format!(" {}", "░".repeat(width)), QUIET);
    }
    let mut spans = vec![Span::raw(" ")];
    let (mut seen, mut drawn) = (0, 0);
    for (count, colour) in counts.fates.into_iter().zip(colours) {
        seen += count;
        // Rounded up, so that a single job is seen.
        let end = (seen * width).div_ceil(total);
        spans.push(Span::styled("█".repeat(end - drawn), colour));
        drawn = end;
    }
    Line::from(spans)
}

fn keys(scene: &Scene, width: u16) -> Line<'static> {
    let mut spans = vec![Span::raw(" q quit")];
    if scene
        .session
        .as_ref()
        .is_some_and(|session| session.place.1 > 1)
    {
        spans.push(Span::raw("  Tab next session"));
    }
    if width >= MIDDLE {
        spans.push(Span::raw("   slots:"));
        for (phase, word) in [
            (Phase::Preprocess, "preprocess"),
            (Phase::Connect, "connect"),
            (Phase::Send, "send"),
            (Phase::Compile, "compile"),
            (Phase::Receive, "receive"),
        ] {
            let (letter, colour) = letter(phase);
            spans.push(Span::styled(format!(" {letter}"), HEADING.fg(colour)));
            spans.push(Span::styled(format!(" {word}"), QUIET));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::super::scene::{HostView, JobView, SessionView};
    use super::super::servers::Page;
    use super::super::tally::{HostTally, Kind};
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Duration;

    fn host(name: &str, slots: &[Option<Phase>]) -> HostView {
        HostView {
            name: name.to_owned(),
            slots: slots.to_vec(),
            ..HostView::default()
        }
    }

    fn job(phase: Phase, place: &str, file: &str) -> JobView {
        JobView {
            phase: Some(phase),
            age: Duration::from_millis(3210),
            place: place.to_owned(),
            file: file.to_owned(),
        }
    }

    fn scene() -> Scene {
        let mut box1 = host(
            "box1",
            &[Some(Phase::Compile), Some(Phase::Preprocess), None],
        );
        box1.tally = HostTally {
            done: 113,
            answered: 100,
            hits: 44,
        };
        box1.page = Some(Page {
            slots: Some(8),
            busy: Some(3),
            results: Some((1, 3)),
            load: None,
        });
        let mut box2 = host("box2", &[None; 2]);
        box2.is_down = true;
        let mut here = host("here", &[Some(Phase::Compile), None]);
        here.is_here = true;
        Scene {
            session: Some(SessionView {
                command: "make -j8".to_owned(),
                age: Some(Duration::from_secs(62)),
                is_over: false,
                place: (1, 1),
            }),
            hosts: vec![box1, box2, here],
            jobs: vec![
                job(Phase::Compile, "box1/0", "format.c"),
                job(Phase::Preprocess, "box1/1", "lexer.cpp"),
                job(Phase::Compile, "here/0", ""),
                job(Phase::Blocked, "", "waits.c"),
            ],
            counts: Some(Counts {
                fates: [44, 57, 2, 11],
                failed: 1,
                hits: (100, 44),
                rate: 3.1,
                reasons: (
                    vec![
                        (Kind::Miss, "not compiled here before".to_owned(), 45),
                        (Kind::Local, "links, so runs here".to_owned(), 11),
                    ],
                    2,
                ),
            }),
            trouble: None,
        }
    }

    /// What a terminal of this size shows.
    fn shown(scene: &Scene, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let drawn = terminal.draw(|frame| {
            draw(scene, Form::Screen, frame.area(), frame.buffer_mut());
        });
        let buffer = drawn.expect("it is drawn").buffer;
        let line = |y| -> String {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn everything_has_its_place_at_80_by_24() {
        let lines = shown(&scene(), 80, 24);
        let bar = format!(" {}", "█".repeat(78));
        let expected = [
            " pump top  make -j8                                            3.1 jobs/s  1:02",
            " 3 running  1 waiting  114 done  1 failed  101 pump  44% hits  2 cpp  11 local",
            &bar,
            "",
            " HOST                    SLOTS BUSY     DONE  HITS  SERVER SAYS",
            " box1                    CP·   2/3       113   44%  3 of 8 busy, 25% hits",
            " box2                    down  0/2         0",
            " here                    C·    1/2         0",
            "",
            " PHASE        TIME HOST/SLOT                  FILE",
            " compile      3.2s box1/0                     format.c",
            " preprocess   3.2s box1/1                     lexer.cpp",
            " compile      3.2s here/0                     (no source: a link)",
            " wait         3.2s                            waits.c",
            "",
            " COUNT WHAT          WHY",
            "    45 no result     not compiled here before",
            "    11 here          links, so runs here",
        ];
        assert_eq!(lines[..expected.len()], expected);
        assert!(
            lines[23].starts_with(" q quit   slots: P preprocess"),
            "{}",
            lines[23]
        );
    }

    #[test]
    fn a_small_terminal_has_the_most_important_lines() {
        let lines = shown(&scene(), 40, 10);
        assert_eq!(lines.len(), 10);
        assert!(
            lines[0].contains("make -j8") && lines[0].contains("1:02"),
            "{lines:#?}"
        );
        let hosts = [" HOST         SLOTS BUSY", " box1         CP·   2/3"];
        assert_eq!(lines[2..4], hosts, "{lines:#?}");
        assert!(
            lines.iter().any(|line| line.contains("format.c")),
            "{lines:#?}"
        );
        assert_eq!(lines[9], " q quit");
    }

    #[test]
    fn no_size_and_no_scene_is_too_odd() {
        let mut crowded = scene();
        crowded.hosts = (0..90)
            .map(|n| host(&format!("h{n}"), &[None; 300]))
            .collect();
        crowded.jobs = vec![job(Phase::Send, "h1/0", &"x".repeat(500)); 900];
        crowded.trouble = Some("no hostlist is set".to_owned());
        let mut wide = scene();
        wide.session = Some(SessionView {
            command: "名".repeat(300),
            age: None,
            is_over: true,
            place: (2, 3),
        });
        for scene in [scene(), crowded, wide, Scene::default()] {
            for width in (0..90).chain([200, 500]) {
                for height in [0, 1, 2, 3, 5, 7, 9, 10, 12, 16, 24, 60] {
                    let lines = shown(&scene, width, height);
                    assert_eq!(lines.len(), usize::from(height));
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut scene = scene();
        scene.jobs = (0..40)
            .map(|n| job(Phase::Compile, "box1/0", &format!("f{n}.c")))
            .collect();
        let lines = shown(&scene, 80, 24);
        let last = lines.iter().position(|line| line.contains("more"));
        let last = last.expect("a line says so");
        let seen = lines.iter().filter(|line| line.contains(".c")).count();
        let rest = format!("and {} more", 40 - seen);
        assert!(lines[last].ends_with(&rest), "{lines:#?}");
    }

    #[test]
    fn text_has_everything_and_no_keys() {
        let scene = scene();
        let area = Rect::new(0, 0, 80, height(&scene));
        let mut buffer = Buffer::empty(area);
        draw(&scene, Form::Text, area, &mut buffer);
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(
            text.contains("links, so runs here") && text.contains("waits.c"),
            "{text}"
        );
        assert!(!text.contains("q quit") && !text.contains('█'), "{text}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(fitted("名名a", 4), "名名");
        assert_eq!(fitted("名名", 3), "名 ");
    }
}
