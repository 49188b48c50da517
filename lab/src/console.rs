//! A person at a machine's serial line.
//!
//! What the machine says goes to the terminal as it is, escape sequences included: this is a console, and the one
//! place where text from a node is not made harmless. Who attaches to a machine lets it write to their terminal.

use crate::create::Lab;
use crate::qmp::{Qmp, QmpError};
use domain::timeline::printable;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Ctrl-]: what telnet and virsh use.
const LEAVE: u8 = 0x1d;

/// How a visit at the console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By Ctrl-].
    Left,
    /// The machine was switched off.
    SwitchedOff,
}

/// Why the console could not be visited.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The lab has no such machine.
    #[error("the lab has no machine `{wanted}`: its machines are {}", .known.join(", "))]
    NoSuchMachine {
        /// What was asked for, made printable.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The machine is off.
    #[error("{machine} does not run; what it said is in {}", .log.display())]
    Off {
        /// Which.
        machine: String,
        /// Its serial log.
        log: PathBuf,
    },
    /// Somebody else is attached; QEMU serves one at a time.
    #[error("somebody else is at the console of {machine}; follow along with `tail -f {}`", .log.display())]
    Busy {
        /// Which.
        machine: String,
        /// Its serial log.
        log: PathBuf,
    },
    /// QEMU could not be asked.
    #[error("could not ask QEMU about the console of {machine}")]
    Unknown {
        /// Which.
        machine: String,
        /// Why not.
        #[source]
        source: QmpError,
    },
    /// Terminal or socket failed.
    #[error("the connection to the console of {machine} failed")]
    Lost {
        /// Which.
        machine: String,
        /// How.
        #[source]
        source: io::Error,
    },
}

impl Lab {
    /// Attaches this process's terminal to the serial line of `machine` until Ctrl-] or until the machine is off.
    /// Where standard input is no terminal its bytes are sent as they are and its end is not the end: what the
    /// machine says is still written out. Where standard output is closed, it ends with [`ConsoleError::Lost`].
    pub fn console(&self, machine: &str) -> Result<Ended, ConsoleError> {
        let socket = self.attach(machine)?;
        let lost = |source| ConsoleError::Lost { machine: machine.to_owned(), source };
        let input = io::stdin();
        let interactive = input.is_terminal();
        if interactive {
            eprintln!("At the console of {machine}. Ctrl-] leaves.");
        }
        let raw = if interactive { Some(RawTerminal::enter().map_err(lost)?) } else { None };
        let ended = relay(&input, unbuffered(&input).map_err(lost)?, io::stdout(), &socket, interactive);
        drop(raw);
        if interactive {
            eprintln!();
        }
        ended.map_err(lost)
    }

    fn attach(&self, machine: &str) -> Result<UnixStream, ConsoleError> {
        let known: Vec<String> = self.machines().into_iter().map(|machine| machine.name).collect();
        if !known.iter().any(|name| name == machine) {
            return Err(ConsoleError::NoSuchMachine { wanted: printable(machine, 40), known });
        }
        let (machine, log) = (machine.to_owned(), self.folder.serial_log(machine));
        if self.record.running(&machine).is_none() {
            return Err(ConsoleError::Off { machine, log });
        }
        match self.somebody_is_attached(&machine) {
            Ok(true) => return Err(ConsoleError::Busy { machine, log }),
            Ok(false) => {}
            Err(source) => return Err(ConsoleError::Unknown { machine, source }),
        }
        UnixStream::connect(self.folder.console_socket(&machine)).map_err(|source| ConsoleError::Lost { machine, source })
    }

    /// A second connection would be accepted by the kernel and never served, so QEMU is asked first.
    fn somebody_is_attached(&self, machine: &str) -> Result<bool, QmpError> {
        let devices = Qmp::connect(&self.folder.qmp_socket(machine))?.execute("query-chardev")?;
        let serial = devices.as_array().and_then(|all| all.iter().find(|device| device["label"] == "serial0"));
        let name = serial.and_then(|device| device["filename"].as_str());
        name.map(|name| !name.starts_with("disconnected:")).ok_or_else(|| QmpError::Nonsense("it does not know the serial line".into()))
    }
}

