//! Stores, tested from outside. [`contract`] is for every store; the rest is about the one in SQLite.

mod contract;
mod faults;
mod measure;
mod opening;
mod postgres;
mod postgres_faults;
mod sqlite;
mod transfer;
mod versions;
