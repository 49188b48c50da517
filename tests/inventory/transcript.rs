//! Commands against a service, and what of their answers differs from run to run.

use crate::journal::{Journal, without_ids, without_times};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `overture` at a socket, without anything from the environment of whoever runs the tests.
pub fn overture(folder: &Path, socket: &Path) -> Command {
    let mut command = crate::service::overture(folder);
    command.env("OVERTURE_SOCKET", socket);
    command
}

/// A transcript against one service.
pub struct Transcript {
    journal: Journal,
    folder: PathBuf,
    socket: PathBuf,
}

impl Transcript {
    pub fn of(folder: &Path, socket: &Path) -> Self {
        Self { journal: Journal::new(), folder: folder.to_owned(), socket: socket.to_owned() }
    }

    /// Runs a command, which must end with this code.
    pub fn run(&mut self, arguments: &str, code: i32) -> Output {
        let output = self.journal.run(overture(&self.folder, &self.socket), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
        output
    }

    /// Says what happens outside of the commands.
    pub fn remark(&mut self, sentence: &str) {
        self.journal.remark(sentence);
    }

    /// Compares all of it with a file.
    pub fn expect(self, name: &str) {
        self.journal.expect(name, |text| without_ages(&without_ids(&without_times(text))));
    }
}

/// Replaces how long ago something was that the test itself did, `3 s ago`, and an agent's key.
fn without_ages(text: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        for i in 0..words.len().saturating_sub(2) {
            if words[i].parse::<u32>().is_ok() && words[i + 1] == "s" && words[i + 2].starts_with("ago") {
                words[i] = "N";
            }
        }
        for word in words.iter_mut().filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            *word = "KEY";
        }
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs a command that reads something from its standard input.
pub fn with_input(mut command: Command, arguments: &[&str], input: &[u8]) -> Output {
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("overture starts");
    // A command that refuses early does not read all of it.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}
