//! Floods from the outside, by clients who keep to the limits one by one and come in numbers.

use crate::socket::{Socket, frame, offer, source};
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// Bytes of a MiB.
pub const MIB: usize = 1024 * 1024;

/// Offers of one client: fewer than the server's burst.
const OFFERS: usize = 150;

/// A large offer's description, in bytes: the message is just below 64 KiB.
const LARGE: usize = 65_000;

/// Most clients that flood at once.
const AT_ONCE: usize = 8;

/// Sends `bytes` of large offers, each to an id of its own that nobody has.
pub fn offers(at: SocketAddr, bytes: usize) {
    send(at, bytes.div_ceil(LARGE), LARGE);
}

/// Sends a small offer to each of `count` ids that nobody has.
pub fn ids(at: SocketAddr, count: usize) {
    send(at, count, 1);
}

/// Sends `count` offers with descriptions of `bytes`, by many clients.
fn send(at: SocketAddr, count: usize, bytes: usize) {
    let clients: Vec<usize> = (0..count).step_by(OFFERS).collect();
    for some in clients.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            for first in some {
                let numbers = *first..count.min(first + OFFERS);
                scope.spawn(move || pour(at, numbers, bytes));
            }
        });
    }
}

/// Sends one message that is `bytes` long, or as much of it as is taken.
pub fn message(at: SocketAddr, bytes: usize) {
    let Ok(mut socket) = Socket::enter(source(20), at, "endless") else { return };
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&(bytes as u64).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    let piece = vec![b' '; MIB];
    // Some servers do not close for long, nor read.
    let _ = socket.stream().set_write_timeout(Some(Duration::from_secs(2)));
    let _ = socket.stream().write_all(&head);
    for _ in 0..bytes / MIB {
        if socket.stream().write_all(&piece).is_err() {
            return;
        }
    }
}

/// One client's offers; it goes without a word once they are taken, or when it is closed.
fn pour(at: SocketAddr, numbers: Range<usize>, bytes: usize) {
    let (from, id) =
        (source(30 + numbers.start / OFFERS % 200), format!("flood-{}", numbers.start));
    let Ok(mut socket) = Socket::enter(from, at, &id) else { return };
    // The same frame again and again but for the digits: whoever measures needs the CPU too.
    let mut frame = frame(&offer("absent-000000000000", bytes));
    let digits = frame.windows(12).position(|it| it == b"000000000000").expect("they are there");
    for number in numbers {
        frame[digits..digits + 12].copy_from_slice(format!("{number:012}").as_bytes());
        if socket.stream().write_all(&frame).is_err() {
            return;
        }
    }
    // What is under way is read before the end: a reset would take it along.
    let _ = socket.stream().shutdown(std::net::Shutdown::Write);
    let _ = socket.stream().set_read_timeout(Some(Duration::from_secs(1)));
    while socket.hear().is_ok() {}
}
