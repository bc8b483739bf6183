//! Sets the wall clock by the time servers that DHCP or the owner names; nobody else is asked.

use crate::clock::{self, Clock};
use crate::journal::Journal;
use crate::place::Place;
use image_core::sntp;
use rustix::time::{ClockId, Timespec, clock_settime};
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// An answer may take so long.
const WITHIN: Duration = Duration::from_secs(2);
/// Until the clock is set, twice as long each time somebody was asked (RFC 4330 s10: 15 s at
/// least), and from then on.
const SOON: Duration = Duration::from_secs(15);
const LATER: Duration = Duration::from_mins(30);
/// So often it is looked whether there are other servers to ask.
const LOOK: Duration = Duration::from_secs(5);
/// Below this, the clock is left alone.
const STEP: Duration = Duration::from_millis(200);
/// Servers that are asked, one after the other.
const MANY: usize = 8;
/// The port of NTP.
const PORT: u16 = 123;

/// Sets the clock from now on, in a thread of its own.
pub(crate) fn begin(place: &Place, named: Vec<String>, clock: Clock, journal: Arc<Journal>) {
    let place = place.clone();
    thread::spawn(move || {
        let (mut set, mut pause) = (false, SOON);
        loop {
            let (known, mut asked) = (servers(&place, &named), false);
            if known.iter().any(|it| set_by(it, clock, &mut asked).is_ok()) {
                if !set {
                    journal.say("a time server has set the clock");
                }
                (set, pause) = (true, LATER);
            }
            let until_ms = clock.now_ms() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            while clock.now_ms() < until_ms && servers(&place, &named) == known {
                thread::sleep(LOOK);
            }
            pause = match (asked, clock.now_ms() < until_ms) {
                (_, true) => SOON,
                (true, false) => LATER.min(pause * 2),
                (false, false) => pause,
            };
        }
    });
}

/// Those of DHCP first: they are near.
fn servers(place: &Place, named: &[String]) -> Vec<String> {
    let found = fs::read_to_string(place.at("/run/nightjar/ntp")).unwrap_or_default();
    let all = found.split_whitespace().map(str::to_owned).chain(named.iter().cloned());
    all.take(MANY).collect()
}

fn set_by(server: &str, clock: Clock, asked: &mut bool) -> io::Result<()> {
    let now = ask(server, clock, asked)?;
    let is = clock::wall();
    if is.abs_diff(now) < STEP {
        return Ok(());
    }
    let seconds = i64::try_from(now.as_secs()).map_err(io::Error::other)?;
    let time = Timespec { tv_sec: seconds, tv_nsec: now.subsec_nanos().into() };
    Ok(clock_settime(ClockId::Realtime, time)?)
}

/// What time it is by that server, now; notes when a request has left.
fn ask(server: &str, clock: Clock, asked: &mut bool) -> io::Result<Duration> {
    let address = (server, PORT).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(WITHIN))?;
    let mut nonce = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    let nonce = u64::from_be_bytes(nonce);
    let begun = clock.now_ms();
    socket.send(&sntp::request(nonce))?;
    *asked = true;
    let mut answer = [0; sntp::BYTES];
    let length = socket.recv(&mut answer)?;
    let took_ns = clock.now_ms().saturating_sub(begun).saturating_add(1) * 1_000_000;
    let time = sntp::time(answer.get(..length).unwrap_or_default(), nonce, took_ns);
    time.map(Duration::from_nanos).ok_or_else(|| io::Error::other("no time"))
}
