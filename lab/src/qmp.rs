//! QEMU's control socket: one line of JSON there, one back (QEMU Machine Protocol).
//!
//! ```text
//!   QEMU  {"QMP": …}                                  greeting, as soon as the one place for a client is free
//!   we    {"execute": "qmp_capabilities"}
//!   QEMU  {"return": {}}
//!   we    {"execute": "system_reset"}
//!   QEMU  {"event": "RESET", …}  {"return": {}}       events may come in between
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer; under emulation with busy processors that is seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// Longer than any answer to what is asked here.
const LONGEST_LINE: usize = 64 * 1024;

/// Why QEMU could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// Nobody listens, or nobody does any more: QEMU does not run.
    #[error("QEMU does not answer on its control socket")]
    Unreachable(#[source] io::Error),
    /// It listens and says nothing: somebody else is connected, or it hangs.
    #[error("QEMU's control socket is taken by another program, or QEMU hangs: try again")]
    Silent(#[source] io::Error),
    /// It said no.
    #[error("QEMU refused `{command}`: {said}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its words.
        said: String,
    },
    /// It said something else.
    #[error("QEMU's answer makes no sense: {0}")]
    Nonsense(String),
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "return")]
    returned: Option<Value>,
    error: Option<Refusal>,
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
}

#[derive(Deserialize)]
struct Refusal {
    desc: String,
}

/// A connection, greeted and ready for commands.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    pending: Vec<u8>,
    deadline: Instant,
}

impl Qmp {
    /// Connects. The whole conversation has to end within 20 s.
    pub fn connect(socket: &Path) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(socket).map_err(QmpError::Unreachable)?;
        Self::greet(stream, Instant::now() + LIMIT)
    }

    fn greet(stream: UnixStream, deadline: Instant) -> Result<Self, QmpError> {
        let mut qmp = Self { stream, pending: Vec::new(), deadline };
        while qmp.message()?.greeting.is_none() {}
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Executes a command without arguments.
    pub fn execute(&mut self, command: &str) -> Result<Value, QmpError> {
        self.converse(command, json!({ "execute": command }))
    }

    /// Executes a command.
    pub fn execute_with(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.converse(command, json!({ "execute": command, "arguments": arguments }))
    }

    fn converse(&mut self, command: &str, request: Value) -> Result<Value, QmpError> {
        let line = format!("{request}\n");
        self.stream.set_write_timeout(Some(LIMIT)).and_then(|()| self.stream.write_all(line.as_bytes())).map_err(QmpError::Unreachable)?;
        loop {
            let message = self.message()?;
            if let Some(value) = message.returned {
                return Ok(value);
            }
            if let Some(refusal) = message.error {
                let said = domain::timeline::printable(&refusal.desc, 200);
                return Err(QmpError::Refused { command: command.to_owned(), said });
            }
        }
    }

    fn message(&mut self) -> Result<Message, QmpError> {
        loop {
            if let Some(end) = self.pending.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|e| QmpError::Nonsense(e.to_string()));
            }
            if self.pending.len() > LONGEST_LINE {
                return Err(QmpError::Nonsense("it is too long".into()));
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<(), QmpError> {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).map_err(QmpError::Silent)?;
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(QmpError::Unreachable(io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => {
                self.pending.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Err(QmpError::Silent(e)),
            // A reset, because QEMU ended with our connection still in its queue.
            Err(e) => Err(QmpError::Unreachable(e)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    /// Plays QEMU: sends the first text, then one for each line it reads.
    fn conversation(answers: &'static [&'static str]) -> (UnixStream, std::thread::JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = std::thread::spawn(move || {
            let mut heard = Vec::new();
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            for answer in answers {
                (&theirs).write_all(answer.as_bytes()).unwrap();
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                heard.push(line);
            }
            heard
        });
        (ours, qemu)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn events_between_command_and_answer_are_passed_over() {
        let (stream, qemu) = conversation(&[
            "{\"QMP\": {\"version\": {}}}\r\n",
            "{\"return\": {}}\r\n",
            "{\"event\": \"RESET\"}\r\n{\"event\": \"STOP\"}\r\n{\"return\": {\"status\": 1}}\r\n",
        ]);
        let mut qmp = Qmp::greet(stream, soon()).unwrap();
        assert_eq!(qmp.execute("system_reset").unwrap(), json!({ "status": 1 }));
        drop(qmp);
        assert_eq!(qemu.join().unwrap(), ["{\"execute\":\"qmp_capabilities\"}\n", "{\"execute\":\"system_reset\"}\n", ""]);
    }

    #[test]
    fn a_refusal_carries_qemus_words() {
        let (stream, _qemu) = conversation(&[
            "{\"QMP\": {}}\n",
            "{\"return\": {}}\n",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\u001b\"}}\n",
        ]);
        let error = Qmp::greet(stream, soon()).unwrap().execute("quit").unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused `quit`: no\\u{1b}");
    }

    #[test]
    fn a_socket_that_says_nothing_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(matches!(Qmp::greet(ours, Instant::now() + Duration::from_millis(50)), Err(QmpError::Silent(_))));
    }
}
