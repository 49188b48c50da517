//! Who holds a UDP or TCP port of this machine, for the message of a server that cannot have it.
//!
//! Read from `/proc`, so it knows only what the caller may see there: without privilege, other users' programmes stay
//! unnamed.

use std::fs;
use std::path::Path;

/// What a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP over IPv4 or IPv6.
    Udp,
    /// TCP, listening, over IPv4 or IPv6.
    Tcp,
}

/// The programme that holds a port: `dnsmasq (process 4711)`; none when nobody does or nobody can be named.
pub fn holder_of(transport: Transport, port: u16) -> Option<String> {
    let sockets: Vec<String> = tables(transport)
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|text| sockets_at(&text, transport, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = holds_one_of(&process.path(), &sockets);
        holds.then(|| format!("{} (process {id})", name_of(&process.path())))
    })
}

fn tables(transport: Transport) -> [&'static str; 2] {
    match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    }
}

/// Inodes of the sockets at a port, from the kernel's table: `sl local_address rem_address st … inode`.
fn sockets_at(table: &str, transport: Transport, port: u16) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, at) = fields.get(1)?.rsplit_once(':')?;
        let state_fits = transport == Transport::Udp || fields.get(3) == Some(&LISTENING);
        (u16::from_str_radix(at, 16) == Ok(port) && state_fits).then(|| fields.get(9)?.parse().ok())?
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

fn holds_one_of(process: &Path, sockets: &[String]) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.iter().any(|socket| socket == target)))
}

fn name_of(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    domain::timeline::printable(name.trim_end(), 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let me = format!("(process {})", std::process::id());
        let udp_port = udp.local_addr().expect("bound").port();
        let tcp_port = tcp.local_addr().expect("bound").port();
        assert!(holder_of(Transport::Udp, udp_port).is_some_and(|holder| holder.ends_with(&me)));
        assert!(holder_of(Transport::Tcp, tcp_port).is_some_and(|holder| holder.ends_with(&me)));
    }
}
