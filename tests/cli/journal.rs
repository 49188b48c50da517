//! What was typed and what came back, to be compared whole with a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Commands and their answers, as a terminal shows them; standard error is marked by `! `, a failure by its exit code.
pub struct Journal {
    text: String,
}

impl Journal {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { text: String::new() }
    }

    /// Runs a command that is already prepared; `arguments` are separated by spaces, `'` holds some together.
    pub fn run(&mut self, mut command: Command, arguments: &str) -> Output {
        let output = command.args(words(arguments)).output().unwrap();
        self.text += &format!("$ overture {arguments}\n");
        self.text += &String::from_utf8(output.stdout.clone()).unwrap();
        for line in String::from_utf8(output.stderr.clone()).unwrap().lines() {
            self.text += format!("! {line}").trim_end();
            self.text.push('\n');
        }
        match output.status.code() {
            Some(0) => {}
            code => self.text += &format!("[exit {}]\n", code.unwrap()),
        }
        self.text.push('\n');
        output
    }

    /// Says what happens outside of the commands.
    pub fn remark(&mut self, sentence: &str) {
        self.text += &format!("# {sentence}\n");
    }

    /// Compares all of it with a file, after `mend` has replaced what differs from run to run.
    pub fn expect(self, name: &str, mend: impl Fn(&str) -> String) {
        expect(name, &mend(self.text.trim_end()));
    }
}

fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(i, part)| if i % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() })
        .collect()
}

/// Compares a text with `tests/expected/<name>`.
pub fn expect(name: &str, text: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected != text {
        let differs =
            expected.lines().zip(text.lines()).position(|(a, b)| a != b).unwrap_or(expected.lines().count().min(text.lines().count()));
        panic!("tests/expected/{name} differs from line {}; this is what came (`make expected` writes it there):\n{text}", differs + 1);
    }
}

/// Replaces times as tables and the API write them.
pub fn without_times(text: &str) -> String {
    replace(text, |rest| {
        let shape = b"0000-00-00T00:00:00";
        let fits = rest.len() > shape.len()
            && rest.bytes().zip(shape).all(|(byte, wanted)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == *wanted });
        fits.then(|| rest.find('Z')).flatten().map(|end| (end + 1, "TIME"))
    })
}

/// Replaces how long ago something was that the test itself did.
pub fn without_seconds(text: &str) -> String {
    replace(text, |rest| {
        let end = rest.strip_prefix("given ")?.find(" s ago")?;
        rest["given ".len()..][..end].bytes().all(|byte| byte.is_ascii_digit()).then_some((end + "given ".len(), "given SECONDS"))
    })
}

/// Replaces ids that the service made itself: UUIDv7 of this century, where the nodes of the tests have others.
pub fn without_ids(text: &str) -> String {
    replace(text, |rest| {
        let fresh = rest.get(..36)?.parse::<uuid::Uuid>().ok()?.get_version_num() == 7 && !rest.starts_with("01900000-");
        fresh.then_some((36, "ID"))
    })
}

fn replace(text: &str, found: impl Fn(&str) -> Option<(usize, &'static str)>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let (taken, put) = found(rest).map_or((first.len_utf8(), None), |(taken, put)| (taken, Some(put)));
        out.push_str(put.unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
    }
    out
}
