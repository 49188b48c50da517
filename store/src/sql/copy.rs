//! The rows of a moment, and rows for an empty store; see [`crate::transfer`].

use super::db::{self, Connection, Db};
use super::work::{Failure, Work};
use super::{SqlStore, observe, unreadable};
use crate::columns::limit;
use crate::schema::{self, Kind, TABLES, Table};
use crate::transfer::{Journal, Moment, Row, State, Transfer, Value};
use async_trait::async_trait;
use domain::ports::StoreError;
use sqlx::query_builder::Separated;
use sqlx::{ConnectOptions as _, QueryBuilder, Row as _};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Databases have a bound for the values of one statement; the lowest is 32,766.
const MOST_VALUES: usize = 15_000;

const READING: &str = "read the store for a copy";

/// A connection on which a transaction reads.
struct Still {
    connection: Connection,
}

/// A connection to be made a [`Still`] between two transactions of the writer, and a journal to begin there.
pub struct Tap {
    pub connection: Connection,
    pub journal: Arc<Journal>,
    pub reply: oneshot::Sender<Result<Connection, sqlx::Error>>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap")
    }
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn value(row: &<Db as sqlx::Database>::Row, at: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        Kind::Number => row.try_get::<Option<i64>, _>(at)?.map_or(Value::Nothing, Value::Number),
        Kind::Flag => row.try_get::<Option<bool>, _>(at)?.map_or(Value::Nothing, Value::Flag),
        Kind::Text => row.try_get::<Option<String>, _>(at)?.map_or(Value::Nothing, Value::Text),
        Kind::Id => row.try_get::<Option<uuid::Uuid>, _>(at)?.map_or(Value::Nothing, Value::Id),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map_or(Value::Nothing, Value::Bytes),
    })
}

/// Databases want to know the type also of what is absent.
fn bind(list: &mut Separated<'_, Db, &'static str>, kind: Kind, value: &Value) {
    match (kind, value.clone()) {
        (_, Value::Number(number)) => list.push_bind(number),
        (_, Value::Flag(flag)) => list.push_bind(flag),
        (_, Value::Text(text)) => list.push_bind(text),
        (_, Value::Id(id)) => list.push_bind(id),
        (_, Value::Bytes(bytes)) => list.push_bind(bytes),
        (Kind::Number, Value::Nothing) => list.push_bind(None::<i64>),
        (Kind::Flag, Value::Nothing) => list.push_bind(None::<bool>),
        (Kind::Text, Value::Nothing) => list.push_bind(None::<String>),
        (Kind::Id, Value::Nothing) => list.push_bind(None::<uuid::Uuid>),
        (Kind::Bytes, Value::Nothing) => list.push_bind(None::<Vec<u8>>),
    };
}

#[async_trait]
impl Moment for Still {
    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT COUNT(*) FROM ");
        query.push(table.name);
        let counted: i64 = query.build_query_scalar().fetch_one(&mut self.connection).await.map_err(unreadable(READING))?;
        Ok(u64::try_from(counted).unwrap_or(0))
    }

    async fn portion(&mut self, table: &'static Table, after: Option<&Row>, most: usize) -> Result<Vec<Row>, StoreError> {
        let key = table.key.join(", ");
        let mut query = QueryBuilder::<Db>::new("SELECT ");
        query.push(names(table)).push(" FROM ").push(table.name);
        if let Some(after) = after {
            query.push(format!(" WHERE ({key}) > ("));
            let mut list = query.separated(", ");
            for wanted in table.key {
                let found = table.columns.iter().zip(after).find(|((name, _), _)| name == wanted);
                if let Some(((_, kind), value)) = found {
                    bind(&mut list, *kind, value);
                }
            }
            query.push(")");
        }
        query.push(format!(" ORDER BY {key} LIMIT ")).push_bind(limit(most));
        let rows = query.build().fetch_all(&mut self.connection).await.map_err(unreadable(READING))?;
        let of = |row: &<Db as sqlx::Database>::Row| {
            table.columns.iter().enumerate().map(|(at, (_, kind))| value(row, at, *kind)).collect::<Result<Row, _>>()
        };
        rows.iter().map(of).collect::<Result<_, _>>().map_err(unreadable(READING))
    }
}

