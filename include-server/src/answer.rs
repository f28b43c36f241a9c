//! One query, one answer: interpret, scan, lay out, and put into the words of either dialogue.
//!
//! [`Answerer`] owns all that is remembered between queries. Whatever goes wrong in a query, a panic included, becomes a
//! [`Doubt`] for that query alone.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use protocol::include_dialogue::{Answer, Query};
use protocol::limits::Limits;

use crate::closure::Closure;
use crate::decline::Decline;
use crate::files::FileTable;
use crate::layout::{CompressedForms, Layout, LayoutError, lay_out};
use crate::mirror::{Mirror, MirrorError};
use crate::options::{Interpretation, Options, OptionsError};
use crate::scan::scan;

/// Why there is no closure, in one line for a person. The compile is then preprocessed at home.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// The command line is not covered.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The scanner is not sure.
    #[error(transparent)]
    Scan(#[from] Decline),
    /// The files cannot be shown to a server.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Stock's dialogue has no names for them.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The closure is larger than a message may be.
    #[error("the files make {0} bytes, more than one job may have")]
    TooLarge(usize),
    /// An error in the include server itself.
    #[error("the include server failed on this command: {0}")]
    Panic(String),
}

/// Answers queries; shared by all threads.
pub struct Answerer {
    options: Options,
    files: FileTable,
    forms: CompressedForms,
    mirror: Option<Mirror>,
}

impl Answerer {
    /// An answerer that knows nothing yet. Without a mirror, stock's dialogue never covers anything.
    pub fn new(options: Options, mirror: Option<Mirror>) -> Self {
        Self {
            options,
            files: FileTable::new(),
            forms: CompressedForms::default(),
            mirror,
        }
    }

    /// What the query means and which files it reads.
    ///
    /// # Errors
    /// See [`Doubt`].
    pub fn closure(&self, query: &Query) -> Result<(Interpretation, Closure), Doubt> {
        contained(|| {
            let meaning = self.options.interpret(query)?;
            let closure = scan(&meaning.unit, &meaning.configuration, &self.files)?;
            Ok((meaning, closure))
        })
    }

    /// What a server must be given.
    ///
    /// # Errors
    /// See [`Doubt`].
    pub fn layout(&self, query: &Query) -> Result<Layout, Doubt> {
        let (meaning, closure) = self.closure(query)?;
        self.lay_out(&meaning, &closure)
    }

    /// What a server must be given for a closure.
    ///
    /// # Errors
    /// [`Doubt::Layout`].
    pub fn lay_out(&self, meaning: &Interpretation, closure: &Closure) -> Result<Layout, Doubt> {
        let directories: &[PathBuf] = &meaning.warned_directories;
        contained(|| {
            Ok(lay_out(
                &meaning.unit,
                closure,
                &meaning.system,
                directories,
            )?)
        })
    }

    /// The answer in the richer dialogue.
    pub fn rich(&self, query: &Query) -> Answer {
        let section = self.layout(query).and_then(|layout| {
            contained(|| {
                let section = layout.section(&self.forms);
                let limit = Limits::DEFAULT.message_bytes.min(u64::from(u32::MAX));
                match section.len() as u64 <= limit {
                    true => Ok(section),
                    false => Err(Doubt::TooLarge(section.len())),
                }
            })
        });
        match section {
            Ok(section) => Answer::Closure(section),
            Err(doubt) => Answer::Doubt(one_line(&doubt)),
        }
    }

    /// The answer in stock's dialogue: no names when there is a doubt.
    pub fn stock(&self, query: &Query) -> Vec<Vec<u8>> {
        let names = self.layout(query).and_then(|layout| {
            contained(|| match &self.mirror {
                Some(mirror) => Ok(mirror.names(&layout, &self.forms)?),
                None => Ok(Vec::new()),
            })
        });
        names.unwrap_or_else(|doubt| {
            let command = query.argv.join(&b' ');
            tracing::info!(
                "not covered: {}: {}",
                String::from_utf8_lossy(&command),
                one_line(&doubt)
            );
            Vec::new()
        })
    }

    /// The interpreter of queries.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Removes what the answerer has put into the file system.
    pub fn clean_up(&self) {
        if let Some(mirror) = &self.mirror {
            mirror.clear();
        }
    }
}

/// A doubt as one line.
fn one_line(doubt: &Doubt) -> String {
    let text = doubt.to_string();
    text.split(['\n', '\r'])
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a part of one query so that its panic hurts no other. What is shared behind it is either unchanged or complete
/// (locks are taken over from a panicked holder only where that holds).
fn contained<T>(part: impl FnOnce() -> Result<T, Doubt>) -> Result<T, Doubt> {
    match std::panic::catch_unwind(AssertUnwindSafe(part)) {
        Ok(result) => result,
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned());
            Err(Doubt::Panic(
                text.unwrap_or_else(|| "no reason given".into()),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_doubt_for_one_query() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let result: Result<(), Doubt> = contained(|| panic!("row {}", 7));
        std::panic::set_hook(hook);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "the include server failed on this command: row 7");
    }
}
