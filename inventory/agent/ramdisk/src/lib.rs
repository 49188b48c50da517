//! inventory-agent-ramdisk
