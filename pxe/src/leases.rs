//! The leases of all networks: decided in memory, on disk before they are promised.

use domain::Timestamp;
use domain::lease::{Lease, LeaseTable};
use domain::ports::{LeaseStore, StoreError};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The lease table and where it is kept. Shared by DHCP, TFTP and boot HTTP.
pub struct LeaseBook {
    table: Mutex<LeaseTable>,
    store: Arc<dyn LeaseStore>,
}

impl LeaseBook {
    /// Takes up what the store kept.
    pub async fn restore(store: Arc<dyn LeaseStore>, now: Timestamp) -> Result<Self, StoreError> {
        let table = LeaseTable::restore(store.leases().await?, now);
        Ok(Self { table: Mutex::new(table), store })
    }

    /// The table, for decisions. Never held across an await.
    pub fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a lease on disk; when this returns, it may be promised, and the table knows it.
    pub async fn keep(&self, lease: Lease) -> Result<(), StoreError> {
        self.store.keep_lease(&lease).await?;
        self.table().granted(lease);
        Ok(())
    }

    /// Who holds an address now.
    pub fn holder_of(&self, address: Ipv4Addr, now: Timestamp) -> Option<Lease> {
        self.table().holder_of(address, now).cloned()
    }
}
