//! `overture db`: the store as a whole.

use super::client::{Client, segment};
use super::output::{bytes, moment, print, print_json};
use super::{Failure, Format, Output, Reach, asking};
use crate::api::store::{OperationState, OperationView, StoreView};
use crate::clock::ProcessClock;
use crate::settings::{Overrides, Settings};
use clap::{Args, Subcommand};
use domain::clock::Clock;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use store::transfer::{Contents, Progress, Restored, restore, verify};

/// How often a running operation is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(250);

#[derive(Subcommand)]
pub enum Command {
    /// Tell where the store is, and whether the service only watches
    Status {
        #[command(flatten)]
        format: Format,
    },
    /// Write the whole store into a file, while the service goes on
    #[command(
        after_help = "The file holds tickets of machines, and only its owner can read it: keep it so. It appears under its name when it is whole.\n\nExamples:\n  overture db backup /var/backups/overture-$(date +%F)\n  overture db backup - | ssh vault 'cat > overture-backup'"
    )]
    Backup {
        /// The file, which must not be there yet; `-` for the standard output
        file: PathBuf,
    },
    /// Read a backup to its end, and tell what is in it or why it cannot be used
    #[command(after_help = "Example:\n  overture db verify /var/backups/overture-2026-11-20")]
    Verify {
        /// The backup
        file: PathBuf,
    },
    /// Make a backup the store that the settings name, while no service runs on it
    #[command(
        after_help = "The service that is started on it only watches: known machines get their known addresses, and nothing is ordered or changed, until you have looked and run `overture db resume`.\n\nExamples:\n  overture db restore /var/backups/overture-2026-11-20\n  overture db restore overture-2026-11-20 --replace --state /srv/overture"
    )]
    Restore(Restore),
    /// Let a service act again that only watches since its store was restored
    #[command(after_help = "Look before: `overture nodes list`, `overture leases`, `overture explain MACHINE`.")]
    Resume,
    /// Move the store to an empty Postgres database, while the service goes on
    #[command(
        after_help = "A password on a command line can be read by every user of this machine: leave it out and set PGPASSWORD or ~/.pgpass of the service's user, or give the whole URL in a file or the environment.\n\nInterrupting this command does not stop the move. One that fails leaves the store as it is.\n\nExamples:\n  overture db migrate-to postgres://overture@db.example.com/overture?sslmode=verify-full\n  overture db migrate-to --url-file /etc/overture/store-url\n  overture db migrate-to --url-file - < store-url"
    )]
    MigrateTo {
        /// The database: postgres://USER@HOST/DATABASE
        #[arg(env = "OVERTURE_STORE_URL", hide_env_values = true, required_unless_present = "url_file")]
        url: Option<String>,
        /// Read the URL from a file; `-` for the standard input
        #[arg(long, value_name = "FILE", conflicts_with = "url")]
        url_file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The settings [default: /etc/overture/overture.toml; without that file, the defaults of every key]
    #[arg(long, short, env = "OVERTURE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the database and the keys, instead of the settings' `state`
    #[arg(long, env = "OVERTURE_STATE", value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Move a store aside that is there and not empty; it is kept beside the new one
    #[arg(long)]
    replace: bool,
}

/// Runs one.
pub fn run(reach: &Reach, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Status { format } => asking(status(reach, format)),
        Command::Backup { file } => asking(backup(reach, &file)),
        Command::Verify { file } => {
            print(&format!("{} is whole. {}", file.display(), told(&verify(&file)?)));
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore(restore) => asking(restored(restore)),
        Command::Resume => asking(resume(reach)),
        Command::MigrateTo { url, url_file } => asking(migrate(reach, url, url_file)),
    }
}

async fn status(reach: &Reach, format: Format) -> Result<ExitCode, Failure> {
    let store: StoreView = Client::new(reach)?.get("/api/v1/store").await?;
    match format.output {
        Output::Json => print_json(&store),
        Output::Table => {
            let watching = match &store.only_watching {
                Some(why) => format!("only watching since {}: {}; `overture db resume` ends that", moment(&why.since), why.reason),
                None => "acting".into(),
            };
            print(&format!("store:   {}\nservice: {watching}\n", store.place));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes a file that was not finished.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It was renamed when it was whole.
        let _ = fs::remove_file(&self.0);
    }
}

async fn backup(reach: &Reach, path: &Path) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    if path == Path::new("-") {
        if io::stdout().is_terminal() {
            return Err("a backup is no text: send the standard output into a file or a program".into());
        }
        let mut out = io::stdout();
        client.download("/api/v1/store/backup", |piece| out.write_all(piece)).await?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    if path.exists() {
        return Err(format!("{} is there already: name another file, or remove it", path.display()).into());
    }
    let failed = |attempted: &str, error: io::Error| -> Failure { format!("could not {attempted} {}: {error}", path.display()).into() };
    let mut part = path.as_os_str().to_owned();
    // Another backup into the same file may be under way.
    part.push(format!(".{}-{}.part", std::process::id(), uuid::Uuid::new_v4().simple()));
    let part = Unfinished(part.into());
    let mut file = None;
    let shown = bar("{spinner} {bytes} {bytes_per_sec}");
    client
        .download("/api/v1/store/backup", |piece| {
            shown.inc(piece.len() as u64);
            // Nothing is made before the service has given something.
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0)?),
            };
            file.write_all(piece)
        })
        .await?;
    shown.finish_and_clear();
    let file = file.ok_or("the service sent an empty backup: its log says why")?;
    file.sync_all().map_err(|error| failed("write", error))?;
    let contents = verify(&part.0)?;
    if path.exists() {
        return Err(format!("{} was written meanwhile by another: it is kept, and this backup is thrown away", path.display()).into());
    }
    fs::rename(&part.0, path).map_err(|error| failed("write", error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("write", error))?;
    print(&format!("{} was written. {}", path.display(), told(&contents)));
    Ok(ExitCode::SUCCESS)
}

fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// What a backup holds, in words.
fn told(contents: &Contents) -> String {
    let header = &contents.header;
    let site = header.site.as_ref().map_or_else(|| "no site".to_owned(), |site| format!("site {}", domain::timeline::printable(site, 80)));
    let rows = |table: &str| contents.rows.get(table).copied().unwrap_or(0);
    format!(
        "It is of {:.0}, by Overture {}, schema {}, {site}: {} nodes, {} reports, {} leases, {} boots, {} revisions of the site; {}.\n",
        header.made,
        domain::timeline::printable(&header.by, 40),
        header.schema,
        rows("nodes"),
        rows("reports"),
        rows("leases"),
        rows("boots"),
        rows("revisions"),
        bytes(contents.bytes)
    )
}

async fn restored(asked: Restore) -> Result<ExitCode, Failure> {
    let overrides = Overrides { state: asked.state, ..Overrides::default() };
    let settings = Settings::find(asked.config.as_deref(), overrides)?;
    crate::service::make_state_folder(&settings.state)?;
    let _alone = crate::service::lock(&settings.state)?;
    let now = ProcessClock::start().now();
    let outcome = restore(&asked.file, &settings.store_location(), asked.replace, now, &Progress::default()).await?;
    let Restored { contents, place, aside } = outcome;
    print(&format!("{place} is now what {} holds. {}", asked.file.display(), told(&contents)));
    if let Some(aside) = aside {
        print(&format!("The store that was there is kept as {}.\n", aside.display()));
    }
    print(
        "The service that you start on it only watches. Start it, compare (`overture nodes list`, `overture leases`), then let it act: \
         `overture db resume`.\n",
    );
    Ok(ExitCode::SUCCESS)
}

async fn resume(reach: &Reach) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    let before: StoreView = client.get("/api/v1/store").await?;
    let _: StoreView = client.write(Method::POST, "/api/v1/store/resume", json!({})).await?;
    match before.only_watching {
        Some(why) => print(&format!("The service acts again. It had only watched since {}: {}.\n", moment(&why.since), why.reason)),
        None => print("Nothing to do: the service acts already.\n"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(reach: &Reach, url: Option<String>, file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let url = match (url, file) {
        (Some(url), _) => url,
        (None, Some(file)) => read(&file).map_err(|error| format!("could not read the URL from {}: {error}", file.display()))?,
        (None, None) => return Err("name the database".into()),
    };
    let client = Client::new(reach)?;
    let mut operation: OperationView = client.write(Method::POST, "/api/v1/store/migrate", json!({ "url": url.trim() })).await?;
    let shown = bar("{spinner} {pos}/{len} rows {wide_bar} {eta}");
    let path = format!("/api/v1/operations/{}", segment(&operation.id)?);
    while operation.state == OperationState::Running {
        shown.set_length(operation.total);
        shown.set_position(operation.done);
        tokio::time::sleep(ASK_EVERY).await;
        operation = client.get(&path).await?;
    }
    shown.finish_and_clear();
    if let Some(problem) = operation.problem {
        return Err(format!("the store was not moved, and the service goes on with the one that it has: {problem}").into());
    }
    let store: StoreView = client.get("/api/v1/store").await?;
    let message = operation.message.unwrap_or_default();
    print(&format!(
        "Done: {message}.\n\nSet this in the service's settings before it is started again, with the password unless PGPASSWORD or ~/.pgpass \
         has it; until then it refuses to start on the old store:\n\n[store]\nurl = \"{}\"\n",
        store.place
    ));
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    match file == Path::new("-") {
        true => io::stdin().take(1 << 16).read_to_string(&mut text)?,
        false => File::open(file)?.take(1 << 16).read_to_string(&mut text)?,
    };
    Ok(text)
}
