//! `overture lab`: virtual machines on an isolated network, and a service of their own.

use super::client::Client;
use super::nodes;
use super::output::{print, print_json, table};
use super::{Failure, Format, Output};
use crate::api::views::NodeView;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab::{AccelWish, BootPoint, DiskSize, Lab, LabName, LabStatus, Plan, ProcessState, VmStatus, base_folder};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Subcommand)]
pub enum Command {
    /// Make a lab, start its service and machines, and wait until they are in the inventory
    #[command(
        after_help = "Examples:\n  overture lab up --nodes 3\n  overture lab up --nodes 1 --uefi 1 --memory 1024\n  overture lab up --name second --nodes 2 --no-wait\n\nNothing of this computer's network is touched; `overture lab down` leaves nothing behind."
    )]
    Up(Up),
    /// Show the machines of a lab and how far they are
    Status {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        format: Format,
    },
    /// Attach this terminal to the serial line of a machine; leave with Ctrl-]
    Console {
        #[command(flatten)]
        which: Which,
        /// vm1, vm2, …
        node: String,
    },
    /// Switch a machine on or off, or press its reset button
    Power {
        #[command(flatten)]
        which: Which,
        /// vm1, vm2, …
        node: String,
        /// What to do
        #[arg(value_enum)]
        power: Power,
    },
    /// Pull the cable of a machine's network port, or put it back
    Cable {
        #[command(flatten)]
        which: Which,
        /// vm1, vm2, …
        node: String,
        /// The port, counted from 1
        port: usize,
        /// What to do
        #[arg(value_enum)]
        cable: Cable,
    },
    /// Stop everything and remove it, also after a crash
    Down {
        #[command(flatten)]
        which: Which,
        /// Keep the logs and serial lines in this folder
        #[arg(long, value_name = "FOLDER")]
        logs: Option<PathBuf>,
    },
    /// Answers router solicitations inside a lab
    #[command(hide = true)]
    Router { interface: String },
}

