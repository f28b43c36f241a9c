//! The three tables of a picture: hosts, jobs, reasons. Pure; owns no state.

use super::paint::{
    HEADING, HERE, HIT, MIDDLE, QUIET, WIDE, kind_word, letter, percent, phase_word, shown_time,
};
use super::scene::{Counts, HostView, JobView, Scene};
use crate::job_state::Phase;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table, Widget};

/// A letter for each slot: what is done there. More slots than fit end with a `+`.
fn slots_line(host: &HostView, width: u16) -> Line<'static> {
    if host.is_down {
        return Line::styled("down", QUIET);
    }
    let width = usize::from(width);
    let too_many = host.slots.len() > width;
    let count = if too_many {
        width.saturating_sub(1)
    } else {
        host.slots.len()
    };
    let mut spans: Vec<Span<'static>> = host
        .slots
        .iter()
        .take(count)
        .map(|slot| match slot {
            None => Span::styled("·", QUIET),
            Some(phase) => {
                let (letter, colour) = letter(*phase);
                let colour = if host.is_here && *phase == Phase::Compile {
                    HERE
                } else {
                    colour
                };
                Span::styled(letter, HEADING.fg(colour))
            }
        })
        .collect();
    if too_many {
        spans.push(Span::styled("+", QUIET));
    }
    Line::from(spans)
}

pub(super) fn hosts_table(scene: &Scene, area: Rect, buffer: &mut Buffer) {
    let width = area.width;
    let name = if width >= WIDE {
        24
    } else {
        (width / 3).max(8)
    };
    let slots = width.saturating_sub(name + 6 + 1) / 2;
    let longest = scene.hosts.iter().map(|host| host.slots.len()).max();
    let longest = u16::try_from(longest.unwrap_or(0)).unwrap_or(u16::MAX);
    let slots = slots.min(longest.max(5)).max(1);
    let mut heads = vec![" HOST", "SLOTS", "BUSY"];
    let mut widths = vec![name, slots, 7];
    if width >= MIDDLE {
        heads.extend([" DONE", "HITS"]);
        widths.extend([6, 5]);
    }
    if width >= WIDE {
        heads.push("SERVER SAYS");
        widths.push(24);
    }
    let rows = scene.hosts.iter().map(|host| {
        let busy = host.slots.iter().flatten().count();
        let mut cells = vec![
            Cell::from(format!(" {}", host.name)),
            Cell::from(slots_line(host, slots)),
            Cell::from(format!("{busy}/{}", host.slots.len())),
        ];
        if width >= MIDDLE {
            let hits = match host.tally.answered {
                0 => String::new(),
                answered => format!("{:>4}", percent(host.tally.hits, answered)),
            };
            cells.push(Cell::from(format!("{:>5}", host.tally.done)));
            cells.push(Cell::from(Span::styled(hits, HIT)));
        }
        if width >= WIDE {
            cells.push(Cell::from(server_says(host)));
        }
        Row::new(cells)
    });
    table(rows, heads, widths, area, buffer, scene.hosts.len());
}

fn server_says(host: &HostView) -> String {
    let Some(page) = &host.page else {
        return String::new();
    };
    let mut parts = Vec::new();
    match (page.busy, page.slots) {
        (Some(busy), Some(slots)) => parts.push(format!("{busy} of {slots} busy")),
        (None, Some(slots)) => parts.push(format!("{slots} jobs")),
        _ => {}
    }
    if let Some((hits, compiled)) = page.results
        && hits + compiled > 0
    {
        parts.push(format!("{}% hits", hits * 100 / (hits + compiled)));
    }
    if let Some(load) = page.load {
        parts.push(format!("load {load:.1}"));
    }
    parts.join(", ")
}

pub(super) fn jobs_table(scene: &Scene, area: Rect, buffer: &mut Buffer) {
    let width = area.width;
    let mut heads = vec![" PHASE", "  TIME"];
    let mut widths = vec![11, 6];
    if width >= MIDDLE {
        heads.push("HOST/SLOT");
        widths.push(26.min(width / 3));
    }
    heads.push("FILE");
    widths.push(width);
    let rows = scene.jobs.iter().map(|job| {
        let (word, colour) = phase_word(job.phase);
        let mut cells = vec![
            Cell::from(Span::styled(format!(" {word}"), colour)),
            Cell::from(format!("{:>6}", shown_time(job.age))),
        ];
        if width >= MIDDLE {
            cells.push(Cell::from(job.place.as_str()));
        }
        cells.push(Cell::from(file(job)));
        Row::new(cells)
    });
    table(rows, heads, widths, area, buffer, scene.jobs.len());
}

fn file(job: &JobView) -> &str {
    match job.file.as_str() {
        "" => "(no source: a link)",
        file => file,
    }
}

pub(super) fn reasons_table(counts: &Counts, area: Rect, buffer: &mut Buffer) {
    let (reasons, all) = &counts.reasons;
    let rows = reasons.iter().map(|(kind, reason, count)| {
        let (word, colour) = kind_word(*kind);
        Row::new([
            Cell::from(format!("{count:>6}")),
            Cell::from(Span::styled(word, colour)),
            Cell::from(reason.as_str()),
        ])
    });
    let heads = vec![" COUNT", "WHAT", "WHY"];
    table(rows, heads, vec![6, 13, area.width], area, buffer, *all);
}

/// A table with a heading; what does not fit is counted in its last line.
fn table<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    heads: Vec<&'static str>,
    widths: Vec<u16>,
    area: Rect,
    buffer: &mut Buffer,
    all: usize,
) {
    if area.height == 0 {
        return;
    }
    let room = usize::from(area.height) - 1;
    let shown = if all > room {
        room.saturating_sub(1)
    } else {
        all
    };
    let columns = widths.len();
    let mut rows: Vec<Row<'a>> = rows.take(shown).collect();
    if all > room && room > 0 {
        let text = format!(" and {} more", all - rows.len());
        let mut cells = vec![Cell::from(""); columns];
        // In the column that has the room.
        cells[columns - 1] = Cell::from(Span::styled(text.trim_start().to_owned(), QUIET));
        rows.push(Row::new(cells));
    } else if all == 0 && room > 0 {
        rows.push(Row::new([Cell::from(Span::styled(" none", QUIET))]));
    }
    // The last column takes what is left.
    let constraints = widths.iter().enumerate().map(|(index, &width)| {
        if index + 1 == columns {
            Constraint::Fill(1)
        } else {
            Constraint::Length(width)
        }
    });
    let table = Table::new(rows, constraints)
        .header(Row::new(heads).style(HEADING))
        .column_spacing(1);
    Widget::render(table, area, buffer);
}
