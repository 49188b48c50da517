//! What counts in this process, gathered for `/metrics`.

/// One counter as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The family: `dhcp_packets`. The metric is `overture_<family>_total`.
    pub family: &'static str,
    /// The label `reason`.
    pub reason: &'static str,
    /// The label `network`; empty where there is none.
    pub network: String,
    /// The value.
    pub value: u64,
}
