//! Sends datagrams of one size to one place in one call of the kernel (`UDP_SEGMENT`, udp(7)).

use crate::peer::Datagrams;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::OnceLock;

/// Sends them; what cannot leave now is lost, as datagrams are.
pub(super) fn send(socket: &UdpSocket, datagrams: &Datagrams) {
    let Datagrams { destination, bytes, size, .. } = datagrams;
    let kernel = kernel();
    let most = kernel.map_or(1, UdpSocketState::max_gso_segments);
    for some in bytes.chunks((size * most).max(1)) {
        let _ = match kernel {
            Some(kernel) if some.len() > *size => {
                send_together(kernel, socket, *destination, some, *size)
            }
            _ => socket.send_to(some, destination).map(|_| ()),
        };
    }
}

fn send_together(
    kernel: &UdpSocketState,
    socket: &UdpSocket,
    destination: SocketAddr,
    contents: &[u8],
    size: usize,
) -> io::Result<()> {
    let segment_size = Some(size);
    let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
    kernel.try_send(UdpSockRef::from(socket), &transmit)
}

/// What this kernel can. It is learned of a socket that is thrown away, as quinn-udp sets
/// options that ours are better without: datagrams that arrive joined, and none that may be cut
/// on their way.
fn kernel() -> Option<&'static UdpSocketState> {
    static KERNEL: OnceLock<Option<UdpSocketState>> = OnceLock::new();
    let learn = || {
        let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).ok()?;
        UdpSocketState::new(UdpSockRef::from(&socket)).ok()
    };
    KERNEL.get_or_init(learn).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn datagrams_arrive_as_they_were() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (Ok(from), Ok(to)) = (UdpSocket::bind(address), UdpSocket::bind(address)) else {
                continue; // a machine without IPv6
            };
            let _ = to.set_read_timeout(Some(Duration::from_secs(5)));
            let (source, destination) =
                (from.local_addr().expect("bound"), to.local_addr().expect("bound"));
            for (length, size) in [(1, 1), (1200, 1200), (30_100, 1232), (100, 1), (5000, 2500)] {
                let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
                let datagrams = Datagrams { source, destination, bytes, size };
                send(&from, &datagrams);
                let mut buf = [0; 3000];
                for wanted in datagrams.each() {
                    let length = to.recv(&mut buf).expect("it arrives");
                    assert_eq!(buf.get(..length), Some(wanted), "of {size} bytes each");
                }
            }
        }
    }
}
