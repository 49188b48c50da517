//! The scripts that iPXE is given.
//!
//! ```text
//! DHCP option 67 ─► /boot.ipxe, the same for all ─► /ipxe?mac=…&uuid=…&serial=…, one machine's ─► ramdisk, disk, nothing
//! ```
//!
//! Here a decision becomes text; who decides is `domain::admission`. iPXE has no quoting: it expands `${…}`, splits at
//! spaces, and takes `||`, `&&`, `;` and `#` for its own. So every value is written by one formatter ([`escape`]), which
//! leaves nothing that could be any of these. The syntax is that of 2019, which Debian 12 and QEMU's ROMs have.

pub mod ask;
mod escape;

use domain::ticket::Ticket;
use domain::{BootId, MacAddr};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

/// The first script, the same for every machine.
pub const FIRST: &str = include_str!("boot.ipxe");

/// The templates, by name.
const TEMPLATES: [(&str, &str); 6] = [
    ("again.ipxe", include_str!("again.ipxe")),
    ("discover.ipxe", include_str!("discover.ipxe")),
    ("local_disk.ipxe", include_str!("local_disk.ipxe")),
    ("nothing.ipxe", include_str!("nothing.ipxe")),
    ("no_ramdisk.ipxe", include_str!("no_ramdisk.ipxe")),
    ("refused.ipxe", include_str!("refused.ipxe")),
];

/// How long a machine that cannot go on waits before it asks again, seconds.
const WAIT_SECONDS: u32 = 30;

/// What stands at the head of each script: which machine it is for.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    /// The interface it booted from.
    pub mac: MacAddr,
    /// Its serial as it says; not to be trusted.
    pub serial: Option<&'a str>,
}

/// What the agent in the ramdisk is told on the kernel's command line.
#[derive(Debug, Clone, Copy)]
pub struct ForAgent<'a> {
    /// The agents' HTTPS: `https://10.20.0.1:8444`.
    pub url: &'a str,
    /// Where the authority's certificate is: `http://10.20.0.1/boot/authority.pem`.
    pub ca: &'a str,
    /// SHA-256 of that certificate, 64 hexadecimal digits.
    pub pin: &'a str,
    /// This boot's ticket.
    pub ticket: &'a Ticket,
    /// This boot.
    pub boot: BootId,
}

/// One machine's script.
#[derive(Debug, Clone, Copy)]
pub enum Script<'a> {
    /// Load the discovery ramdisk.
    Discover {
        /// The rule that says so.
        rule: &'a str,
        /// For the agent.
        agent: ForAgent<'a>,
    },
    /// Load it as soon as there is one.
    NoRamdisk {
        /// The rule that says so.
        rule: &'a str,
    },
    /// Start the local disk.
    LocalDisk {
        /// The rule that says so.
        rule: &'a str,
    },
    /// Nothing from us.
    Nothing {
        /// The rule that says so.
        rule: &'a str,
    },
    /// Say why there is no script, and ask again.
    Refused {
        /// Why.
        why: &'a str,
        /// What to do about it.
        mend: &'a str,
    },
}

/// The templates, compiled.
#[derive(Debug)]
pub struct Scripts(Environment<'static>);

impl Default for Scripts {
    fn default() -> Self {
        Self::new()
    }
}

impl Scripts {
    /// Compiles the templates.
    pub fn new() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(escape::write);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build();
        templates.set_syntax(syntax.expect("only the treatment of newlines is changed"));
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).expect("the templates are part of the programme, and tests render each");
        }
        Self(templates)
    }

    /// The text of a script.
    pub fn render(&self, machine: Machine<'_>, script: Script<'_>) -> Result<String, minijinja::Error> {
        let mac = &machine.mac.to_string();
        let serial = machine.serial.unwrap_or("unknown");
        let of_rule = |name, rule: &str| self.of(name, context! { mac, serial, rule, seconds => WAIT_SECONDS });
        match script {
            Script::Discover { rule, agent } => {
                let ForAgent { url, ca, pin, .. } = agent;
                let (ticket, boot) = (agent.ticket.as_str(), agent.boot.to_string());
                self.of("discover.ipxe", context! { mac, serial, rule, url, ca, pin, ticket, boot, seconds => WAIT_SECONDS })
            }
            Script::NoRamdisk { rule } => of_rule("no_ramdisk.ipxe", rule),
            Script::LocalDisk { rule } => of_rule("local_disk.ipxe", rule),
            Script::Nothing { rule } => of_rule("nothing.ipxe", rule),
            Script::Refused { why, mend } => self.of("refused.ipxe", context! { mac, serial, why, mend, seconds => WAIT_SECONDS }),
        }
    }

    fn of(&self, name: &str, values: minijinja::Value) -> Result<String, minijinja::Error> {
        self.0.get_template(name)?.render(values)
    }
}