/// Which lab.
#[derive(Args)]
pub struct Which {
    /// The lab's name
    #[arg(long, default_value_t)]
    name: LabName,
}

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    which: Which,
    /// Machines that start by BIOS
    #[arg(long, default_value_t = 1, value_name = "N")]
    nodes: u32,
    /// Further machines that start by UEFI
    #[arg(long, default_value_t = 0, value_name = "N")]
    uefi: u32,
    /// Memory of each machine, MiB
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    memory: u32,
    /// Size of each machine's disk: 4G, 512M
    #[arg(long, default_value = "4G", value_name = "SIZE")]
    disk: DiskSize,
    /// Give each machine what servers have: a second network card, an NVMe and a SATA disk, memory modules, a BMC
    #[arg(long)]
    server: bool,
    /// What the processors run on
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Folder with vmlinuz and ramdisk, as `overture ramdisk build` makes them
    #[arg(long, default_value = "/var/lib/overture/boot", value_name = "FOLDER")]
    boot_files: PathBuf,
    /// A site of your own, instead of one with the network 10.20.0.0/24 on prov0
    #[arg(long, value_name = "FOLDER")]
    site: Option<PathBuf>,
    /// Do not wait until the machines are in the inventory
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for them, seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS", conflicts_with = "no_wait")]
    timeout: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Accel {
    /// KVM where a probe shows that it works, else emulation
    Auto,
    /// Emulation
    Tcg,
    /// KVM, untried
    Kvm,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Power {
    /// Switch on
    On,
    /// Cut the power
    Off,
    /// Press reset
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cable {
    /// Pull it
    Pull,
    /// Put it back
    Plug,
}

pub fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(up) => return self::up(&up),
        Command::Status { which, format } => status(&which, format)?,
        Command::Console { which, node } => console(&which, &node)?,
        Command::Power { which, node, power } => {
            let wanted = match power {
                Power::On => lab::Power::On,
                Power::Off => lab::Power::Off,
                Power::Reset => lab::Power::Reset,
            };
            Lab::open(&which.name, &base_folder())?.power(&node, wanted)?;
        }
        Command::Cable { which, node, port, cable } => {
            Lab::open(&which.name, &base_folder())?.cable(&node, port, cable == Cable::Plug)?;
        }
        Command::Down { which, logs } => down(&which, logs.as_deref())?,
        Command::Router { interface } => {
            lab::run_router_advertiser(&interface)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The sockets of the labs' services that are there.
pub fn sockets() -> Vec<(String, PathBuf)> {
    let base = base_folder();
    let all = Lab::list(&base).into_iter().map(|name| (name.to_string(), lab::Folder::of(&base, &name).service().join(SOCKET)));
    all.filter(|(_, socket)| socket.exists()).collect()
}

const SOCKET: &str = "api.sock";

fn up(up: &Up) -> Result<ExitCode, Failure> {
    for file in ["vmlinuz", "ramdisk"] {
        let path = up.boot_files.join(file);
        if !path.is_file() {
            return Err(format!("there is no {}: run `overture ramdisk build --out {}`", path.display(), up.boot_files.display()).into());
        }
    }
    let plan = Plan {
        name: up.which.name.clone(),
        bios: up.nodes,
        uefi: up.uefi,
        memory_mib: up.memory,
        disk_bytes: up.disk.0,
        accel: match up.accel {
            Accel::Auto => AccelWish::Auto,
            Accel::Tcg => AccelWish::Tcg,
            Accel::Kvm => AccelWish::Kvm,
        },
        server: up.server,
    };
    // Before Ctrl-C means "remove it": a lab that is there already is not this command's to remove.
    if Lab::list(&base_folder()).contains(&plan.name) {
        return Err(lab::CreateError::Exists(plan.name).into());
    }
    let interrupted = Interrupted::watch(plan.name.clone())?;
    let mut lab = Lab::create(&plan, &base_folder())?;
    eprintln!("Machines run on {} ({})", lab.accel().accel, lab.accel().why);
    let socket = start_service(&mut lab, up)?;
    let mut router = std::process::Command::new(std::env::current_exe()?);
    lab.start_router_advertiser(router.args(["lab", "router", lab::APPLIANCE_INTERFACE]))?;
    lab.start_switches()?;
    lab.start_nodes()?;
    // From here on a failure is worth a look, so the lab stays.
    lab.keep();
    interrupted.leave_the_lab();
    if up.no_wait {
        eprintln!("The machines are booting: `overture lab status --name {}` shows how far they are", lab.name());
        return Ok(ExitCode::SUCCESS);
    }
    match wait(&lab, &socket, Duration::from_secs(up.timeout))? {
        None => {
            eprintln!("All machines are in the inventory: overture nodes list");
            Ok(ExitCode::SUCCESS)
        }
        Some(missing) => {
            for machine in &missing {
                eprintln!("{} is not in the inventory; it is at: {}", machine.machine.name, at(machine));
                eprintln!("  what it was sent:  overture explain {} --socket {}", machine.machine.mac(), socket.display());
                eprintln!("  what it said:      {}", machine.serial_log.display());
            }
            Err(format!(
                "{} did not reach the inventory within {} s; the lab keeps running (overture lab down --name {})",
                crate::count(missing.len(), "machine"),
                up.timeout,
                lab.name()
            )
            .into())
        }
    }
}

/// What Ctrl-C does meanwhile: a lab that is being made is removed, one that is made is left.
struct Interrupted {
    made: Arc<AtomicBool>,
    removing: Arc<AtomicBool>,
}

impl Drop for Interrupted {
    /// While the other thread removes the lab, what fails here fails because of that: it ends the process when it is done.
    fn drop(&mut self) {
        while self.removing.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

impl Interrupted {
    fn watch(name: LabName) -> Result<Self, Failure> {
        let (made, removing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
        let (there, goes) = (made.clone(), removing.clone());
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                if there.load(Ordering::SeqCst) {
                    eprintln!("\nThe lab keeps running; remove it with: overture lab down --name {name}");
                } else {
                    goes.store(true, Ordering::SeqCst);
                    eprintln!("\nInterrupted: removing the half-made lab");
                    // Twice: what the other thread made during the first time goes with the second.
                    for _ in 0..2 {
                        if let Err(error) = Lab::down(&name, &base_folder(), None) {
                            eprintln!("{}; try: overture lab down --name {name}", crate::chain(&error));
                        }
                    }
                }
                std::process::exit(128 + signal);
            }
        });
        Ok(Self { made, removing })
    }

    fn leave_the_lab(&self) {
        self.made.store(true, Ordering::SeqCst);
    }
}

/// Writes the service's files and starts it; answers when it serves.
fn start_service(lab: &mut Lab, up: &Up) -> Result<PathBuf, Failure> {
    let folder = lab.folder().service();
    let site = match &up.site {
        Some(site) => std::path::absolute(site)?,
        None => {
            let site = folder.join("site");
            std::fs::create_dir_all(&site)?;
            std::fs::write(site.join("site.toml"), default_site(lab.name()))?;
            site
        }
    };
    let settings = toml::Table::from_iter([
        ("state".to_owned(), "state".into()),
        ("site".to_owned(), site.to_string_lossy().into_owned().into()),
        (
            "boot".to_owned(),
            toml::Table::from_iter([("files".to_owned(), std::path::absolute(&up.boot_files)?.to_string_lossy().into_owned().into())])
                .into(),
        ),
        ("operators".to_owned(), toml::Table::from_iter([("socket".to_owned(), SOCKET.into())]).into()),
    ]);
    let config = folder.join("overture.toml");
    std::fs::write(&config, toml::to_string(&settings)?)?;
    let (bound, socket) = (folder.join("bound.json"), folder.join(SOCKET));
    let mut serve = std::process::Command::new(std::env::current_exe()?);
    serve.arg("serve").arg("--config").arg(&config).arg("--bound").arg(&bound);
    // They would win over the lab's own settings, and the lab would work on the state of another service.
    for other in ["OVERTURE_CONFIG", "OVERTURE_STATE", "OVERTURE_SITE", "OVERTURE_SOCKET"] {
        serve.env_remove(other);
    }
    lab.start_service(&serve)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bound.exists() {
        let ended = !matches!(lab.status().service, ProcessState::Running { .. });
        if ended || Instant::now() > deadline {
            let log = std::fs::read_to_string(lab.folder().service_log()).unwrap_or_default();
            let what = if ended { "ended at once" } else { "is not ready after 30 s" };
            return Err(format!("the lab's service {what}:\n{}", log.trim_end()).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(socket)
}

fn default_site(name: &LabName) -> String {
    format!(
        "[site]\nname = \"{name}\"\n\n[network.provision]\ninterface = \"{interface}\"\nsubnet = \"10.20.0.0/24\"\ngateway = \"{own}\"\ndns = [\"{own}\"]\ndhcp = \"here\"\npool = \"10.20.0.100-10.20.0.199\"\nunknown = \"discover\"\n",
        interface = lab::APPLIANCE_INTERFACE,
        own = lab::APPLIANCE,
    )
}

/// Shows each machine's way until all are in the inventory; those that are not when the time is over.
fn wait(lab: &Lab, socket: &Path, limit: Duration) -> Result<Option<Vec<VmStatus>>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::at(socket)?;
    let started = Instant::now();
    let mut board = Board::new(&lab.machines().into_iter().map(|machine| machine.name).collect::<Vec<_>>());
    loop {
        let status = lab.status();
        if !matches!(status.service, ProcessState::Running { .. }) {
            let log = std::fs::read_to_string(lab.folder().service_log()).unwrap_or_default();
            return Err(format!(
                "the lab's service ended:\n{}",
                log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
            )
            .into());
        }
        let known = runtime.block_on(nodes::all(&client))?;
        let missing: Vec<_> = status.machines.into_iter().filter(|machine| !board.show(machine, &known, started.elapsed())).collect();
        if missing.is_empty() {
            return Ok(None);
        }
        if started.elapsed() > limit {
            return Ok(Some(missing));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// One line a machine: redrawn on a terminal, written once for each change elsewhere.
struct Board {
    lines: BTreeMap<String, ProgressBar>,
    last: BTreeMap<String, String>,
    live: bool,
    _all: MultiProgress,
}

impl Board {
    fn new(machines: &[String]) -> Self {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>6}  {bar:20}  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = |name: &String| {
            let bar = all.add(ProgressBar::new(5).with_style(style.clone()).with_prefix(name.clone()));
            (name.clone(), bar)
        };
        let live = std::io::stderr().is_terminal();
        Self { lines: if live { machines.iter().map(line).collect() } else { BTreeMap::new() }, last: BTreeMap::new(), live, _all: all }
    }

    /// Shows where a machine is; answers whether it has arrived.
    fn show(&mut self, machine: &VmStatus, known: &[NodeView], after: Duration) -> bool {
        let node = node_of(machine, known);
        let text = match node {
            Some(node) => format!("in the inventory, {}", super::output::or_dash(node.address.as_ref())),
            None => at(machine),
        };
        let name = &machine.machine.name;
        let changed = self.last.insert(name.clone(), text.clone()).is_none_or(|last| last != text);
        if let Some(line) = self.lines.get(name) {
            line.set_position(if node.is_some() { 5 } else { machine.point as u64 });
            line.set_message(text);
            if node.is_some() {
                line.finish();
            }
        } else if changed && !self.live {
            eprintln!("{:>6.1} s  {name}: {text}", after.as_secs_f64());
        }
        node.is_some()
    }
}

/// The nodes that the lab's service knows; none when it does not answer.
fn known(socket: &Path) -> Vec<NodeView> {
    let asked = || -> Result<Vec<NodeView>, Failure> {
        let client = Client::at(socket)?;
        Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(nodes::all(&client))?)
    };
    asked().unwrap_or_default()
}

fn node_of<'n>(machine: &VmStatus, known: &'n [NodeView]) -> Option<&'n NodeView> {
    known.iter().find(|node| node.serial.as_ref() == Some(&machine.machine.serial))
}

/// Where a machine is, by its serial line and, once it waits for orders there, by the inventory.
fn place(machine: &VmStatus, known: &[NodeView]) -> String {
    match node_of(machine, known) {
        Some(node) if machine.point == BootPoint::Agent && matches!(machine.process, ProcessState::Running { .. }) => {
            format!("in the inventory, {}", super::output::or_dash(node.address.as_ref()))
        }
        _ => at(machine),
    }
}

fn at(machine: &VmStatus) -> String {
    match (machine.process, machine.point) {
        (ProcessState::NotStarted, _) => "not started",
        (ProcessState::Exited, _) => "switched off",
        (_, BootPoint::Silent) => "switched on",
        (_, BootPoint::Firmware) => "firmware",
        (_, BootPoint::Ipxe) => "iPXE: address, script, kernel and ramdisk",
        (_, BootPoint::Kernel) => "kernel",
        (_, BootPoint::Agent) => "agent: looking at the hardware",
    }
    .to_owned()
}

fn status(which: &Which, format: Format) -> Result<(), Failure> {
    let lab = Lab::open(&which.name, &base_folder())?;
    let status: LabStatus = lab.status();
    let socket = lab.folder().service().join(SOCKET);
    let known = known(&socket);
    if format.output == Output::Json {
        let mut value = serde_json::to_value(&status)?;
        value["socket"] = socket.to_string_lossy().into_owned().into();
        print_json(&value);
        return Ok(());
    }
    let state = |process: ProcessState| match process {
        ProcessState::NotStarted => "not started".to_owned(),
        ProcessState::Running { pid } => format!("running, pid {pid}"),
        ProcessState::Exited => "ended".to_owned(),
    };
    print(&format!(
        "lab {}: service {}, socket {}\nmachines run on {} ({})\n\n",
        status.name,
        state(status.service),
        socket.display(),
        status.accel.accel,
        status.accel.why
    ));
    let rows = status.machines.iter().map(|machine| {
        vec![
            machine.machine.name.clone(),
            machine.machine.serial.clone(),
            machine.machine.mac().to_string(),
            state(machine.process),
            place(machine, &known),
            machine.last_line.clone().unwrap_or_default(),
        ]
    });
    print(&table(&["VM", "SERIAL", "MAC", "QEMU", "AT", "LAST LINE"], rows));
    Ok(())
}

fn console(which: &Which, node: &str) -> Result<(), Failure> {
    let lab = Lab::open(&which.name, &base_folder())?;
    if !std::io::stdin().is_terminal() {
        let log = lab.folder().serial_log(node);
        return Err(format!("the console needs a terminal; what {node} has said is in {}", log.display()).into());
    }
    match lab.console(node)? {
        lab::Ended::Left => eprintln!("\nDetached; {node} goes on."),
        lab::Ended::SwitchedOff => eprintln!("\n{node} was switched off."),
    }
    Ok(())
}

fn down(which: &Which, logs: Option<&Path>) -> Result<(), Failure> {
    let report = Lab::down(&which.name, &base_folder(), logs)?;
    match report.found {
        true => {
            eprintln!("Lab `{}` is gone; {} ended.", which.name, crate::count(report.ended, "process").replace("processs", "processes"))
        }
        false => eprintln!("There is no lab `{}`.", which.name),
    }
    for kept in &report.kept {
        print(&format!("{}\n", kept.display()));
    }
    Ok(())
}
