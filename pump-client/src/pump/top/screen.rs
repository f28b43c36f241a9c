//! The terminal: `pump top` from its words to its end. Owns the terminal's mode, which is put back however this ends.

use super::draw::{Form, draw, height};
use super::options::TopOptions;
use super::watch::Watch;
use crate::pump::environment::Environment;
use crate::pump::error::PumpError;
use crate::pump::system::{Event as SystemEvent, Signals};
use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;
use ratatui::layout::Rect;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long servers have for their pages when there is only one picture.
const PAGES_WAIT: Duration = Duration::from_millis(1500);

/// Columns of a picture that goes to no terminal.
const COLUMNS: u16 = 80;

/// Something that happens while the screen is shown.
enum Happening {
    /// The person wants this to end.
    Quit,
    /// The person wants to see the next session.
    Next,
    /// The terminal has another size, or is to be drawn again.
    Redraw,
    /// A signal ends this.
    Signal(i32),
    /// The terminal is gone.
    Gone(io::Error),
}

/// Shows what runs until the person has seen enough.
///
/// # Errors
/// When the session that was named is none, or there is no terminal.
pub fn run(environment: &Environment, options: &TopOptions) -> Result<u8, PumpError> {
    let watch = Watch::new(environment, options).map_err(|error| PumpError::NoSession {
        directory: options.session.clone().unwrap_or_default(),
        error,
    })?;
    if options.once {
        return print_once(watch, environment);
    }
    if !io::stdout().is_terminal() {
        return Err(PumpError::NoTerminal);
    }
    // Before any other thread, so that they all leave signals to this one's handlers.
    let signals = Signals::take_over().map_err(PumpError::system("cannot handle signals"))?;
    let (sender, happenings) = channel();
    let screen = ratatui::try_init();
    let result = screen.and_then(|terminal| {
        spawn_listeners(signals, &sender);
        show(terminal, watch, options.interval, &happenings)
    });
    let restored = ratatui::try_restore();
    let code = result.map_err(PumpError::system("cannot use the terminal"))?;
    // A terminal that is gone cannot be put back.
    if code == 0 {
        restored.map_err(PumpError::system("cannot put the terminal back"))?;
    }
    Ok(code)
}

/// Draws until something ends it; the answer is the exit code.
fn show(
    mut terminal: DefaultTerminal,
    mut watch: Watch,
    interval: Duration,
    happenings: &Receiver<Happening>,
) -> io::Result<u8> {
    loop {
        let scene = watch.look();
        let next = Instant::now() + interval;
        loop {
            terminal.draw(|frame| draw(&scene, Form::Screen, frame.area(), frame.buffer_mut()))?;
            let left = next.saturating_duration_since(Instant::now());
            match happenings.recv_timeout(left) {
                Ok(Happening::Quit) => return Ok(0),
                Ok(Happening::Signal(signal)) => {
                    return Ok(u8::try_from(128 + signal).unwrap_or(1));
                }
                Ok(Happening::Gone(error)) => return Err(error),
                Ok(Happening::Next) => {
                    watch.next_session();
                    break;
                }
                Ok(Happening::Redraw) => {}
                Err(RecvTimeoutError::Timeout) => break,
                // The listeners are gone, and with them every way to end this but a signal.
                Err(RecvTimeoutError::Disconnected) => return Ok(1),
            }
        }
    }
}

/// Two threads that wait for keys and signals; they end with the program.
fn spawn_listeners(mut signals: Signals, sender: &Sender<Happening>) {
    let keys = sender.clone();
    std::thread::spawn(move || {
        loop {
            let happening = match event::read() {
                Ok(Event::Key(key)) => meaning(key),
                Ok(Event::Resize(..)) => Some(Happening::Redraw),
                Ok(_) => None,
                Err(error) => Some(Happening::Gone(error)),
            };
            let is_last = matches!(happening, Some(Happening::Gone(_)));
            if happening.is_some_and(|happening| keys.send(happening).is_err()) || is_last {
                return;
            }
        }
    });
    let ends = sender.clone();
    std::thread::spawn(move || {
        loop {
            let happening = match signals.wait(None) {
                Ok(events) => events.into_iter().find_map(|event| match event {
                    SystemEvent::End { signal, .. } => Some(Happening::Signal(signal)),
                    _ => None,
                }),
                Err(error) => Some(Happening::Gone(error)),
            };
            if let Some(happening) = happening {
                // Nobody listens any more when this is over.
                let _ = ends.send(happening);
                return;
            }
        }
    });
}

fn meaning(key: KeyEvent) -> Option<Happening> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if with_control => Some(Happening::Quit),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Happening::Quit),
        KeyCode::Tab => Some(Happening::Next),
        KeyCode::Char('l') if with_control => Some(Happening::Redraw),
        _ => None,
    }
}

/// One picture, all of it, as text.
fn print_once(mut watch: Watch, environment: &Environment) -> Result<u8, PumpError> {
    // The first look finds out which servers there are.
    watch.look();
    watch.wait_for_pages(PAGES_WAIT);
    let scene = watch.look();
    let columns = match environment.columns {
        Some(columns) => columns,
        None if io::stdout().is_terminal() => terminal::size().map_or(COLUMNS, |size| size.0),
        None => COLUMNS,
    };
    let area = Rect::new(0, 0, columns, height(&scene));
    let mut buffer = Buffer::empty(area);
    draw(&scene, Form::Text, area, &mut buffer);
    let text = plain(&buffer);
    let mut stdout = io::stdout().lock();
    let printed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(PumpError::System {
            what: "cannot print",
            cause: error,
        }),
        _ => Ok(0),
    }
}

/// A buffer's text without colours, and without blanks at the ends of lines or empty lines at the end.
fn plain(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut covered = 0;
        for x in buffer.area.left()..buffer.area.right() {
            let cell = &buffer[(x, y)];
            // The cell behind a wide character is part of it.
            if covered == 0 {
                line.push_str(cell.symbol());
                covered = ratatui::text::Span::raw(cell.symbol()).width().max(1);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
