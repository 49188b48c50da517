//! What the machines are plugged into says who it is: one LLDP sender a switch, as real switches have them.
//!
//! All first ports of the machines are plugged into `sw1`, all second ones into `sw2`; the port of machine N is
//! `EthernetN`. The packets of both go over one bridge.

use crate::create::Lab;
use crate::network::Network;
use crate::plan::Machine;
use crate::programs;
use crate::start::StartError;
use domain::timeline::printable;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program; Debian's package `lldpd`.
pub(crate) const PROGRAM: &str = "lldpd";

/// How often a switch tells, seconds. Real ones take 30; a laboratory need not wait that long.
const INTERVAL: u32 = 5;

/// How long a sender may take until it listens.
const LIMIT: Duration = Duration::from_secs(10);

impl Lab {
    /// Starts an LLDP sender for each switch of the lab.
    pub fn start_switches(&mut self) -> Result<(), StartError> {
        let namespace = Network::of(self.name()).machines;
        let machines = self.machines();
        let most = machines.iter().map(|machine| machine.macs.len()).max().unwrap_or(0);
        for port in 0..most {
            let name = format!("sw{}", port + 1);
            let [configuration, log, socket] = ["lldp", "log", "sock"].map(|end| self.folder.path().join(format!("{name}.{end}")));
            let written = std::fs::write(&configuration, configure(&name, &machines, port));
            written.map_err(|source| StartError::Spawn { what: name.clone(), log: configuration.clone(), source })?;
            let mut command = Command::new(programs::path_of(PROGRAM));
            // In the foreground, mute about its kernel, and without the helper that would configure it: that one runs as a
            // user who may not look into the lab's folder.
            command.args(["-d", "-k", "-L", "/bin/true", "-u"]).arg(&socket);
            command.arg("-I").arg(taps(&machines, port).join(","));
            self.start_in(&namespace, &name, &command, &log)?;
            tell(&name, &socket, &configuration)?;
        }
        Ok(())
    }

    /// Where the switches' programs write; of those that there can be.
    pub(crate) fn switch_logs(folder: &crate::Folder) -> Vec<PathBuf> {
        [1, 2].map(|number| folder.path().join(format!("sw{number}.log"))).to_vec()
    }
}

/// Has the sender take its configuration and begin.
fn tell(name: &str, socket: &Path, configuration: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Spawn { what: name.to_owned(), log: socket.with_extension("log"), source };
    let deadline = Instant::now() + LIMIT;
    while UnixStream::connect(socket).is_err() {
        if Instant::now() > deadline {
            return Err(failed(io::Error::other("it does not listen")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Debian's lldpcli changes to a user of its own, who may not look into the lab's folder; with no new privileges it stays root.
    let mut command = Command::new(programs::path_of("setpriv"));
    command.arg("--no-new-privs").arg(programs::path_of("lldpcli")).arg("-u").arg(socket).arg("-c").arg(configuration).arg("resume");
    let output = command.stdin(Stdio::null()).output().map_err(failed)?;
    if output.status.success() { Ok(()) } else { Err(failed(io::Error::other(printable(&String::from_utf8_lossy(&output.stderr), 300)))) }
}

fn taps(machines: &[Machine], port: usize) -> Vec<String> {
    machines.iter().filter(|machine| port < machine.macs.len()).map(|machine| machine.tap(port)).collect()
}

/// The commands by which lldpcli configures the sender.
fn configure(name: &str, machines: &[Machine], port: usize) -> String {
    let mut lines = vec![
        format!("configure system hostname {name}"),
        format!("configure system chassisid {name}"),
        "configure system description \"switch of a laboratory\"".into(),
        format!("configure lldp tx-interval {INTERVAL}"),
    ];
    for machine in machines.iter().filter(|machine| port < machine.macs.len()) {
        let tap = machine.tap(port);
        lines.push(format!("configure ports {tap} lldp portidsubtype local Ethernet{}", machine.number));
        lines.push(format!("configure ports {tap} lldp portdescription {}", machine.name));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn each_switch_names_the_ports_of_its_machines() {
        let machines = Plan { bios: 2, server: true, ..Plan::default() }.machines();
        assert_eq!(taps(&machines, 1), ["vm1-1", "vm2-1"]);
        let text = configure("sw2", &machines, 1);
        assert!(
            text.contains("configure system hostname sw2\n") && text.contains("configure ports vm2-1 lldp portidsubtype local Ethernet2\n")
        );
    }
}
