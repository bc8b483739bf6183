//! The box's name in its own network: multicast DNS on every link, never beyond one. A process of
//! its own, as nobody: what strangers have it remember is bounded by its memory, and a new one
//! begins where that was too much. It says which name holds, and the keeper hears it.

use crate::people;
use crate::place::Place;
use crate::servers::OTHERS;
use crate::supervise::Spec;
use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceInfo};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};

/// The word that asks for it: `nightjar-box names HOSTNAME PORT`, for the keeper alone.
pub(crate) const WORD: &str = "names";
/// Its memory, bytes; alone it takes 2.4 MiB.
const MEMORY_BYTES: u64 = 16 << 20;
/// Before and after the name that holds.
const SAID: (&str, &str) = ("this box is ", ".local");
/// The longest name, bytes (RFC 1035 s2.3.4).
const NAME_BYTES: usize = 63;

/// The child that announces `http://HOSTNAME.local`, and another name where that one is taken.
pub(crate) fn announcer(place: &Place, hostname: &str, port: u16) -> io::Result<Spec> {
    Ok(Spec {
        name: WORD.into(),
        program: std::env::current_exe()?,
        args: vec![WORD.into(), hostname.into(), port.to_string().into()],
        who: people::who(place, "nobody", &[]),
        env: Vec::new(),
        terms: OTHERS,
        heard: true,
    })
}

/// The name that holds, where a line of the child's says it.
pub(crate) fn heard(line: &str) -> Option<&str> {
    let name = line.strip_prefix(SAID.0)?.strip_suffix(SAID.1)?;
    (1..=NAME_BYTES).contains(&name.len()).then_some(name)
}

/// Is that child; returns only where it fails.
pub(crate) fn announce(args: impl Iterator<Item = OsString>) -> io::Error {
    let words: Option<Vec<_>> = args.map(|it| it.into_string().ok()).collect();
    let Some([hostname, port]) = words.as_deref() else { return unasked() };
    let Ok(port) = port.parse() else { return unasked() };
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
    if let Err(error) = setrlimit(Resource::Data, limit) {
        return error.into();
    }
    match begin(hostname, port) {
        Ok((_daemon, events)) => say(hostname, &events),
        Err(error) => io::Error::other(error),
    }
}

fn unasked() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "names is for nightjar-box itself")
}

fn begin(host: &str, port: u16) -> Result<(ServiceDaemon, Receiver<DaemonEvent>), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    let events = daemon.monitor()?;
    let (full, none) = (format!("{host}.local."), None::<HashMap<String, String>>);
    let service = ServiceInfo::new("_http._tcp.local.", host, &full, "", port, none)?;
    daemon.register(service.enable_addr_auto())?;
    Ok((daemon, events))
}

/// Says the name once it is announced, and again when it is another one.
fn say(hostname: &str, events: &Receiver<DaemonEvent>) -> io::Error {
    let (mut name, mut said) = (hostname.to_owned(), String::new());
    while let Ok(event) = events.recv() {
        match event {
            DaemonEvent::NameChange(it) if it.original == format!("{hostname}.local.") => {
                it.new_name.trim_end_matches('.').trim_end_matches(SAID.1).clone_into(&mut name);
            }
            DaemonEvent::Announce(..) if name != said => {
                said.clone_from(&name);
                if let Err(error) = writeln!(io::stdout(), "{}{name}{}", SAID.0, SAID.1) {
                    return error;
                }
            }
            _ => {}
        }
    }
    io::Error::other("multicast DNS has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keeper_hears_a_name_and_nothing_else() {
        assert_eq!(heard("this box is nightjar-2.local"), Some("nightjar-2"));
        let long = format!("this box is {}.local", "x".repeat(NAME_BYTES + 1));
        for noise in ["", "this box is .local", "this box is nightjar", "memory allocation", &long]
        {
            assert_eq!(heard(noise), None, "{noise}");
        }
    }
}
