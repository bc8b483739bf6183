//! The box's name in its own network: multicast DNS on every link, never beyond one.

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use std::io;
use std::thread;

/// Announces `http://HOSTNAME.local`, and another name where that one is taken: `tell` hears the
/// name that holds. It ends with the process.
pub(crate) fn announce(
    hostname: &str,
    port: u16,
    tell: impl Fn(String) + Send + 'static,
) -> io::Result<ServiceDaemon> {
    begin(hostname, port, tell).map_err(io::Error::other)
}

fn begin(
    hostname: &str,
    port: u16,
    tell: impl Fn(String) + Send + 'static,
) -> Result<ServiceDaemon, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    let events = daemon.monitor()?;
    let host = format!("{hostname}.local.");
    let none: Option<std::collections::HashMap<String, String>> = None;
    let service = ServiceInfo::new("_http._tcp.local.", hostname, &host, "", port, none)?;
    daemon.register(service.enable_addr_auto())?;
    thread::spawn(move || {
        while let Ok(event) = events.recv() {
            if let DaemonEvent::NameChange(change) = event
                && change.original.eq_ignore_ascii_case(&host)
            {
                tell(change.new_name.trim_end_matches('.').trim_end_matches(".local").to_owned());
            }
        }
    });
    Ok(daemon)
}
