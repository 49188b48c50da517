//! Leases: one row an address.

use super::db::{self, Connection};
use super::work::{Failure, Work};
use super::{SqlStore, unreadable};
use crate::columns::{Record, micros, text, text_if, word};
use async_trait::async_trait;
use domain::lease::Lease;
use domain::ports::{LeaseStore, StoreError};

/// Two statements in one text, which share the parameters; see [`db::statements`].
pub(super) const KEEP: &str = "
    DELETE FROM leases WHERE network = $1 AND mac = $3 AND address <> $2 AND state <> 'declined';
    INSERT INTO leases (network, address, mac, granted, expires, state, host_name) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (network, address) DO UPDATE SET mac = excluded.mac, granted = excluded.granted, expires = excluded.expires,
        state = excluded.state, host_name = excluded.host_name";

const ALL: &str = "SELECT network, address, mac, granted, expires, state, host_name FROM leases";

#[derive(sqlx::FromRow)]
struct Row {
    network: String,
    address: String,
    mac: String,
    granted: i64,
    expires: i64,
    state: String,
    host_name: Option<String>,
}

impl Row {
    fn lease(self) -> Result<Lease, StoreError> {
        let record = Record { kind: "lease", key: &self.address };
        Ok(Lease {
            address: record.parsed(&self.address)?,
            mac: record.parsed(&self.mac)?,
            granted: record.time(self.granted)?,
            expires: record.time(self.expires)?,
            state: record.word(&self.state)?,
            network: self.network,
            host_name: self.host_name,
        })
    }
}

pub async fn keep(connection: &mut Connection, lease: &Lease) -> Result<(), Failure> {
    for statement in db::statements(KEEP) {
        sqlx::query(statement)
            .bind(text(&lease.network))
            .bind(lease.address.to_string())
            .bind(lease.mac.to_string())
            .bind(micros(lease.granted))
            .bind(micros(lease.expires))
            .bind(word(&lease.state)?)
            .bind(text_if(&lease.host_name))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[async_trait]
impl LeaseStore for SqlStore {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(ALL).fetch_all(&self.readers).await.map_err(unreadable("read the leases"))?;
        rows.into_iter().map(Row::lease).collect()
    }

    async fn keep_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.write(Work::Lease(lease.clone())).await.map(drop)
    }
}
