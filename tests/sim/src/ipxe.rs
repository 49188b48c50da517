//! Runs boot scripts as iPXE does, far enough to see where they lead.
//!
//! A line is expanded as a whole, again and again until nothing is left to expand, and only then split into words: so
//! what a machine's serial number says *can* become a command, exactly as on a real machine. Loading is the caller's.

mod settings;

pub use settings::{Settings, Value};

use crate::http::Url;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

/// How many commands are run before a script counts as a loop.
const MOST_COMMANDS: usize = 1_000;
/// How deep scripts may chain to scripts that they expect back.
const DEEPEST: usize = 16;

/// A file that a script loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// From where.
    pub url: Url,
    /// What stood behind it: a kernel's command line.
    pub arguments: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A script that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// From where.
    pub url: Url,
    /// As it came.
    pub text: String,
}

/// Where a script led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A kernel was started.
    Kernel {
        /// The kernel and its command line.
        kernel: Image,
        /// Initial ramdisks, in order.
        initrds: Vec<Image>,
    },
    /// Another programme than a kernel was started: `chain` to a file that is no script.
    Programme(Image),
    /// The machine was sent to a disk; the command.
    LocalDisk(String),
    /// iPXE was left, so that the firmware tries its next entry; with this status.
    Exit(u8),
    /// `reboot`.
    Reboot,
    /// `poweroff`.
    PowerOff,
    /// Somebody would get iPXE's command line, at the machine.
    Shell,
    /// A command failed and the script did not care for that, or it never ended.
    Failed {
        /// The line.
        line: String,
        /// Why.
        why: String,
    },
}

/// Runs scripts.
pub struct Machine<'l> {
    /// What `${…}` is expanded from, and `set` writes to.
    pub settings: Settings,
    /// Every script that was run, in order.
    pub scripts: Vec<Script>,
    /// What was written on the screen.
    pub said: Vec<String>,
    load: Load<'l>,
    deadline: Instant,
    commands: usize,
    depth: usize,
    kernel: Option<Image>,
    initrds: Vec<Image>,
}

/// Loads a file; the text says why not.
pub type Load<'l> = Box<dyn FnMut(&Url) -> Result<Vec<u8>, String> + 'l>;

/// How a script ended.
enum Flow {
    /// It ran out or said `exit`; with this status.
    Done(u8),
    /// A command failed.
    Failed { line: String, why: String },
    /// Nothing comes after this.
    Over(End),
}

/// What a command did.
enum Did {
    Succeed,
    Fail(String),
    GoTo(String),
    Leave(u8),
    Over(End),
}

impl<'l> Machine<'l> {
    /// A machine with these settings; nothing goes on after `deadline`.
    pub fn new(settings: Settings, deadline: Instant, load: Load<'l>) -> Self {
        Self { settings, scripts: vec![], said: vec![], load, deadline, commands: 0, depth: 0, kernel: None, initrds: vec![] }
    }

    /// Loads what DHCP named, and runs it.
    pub fn start(&mut self, url: &Url) -> End {
        match self.chain(url, String::new()) {
            Flow::Done(status) => End::Exit(status),
            Flow::Failed { line, why } => End::Failed { line, why },
            Flow::Over(end) => end,
        }
    }

    fn chain(&mut self, url: &Url, arguments: String) -> Flow {
        let bytes = match (self.load)(url) {
            Ok(bytes) => bytes,
            Err(why) => return Flow::Failed { line: format!("chain {url}"), why },
        };
        if !bytes.starts_with(b"#!ipxe") {
            return Flow::Over(End::Programme(Image { url: url.clone(), arguments, bytes }));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.scripts.push(Script { url: url.clone(), text: text.clone() });
        if self.depth == DEEPEST {
            return Flow::Failed { line: format!("chain {url}"), why: "scripts are nested too deeply".into() };
        }
        self.depth += 1;
        let flow = self.run(url, &text);
        self.depth -= 1;
        flow
    }

    fn run(&mut self, url: &Url, text: &str) -> Flow {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            if line.is_empty() || line.starts_with('#') || line.starts_with(':') {
                continue;
            }
            match self.line(url, line) {
                Did::Succeed => {}
                Did::Fail(why) => return Flow::Failed { line: (*line).to_owned(), why },
                Did::Leave(status) => return Flow::Done(status),
                Did::Over(end) => return Flow::Over(end),
                Did::GoTo(label) => match lines.iter().position(|line| line.strip_prefix(':').is_some_and(|name| name.trim() == label)) {
                    Some(found) => at = found + 1,
                    None => return Flow::Failed { line: (*line).to_owned(), why: format!("there is no label `{label}`") },
                },
            }
        }
        Flow::Done(0)
    }

    /// One line: commands with `&&`, `||` and `;` between.
    fn line(&mut self, url: &Url, line: &str) -> Did {
        let expanded = match self.settings.expand(line) {
            Ok(expanded) => expanded,
            Err(why) => return Did::Fail(why),
        };
        let mut words: VecDeque<&str> = expanded.split_ascii_whitespace().collect();
        if let Some(comment) = words.iter().position(|word| word.starts_with('#')) {
            words.truncate(comment);
        }
        let (mut did, mut before) = (Did::Succeed, ";");
        loop {
            let mut command = Vec::new();
            let after = loop {
                match words.pop_front() {
                    None => break None,
                    Some(word @ ("&&" | "||" | ";")) => break Some(word),
                    Some(word) => command.push(word),
                }
            };
            let failed = matches!(did, Did::Fail(_));
            if before == ";" || (before == "&&" && !failed) || (before == "||" && failed) {
                did = self.command(url, &command);
            }
            match (after, &did) {
                (Some(after), Did::Succeed | Did::Fail(_)) => before = after,
                _ => return did,
            }
        }
    }

