//! How the domain's values stand in columns, and back. Reading checks everything: the database may have been edited by hand.

use domain::Timestamp;
use domain::ports::{BoxError, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use std::str::FromStr;

/// Microseconds since 1970. A timestamp may hold nanoseconds; they are dropped.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A number that the database can hold; numbers beyond that are counted down to its largest, which no counter reaches.
pub fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A LIMIT.
pub fn limit(most: usize) -> i64 {
    number(u64::try_from(most).unwrap_or(u64::MAX))
}

/// Text from outside. Postgres holds no NUL in text, so the replacement character stands for it, in either database.
pub fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same where it may be absent.
pub fn text_if(text: &Option<String>) -> Option<String> {
    text.as_deref().map(self::text)
}

/// JSON text.
pub fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// The one word that serde writes for a value of an enum.
pub fn word(value: &impl Serialize) -> Result<String, sqlx::Error> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(sqlx::Error::Encode(format!("{other} is not one word").into())),
        Err(error) => Err(sqlx::Error::Encode(Box::new(error))),
    }
}

/// A record that is being read, by the name that a complaint about it uses.
pub struct Record<'a> {
    /// `lease`, `node`.
    pub kind: &'static str,
    /// Its key.
    pub key: &'a str,
}

impl Record<'_> {
    /// Text that a type of the domain parses.
    pub fn parsed<T: FromStr<Err: Into<BoxError>>>(&self, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|error: T::Err| self.corrupt(error.into()))
    }

    /// The same where it may be absent.
    pub fn parsed_if<T: FromStr<Err: Into<BoxError>>>(&self, text: Option<&str>) -> Result<Option<T>, StoreError> {
        text.map(|text| self.parsed(text)).transpose()
    }

    /// A time.
    pub fn time(&self, micros: i64) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(micros).map_err(|error| self.corrupt(error.into()))
    }

    /// A number of a smaller type.
    pub fn number<T: TryFrom<i64, Error: Into<BoxError>>>(&self, value: i64) -> Result<T, StoreError> {
        T::try_from(value).map_err(|error| self.corrupt(error.into()))
    }

    /// The same where it may be absent.
    pub fn number_if<T: TryFrom<i64, Error: Into<BoxError>>>(&self, value: Option<i64>) -> Result<Option<T>, StoreError> {
        value.map(|value| self.number(value)).transpose()
    }

    /// A value of an enum.
    pub fn word<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        T::deserialize(StrDeserializer::<WordError>::new(text)).map_err(|error| self.corrupt(error.into()))
    }

    /// JSON text.
    pub fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(error.into()))
    }

    /// The same as bytes.
    pub fn json_bytes<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(text).map_err(|error| self.corrupt(error.into()))
    }

    /// JSON text where it may be absent.
    pub fn json_if<T: DeserializeOwned>(&self, text: Option<&str>) -> Result<Option<T>, StoreError> {
        text.map(|text| self.json(text)).transpose()
    }

    /// It cannot be read.
    pub fn corrupt(&self, source: BoxError) -> StoreError {
        StoreError::Corrupt { what: format!("a {} ({})", self.kind, self.key), source }
    }
}
