//! Asking the local management controller over the kernel's IPMI device (IPMI 2.0, sections 20 to 23).
//!
//! ```text
//! Get Device ID ─► firmware, maker        Get Device GUID ─► its own UUID
//! Get Channel Info 1… ─► the LAN channel  Get LAN Configuration Parameters ─► addresses, MAC, VLAN
//! ```
//!
//! Controllers are slow, and some hang. So a thread asks, nobody waits for it longer than told, and what it learnt is kept
//! for a while. Only questions are sent; nothing of the controller is changed. This module does not know SMBIOS, which
//! tells whether there should be a controller at all.

use inventory_wire::{Bmc, Gap};
use ipmi_rs::app::{ChannelMediumType, GetChannelInfo, GetDeviceId};
use ipmi_rs::connection::{Channel, IpmiCommand, IpmiConnection, Message, NetFn};
use ipmi_rs::transport::{GetLanConfigParameters, IpAddressSource, LanConfigParameter as Parameter, LanConfigParameterData as Data};
use ipmi_rs::{File, Ipmi, IpmiError};
use std::fmt::Debug;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the kernel's module ipmi_devintf puts the first controller.
const DEVICE: &str = "/dev/ipmi0";
/// The longest that one question may take. Healthy controllers need some milliseconds, slow ones some tenths.
const ONE_ANSWER: Duration = Duration::from_secs(2);
/// The longest that all of them may take.
const ALL_ANSWERS: Duration = Duration::from_secs(20);
/// What was learnt is believed for so long. Addresses and firmware of a controller change by hand.
const FRESH: Duration = Duration::from_secs(300);
/// IPv6 addresses of a kind that are asked for.
const MOST_ADDRESSES: u8 = 8;

/// What is known of the management controller.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Answer {
    /// It was not asked: this is a copy of a machine.
    #[default]
    NotAsked,
    /// The kernel has no IPMI device.
    NoDevice,
    /// Only root may ask.
    NeedsRoot,
    /// It has not answered yet.
    Pending,
    /// It could not be asked, and why.
    Failed(String),
    /// What it said, and what it did not.
    Said(Box<Bmc>, Vec<Gap>),
}

/// A controller and what it said last.
#[derive(Debug, Default)]
pub struct Asking(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    answer: Option<Answer>,
    begun: Option<Instant>,
    busy: bool,
}

impl Asking {
    /// Whether it is being asked for the first time.
    pub fn is_asking(&self) -> bool {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy && state.answer.is_none()
    }

    /// What it says, or what it said lately. Waits no longer than `patience`.
    pub fn answer(&self, patience: Duration) -> Answer {
        if !Path::new(DEVICE).exists() {
            return Answer::NoDevice;
        }
        let (state, done) = &*self.0;
        let mut now = state.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.busy && now.begun.is_none_or(|begun| begun.elapsed() > FRESH) {
            (now.busy, now.begun) = (true, Some(Instant::now()));
            let shared = Arc::clone(&self.0);
            std::thread::spawn(move || {
                let answer = ask_the_kernel();
                let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                (state.busy, state.answer) = (false, Some(answer));
                shared.1.notify_all();
            });
        }
        let waited = done.wait_timeout_while(now, patience, |state| state.answer.is_none());
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        now.answer.clone().unwrap_or(Answer::Pending)
    }
}

fn ask_the_kernel() -> Answer {
    match File::new(DEVICE, ONE_ANSWER) {
        Ok(file) => ask(&mut Ipmi::new(file), Instant::now() + ALL_ANSWERS),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Answer::NeedsRoot,
        Err(error) => Answer::Failed(format!("{DEVICE} cannot be opened: {error}")),
    }
}

/// Why a question has no answer.
enum Refusal {
    /// The controller answered that it will not, or something that makes no sense; others may be asked.
    This(String),
    /// It does not answer at all.
    Silent(String),
}

