//! Stores, tested from outside. [`contract`] is for every store; the rest is about the one in SQLite.

mod contract;
mod faults;
mod opening;
mod sqlite;
