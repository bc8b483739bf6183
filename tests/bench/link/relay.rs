//! A path of our own making between two UDP ports: every datagram late by as much, some lost.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Datagrams that may be under way in one direction; further ones are lost.
const UNDER_WAY: usize = 8192;

/// Both ends of the path.
struct Path {
    /// Where the page sends to, and where the answerer does.
    sockets: [UdpSocket; 2],
    /// The page's address, once it has sent something, and the answerer's, once it is named.
    ends: [Option<SocketAddr>; 2],
    /// What goes to each end, and when.
    flights: [VecDeque<(Instant, Vec<u8>)>; 2],
    delay: Duration,
    loss_percent: u64,
    random: u64,
}

/// Relays until it is ended: `ADDRESS DELAY_MS LOSS_PERCENT SEED`; the answerer's address comes on
/// standard input.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let usage = "--relay ADDRESS DELAY_MS LOSS_PERCENT SEED";
    let [address, delay, loss, seed] = words else { return Err(usage.into()) };
    let bind = || UdpSocket::bind((address.as_str(), 0)).map_err(|error| error.to_string());
    let mut path = Path {
        sockets: [bind()?, bind()?],
        ends: [None; 2],
        flights: [VecDeque::new(), VecDeque::new()],
        delay: Duration::from_millis(delay.parse().map_err(|_| usage)?),
        loss_percent: loss.parse().map_err(|_| usage)?,
        random: seed.parse().map_err(|_| usage)?,
    };
    let mut ports = Vec::new();
    for socket in &path.sockets {
        socket.set_nonblocking(true).map_err(|error| error.to_string())?;
        // What a busy machine makes the relay read late is not lost: losses are ours to decide.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, 4 << 20);
        let local = socket.local_addr().map_err(|error| error.to_string())?;
        ports.push(local.port().to_string());
    }
    crate::say(&ports.join(" "));
    let named = answerer();
    loop {
        path.wait().map_err(|error| format!("the relay: {error}"))?;
        path.ends[1] = path.ends[1].or_else(|| named.try_recv().ok());
        path.turn();
    }
}

/// The address that standard input names.
fn answerer() -> Receiver<SocketAddr> {
    let (name, named) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::stdin().lock().read_line(&mut line);
        line.trim().parse().map(|address| name.send(address))
    });
    named
}

impl Path {
    /// Until something has come, or is due.
    #[expect(clippy::disallowed_methods, reason = "a relay keeps real time")]
    fn wait(&self) -> std::io::Result<()> {
        let due = self.flights.iter().filter_map(|flights| flights.front()).map(|it| it.0).min();
        let most = Duration::from_millis(20);
        let left = due.map_or(most, |due| due.saturating_duration_since(Instant::now()).min(most));
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut fds = self.sockets.each_ref().map(|socket| PollFd::new(socket, PollFlags::IN));
        poll(&mut fds, Some(&left))?;
        Ok(())
    }

    /// Takes what has come and sends what is due.
    #[expect(clippy::disallowed_methods, reason = "a relay keeps real time")]
    fn turn(&mut self) {
        let now = Instant::now();
        let mut buf = [0; 2048];
        for side in 0..2 {
            while let Ok((length, source)) = self.sockets[side].recv_from(&mut buf) {
                self.take(side, source, now, &buf[..length]);
            }
        }
        for side in 0..2 {
            while self.flights[side].front().is_some_and(|flight| flight.0 <= now) {
                let Some((_, bytes)) = self.flights[side].pop_front() else { break };
                let _ = self.ends[side].map(|end| self.sockets[side].send_to(&bytes, end));
            }
        }
    }

    fn take(&mut self, side: usize, source: SocketAddr, now: Instant, bytes: &[u8]) {
        if side == 0 {
            self.ends[0] = Some(source);
        } else if self.ends[1].is_none_or(|end| end.port() != source.port()) {
            return;
        }
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let lost = (self.random >> 33) % 100 < self.loss_percent;
        let flights = &mut self.flights[1 - side];
        if !lost && flights.len() < UNDER_WAY {
            flights.push_back((now + self.delay, bytes.to_vec()));
        }
    }
}
