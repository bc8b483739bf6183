//! The network: every cable gets its address by DHCP, every interface its own child. Nothing
//! here waits: a camera records without any of it.

use crate::journal::Journal;
use crate::place::Place;
use crate::servers::OTHERS;
use crate::supervise::{Spec, Supervisor, Word};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What one interface has.
#[derive(Debug)]
struct Interface {
    dhcp: usize,
    carrier: bool,
}

/// All interfaces of this machine.
#[derive(Debug)]
pub(crate) struct Network {
    place: Place,
    hostname: String,
    interfaces: BTreeMap<String, Interface>,
}

impl Network {
    pub(crate) fn new(place: &Place, hostname: &str, journal: &Journal) -> Self {
        up(place, "lo", journal);
        Self { place: place.clone(), hostname: hostname.into(), interfaces: BTreeMap::new() }
    }

    /// Looks which interfaces there are, and which have a link; called every few seconds.
    pub(crate) fn look<W: From<Word> + Send + 'static>(
        &mut self,
        children: &mut Supervisor<W>,
        journal: &Journal,
    ) {
        let found = ethernet(&self.place.at("/sys/class/net"));
        let gone: Vec<_> =
            self.interfaces.keys().filter(|it| !found.contains_key(*it)).cloned().collect();
        for name in gone {
            if let Some(interface) = self.interfaces.remove(&name) {
                journal.say(&format!("{name} is gone"));
                children.remove(interface.dhcp);
            }
        }
        for (name, folder) in found {
            let carrier = has_carrier(&folder);
            if let Some(known) = self.interfaces.get_mut(&name) {
                if carrier && !known.carrier {
                    journal.say(&format!("{name} has a link"));
                    children.restart(known.dhcp, None);
                }
                known.carrier = carrier;
                continue;
            }
            up(&self.place, &name, journal);
            if let Some(spec) = self.dhcp(&name) {
                journal.say(&format!("{name} asks for an address"));
                let interface = Interface { dhcp: children.add(spec), carrier };
                self.interfaces.insert(name, interface);
            }
        }
    }

    /// busybox's client: in the foreground, asking for time servers, too, and never giving up.
    /// `/usr/share/udhcpc/default.script` applies what it hears.
    fn dhcp(&self, name: &str) -> Option<Spec> {
        let host = format!("hostname:{}", self.hostname);
        let words =
            ["-f", "-i", name, "-x", &host, "-O", "ntpsrv", "-t", "5", "-T", "2", "-A", "10"];
        Some(Spec {
            name: format!("dhcp-{name}"),
            program: self.place.program("udhcpc")?,
            args: words.iter().map(Into::into).collect(),
            person: None,
            env: Vec::new(),
            terms: OTHERS,
            heard: false,
        })
    }
}

/// The cables: real devices of type Ethernet that are no radio.
fn ethernet(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|it| Some((it.file_name().into_string().ok()?, it.path())));
    named.filter(|(_, path)| is_ethernet(path)).collect()
}

fn is_ethernet(path: &Path) -> bool {
    let kind = fs::read_to_string(path.join("type")).unwrap_or_default();
    kind.trim() == "1" && path.join("device").exists() && !is_radio(path)
}

fn is_radio(path: &Path) -> bool {
    path.join("phy80211").exists() || path.join("wireless").exists()
}

/// Reading it fails while an interface is down.
fn has_carrier(folder: &Path) -> bool {
    fs::read_to_string(folder.join("carrier")).is_ok_and(|it| it.trim() == "1")
}

/// Takes milliseconds, link or not.
fn up(place: &Place, name: &str, journal: &Journal) {
    let Some(ip) = place.program("ip") else { return journal.say("there is no program `ip`") };
    let done = Command::new(ip).args(["link", "set", "dev", name, "up"]).output();
    if !done.as_ref().is_ok_and(|it| it.status.success()) {
        journal.say(&format!("{name} does not go up"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cables_are_told_from_radios_and_from_what_is_no_device() {
        let root = std::env::temp_dir().join(format!("nightjar-net-{}", std::process::id()));
        let make = |name: &str, kind: &str, more: &[&str]| {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("type"), kind).unwrap();
            more.iter().for_each(|it| fs::create_dir_all(root.join(name).join(it)).unwrap());
        };
        make("lo", "772\n", &[]);
        make("eth0", "1\n", &["device"]);
        make("br0", "1\n", &[]);
        make("wlan0", "1\n", &["device", "phy80211"]);
        let names: Vec<_> = ethernet(&root).into_keys().collect();
        assert_eq!(names, ["eth0"]);
        assert!(!has_carrier(&root.join("eth0")));
        fs::write(root.join("eth0/carrier"), "1\n").unwrap();
        assert!(has_carrier(&root.join("eth0")));
        fs::remove_dir_all(root).unwrap();
    }
}
