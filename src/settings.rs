//! `overture.toml`: how this process runs. What is wanted of nodes is the site's; see [`crate::site`].

use crate::files::{Complaints, Notes, Reader, Source};
use std::path::{Path, PathBuf};
use store::{Location, PostgresUrl};

/// How this process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Folder for the database and the keys.
    pub state: PathBuf,
    /// The site that an empty store loads.
    pub site: Option<PathBuf>,
    /// Port of DHCP; 0 takes any, for tests.
    pub dhcp_port: u16,
    /// Port of TFTP.
    pub tftp_port: u16,
    /// Port of boot HTTP.
    pub boot_port: u16,
    /// Folder with `vmlinuz` and `ramdisk`, as `overture ramdisk build` makes them.
    pub boot_files: PathBuf,
    /// Folder with Debian's `undionly.kpxe` and `snponly.efi`.
    pub ipxe: PathBuf,
    /// Port of the agents' HTTPS.
    pub agents_port: u16,
    /// The operators' local socket.
    pub socket: PathBuf,
    /// Where to keep what must not be lost: `postgres://…`; a file in the state folder when there is none.
    pub store: Option<PostgresUrl>,
    /// How long reports of nodes are kept, days.
    pub history_days: u32,
    /// How many reports are kept of a node, the newest.
    pub history_reports: u64,
}

/// Where the CLI looks for the service on this machine, and the service listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/overture/api.sock";
/// Where the service reads its settings unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/overture/overture.toml";
/// The most reports of a node that can be kept: the store's own bound.
const MOST_REPORTS: i64 = 10_000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: "/var/lib/overture".into(),
            site: None,
            dhcp_port: 67,
            tftp_port: 69,
            boot_port: 80,
            boot_files: "/var/lib/overture/boot".into(),
            ipxe: "/usr/lib/ipxe".into(),
            agents_port: 8444,
            socket: DEFAULT_SOCKET.into(),
            store: None,
            history_days: 400,
            history_reports: 10_000,
        }
    }
}

/// What the command line or the environment says instead of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of `state`.
    pub state: Option<PathBuf>,
    /// Instead of `site`.
    pub site: Option<PathBuf>,
    /// Instead of `operators.socket`.
    pub socket: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("could not read the settings {path}: name another file with --config")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("mistakes in the settings:\n\n{0}")]
    Wrong(Complaints),
}

impl Settings {
    /// Reads a file; paths in it are relative to its folder. Overrides win.
    pub fn read(path: &Path, overrides: Overrides) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        let mut settings = Self::parse(&path.to_string_lossy(), &text).map_err(SettingsError::Wrong)?;
        let base = path.parent().unwrap_or(Path::new(""));
        for relative in
            [&mut settings.state, &mut settings.boot_files, &mut settings.ipxe, &mut settings.socket].into_iter().chain(&mut settings.site)
        {
            *relative = base.join(&*relative);
        }
        Ok(settings.overridden(overrides))
    }

    /// Reads the file that was named, or the usual one if it is there; without either, every key has its default.
    pub fn find(named: Option<&Path>, overrides: Overrides) -> Result<Self, SettingsError> {
        match named {
            Some(path) => Self::read(path, overrides),
            None if Path::new(DEFAULT_CONFIG).exists() => Self::read(Path::new(DEFAULT_CONFIG), overrides),
            None => {
                tracing::info!("there is no {DEFAULT_CONFIG}: every setting has its default");
                Ok(Self::default().overridden(overrides))
            }
        }
    }

    /// Where the store is.
    pub fn store_location(&self) -> Location {
        match &self.store {
            Some(url) => Location::Postgres(url.clone()),
            None => Location::Sqlite(self.state.join("overture.db")),
        }
    }

    fn overridden(mut self, overrides: Overrides) -> Self {
        self.state = overrides.state.unwrap_or(self.state);
        self.site = overrides.site.or(self.site);
        self.socket = overrides.socket.unwrap_or(self.socket);
        self
    }

    /// Reads the text of a file; every mistake at once.
    pub fn parse(path: &str, text: &str) -> Result<Self, Complaints> {
        let mut notes = Notes::default();
        let mut settings = Self::default();
        Reader::file(&mut notes, 0, text, |root| settings.fill(root));
        // Mistakes are shown under their lines.
        notes.into_result(vec![Source { path: path.to_owned(), text: without_secrets(text) }], settings)
    }

    fn fill(&mut self, root: &mut Reader<'_, '_>) {
        set_path(root, "state", &mut self.state);
        let mut site = PathBuf::new();
        if set_path(root, "site", &mut site) {
            self.site = Some(site);
        }
        root.table("dhcp", |table| set_port(table, &mut self.dhcp_port));
        root.table("tftp", |table| set_port(table, &mut self.tftp_port));
        root.table("boot", |table| {
            set_port(table, &mut self.boot_port);
            set_path(table, "files", &mut self.boot_files);
            set_path(table, "ipxe", &mut self.ipxe);
        });
        root.table("agents", |table| set_port(table, &mut self.agents_port));
        root.table("operators", |table| set_path(table, "socket", &mut self.socket));
        root.table("store", |table| match table.text("url").map(|text| text.parse::<PostgresUrl>()) {
            // The value may hold a password: no error repeats it.
            Some(Err(error)) => {
                table.complain("url", format!("write postgres://USER@HOST/DATABASE, or leave it out for a file in `state`: {error}"));
            }
            Some(Ok(url)) => self.store = Some(url),
            None => {}
        });
        root.table("history", |table| {
            if let Some(days) = table.integer("days", 1..=36_500) {
                self.history_days = u32::try_from(days).unwrap_or(self.history_days);
            }
            if let Some(reports) = table.integer("reports", 1..=MOST_REPORTS) {
                self.history_reports = u64::try_from(reports).unwrap_or(self.history_reports);
            }
        });
    }

    /// Whether a text is meant as settings rather than as a site: it has a table or key that only settings have.
    pub fn looks_like_settings(text: &str) -> bool {
        let (root, _) = toml::de::DeTable::parse_recoverable(text);
        root.get_ref()
            .keys()
            .any(|key| matches!(key.get_ref().as_ref(), "state" | "dhcp" | "tftp" | "boot" | "agents" | "operators" | "store" | "history"))
    }
}

