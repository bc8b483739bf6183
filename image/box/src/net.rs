//! The network: every cable gets its address by DHCP, every interface its own child. Nothing
//! here waits: a camera records without any of it.

use crate::journal::Journal;
use crate::people::Who;
use crate::place::Place;
use crate::radio::{self, Radio};
use crate::servers::OTHERS;
use crate::socket::Live;
use crate::supervise::{Spec, Supervisor, Word};
use crate::takeover;
use image_core::settings::{Settings, Wifi};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// Looks, one each 2 s, after which a driver on the second choice begins anew: a quarter of an hour.
const LOOKS_ON_FORMER: u32 = 450;

/// What one interface has.
#[derive(Debug)]
struct Interface {
    dhcp: Option<usize>,
    /// Drives a radio.
    radio: Option<usize>,
    carrier: bool,
}

/// All interfaces of this machine.
#[derive(Debug)]
pub(crate) struct Network {
    place: Place,
    settings: Settings,
    /// The radio network that the driver joins where the one that is wished fails.
    former: Option<Wifi>,
    /// It comes first, as the passphrase of the wished one was refused.
    back: bool,
    /// Looks since that one holds because the wished one was not found.
    on_former: u32,
    /// Whether the board has a radio.
    wifi: bool,
    live: Arc<Mutex<Live>>,
    interfaces: BTreeMap<String, Interface>,
}

impl Network {
    pub(crate) fn new(
        place: &Place,
        settings: &Settings,
        wifi: bool,
        live: &Arc<Mutex<Live>>,
        journal: &Journal,
    ) -> Self {
        up(place, "lo", journal);
        let mut network = Self {
            place: place.clone(),
            settings: settings.clone(),
            former: None,
            back: false,
            on_former: 0,
            wifi,
            live: Arc::clone(live),
            interfaces: BTreeMap::new(),
        };
        network.configure(journal);
        network
    }

