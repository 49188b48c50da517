//! What `${…}` stands for.

use crate::dhcp::{Lease, Machine, option};
use std::collections::BTreeMap;

/// Expansions of one line before it counts as a loop.
const MOST_EXPANSIONS: usize = 200;
/// The longest line, bytes, however much is expanded in it.
const LONGEST_LINE: usize = 65_536;

/// The value of a setting: how it is shown by itself, and its bytes, which `:hexhyp` and its like show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    text: String,
    bytes: Vec<u8>,
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    /// Bytes that are shown in a form of their own.
    pub fn bytes(shown: impl ToString, bytes: &[u8]) -> Self {
        Self { text: shown.to_string(), bytes: bytes.to_vec() }
    }

    fn shown_as(&self, form: &str) -> Result<String, String> {
        let hex = |between: &str| self.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between);
        match form {
            "" | "string" | "ipv4" | "uuid" | "guid" | "int8" | "int16" | "int32" | "uint8" | "uint16" | "uint32" => Ok(self.text.clone()),
            "hex" => Ok(hex(":")),
            "hexhyp" => Ok(hex("-")),
            "hexraw" => Ok(hex("")),
            "uristring" => Ok(self.text.bytes().map(uri_byte).collect()),
            other => Err(format!("the simulator does not know settings of type `{other}`")),
        }
    }
}

fn uri_byte(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// Settings by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// What iPXE knows on this machine after DHCP.
    pub fn of(machine: &Machine, lease: &Lease) -> Self {
        let uefi = machine.is_uefi();
        let address = |ip: std::net::Ipv4Addr| Value::bytes(ip, &ip.octets());
        let mut settings = BTreeMap::from([
            ("mac", Value::bytes(machine.mac, &machine.mac.0)),
            ("uuid", Value::bytes(machine.uuid, &machine.uuid.0)),
            ("serial", Value::text(&machine.serial)),
            ("manufacturer", Value::text("Simulated")),
            ("product", Value::text("Machine")),
            ("platform", Value::text(if uefi { "efi" } else { "pcbios" })),
            ("buildarch", Value::text(if uefi { "x86_64" } else { "i386" })),
            ("version", Value::text("1.0.0+simulated")),
            ("ip", address(lease.address)),
            ("next-server", address(lease.next_server)),
            ("dhcp-server", address(lease.server)),
            ("filename", Value::text(lease.boot_file.as_deref().unwrap_or_default())),
        ]);
        for (name, code) in [("netmask", option::SUBNET_MASK), ("gateway", option::ROUTER), ("dns", option::DNS)] {
            settings.extend(lease.ack.address(code).map(|ip| (name, address(ip))));
        }
        Self(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Writes a setting; an empty value removes it. A type in the name (`wait:int32`) makes no difference here.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = bare(name).split(':').next().unwrap_or_default().to_owned();
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.insert(name, Value::text(value));
        }
    }

    /// Adds to a number; one that is not set counts as 0.
    pub fn increase(&mut self, name: &str, by: &str) -> Result<(), String> {
        let number = |text: &str| text.parse::<i32>().map_err(|_| format!("`{text}` is no whole number"));
        let old = self.0.get(bare(name)).map_or(Ok(0), |value| number(&value.text))?;
        self.set(name, &old.wrapping_add(number(by)?).to_string());
        Ok(())
    }

    /// Expands a line as iPXE does: innermost first, and what came out of it again.
    pub fn expand(&self, line: &str) -> Result<String, String> {
        let mut line = line.to_owned();
        for _ in 0..MOST_EXPANSIONS {
            let Some((start, end)) = innermost(&line) else { return Ok(line) };
            let (name, form) = line[start + 2..end].split_once(':').unwrap_or((&line[start + 2..end], ""));
            let value = self.0.get(bare(name)).map(|value| value.shown_as(form)).transpose()?.unwrap_or_default();
            line.replace_range(start..=end, &value);
            if line.len() > LONGEST_LINE {
                break;
            }
        }
        Err("the line never stops expanding".into())
    }
}

/// The first `}` that closes a `${`, and the last `${` before it.
fn innermost(line: &str) -> Option<(usize, usize)> {
    let mut closing = line.match_indices('}').map(|(at, _)| at);
    closing.find_map(|end| line[..end].rfind("${").map(|start| (start, end)))
}

/// `net0/mac`, `netX/mac` and `smbios/serial` mean what `mac` and `serial` mean on a machine with one card.
fn bare(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}
