//! The networks that this machine is attached to, which `--home` makes one room.

use signal_proto::network::{Grouping, Prefix};

/// How clients are sorted into networks, by the interfaces as they are now.
pub fn grouping(home: bool) -> Grouping {
    let on_link = if home { on_link() } else { Vec::new() };
    Grouping { home, on_link }
}

/// Nothing where the system does not say: private addresses are home all the same.
fn on_link() -> Vec<Prefix> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let attached = interfaces.iter().filter(|interface| !interface.is_loopback());
    attached.filter_map(|interface| prefix(&interface.addr)).collect()
}

fn prefix(address: &if_addrs::IfAddr) -> Option<Prefix> {
    match address {
        if_addrs::IfAddr::V4(v4) => Prefix::new(v4.ip.into(), v4.prefixlen),
        // A host route of a home's address says nothing about its link: the /64 is.
        if_addrs::IfAddr::V6(v6) => Prefix::new(v6.ip.into(), v6.prefixlen.min(64)),
    }
}