    /// Looks which interfaces there are, and which have a link; called every few seconds.
    pub(crate) fn look<W: From<Word> + Send + 'static>(
        &mut self,
        children: &mut Supervisor<W>,
        journal: &Journal,
    ) {
        self.look_for_wished(children);
        let found = interfaces(&self.place.at("/sys/class/net"));
        let gone: Vec<_> =
            self.interfaces.keys().filter(|it| !found.contains_key(*it)).cloned().collect();
        for name in gone {
            if let Some(interface) = self.interfaces.remove(&name) {
                journal.say(&format!("{name} is gone"));
                for child in interface.dhcp.into_iter().chain(interface.radio) {
                    children.remove(child);
                }
            }
        }
        for (name, folder) in found {
            let carrier = has_carrier(&folder);
            if let Some(known) = self.interfaces.get_mut(&name) {
                if carrier && !known.carrier {
                    journal.say(&format!("{name} has a link"));
                    // A radio's driver says so itself.
                    if let Some(dhcp) = known.dhcp.filter(|_| known.radio.is_none()) {
                        children.restart(dhcp);
                    }
                }
                known.carrier = carrier;
            } else if let Some(interface) = self.begin(&name, &folder, children, journal) {
                self.interfaces.insert(name, interface);
            }
        }
    }

    /// Another radio network is to be joined.
    pub(crate) fn change<W: From<Word> + Send + 'static>(
        &mut self,
        settings: Settings,
        children: &mut Supervisor<W>,
        journal: &Journal,
    ) {
        self.settings = settings;
        self.configure(journal);
        self.begin_radios(children);
    }

    /// A driver that holds the second choice looks for no other: now and then it begins anew.
    fn look_for_wished<W: From<Word> + Send + 'static>(&mut self, children: &mut Supervisor<W>) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = live.wifi.as_ref().is_some_and(|(_, it)| *it == Radio::Former { wrong: false });
        drop(live);
        self.on_former = if holds { self.on_former + 1 } else { 0 };
        if self.on_former >= LOOKS_ON_FORMER {
            self.on_former = 0;
            self.begin_radios(children);
        }
    }

    fn begin_radios<W: From<Word> + Send + 'static>(&self, children: &mut Supervisor<W>) {
        for radio in self.interfaces.values().filter_map(|it| it.radio) {
            children.restart(radio);
        }
    }

    /// A child has said something: how far the radio is. Whatever it has joined, the address of
    /// before is another network's, though the link was away for less than a look.
    pub(crate) fn heard<W: From<Word> + Send + 'static>(
        &mut self,
        number: usize,
        line: &str,
        children: &mut Supervisor<W>,
        journal: &Journal,
    ) {
        let Some(interface) = self.interfaces.values().find(|it| it.radio == Some(number)) else {
            return;
        };
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, radio)) = &mut live.wifi else { return };
        *radio = radio.heard(line);
        let radio = *radio;
        drop(live);
        if let Some(dhcp) = interface.dhcp.filter(|_| radio::has_joined(line)) {
            children.restart(dhcp);
        }
        if radio == Radio::Connected && self.former.is_some() {
            self.joined(journal);
            // It has read of the former one, and forgets it by that alone.
            self.begin_radios(children);
        } else if radio == Radio::WrongPassphrase && self.former.is_some() && !self.back {
            journal.say("Wi-Fi: a wrong passphrase; the former network comes first");
            self.back = true;
            self.write(journal);
            self.begin_radios(children);
        }
    }

    /// The network that is wished was joined: there is no way back any more.
    fn joined(&mut self, journal: &Journal) {
        self.former = None;
        let wifi = self.settings.wifi.as_ref();
        let noted = wifi.map(|it| takeover::note_joined(&self.place, it));
        if let Some(Err(error)) = noted {
            journal.say(&format!("the former Wi-Fi is not forgotten: {error}"));
        }
        self.write(journal);
    }

    fn begin<W: From<Word> + Send + 'static>(
        &self,
        name: &str,
        folder: &Path,
        children: &mut Supervisor<W>,
        journal: &Journal,
    ) -> Option<Interface> {
        let radio = if is_radio(folder) {
            if !self.wifi {
                return None;
            }
            let driver = radio::driver(&self.place, name);
            self.live.lock().unwrap_or_else(PoisonError::into_inner).radio |= driver.is_some();
            // Without a network to join it is left off.
            self.settings.wifi.as_ref()?;
            Some(driver?)
        } else {
            None
        };
        up(&self.place, name, journal);
        journal.say(&format!("{name} asks for an address"));
        Some(Interface {
            radio: radio.map(|spec| children.add(spec)),
            dhcp: self.dhcp(name).map(|spec| children.add(spec)),
            carrier: has_carrier(folder),
        })
    }

    fn configure(&mut self, journal: &Journal) {
        let wifi = self.settings.wifi.as_ref();
        let state = if self.wifi { Radio::Searching } else { Radio::Off };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).wifi =
            wifi.map(|it| (it.ssid.clone(), state));
        (self.former, self.back) = (takeover::former(&self.place), false);
        self.write(journal);
    }

    /// What the radio's driver reads at its next start.
    fn write(&self, journal: &Journal) {
        let Some(wifi) = &self.settings.wifi else { return };
        if let Err(error) = radio::configure(&self.place, wifi, self.former.as_ref(), self.back) {
            journal.say(&format!("Wi-Fi: {error}"));
        }
    }

    /// busybox's client: in the foreground, asking for time servers, too, and never giving up.
    /// The script that applies what it hears is named: Debian's busybox looks for another.
    fn dhcp(&self, name: &str) -> Option<Spec> {
        let host = format!("hostname:{}", self.settings.hostname);
        let script = ["-s", "/usr/share/udhcpc/default.script"];
        let words =
            ["-f", "-i", name, "-x", &host, "-O", "ntpsrv", "-t", "5", "-T", "2", "-A", "10"];
        let words = words.into_iter().chain(script);
        Some(Spec {
            name: format!("dhcp-{name}"),
            program: self.place.program("udhcpc")?,
            args: words.map(Into::into).collect(),
            who: Who::Keeper,
            env: Vec::new(),
            terms: OTHERS,
            heard: false,
        })
    }
}

/// Cables and radios: real devices of type Ethernet.
fn interfaces(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|it| Some((it.file_name().into_string().ok()?, it.path())));
    named.filter(|(_, path)| is_device(path)).collect()
}

fn is_device(path: &Path) -> bool {
    let kind = fs::read_to_string(path.join("type")).unwrap_or_default();
    kind.trim() == "1" && path.join("device").exists()
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
            for it in more {
                fs::create_dir_all(root.join(name).join(it)).unwrap();
            }
        };
        make("lo", "772\n", &[]);
        make("eth0", "1\n", &["device"]);
        make("br0", "1\n", &[]);
        make("wlan0", "1\n", &["device", "phy80211"]);
        let found = interfaces(&root);
        let names: Vec<_> = found.iter().map(|(name, it)| (name.as_str(), is_radio(it))).collect();
        assert_eq!(names, [("eth0", false), ("wlan0", true)]);
        assert!(!has_carrier(&root.join("eth0")));
        fs::write(root.join("eth0/carrier"), "1\n").unwrap();
        assert!(has_carrier(&root.join("eth0")));
        fs::remove_dir_all(root).unwrap();
    }
}
