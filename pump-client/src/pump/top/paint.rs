//! What colours, letters and words mean in a picture. Pure; owns no state.
//!
//! Green is answered with an earlier result, cyan is compiled elsewhere, yellow is preprocessed here, magenta is done here, red is
//! wrong.

use super::tally::Kind;
use crate::job_state::Phase;
use ratatui::style::{Color, Modifier, Style};
use std::time::Duration;

pub(super) const HIT: Color = Color::Green;
pub(super) const ELSEWHERE: Color = Color::Cyan;
pub(super) const PREPROCESSED: Color = Color::Yellow;
pub(super) const HERE: Color = Color::Magenta;
pub(super) const WRONG: Color = Color::Red;
pub(super) const QUIET: Style = Style::new().fg(Color::DarkGray);
pub(super) const HEADING: Style = Style::new().add_modifier(Modifier::BOLD);

/// From this width on a picture has all columns.
pub(super) const WIDE: u16 = 76;

/// From this width on it has most.
pub(super) const MIDDLE: u16 = 56;

pub(super) fn percent(part: usize, whole: usize) -> String {
    format!("{}%", part * 100 / whole.max(1))
}

pub(super) fn letter(phase: Phase) -> (&'static str, Color) {
    match phase {
        Phase::Startup | Phase::Blocked | Phase::Done => ("?", Color::Reset),
        Phase::Connect => ("N", Color::Blue),
        Phase::Preprocess => ("P", PREPROCESSED),
        Phase::Send => ("S", Color::Blue),
        Phase::Compile => ("C", ELSEWHERE),
        Phase::Receive => ("R", HIT),
    }
}

pub(super) fn phase_word(phase: Option<Phase>) -> (&'static str, Color) {
    match phase {
        None => ("unknown", WRONG),
        Some(Phase::Startup) => ("start", Color::Reset),
        Some(Phase::Blocked) => ("wait", Color::DarkGray),
        Some(Phase::Connect) => ("connect", Color::Blue),
        Some(Phase::Preprocess) => ("preprocess", PREPROCESSED),
        Some(Phase::Send) => ("send", Color::Blue),
        Some(Phase::Compile) => ("compile", ELSEWHERE),
        Some(Phase::Receive) => ("receive", HIT),
        Some(Phase::Done) => ("done", Color::Reset),
    }
}

pub(super) const fn kind_word(kind: Kind) -> (&'static str, Color) {
    match kind {
        Kind::Local => ("here", HERE),
        Kind::Failed => ("server failed", WRONG),
        Kind::Plain => ("cpp here", PREPROCESSED),
        Kind::Miss => ("no result", ELSEWHERE),
        Kind::NotKept => ("not kept", ELSEWHERE),
    }
}

/// Seconds, or minutes and seconds.
pub(super) fn shown_time(time: Duration) -> String {
    match time.as_secs() {
        0..=99 => format!("{:.1}s", time.as_secs_f64()),
        seconds => shown_age(Duration::from_secs(seconds)),
    }
}

pub(super) fn shown_age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_times() {
        assert_eq!(
            (percent(0, 0), percent(1, 3)),
            ("0%".to_owned(), "33%".to_owned())
        );
        assert_eq!(shown_time(Duration::from_millis(99_900)), "99.9s");
        assert_eq!(shown_time(Duration::from_secs(754)), "12:34");
        assert_eq!(shown_age(Duration::from_secs(3 * 3600 + 62)), "3:01:02");
    }
}
