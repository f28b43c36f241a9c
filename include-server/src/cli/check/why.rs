//! Why a command does not go in pump mode, as a group that commands share, this command's own words, and what to do about
//! it. Owns no state.

use protocol::command_line::{LocalClass, LocalReason, PlainReason};

use crate::answer::Doubt;
use crate::decline::Decline;
use crate::layout::LayoutError;
use crate::options::OptionsError;

/// What happens to a command instead of pump mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Group {
    /// The compiler does not accept it.
    Refused,
    /// It is preprocessed here and compiled on a server.
    Plain,
    /// It runs here.
    Local,
}

impl Group {
    /// In the middle of a sentence.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Refused => "refused by the compiler",
            Self::Plain => "preprocessed here, compiled on a server",
            Self::Local => "compiled here",
        }
    }
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) group: Group,
    /// What commands with this reason have in common.
    pub(super) what: String,
    /// This command's own words, where they say more.
    pub(super) detail: Option<String>,
    /// The sensible next step.
    pub(super) advice: &'static str,
}

const REPORT: &str =
    "Nothing to do for a correct build. Please report it: the scanner should know.";
const BUILD_FIRST: &str = "Build the project once, so that all generated headers exist, install what else is missing, and check again.";
const AGAIN: &str = "Check again when nothing writes into the tree.";
const NO_CURE: &str = "Nothing to do: this is how such commands are.";
const DROP_OPTION: &str = "If the project does not need the option, build without it.";

impl Reason {
    fn new(group: Group, what: impl Into<String>, advice: &'static str) -> Self {
        Self {
            group,
            what: what.into(),
            detail: None,
            advice,
        }
    }

    fn with(mut self, detail: impl ToString) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The words say that it runs here.
    pub(super) fn local(reason: &LocalReason) -> Self {
        let shared = |what: &str, advice| Self::new(Group::Local, what, advice).with(reason);
        match reason {
            LocalReason::ConfigureProbe(_) => shared("it is a configure probe", NO_CURE),
            LocalReason::Suffix(_) => shared(
                "servers do not know the source's suffix",
                "Rename the sources, or leave it at that.",
            ),
            LocalReason::Language(_) => shared("its language is not distributed", NO_CURE),
            LocalReason::OtherOperand(_) => {
                shared("it also names a file that is not a source", NO_CURE)
            }
            LocalReason::SeveralSources(_) => shared(
                "it compiles several sources",
                "Give each source a command of its own.",
            ),
            LocalReason::Option(LocalClass::ThisMachine, _) => Self::new(
                Group::Local,
                reason.to_string(),
                "Name the processor instead: gcc -march=native -Q --help=target | grep march shows it.",
            ),
            LocalReason::Option(..) => Self::new(Group::Local, reason.to_string(), DROP_OPTION),
            _ => Self::new(Group::Local, reason.to_string(), NO_CURE),
        }
    }

    /// The words say that it is preprocessed here.
    pub(super) fn plain(reason: &PlainReason) -> Self {
        let advice = match reason {
            PlainReason::Option(..) => DROP_OPTION,
            _ => NO_CURE,
        };
        Self::new(Group::Plain, reason.to_string(), advice)
    }

    /// The compiler's message. What stands before `error:` is a place; what commands share comes behind it.
    pub(super) fn refused(message: &str) -> Self {
        let shared = ["fatal error: ", "error: "]
            .iter()
            .find_map(|mark| Some(message.split_once(mark)?.1))
            .unwrap_or(message);
        let reason = Self::new(Group::Refused, shared, BUILD_FIRST);
        match shared == message {
            true => reason,
            false => reason.with(message),
        }
    }

    /// The include server has no answer.
    pub(super) fn doubt(doubt: &Doubt) -> Self {
        let plain = |what: &str, advice| Self::new(Group::Plain, what, advice).with(doubt);
        match doubt {
            Doubt::Options(error) => Self::options(error),
            Doubt::Scan(decline) => Self::decline(decline),
            Doubt::Layout(error) => Self::layout(error),
            Doubt::Mirror(_) => plain("the mirror cannot be written", REPORT),
            Doubt::TooLarge(_) | Doubt::TooMany(_) => {
                plain("it reads more than one job may have", NO_CURE)
            }
            Doubt::Offer(_) | Doubt::Ledger(_) | Doubt::Panic(_) => {
                plain("the include server failed", REPORT)
            }
        }
    }