/// The text with stars, as many bytes, where the URL of the store may have its password: behind `://` and `url =`.
fn without_secrets(text: &str) -> String {
    let hidden = |line: &str| {
        let body = line.trim_end_matches(['\n', '\r']);
        let scheme = body.find("://").map(|at| at + 3);
        let key = body.find("url").and_then(|at| Some(at + body[at..].find('=')? + 1));
        match scheme.into_iter().chain(key).min() {
            Some(begin) => format!("{}{}{}", &body[..begin], "*".repeat(body.len() - begin), &line[body.len()..]),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(hidden).collect()
}

fn set_port(table: &mut Reader<'_, '_>, port: &mut u16) {
    if let Some(number) = table.integer("port", 0..=65535) {
        *port = u16::try_from(number).unwrap_or_default();
    }
}

fn set_path(table: &mut Reader<'_, '_>, name: &str, path: &mut PathBuf) -> bool {
    let Some(text) = table.text(name) else { return false };
    if text.is_empty() {
        table.complain(name, "an empty path names nothing");
        return false;
    }
    *path = text.into();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(Settings::parse("overture.toml", "").expect("sound"), Settings::default());
    }

    #[test]
    fn mistakes_in_settings_are_told_at_once() {
        let text = "stat = \"x\"\n[dhcp]\nport = 70000\n[boot]\nfiles = 3\n[operator]\n";
        let lines: Vec<_> =
            Settings::parse("overture.toml", text).expect_err("mistakes").located().into_iter().filter_map(|l| l.line).collect();
        assert_eq!(lines, [1, 3, 5, 6]);
    }

    #[test]
    fn what_the_store_would_not_keep_is_no_setting() {
        let parsed = |reports: u64| Settings::parse("overture.toml", &format!("[history]\nreports = {reports}\n"));
        let most = store::Limits::default().reports_of_one_node;
        assert_eq!(parsed(most).expect("sound").history_reports, most);
        assert!(parsed(most + 1).is_err());
    }

    #[test]
    fn a_mistake_in_the_url_of_the_store_does_not_repeat_it() {
        for url in ["mysql://u:geheim@h/db", "postgres://u:1/geheim@h/db", "postgres://u@h/db?passwd=geheim"] {
            let complaints = Settings::parse("overture.toml", &format!("[store]\nurl = \"{url}\"\n")).expect_err("a mistake");
            let told = complaints.to_string();
            assert!(told.contains("write postgres://") && !told.contains("geheim"), "{told}");
        }
    }

    #[test]
    fn overrides_win_and_paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("overture.toml");
        std::fs::write(&path, "state = \"state\"\nsite = \"site\"\n").expect("written");
        let settings = Settings::read(&path, Overrides { site: Some("/elsewhere".into()), ..Overrides::default() }).expect("sound");
        assert_eq!(settings.state, folder.path().join("state"));
        assert_eq!(settings.site, Some("/elsewhere".into()));
    }
}
