//! What is written while a store is being copied, in the order in which it was committed. Bounded: a copy that cannot keep
//! up fails, and the service goes on.

use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bound, bytes.
const MOST_BYTES: usize = 256 << 20;

/// Why a journal is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Spoilt {
    /// More was written than it holds.
    #[error("more was written meanwhile than the {} MiB that are held for it: try again when less goes on", .0 >> 20)]
    TooMuch(usize),
    /// It is not known whether something was written.
    #[error("the store lost its database meanwhile, so it is not known whether the last write was kept: try again")]
    Unsure,
}

/// The journal. Shared by the writer that fills it and whoever replays it.
#[derive(Debug)]
pub struct Journal {
    most: usize,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    records: Vec<Vec<u8>>,
    bytes: usize,
    spoilt: Option<Spoilt>,
}

impl Default for Journal {
    fn default() -> Self {
        Self::holding(MOST_BYTES)
    }
}

impl Journal {
    /// One that holds so many bytes.
    pub fn holding(most: usize) -> Self {
        Self { most, written: Mutex::default() }
    }

    /// Takes note of what was committed.
    pub(crate) fn record(&self, work: &impl Serialize) {
        let mut written = self.written();
        if written.spoilt.is_some() {
            return;
        }
        let Ok(record) = serde_json::to_vec(work) else {
            written.spoilt = Some(Spoilt::Unsure);
            return;
        };
        if written.bytes + record.len() > self.most {
            *written = Written { spoilt: Some(Spoilt::TooMuch(self.most)), ..Written::default() };
            return;
        }
        written.bytes += record.len();
        written.records.push(record);
    }

    /// It is not known whether something was committed.
    pub(crate) fn spoil(&self) {
        *self.written() = Written { spoilt: Some(Spoilt::Unsure), ..Written::default() };
    }

    /// What was noted since this was asked last.
    pub(crate) fn take(&self) -> Result<Vec<Vec<u8>>, Spoilt> {
        let mut written = self.written();
        if let Some(spoilt) = &written.spoilt {
            return Err(spoilt.clone());
        }
        Ok(std::mem::take(&mut *written).records)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_is_full_says_so_and_holds_nothing() {
        let journal = Journal::holding(8);
        journal.record(&"one");
        assert_eq!(journal.take(), Ok(vec![b"\"one\"".to_vec()]));
        journal.record(&"two");
        journal.record(&"three");
        assert_eq!(journal.take(), Err(Spoilt::TooMuch(8)));
        journal.record(&"four");
        assert_eq!(journal.take(), Err(Spoilt::TooMuch(8)), "what comes later would stand alone");
    }
}
