//! Running `kad`, and reading what it says while it runs. Every wait is for a line or for the end, and has a limit.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

pub(crate) const HASH: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";

/// Only a failed test meets it.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn kad(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kad"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

pub(crate) fn run(line: &str) -> Output {
    kad(line).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// The lines of a pipe, read by a thread, so that waiting for one has a limit and the writer never blocks.
pub(crate) struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Lines { coming, seen: Vec::new() }
    }

    /// Waits for a line.
    pub(crate) fn find(&mut self, is: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.coming.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|error| panic!("{error}; all there was: {:#?}", self.seen));
            self.seen.push(line.clone());
            if is(&line) {
                return line;
            }
        }
    }

    /// Waits for a line with this text.
    pub(crate) fn find_text(&mut self, text: &str) -> String {
        self.find(|line| line.contains(text))
    }

    /// Whether the pipe is closed within this time.
    pub(crate) fn end_within(&mut self, limit: Duration) -> bool {
        loop {
            match self.coming.recv_timeout(limit) {
                Ok(line) => self.seen.push(line),
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Reads to the end; gives all lines.
    pub(crate) fn rest(&mut self) -> String {
        assert!(self.end_within(LIMIT), "no end; all there was: {:#?}", self.seen);
        self.seen()
    }

    /// All lines read so far.
    pub(crate) fn seen(&self) -> String {
        self.seen.join("\n")
    }
}

/// A `kad` that runs, and is killed at the end of its test.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Process::of(child)
    }

    /// Reads the pipes that the child has.
    pub(crate) fn of(mut child: Child) -> Self {
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = match child.stderr.take() {
            Some(pipe) => Lines::of(pipe),
            None => Lines::of(std::io::empty()),
        };
        Process { child, stdout, stderr }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; gives the exit code, -1 if a signal was the end.
    pub(crate) fn code(&mut self) -> i32 {
        self.stdout.rest();
        self.stderr.rest();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `kad run` on loopback.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
    pub(crate) id: String,
}

impl Node {
    pub(crate) fn start(arguments: &str) -> Self {
        Node::of(&mut kad(&format!("run --bind 127.0.0.1:0 {arguments}")))
    }

    /// Waits for the line that says who it is and where.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let first = process.stderr.find(|line| line.starts_with("kad ") && line.contains(": node "));
        let words: Vec<_> = first.split_whitespace().collect();
        let after =
            |word: &str| words.iter().skip_while(|&&w| w != word).nth(1).expect("introduction").to_owned();
        Node { addr: after("on").parse().unwrap(), id: (*after("node")).to_owned(), process }
    }

    /// Waits until it is in the network.
    pub(crate) fn joined(mut self) -> Self {
        self.process.stderr.find_text("joined the network");
        self
    }
}
