//! Runs the few programs of the system that a build needs, and says which package brings one that is missing.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::BuildError;

/// A program and the Debian package it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const APT_CACHE: Tool = Tool { name: "apt-cache", package: "apt" };
pub(crate) const APT_GET: Tool = Tool { name: "apt-get", package: "apt" };
pub(crate) const DPKG_DEB: Tool = Tool { name: "dpkg-deb", package: "dpkg" };
pub(crate) const DEPMOD: Tool = Tool { name: "depmod", package: "kmod" };

/// How much of a failed program's complaint is repeated, in characters.
const SAID: usize = 600;

impl Tool {
    /// Runs it in `folder` (which exists) and returns what it wrote to its standard output.
    pub(crate) fn run(self, attempt: &str, folder: &Path, arguments: &[&str]) -> Result<String, BuildError> {
        // depmod lives in sbin, which an ordinary user's PATH lacks.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
        let mut command = Command::new(self.name);
        let finished = command.args(arguments).current_dir(folder).env("PATH", path).env("LC_ALL", "C").output();
        let output = finished.map_err(|source| match source.kind() {
            ErrorKind::NotFound => BuildError::Tool { tool: self.name, package: self.package },
            _ => self.failed(attempt, "no exit status".to_owned(), &source.to_string()),
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(attempt, output.status.to_string(), &String::from_utf8_lossy(&output.stderr)))
    }

    fn failed(self, attempt: &str, status: String, said: &str) -> BuildError {
        let said = said.trim().replace('\n', "; ");
        let skip = said.chars().count().saturating_sub(SAID);
        BuildError::ToolFailed { attempt: attempt.to_owned(), tool: self.name, status, said: said.chars().skip(skip).collect() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let tool = Tool { name: "no-such-program-here", package: "kmod" };
        let error = tool.run("index modules", Path::new("/"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "no-such-program-here is not installed: install the package kmod (apt-get install kmod)");
    }

    #[test]
    fn a_failed_program_is_quoted() {
        let error = DPKG_DEB.run("unpack nothing", Path::new("/"), &["-x", "/nonexistent.deb", "/nonexistent"]).unwrap_err().to_string();
        assert!(error.starts_with("could not unpack nothing: dpkg-deb ended with exit status"), "{error}");
        assert!(error.contains("/nonexistent.deb"), "{error}");
    }
}
