//! The folder of a site, read from disk: its TOML, and the tables that its racks name.

use super::Files;
use std::path::{Component, Path, PathBuf};

/// The largest site that is read, bytes of all files together.
pub const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Why a site's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder could not be read.
    #[error("could not read the site {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing there.
    #[error("{0} holds no .toml file: a site needs at least one, with [site] and [network.NAME]")]
    Empty(PathBuf),
    /// Too much there.
    #[error("{0} holds more than {MOST_BYTES} bytes: this is no site")]
    TooLarge(PathBuf),
}

/// Reads every `.toml` file of a folder and its folders, except hidden ones, or one file; and the tables that racks in
/// them name. A table that is not there is left out, and whoever reads the rack says so.
pub fn read_files(path: &Path) -> Result<Files, FilesError> {
    let mut files = Files::new();
    let mut total = 0;
    if path.is_dir() {
        read_folder(path, path, &mut files, &mut total)?;
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.insert(name, read_file(path, path, &mut total)?);
    }
    if files.is_empty() {
        return Err(FilesError::Empty(path.to_owned()));
    }
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    for name in files.values().flat_map(|text| tables_named(text)).collect::<Vec<_>>() {
        let table = root.join(&name);
        if table.is_file() && !files.contains_key(&name) {
            files.insert(name, read_file(path, &table, &mut total)?);
        }
    }
    Ok(files)
}

fn read_folder(root: &Path, folder: &Path, files: &mut Files, total: &mut u64) -> Result<(), FilesError> {
    let unreadable = |source| FilesError::Unreadable { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            read_folder(root, &path, files, total)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.insert(name, read_file(root, &path, total)?);
        }
    }
    Ok(())
}

fn read_file(root: &Path, path: &Path, total: &mut u64) -> Result<String, FilesError> {
    let text = std::fs::read_to_string(path).map_err(|source| FilesError::Unreadable { path: path.to_owned(), source })?;
    *total += text.len() as u64;
    if *total > MOST_BYTES { Err(FilesError::TooLarge(root.to_owned())) } else { Ok(text) }
}

/// The tables that the racks of a file name, those within the site's folder. What is not TOML is complained of elsewhere.
fn tables_named(text: &str) -> Vec<String> {
    let Ok(file) = text.parse::<toml::Table>() else { return vec![] };
    let racks = file.get("rack").and_then(toml::Value::as_table);
    let named = racks.into_iter().flat_map(|racks| racks.values()).filter_map(|rack| rack.get("nodes")?.as_str());
    named.filter(|name| is_table_within(name)).map(str::to_owned).collect()
}

/// Whether a rack may name this file: a `.csv` file in the site's folder, so that applying a site sends nothing else.
pub(super) fn is_table_within(name: &str) -> bool {
    let within = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    is_table(name) && within && !name.contains('\\')
}

pub(super) fn is_table(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".csv")
}