    fn options(error: &OptionsError) -> Self {
        let advice = match error {
            OptionsError::Environment(_) => "Unset the variable, and use -I options instead.",
            OptionsError::Unfollowed(_) | OptionsError::Plain(_) => DROP_OPTION,
            OptionsError::Compiler(_) => "See that the compiler is installed and runs.",
            _ => REPORT,
        };
        Self::new(Group::Plain, error.to_string(), advice)
    }

    fn decline(decline: &Decline) -> Self {
        let (what, advice) = match decline {
            Decline::Source { .. } => ("the source cannot be read", BUILD_FIRST),
            // The compiler accepts the command, or it would have been asked no further.
            Decline::IncludeNotFound { .. } => (
                "the scanner does not find an include file that the compiler finds",
                REPORT,
            ),
            Decline::Unreadable { .. } => ("a header cannot be used", REPORT),
            Decline::TooLarge { .. } => ("a file is larger than the scanner takes", NO_CURE),
            Decline::Unstable { .. } => ("a file changes while it is read", AGAIN),
            Decline::ErrorDirective { .. } => (
                "the scanner reaches an #error that the compiler does not",
                REPORT,
            ),
            Decline::Malformed { .. } => ("a directive that the scanner cannot read", REPORT),
            Decline::TooDeep { .. } => ("includes nest too deep", REPORT),
            Decline::Timestamp { .. } => (
                "it uses __DATE__, __TIME__ or __TIMESTAMP__",
                "Keep them to one small source: a server has another clock and time zone.",
            ),
            Decline::EqualOnceHeaders { .. } => (
                "two headers with equal content, one of them read only once",
                "Remove one of the copies, or make them differ: a comment is enough.",
            ),
            Decline::Unsupported { .. } => ("something that the scanner does not follow", NO_CURE),
            Decline::UnknownFeature { .. } => ("a condition that only the compiler knows", REPORT),
            Decline::TooMuchWork { .. } => ("it takes too long to scan", REPORT),
        };
        Self::new(Group::Plain, what, advice).with(decline)
    }

    fn layout(error: &LayoutError) -> Self {
        let (what, advice) = match error {
            LayoutError::LinkedWorkingDirectory { .. } => (
                "the working directory is reached through a symbolic link",
                "Build in the directory's real path.",
            ),
            LayoutError::Unread { .. } => ("a file changes while it is read", AGAIN),
            LayoutError::SystemSource { .. } => (
                "the source lies in a directory of the compiler's own",
                NO_CURE,
            ),
            LayoutError::LeavesSystem { .. } => (
                "an include leaves a directory of the compiler's own by `..`",
                NO_CURE,
            ),
            LayoutError::SeveralNames { .. } => (
                "a file is read under several names",
                "Use one spelling of its directory in all -I options.",
            ),
            LayoutError::NamesItself { .. } => (
                "a file starts with a #line directive that names itself",
                NO_CURE,
            ),
            LayoutError::Path { .. } | LayoutError::Unquotable { .. } => (
                "a file name that cannot be sent",
                "Rename the file or its directory.",
            ),
            LayoutError::Broken { .. } => ("a file cannot be followed", BUILD_FIRST),
        };
        Self::new(Group::Plain, what, advice).with(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decline::Place;

    #[test]
    fn compilers_messages_are_grouped_by_what_they_say() {
        let one = Reason::refused("a.c:1:10: fatal error: x.h: No such file or directory");
        let other = Reason::refused("b.c:7:10: fatal error: x.h: No such file or directory");
        assert_eq!(one.what, "x.h: No such file or directory");
        assert_eq!((one.group, &one.what), (other.group, &other.what));
        assert_ne!(one.detail, other.detail);
        let whole = Reason::refused("no answer within 120 seconds");
        assert_eq!(whole.what, "no answer within 120 seconds");
        assert_eq!(whole.detail, None);
    }

    #[test]
    fn the_same_kind_of_decline_is_one_group() {
        let decline = |line| {
            Reason::doubt(&Doubt::Scan(Decline::Unsupported {
                place: Place {
                    file: "a.c".into(),
                    line,
                },
                what: "a module".into(),
            }))
        };
        assert_eq!(decline(1).what, decline(2).what);
        assert_eq!(decline(2).detail.as_deref(), Some("a.c:2: a module"));
    }

    #[test]
    fn an_option_is_named_by_its_group() {
        let word = b"-march=native".to_vec();
        let reason = Reason::local(&LocalReason::Option(LocalClass::ThisMachine, word));
        assert_eq!(reason.group, Group::Local);
        assert_eq!(reason.what, "-march=native depends on this machine");
    }
}
