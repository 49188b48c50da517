//! inventory-agent
