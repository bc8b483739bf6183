//! One run of QEMU's `virt` machine, from the kernel's start to a reset or a power off.

use crate::failure::Failure;
use crate::tool;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};

/// The machine: a Pi 4's core, half the memory of its smallest.
const MACHINE: &[&str] = &[
    "-machine",
    "virt",
    "-cpu",
    "cortex-a72",
    "-smp",
    "2",
    "-m",
    "512",
    "-nodefaults",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-no-reboot",
    "-device",
    "virtio-rng-pci",
    "-device",
    "i6300esb",
];

/// What it is started with.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) kernel: PathBuf,
    /// The archive of the first steps, where the kernel needs some.
    pub(super) first: Option<PathBuf>,
    pub(super) command_line: String,
    pub(super) image: PathBuf,
    pub(super) tap: Option<String>,
    /// Where a socket may stand over which QEMU says why it ended.
    pub(super) control: PathBuf,
}

/// Why it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Reset,
    Watchdog,
    PowerOff,
}

impl Machine {
    /// Runs it; its serial line is our standard output.
    pub(super) fn run(&self) -> Result<End, Failure> {
        let _ = std::fs::remove_file(&self.control);
        let listener = UnixListener::bind(&self.control);
        let listener = listener
            .map_err(|error| Failure::Trouble(format!("{}: {error}", self.control.display())))?;
        let events = listen(listener);
        let mut child = self.command().spawn().map_err(|error| {
            Failure::Trouble(format!("qemu-system-aarch64 does not start: {error}"))
        })?;
        let status = child.wait().map_err(|error| Failure::Trouble(format!("qemu: {error}")))?;
        if !status.success() {
            return Err(Failure::Trouble(format!("qemu-system-aarch64 failed ({status})")));
        }
        let events = events.join().unwrap_or_default();
        Ok(if events.contains("\"WATCHDOG\"") {
            End::Watchdog
        } else if events.contains("guest-reset") {
            End::Reset
        } else {
            End::PowerOff
        })
    }

    fn command(&self) -> Command {
        let mut qemu = tool::command("qemu-system-aarch64");
        let network = match &self.tap {
            Some(tap) => format!("tap,id=net,ifname={tap},script=no,downscript=no"),
            None => "user,id=net,restrict=on".into(),
        };
        qemu.args(MACHINE)
            .args(["-drive", &format!("if=none,id=card,format=raw,file={}", self.image.display())])
            .args(["-device", "virtio-blk-pci,drive=card"])
            .args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net,romfile="])
            .args(["-qmp", &format!("unix:{}", self.control.display())])
            .arg("-kernel")
            .arg(&self.kernel)
            .args(["-append", &self.command_line]);
        if let Some(first) = &self.first {
            qemu.arg("-initrd").arg(first);
        }
        qemu
    }
}

/// Collects what QEMU says of its end.
fn listen(listener: UnixListener) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut events = String::new();
        let Ok((mut stream, _)) = listener.accept() else { return events };
        let _ = stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n");
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if line.contains("\"SHUTDOWN\"") || line.contains("\"WATCHDOG\"") {
                events.push_str(&line);
            }
        }
        events
    })
}
