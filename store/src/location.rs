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
pub enum NotALocation {
    /// It begins like nothing that is known.
    #[error("a store is a path, or postgres://USER@HOST/DATABASE; this begins like neither")]
    Neither,
    /// Part of it may be of the password, and would be taken for a host, a database or a parameter.
    #[error(
        "the URL of Postgres has more than USER:PASSWORD@HOST:PORT/DATABASE?KEY=VALUE: \
        escape `/`, `@`, `?` and `#` in the password as %2F, %40, %3F and %23"
    )]
    Ambiguous,
    /// A parameter that has no meaning here. Its value is not repeated, and its key only if it looks like one.
    #[error("the URL of Postgres has an unknown parameter{}: the known ones are {}", shown(.0), PARAMETERS.join(", "))]
    UnknownParameter(Option<String>),
}

/// The parameters of a URL that the client of Postgres knows; it would write others into the log with their values.
const PARAMETERS: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[…]",
];

fn shown(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!(" `{key}`")).unwrap_or_default()
}

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
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(NotALocation::Neither)?;
        // What a parser ends the authority with ends it here, too: the rest of a password must not become something else.
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = before.split_once('/').map_or("", |(_, path)| path);
        if rest.contains('#') || path.contains(['/', '@']) || query.contains('@') {
            return Err(NotALocation::Ambiguous);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = PARAMETERS.contains(&key) || (key.starts_with("options[") && key.ends_with(']'));
            if !known {
                let is_word = key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
                // A word without a value may be the value of another.
                return Err(NotALocation::UnknownParameter((is_word && !value.is_empty()).then(|| key.to_owned())));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Location {
    type Err = NotALocation;
    fn from_str(text: &str) -> Result<Self, NotALocation> {
        match text.parse() {
            Ok(url) => Ok(Self::Postgres(url)),
            Err(NotALocation::Neither) if !text.is_empty() && !text.contains("://") => Ok(Self::Sqlite(text.into())),
            Err(error) => Err(error),
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
        assert_eq!("".parse::<Location>(), Err(NotALocation::Neither));
        assert_eq!("mysql://u:geheim@h/db".parse::<Location>(), Err(NotALocation::Neither));
    }

    #[test]
    fn what_may_be_of_a_password_is_refused_and_not_repeated() {
        let ambiguous = [
            "postgres://u:geheim/1@h/db",
            "postgres://u:1/geheim@h/db",
            "postgres://u:1/geheim@h",
            "postgres://u:1?geheim@h/db",
            "postgres://u:1#geheim@h/db",
            "postgres://u:1/x?sslmode=geheim@h/db",
            "postgres://h/db/geheim",
        ];
        for url in ambiguous {
            let error = url.parse::<Location>().expect_err(url);
            assert!(error.to_string().contains("%2F, %40") && !error.to_string().contains("geheim"), "{url}: {error}");
        }
        let unknown = |url: &str| url.parse::<PostgresUrl>().expect_err(url).to_string();
        for key in ["sslpassword", "passwd"] {
            let told = unknown(&format!("postgres://u@h/db?sslmode=require&{key}=geheim"));
            assert!(told.contains(&format!("unknown parameter `{key}`: ")) && !told.contains("geheim"), "{told}");
        }
        for url in ["postgres://u:1?geheim", "postgres://h/db?password=x&geheim", "postgres://h/db?password=x&gehe+im=3"] {
            let told = unknown(url);
            assert!(told.contains("an unknown parameter: ") && !told.contains("geh"), "{told}");
        }
        let sound =
            ["postgres://u:a%2Fb%40c@%2Frun%2Fpg/db?host=/run/pg&options[search_path]=x&", "postgresql://h", "postgres://u:p@h:5/db?"];
        sound.iter().for_each(|url| assert!(url.parse::<PostgresUrl>().is_ok(), "{url}"));
    }
}
