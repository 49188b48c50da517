//! Asks for orders in a thread of its own, so that neighbours and tests are not kept waiting by an answer that the
//! service holds back.

use super::Event;
use crate::service::Service;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::time::Duration;

/// The thread; it ends when this is dropped, after the answer that it waits for.
pub struct Asker(Sender<Duration>);

impl Asker {
    /// Nothing is asked yet. Without a thread, which only a machine without memory refuses, nothing is ever answered.
    pub fn start(service: Arc<Service>, wake: SyncSender<Event>) -> Self {
        let (ask, questions) = channel();
        let run = move || {
            for wait in questions {
                if wake.send(Event::Orders(service.orders(wait))).is_err() {
                    return;
                }
            }
        };
        let _ = std::thread::Builder::new().name("orders".into()).spawn(run);
        Self(ask)
    }

    /// Asks once; the answer comes as an event.
    pub fn ask(&self, wait: Duration) {
        let _ = self.0.send(wait);
    }
}