/// Asks everything.
fn ask<C: IpmiConnection<Error = std::io::Error>>(ipmi: &mut Ipmi<C>, until: Instant) -> Answer {
    let mut questions = Questions { ipmi, until, silent: None };
    let device = match questions.ask(GetDeviceId) {
        Ok(device) => device,
        Err(why) => return Answer::Failed(format!("the management controller does not say what it is: {why}")),
    };
    let mut gaps = Vec::new();
    let mut bmc = Bmc {
        firmware: Some(format!("{}.{:02}", device.major_fw_revision, device.minor_fw_revision)),
        ipmi: Some(format!("{}.{}", device.major_version, device.minor_version)),
        manufacturer_id: Some(device.manufacturer_id & 0x000f_ffff),
        product_id: Some(u32::from(device.product_id)),
        ..Bmc::default()
    };
    bmc.uuid = known(questions.uuid(), "uuid", &mut gaps);
    match questions.lan_channel() {
        Ok(channel) => questions.lan(channel, &mut bmc, &mut gaps),
        Err(why) => {
            for field in ["address", "netmask", "gateway", "address_source", "address6", "vlan", "mac"] {
                gaps.push(Gap { path: format!("bmc.{field}"), reason: why.clone() });
            }
        }
    }
    Answer::Said(Box::new(bmc), gaps)
}

struct Questions<'i, C> {
    ipmi: &'i mut Ipmi<C>,
    until: Instant,
    /// Set when it fell silent; nothing more is asked then.
    silent: Option<String>,
}

impl<C: IpmiConnection<Error = std::io::Error>> Questions<'_, C> {
    fn ask<Q: IpmiCommand>(&mut self, question: Q) -> Result<Q::Output, String>
    where
        Q::Error: Debug,
    {
        if self.silent.is_none() && Instant::now() >= self.until {
            self.silent = Some("it answers too slowly".into());
        }
        if let Some(why) = &self.silent {
            return Err(why.clone());
        }
        self.ipmi.send_recv(question).map_err(|error| match refusal(&error) {
            Refusal::This(why) => why,
            Refusal::Silent(why) => {
                self.silent = Some(why.clone());
                why
            }
        })
    }

    /// The first channel that is a network card. Most controllers number it 1.
    fn lan_channel(&mut self) -> Result<Channel, String> {
        let mut why = "the management controller names no LAN channel".to_owned();
        for number in 1..=11 {
            let Some(channel) = Channel::new(number) else { continue };
            match self.ask(GetChannelInfo::new(channel)) {
                Ok(info) if info.medium_type == ChannelMediumType::Lan802_3 => return Ok(channel),
                Ok(_) => {}
                // A number that is not in use is answered with an error.
                Err(error) if self.silent.is_some() => return Err(error),
                Err(error) if number == 1 => why = format!("the management controller does not describe its channels: {error}"),
                Err(_) => {}
            }
        }
        Err(why)
    }

    fn lan(&mut self, channel: Channel, bmc: &mut Bmc, gaps: &mut Vec<Gap>) {
        let address = |data| match data {
            Data::IpAddress(address) | Data::SubnetMask(address) | Data::DefaultGatewayAddress(address) if address.0 != [0; 4] => {
                Ok(address.to_string())
            }
            _ => Err("it is not set".into()),
        };
        bmc.address = known(self.parameter(channel, Parameter::IpAddress, 0).and_then(address), "address", gaps);
        bmc.netmask = known(self.parameter(channel, Parameter::SubnetMask, 0).and_then(address), "netmask", gaps);
        bmc.gateway = known(self.parameter(channel, Parameter::DefaultGatewayAddress, 0).and_then(address), "gateway", gaps);
        let source = self.parameter(channel, Parameter::IpAddressSource, 0).and_then(address_source);
        bmc.address_source = known(source, "address_source", gaps);
        let mac = self.parameter(channel, Parameter::MacAddress, 0).and_then(|data| match data {
            Data::MacAddress(mac) if mac.0 != [0; 6] && mac.0 != [0xff; 6] => Ok(crate::netlink::mac_text(mac.0)),
            _ => Err("it is not set".into()),
        });
        bmc.mac = known(mac, "mac", gaps);
        bmc.vlan = known(self.parameter(channel, Parameter::Other(20), 0).and_then(vlan), "vlan", gaps);
        bmc.address6 = known(self.addresses6(channel), "address6", gaps).unwrap_or_default();
    }

    fn parameter(&mut self, channel: Channel, parameter: Parameter, set: u8) -> Result<Data, String> {
        let answer = self.ask(GetLanConfigParameters::new(channel, parameter).with_set_selector(set))?;
        answer.parse(parameter).map_err(|_| "the answer is too short".into())
    }

    /// Static ones that are enabled, then dynamic ones; a controller without IPv6 refuses the first question.
    fn addresses6(&mut self, channel: Channel) -> Result<Vec<String>, String> {
        let Data::Ipv6Status(status) = self.parameter(channel, Parameter::Ipv6Status, 0)? else { return Err("the answer is odd".into()) };
        let mut found = Vec::new();
        for (parameter, most) in
            [(Parameter::Ipv6StaticAddresses, status.static_address_max), (Parameter::Ipv6DynamicAddress, status.dynamic_address_max)]
        {
            for set in 0..most.min(MOST_ADDRESSES) {
                let bytes = match self.parameter(channel, parameter, set) {
                    Ok(Data::Ipv6StaticAddresses(entry)) if entry.enabled => entry.address.0,
                    Ok(Data::Ipv6DynamicAddress(entry)) => entry.address.0,
                    Ok(_) => continue,
                    Err(_) => break,
                };
                let address = Ipv6Addr::from(bytes);
                if !address.is_unspecified() {
                    found.push(address.to_string());
                }
            }
        }
        if found.is_empty() { Err("it has none".into()) } else { Ok(found) }
    }

    fn uuid(&mut self) -> Result<String, String> {
        let bytes = self.ask(GetDeviceGuid)?;
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err("it gives one repeated byte".into());
        }
        Ok(guid_text(bytes))
    }
}

