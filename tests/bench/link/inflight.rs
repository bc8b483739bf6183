//! What str0m's sender costs as more bytes are in flight: two `Rtc` in one thread, in virtual time.

use crate::say;
use harness::figures::{self, Machine};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// Bytes sent for each row.
const BYTES: usize = 10 << 20;
/// Bytes of one message.
const MESSAGE: usize = 16_384;
/// From one end to the other.
const DELAY: Duration = Duration::from_millis(10);
const SENDER: &str = "10.9.0.1:1000";
const RECEIVER: &str = "10.9.0.2:2000";

/// What sending took.
#[derive(Debug, Default)]
struct Cost {
    polls: usize,
    datagrams: usize,
    cpu: Duration,
}

/// Both ends and what is under way to each.
struct Pair {
    now: Instant,
    ends: [Rtc; 2],
    flights: [VecDeque<(Instant, Vec<u8>)>; 2],
    channel: Option<ChannelId>,
    heard: usize,
    cost: Cost,
}

/// Prints the table.
pub(crate) fn run() -> Result<(), String> {
    let Machine { cpu, rustc, commit, date, .. } = Machine::here();
    say(&format!("{cpu}\n{rustc}; commit {commit}; {date}; load average {}", figures::load()));
    say("\nKiB in flight   datagrams     polls   polls each   us a poll   CPU s for 100 MB");
    for kib in [16, 32, 64, 128, 256, 496] {
        let cost = Pair::new()?.send(kib * 1024)?;
        let seconds = cost.cpu.as_secs_f64();
        say(&format!(
            "{kib:>13}{:>12}{:>10}{:>13.2}{:>12.2}{:>19.2}",
            cost.datagrams,
            cost.polls,
            cost.polls as f64 / cost.datagrams as f64,
            seconds * 1e6 / cost.polls as f64,
            seconds * 1e8 / BYTES as f64,
        ));
    }
    Ok(())
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "virtual time begins at some time")]
    fn new() -> Result<Self, String> {
        let now = Instant::now();
        let said = |error: &dyn std::error::Error| error.to_string();
        let mut ends = [(); 2].map(|()| {
            RtcConfig::new().set_sctp_max_buffered_amount(512 * 1024).clear_codecs().build(now)
        });
        for (end, address) in ends.iter_mut().zip([SENDER, RECEIVER]) {
            let address = address.parse().map_err(|_| "an address")?;
            let host = Candidate::host(address, Protocol::Udp).map_err(|error| said(&error))?;
            end.add_local_candidate(host);
        }
        let [sender, receiver] = &mut ends;
        let mut change = receiver.sdp_api();
        change.add_channel_with_config(ChannelConfig { label: "x".into(), ..Default::default() });
        let (offer, pending) = change.apply().ok_or("no offer")?;
        let answer = sender.sdp_api().accept_offer(offer).map_err(|error| said(&error))?;
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).map_err(|e| said(&e))?;
        receiver.sdp_api().accept_answer(pending, answer).map_err(|error| said(&error))?;
        let flights = [VecDeque::new(), VecDeque::new()];
        let mut pair = Self { now, ends, flights, channel: None, heard: 0, cost: Cost::default() };
        while pair.channel.is_none() {
            pair.step()?;
        }
        pair.cost = Cost::default();
        Ok(pair)
    }

    /// Sends all bytes while at most `limit` of them wait for an acknowledgement.
    fn send(mut self, limit: usize) -> Result<Cost, String> {
        let id = self.channel.ok_or("no channel")?;
        let message = vec![7; MESSAGE];
        let mut left = BYTES / MESSAGE;
        while self.heard < BYTES {
            let began = spent();
            while left > 0 {
                let mut channel = self.ends[0].channel(id).ok_or("the channel is gone")?;
                if channel.buffered_amount() + MESSAGE > limit {
                    break;
                }
                if !channel.write(true, &message).map_err(|error| error.to_string())? {
                    return Err("no room".into());
                }
                left -= 1;
            }
            self.cost.cpu += spent().saturating_sub(began);
            self.step()?;
        }
        Ok(self.cost)
    }

    /// Lets everything happen that happens next.
    fn step(&mut self) -> Result<(), String> {
        let due = [self.drain(0)?, self.drain(1)?];
        let arrivals = self.flights.iter().filter_map(|flights| flights.front()).map(|it| it.0);
        let next = arrivals.chain(due).min().unwrap_or(self.now);
        self.now = next.max(self.now);
        for end in 0..2 {
            while self.flights[end].front().is_some_and(|flight| flight.0 <= self.now) {
                let Some((_, bytes)) = self.flights[end].pop_front() else { break };
                self.arrive(end, &bytes)?;
                self.drain(end)?;
            }
            let began = spent();
            let input = Input::Timeout(self.now);
            self.ends[end].handle_input(input).map_err(|error| error.to_string())?;
            self.count(end, began);
        }
        Ok(())
    }

    fn arrive(&mut self, end: usize, bytes: &[u8]) -> Result<(), String> {
        let (to, from) = if end == 0 { (SENDER, RECEIVER) } else { (RECEIVER, SENDER) };
        let [from, to] = [from, to].map(str::parse);
        let (Ok(from), Ok(to)) = (from, to) else { return Err("an address".into()) };
        let began = spent();
        let receive = Receive::new(Protocol::Udp, from, to, bytes).map_err(|e| e.to_string())?;
        let input = Input::Receive(self.now, receive);
        self.ends[end].handle_input(input).map_err(|error| error.to_string())?;
        self.count(end, began);
        Ok(())
    }

    /// Polls one end until it wants to wait.
    fn drain(&mut self, end: usize) -> Result<Instant, String> {
        let began = spent();
        let mut polls = 0;
        let until = loop {
            polls += 1;
            match self.ends[end].poll_output().map_err(|error| error.to_string())? {
                Output::Timeout(at) => break at,
                Output::Transmit(datagram) => {
                    let at = self.now + DELAY;
                    self.flights[1 - end].push_back((at, datagram.contents.to_vec()));
                    self.cost.datagrams += usize::from(end == 0);
                }
                Output::Event(Event::ChannelOpen(id, _)) if end == 0 => self.channel = Some(id),
                Output::Event(Event::ChannelData(data)) => self.heard += data.data.len(),
                Output::Event(_) => {}
            }
        };
        if end == 0 {
            self.cost.polls += polls;
        }
        self.count(end, began);
        Ok(until)
    }

    fn count(&mut self, end: usize, began: Duration) {
        if end == 0 {
            self.cost.cpu += spent().saturating_sub(began);
        }
    }
}

/// This thread's time on a CPU.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