    fn command(&mut self, url: &Url, words: &[&str]) -> Did {
        let Some((name, rest)) = words.split_first() else { return Did::Succeed };
        self.commands += 1;
        if self.commands > MOST_COMMANDS || Instant::now() > self.deadline {
            return Did::Over(End::Failed { line: words.join(" "), why: "the script does not come to an end".into() });
        }
        let (flags, rest) = flags(rest);
        match (*name, rest) {
            ("echo", _) => {
                self.said.push(rest.join(" "));
                Did::Succeed
            }
            ("set", [name, value @ ..]) => {
                self.settings.set(name, &value.join(" "));
                Did::Succeed
            }
            ("clear", [name]) => {
                self.settings.set(name, "");
                Did::Succeed
            }
            ("inc", [name]) => did(self.settings.increase(name, "1")),
            ("inc", [name, by]) => did(self.settings.increase(name, by)),
            ("isset", _) => check(!rest.is_empty(), "it is not set"),
            ("iseq", [a, b]) => check(a == b, "they differ"),
            ("goto", [label]) => Did::GoTo((*label).to_owned()),
            ("sleep", [seconds]) => self.sleep(seconds),
            ("chain" | "imgexec", [uri, arguments @ ..]) => self.chain_command(url, uri, arguments, &flags),
            ("kernel" | "imgselect" | "imgload", [uri, arguments @ ..]) => {
                self.fetch(url, uri, arguments, |machine, image| machine.kernel = Some(image))
            }
            ("initrd" | "module" | "imgfetch", [uri, arguments @ ..]) => {
                self.fetch(url, uri, arguments, |machine, image| machine.initrds.push(image))
            }
            ("boot", []) => match self.kernel.take() {
                Some(kernel) => Did::Over(End::Kernel { kernel, initrds: std::mem::take(&mut self.initrds) }),
                None => Did::Fail("no kernel was loaded".into()),
            },
            ("imgfree", _) => {
                self.kernel = None;
                self.initrds.clear();
                Did::Succeed
            }
            ("exit", []) => Did::Leave(0),
            ("exit", [status]) => Did::Leave(status.parse().unwrap_or(1)),
            ("sanboot", _) => Did::Over(End::LocalDisk(words.join(" "))),
            ("reboot", _) => Did::Over(End::Reboot),
            ("poweroff", _) => Did::Over(End::PowerOff),
            ("shell", _) => Did::Over(End::Shell),
            ("prompt", _) => Did::Fail("nobody pressed a key".into()),
            ("ifopen" | "ifstat" | "dhcp" | "imgstat" | "route" | "show" | "console" | "cpuid" | "imgtrust", _) => Did::Succeed,
            _ => Did::Fail(format!("`{name}` is no command, or has not these arguments")),
        }
    }

    fn chain_command(&mut self, url: &Url, uri: &str, arguments: &[&str], flags: &[&str]) -> Did {
        let target = match url.join(uri) {
            Ok(target) => target,
            Err(error) => return Did::Fail(error.to_string()),
        };
        let replaces = flags.iter().any(|flag| matches!(*flag, "--replace" | "-r"));
        match self.chain(&target, arguments.join(" ")) {
            Flow::Over(end) => Did::Over(end),
            Flow::Done(status) if replaces => Did::Leave(status),
            Flow::Done(0) => Did::Succeed,
            Flow::Done(status) => Did::Fail(format!("the script ended with status {status}")),
            // A script that cannot be loaded has not replaced anything yet: `||` still helps.
            Flow::Failed { line, why } => Did::Fail(format!("{line}: {why}")),
        }
    }

    fn fetch(&mut self, url: &Url, uri: &str, arguments: &[&str], keep: impl FnOnce(&mut Self, Image)) -> Did {
        let target = match url.join(uri) {
            Ok(target) => target,
            Err(error) => return Did::Fail(error.to_string()),
        };
        match (self.load)(&target) {
            Ok(bytes) => {
                keep(self, Image { url: target, arguments: arguments.join(" "), bytes });
                Did::Succeed
            }
            Err(why) => Did::Fail(why),
        }
    }

    fn sleep(&mut self, seconds: &str) -> Did {
        let Ok(seconds) = seconds.parse() else { return Did::Fail(format!("`{seconds}` is no number of seconds")) };
        let left = self.deadline.saturating_duration_since(Instant::now());
        thread::sleep(Duration::from_secs(seconds).min(left));
        Did::Succeed
    }
}

fn check(holds: bool, why: &str) -> Did {
    did(if holds { Ok(()) } else { Err(why.to_owned()) })
}

fn did(result: Result<(), String>) -> Did {
    result.map_or_else(Did::Fail, |()| Did::Succeed)
}

/// Splits off `--flag`, `-f`, and the values of those flags that have one.
fn flags<'w>(words: &'w [&'w str]) -> (Vec<&'w str>, &'w [&'w str]) {
    let mut at = 0;
    let mut flags = Vec::new();
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-') && word.len() > 1) {
        flags.push(*word);
        at += if matches!(*word, "--name" | "-n" | "--timeout" | "-t") { 2 } else { 1 };
    }
    (flags, words.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
