//! dnsmasq: DHCP and TFTP in one small C programme.

use super::{Contestant, Programs, Setup, program};
use crate::hall::{POOL, SERVER_INTERFACE};
use std::process::Command;

/// dnsmasq, without DNS, without anything of the machine's own configuration.
pub struct Dnsmasq;

impl Contestant for Dnsmasq {
    fn name(&self) -> &'static str {
        "dnsmasq"
    }

    fn check(&self, _: &Programs) -> anyhow::Result<()> {
        program("dnsmasq").map(drop)
    }

    fn command(&self, _: &Programs, setup: &Setup<'_>) -> anyhow::Result<Command> {
        let mut command = Command::new(program("dnsmasq")?);
        command.args(["--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]);
        // No file in /run; and no echo request before an offer, for which it would wait three seconds.
        command.args(["--pid-file=", "--log-facility=-", "--no-ping"]);
        command.arg(format!("--interface={SERVER_INTERFACE}"));
        command.arg(format!("--dhcp-range={},{},255.255.255.0,1h", POOL.0, POOL.1));
        command.arg(format!("--dhcp-leasefile={}", setup.folder.join("leases").display()));
        if let Some(files) = setup.files {
            command.args(["--enable-tftp".to_owned(), format!("--tftp-root={}", files.display())]);
        }
        Ok(command)
    }
}
