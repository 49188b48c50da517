//! Where a store is: a file, or a database of a Postgres server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a store is. Parses from `postgres://…` or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A database of Postgres.
    Postgres(PostgresUrl),
}

/// `postgres://user:password@host:port/database?sslmode=verify-full`, in libpq's words. Never shown with what may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// Not the form of a place. Does not repeat it, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store is a path, or postgres://USER@HOST/DATABASE; this begins like neither")]
pub struct NotALocation;

impl PostgresUrl {
    /// As it was given, secrets included.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(…)")
    }
}

impl FromStr for PostgresUrl {
    type Err = NotALocation;
    fn from_str(text: &str) -> Result<Self, NotALocation> {
        let is_one = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        is_one.then(|| Self(text.to_owned())).ok_or(NotALocation)
    }
}

impl FromStr for Location {
    type Err = NotALocation;
    fn from_str(text: &str) -> Result<Self, NotALocation> {
        match text.parse() {
            Ok(url) => Ok(Self::Postgres(url)),
            Err(_) if text.is_empty() || text.contains("://") => Err(NotALocation),
            Err(_) => Ok(Self::Sqlite(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_url_and_shows_no_password() {
        assert_eq!("/var/lib/x.db".parse(), Ok(Location::Sqlite("/var/lib/x.db".into())));
        let place: Location = "postgres://u:geheim@h/db".parse().expect("a place");
        assert!(matches!(&place, Location::Postgres(url) if url.secret() == "postgres://u:geheim@h/db"));
        assert!(!format!("{place:?}").contains("geheim"));
        assert_eq!("".parse::<Location>(), Err(NotALocation));
        assert_eq!("mysql://u:geheim@h/db".parse::<Location>(), Err(NotALocation));
    }
}
