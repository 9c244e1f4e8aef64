//! How `kad` ends: its exit codes, which are documented and stable, and the errors that carry them.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, or found.
    Success = 0,
    /// Nothing was found, or something failed that has no code of its own.
    Nothing = 1,
    /// The command line or the configuration cannot be used.
    Usage = 2,
    /// No socket.
    Bind = 3,
    /// No way into the network.
    NotJoined = 4,
    /// Fewer nodes accepted than were wanted.
    Partial = 5,
    /// Somebody else changed the item first.
    Conflict = 6,
    /// What was given, or came back, is malformed.
    BadData = 7,
    /// The second Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error that the user can do something about: one line, perhaps a hint, and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Failure { exit, message: message.to_string(), hint: None }
    }

    /// The command line or the configuration cannot be used.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Failure::new(Exit::Usage, message)
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

/// The exit code of an error, and what to print about it; `None` if whoever read our output has left, which is no
/// error (`kad peers … | head -1`).
pub(crate) fn verdict(error: &anyhow::Error) -> (Exit, Option<String>) {
    let is_broken_pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_broken_pipe) {
        return (Exit::Success, None);
    }
    let failure = error.downcast_ref::<Failure>();
    let hint = failure.and_then(|failure| failure.hint.as_ref());
    let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let exit = failure.map_or(Exit::Nothing, |failure| failure.exit);
    (exit, Some(format!("error: {error:#}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_a_hint() {
        let failure = Failure::new(Exit::Bind, "cannot bind 0.0.0.0:1").hint("choose another port");
        let (exit, text) = verdict(&failure.into());
        assert_eq!(exit, Exit::Bind);
        assert_eq!(text.unwrap(), "error: cannot bind 0.0.0.0:1\nhint: choose another port");
    }

    #[test]
    fn other_errors_show_their_causes() {
        let error = anyhow::Error::from(io::Error::other("disk on fire")).context("cannot write");
        assert_eq!(verdict(&error), (Exit::Nothing, Some("error: cannot write: disk on fire".into())));
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot write");
        assert_eq!(verdict(&error), (Exit::Success, None));
    }
}