/// Standard input without the buffer of [`io::Stdin`], which would hide bytes from `poll`.
fn unbuffered(input: &io::Stdin) -> io::Result<std::fs::File> {
    Ok(input.as_fd().try_clone_to_owned()?.into())
}

/// The terminal without line editing, echo and signals, until dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before); // nothing else can be done about it
    }
}

/// Carries bytes both ways. `readable` is what is asked whether `input` has any.
fn relay(readable: &impl AsFd, mut input: impl Read, mut output: impl Write, socket: &UnixStream, escape: bool) -> io::Result<Ended> {
    // A machine that does not read must not hang the terminal: what it does not take is lost, as on a real line.
    socket.set_write_timeout(Some(Duration::from_millis(200)))?;
    let mut input_is_open = true;
    let mut chunk = [0; 4096];
    loop {
        let mut ready = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if input_is_open {
            ready.push(PollFd::new(readable.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [from_machine, from_person] = [0, 1].map(|i| ready.get(i).is_some_and(|fd| fd.any() == Some(true)));
        if from_machine {
            match (&*socket).read(&mut chunk) {
                Ok(0) => return Ok(Ended::SwitchedOff),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Ended::SwitchedOff),
                length => output.write_all(&chunk[..length?]).and_then(|()| output.flush())?,
            }
        }
        if from_person {
            let length = input.read(&mut chunk)?;
            input_is_open = length > 0;
            let typed = &chunk[..length];
            let leaving = typed.iter().position(|&byte| escape && byte == LEAVE);
            let _ = (&*socket).write_all(&typed[..leaving.unwrap_or(length)]);
            if leaving.is_some() {
                return Ok(Ended::Left);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A person who typed `typed` and hung up, and the machine's end of the line.
    fn visit(typed: &'static [u8], escape: bool, machine: impl FnOnce(UnixStream) + Send) -> (io::Result<Ended>, Vec<u8>) {
        let (line, far_end) = UnixStream::pair().unwrap();
        let (keyboard, mut hand) = UnixStream::pair().unwrap();
        let mut screen = Vec::new();
        let ended = std::thread::scope(|scope| {
            scope.spawn(move || machine(far_end));
            hand.write_all(typed).unwrap();
            drop(hand);
            let ended = relay(&keyboard, &keyboard, &mut screen, &line, escape);
            drop(line); // the machine hears that nobody is there any more
            ended
        });
        (ended, screen)
    }

    #[test]
    fn what_is_typed_reaches_the_machine_and_its_answer_the_screen() {
        let (ended, screen) = visit(b"root\n", true, |mut machine| {
            let mut heard = [0; 5];
            machine.read_exact(&mut heard).unwrap();
            machine.write_all(&[b"login: ".as_slice(), &heard].concat()).unwrap();
        });
        assert_eq!((ended.unwrap(), screen.as_slice()), (Ended::SwitchedOff, b"login: root\n".as_slice()));
    }

    #[test]
    fn ctrl_bracket_leaves_and_is_not_sent() {
        let (ended, _) = visit(b"ab\x1dcd", true, |mut machine| {
            let mut heard = Vec::new();
            machine.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, b"ab");
        });
        assert_eq!(ended.unwrap(), Ended::Left);
    }

    #[test]
    fn a_file_as_input_may_contain_any_byte_and_its_end_is_not_the_end() {
        let (ended, screen) = visit(b"\x1d", false, |mut machine| {
            machine.read_exact(&mut [0; 1]).unwrap();
            std::thread::yield_now();
            machine.write_all(b"still here").unwrap();
        });
        assert_eq!((ended.unwrap(), screen.as_slice()), (Ended::SwitchedOff, b"still here".as_slice()));
    }
}
