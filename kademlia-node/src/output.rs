//! What the user sees: data on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// How results are written, for people or, with `--json`, for programs: one object a line, the last of type `summary`.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    color: bool,
    /// Hidden unless stderr is a terminal.
    bar: ProgressBar,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a, T> {
    v: u8,
    r#type: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}

/// What a sign means, as a colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, color: ColorChoice) -> Self {
        let color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wants_color() && io::stdout().is_terminal(),
        };
        let bar = if io::stderr().is_terminal() && !quiet {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        Output { json, quiet, color, bar }
    }

    /// Whether results are written for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A piece of data: the fields as JSON, or the text.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn data(&self, kind: &str, fields: &impl Serialize, text: impl Display) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            if self.json { write_json(&mut stdout, kind, fields) } else { writeln!(stdout, "{text}") }
        })
    }

    /// The end of the story: the last line of JSON, or a line on stderr.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn summary(&self, fields: &impl Serialize, text: impl Display) -> io::Result<()> {
        self.clear();
        if self.json {
            return write_json(&mut io::stdout().lock(), "summary", fields);
        }
        self.note(text);
        Ok(())
    }

    /// A remark, on stderr.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            self.bar.suspend(|| complain(text));
        }
    }

    /// Shows what goes on; `done` of `total` as a bar, where there is such a thing.
    pub(crate) fn progress(&self, stage: &str, share: Option<(usize, usize)>, message: impl Display) {
        if self.bar.is_hidden() {
            return;
        }
        let template = if share.is_some() {
            "  {prefix:<9} {bar:20.cyan} {msg}"
        } else {
            "  {prefix:<9} {spinner:.cyan} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
        }
        let (done, total) = share.unwrap_or((0, 1));
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_prefix(stage.to_owned());
        self.bar.set_message(message.to_string());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Takes the progress away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
        self.bar.reset();
    }

    /// The text in the colour of its meaning, if colours are wanted.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A line on stderr. If even that cannot be written there is nobody to tell.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether the environment lets us use colours (no-color.org).
pub(crate) fn wants_color() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn write_json(out: &mut impl Write, kind: &str, fields: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { v: 1, r#type: kind, fields })?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Peer {
        addr: &'static str,
        ms: f64,
    }

    #[test]
    fn a_line_of_json_says_its_version_and_type_first() {
        let mut out = Vec::new();
        write_json(&mut out, "peer", &Peer { addr: "203.0.113.7:51413", ms: 612.5 }).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "{\"v\":1,\"type\":\"peer\",\"addr\":\"203.0.113.7:51413\",\"ms\":612.5}\n");
    }

    #[test]
    fn colours_are_used_when_asked_for_and_only_then() {
        let output = |color| Output::new(false, true, color);
        assert_eq!(output(ColorChoice::Always).paint(Tone::Good, "✔"), "\x1b[32m✔\x1b[0m");
        assert_eq!(output(ColorChoice::Never).paint(Tone::Bad, "✘"), "✘");
    }

    #[test]
    fn a_reader_that_left_is_an_error_of_its_own_kind() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write_json(&mut Closed, "peer", &Peer { addr: "", ms: 0.0 }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