/// Get Device GUID (IPMI 2.0, 20.8).
struct GetDeviceGuid;

impl From<GetDeviceGuid> for Message {
    fn from(_: GetDeviceGuid) -> Self {
        Self::new_request(NetFn::App, 0x08, Vec::new())
    }
}

impl IpmiCommand for GetDeviceGuid {
    type Output = [u8; 16];
    type Error = String;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        data.get(..16).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "it is too short".to_owned())
    }
}

/// The text of a GUID as most controllers and the kernel write it: in the byte order of SMBIOS 2.6. IPMI 2.0 asks for the whole
/// sixteen bytes reversed, and few follow.
fn guid_text(bytes: [u8; 16]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let digits: String = order.map(|at: usize| format!("{:02x}", bytes[at])).concat();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn address_source(data: Data) -> Result<String, String> {
    let Data::IpAddressSource(source) = data else { return Err("the answer is empty".into()) };
    match source {
        IpAddressSource::Static => Ok("static".into()),
        IpAddressSource::Dhcp => Ok("dhcp".into()),
        IpAddressSource::BiosOrSystemSoftware => Ok("bios".into()),
        IpAddressSource::Other => Ok("other".into()),
        IpAddressSource::Unspecified | IpAddressSource::Reserved(_) => Err("the controller does not specify it".into()),
    }
}

/// Parameter 20: twelve bits of number, the top bit enables it.
fn vlan(data: Data) -> Result<u16, String> {
    match data {
        Data::Raw(bytes) => match bytes[..] {
            [low, high, ..] if high & 0x80 != 0 => Ok(u16::from_le_bytes([low, high]) & 0x0fff),
            [_, _, ..] => Err("it does not tag".into()),
            _ => Err("the answer is too short".into()),
        },
        _ => Err("the answer is empty".into()),
    }
}

fn known<T>(fact: Result<T, String>, field: &str, gaps: &mut Vec<Gap>) -> Option<T> {
    fact.map_err(|reason| gaps.push(Gap { path: format!("bmc.{field}"), reason })).ok()
}

fn refusal<E: Debug>(error: &IpmiError<std::io::Error, E>) -> Refusal {
    match error {
        IpmiError::Connection(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Refusal::Silent(format!("the management controller did not answer within {} s", ONE_ANSWER.as_secs()))
        }
        IpmiError::Connection(error) => Refusal::Silent(format!("the kernel's IPMI device failed: {error}")),
        IpmiError::Failed { completion_code, .. } => Refusal::This(format!("the management controller refuses: {completion_code:?}")),
        IpmiError::Command { .. } => Refusal::This("the answer of the management controller is too short".into()),
        IpmiError::NetFnIsResponse(_) | IpmiError::UnexpectedResponse { .. } => {
            Refusal::This("the management controller answered another question".into())
        }
    }
}

#[cfg(test)]
#[path = "ipmi_tests.rs"]
mod tests;