pub async fn fill(connection: &mut Connection, table: usize, rows: &[Row]) -> Result<(), Failure> {
    let Some(table) = TABLES.get(table) else { return Err(wrong("there is no such table")) };
    if rows.iter().any(|row| row.len() != table.columns.len()) {
        return Err(wrong("a row has another number of columns than its table"));
    }
    for some in rows.chunks(MOST_VALUES / table.columns.len()) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO ");
        query.push(format!("{} ({}) ", table.name, names(table)));
        query.push_values(some, |mut list, row| {
            table.columns.iter().zip(row).for_each(|((_, kind), value)| bind(&mut list, *kind, value));
        });
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

fn wrong(what: &'static str) -> Failure {
    Failure::Database(sqlx::Error::Encode(what.into()))
}

pub async fn clear(connection: &mut Connection) -> Result<(), Failure> {
    for table in TABLES.iter().rev() {
        let mut query = QueryBuilder::<Db>::new("DELETE FROM ");
        query.push(table.name).build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub async fn set_state(connection: &mut Connection, name: &str, value: Option<&str>) -> Result<(), Failure> {
    match value {
        Some(value) => sqlx::query(observe::SET).bind(name).bind(value).execute(connection).await?,
        None => sqlx::query(observe::UNSET).bind(name).execute(connection).await?,
    };
    Ok(())
}

impl SqlStore {
    async fn reader(&self) -> Result<Connection, StoreError> {
        let options = (*self.readers.connect_options()).clone();
        let mut connection = options.connect().await.map_err(unreadable(READING))?;
        let found = db::schema(&mut connection).await.map_err(unreadable(READING))?;
        if found != i64::from(schema::KNOWN) {
            let told = format!("it has schema {found} and this version copies {} only: use the version that wrote it", schema::KNOWN);
            return Err(StoreError::Unavailable { attempted: READING, source: told.into() });
        }
        Ok(connection)
    }
}

#[async_trait]
impl Transfer for SqlStore {
    async fn moment(&self) -> Result<Box<dyn Moment>, StoreError> {
        let mut connection = self.reader().await?;
        db::still(&mut connection).await.map_err(unreadable(READING))?;
        Ok(Box::new(Still { connection }))
    }

    async fn follow(&self, journal: Arc<Journal>) -> Result<Box<dyn Moment>, StoreError> {
        let connection = self.reader().await?;
        let (reply, tapped) = oneshot::channel();
        self.write(Work::Tap(Box::new(std::sync::Mutex::new(Some(Tap { connection, journal, reply }))))).await?;
        let ended = || StoreError::Unavailable { attempted: READING, source: "the store is closing".into() };
        let connection = tapped.await.map_err(|_| ended())?.map_err(unreadable(READING))?;
        Ok(Box::new(Still { connection }))
    }

    async fn unfollow(&self) -> Result<(), StoreError> {
        self.write(Work::Untap).await.map(drop)
    }

    async fn replay(&self, records: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.write_in_order(records).await
    }

    async fn fill(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let at = TABLES.iter().position(|known| known.name == table.name).unwrap_or(usize::MAX);
        self.write(Work::Fill(at, rows)).await.map(drop)
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.write(Work::Clear).await.map(drop)
    }

    async fn state(&self, state: State) -> Result<Option<String>, StoreError> {
        let attempted = unreadable("read what the store knows of itself");
        sqlx::query_scalar(observe::GET).bind(state.name()).fetch_optional(&self.readers).await.map_err(attempted)
    }

    async fn set_state(&self, state: State, value: Option<String>) -> Result<(), StoreError> {
        self.write(Work::State(state.name().to_owned(), value)).await.map(drop)
    }
}
