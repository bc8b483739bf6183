//! The watermark on paths of many kinds, in virtual time.

use super::*;
use crate::link::responder::tests::Dice;
use std::collections::VecDeque;

/// A path and a sender that always has more, as far as the watermark and SCTP's window let it.
struct Road {
    watermark: Watermark,
    now_us: u64,
    /// One way and back, us.
    trip_us: u64,
    /// Bytes in a second.
    rate: u64,
    /// Acknowledgements come together, so far apart, us.
    burst_us: u64,
    /// SCTP's congestion window, bytes; it doubles with each round trip until `window_most`.
    window: u64,
    window_most: u64,
    buffered: u64,
    /// When what is in flight is acknowledged, and its bytes.
    flights: VecDeque<(u64, u64)>,
    free_us: u64,
    arrived: u64,
    limit: usize,
}

const PACKET: u64 = 1_100;

impl Road {
    fn new(trip_us: u64, rate: u64) -> Self {
        Self {
            watermark: Watermark::new(),
            now_us: 0,
            trip_us,
            rate,
            burst_us: 1,
            window: 4 * PACKET,
            window_most: u64::MAX,
            buffered: 0,
            flights: VecDeque::new(),
            free_us: 0,
            arrived: 0,
            limit: FIRST_BYTES,
        }
    }

    fn in_flight(&self) -> u64 {
        self.flights.iter().map(|flight| flight.1).sum()
    }

    /// Hands over what may be handed over and puts on the road what fits the window.
    fn fill(&mut self, wanted: &mut u64) {
        loop {
            let buffered = usize::try_from(self.buffered).expect("small");
            self.limit = self.watermark.handle_buffered(self.now_us, buffered);
            let chunk = (*wanted).min(CHUNK_BYTES as u64);
            if buffered >= self.limit || chunk == 0 {
                break;
            }
            self.watermark.handle_written(usize::try_from(chunk).expect("small"));
            self.buffered += chunk;
            *wanted -= chunk;
        }
        let mut in_flight = self.in_flight();
        while in_flight + PACKET <= self.window && in_flight < self.buffered {
            let bytes = PACKET.min(self.buffered - in_flight);
            self.free_us = self.free_us.max(self.now_us) + bytes * 1_000_000 / self.rate;
            let back = (self.free_us + self.trip_us).next_multiple_of(self.burst_us);
            self.flights.push_back((back, bytes));
            in_flight += bytes;
        }
    }

    /// Lets `us` pass with `wanted` bytes to be sent.
    fn pass(&mut self, us: u64, mut wanted: u64) -> u64 {
        let (end, before) = (self.now_us + us, self.arrived);
        self.fill(&mut wanted);
        while let Some((at, _)) = self.flights.front().copied().filter(|flight| flight.0 <= end) {
            self.now_us = at;
            let mut acknowledged = 0;
            while self.flights.front().is_some_and(|flight| flight.0 <= at) {
                acknowledged += self.flights.pop_front().expect("just seen").1;
            }
            self.buffered -= acknowledged;
            self.arrived += acknowledged;
            if self.buffered > self.in_flight() {
                self.window = (self.window + acknowledged).min(self.window_most);
            }
            self.fill(&mut wanted);
        }
        self.now_us = end;
        self.arrived - before
    }
}

#[test]
fn the_limit_follows_what_the_path_holds() {
    for (trip_us, rate) in [
        (200, 20_000_000),
        (2_000, 10_000_000),
        (20_000, 5_000_000),
        (50_000, 2_000_000),
        (100_000, 1_000_000),
        (500_000, 100_000),
    ] {
        let mut road = Road::new(trip_us, rate);
        road.pass(300_000, u64::MAX);
        road.watermark.handle_round_trip(trip_us);
        road.pass(20 * trip_us.max(WHILE_US), u64::MAX);
        let second = road.pass(1_000_000, u64::MAX);
        assert!(second * 100 >= rate * 95, "{trip_us} us: {second} of {rate} bytes a second");
        let holds = usize::try_from(rate * trip_us / 1_000_000).expect("small");
        let most = LEAST_BYTES + holds * 5 / 2;
        assert!(road.limit <= most, "{trip_us} us, {holds} bytes: {}", road.limit);
    }
}

#[test]
fn a_path_that_is_not_measured_yet_opens_as_fast_as_the_window_does() {
    let mut road = Road::new(50_000, 50_000_000);
    road.pass(50_000, u64::MAX); // what leaves first is on its way
    let mut wanted = 4 * PACKET;
    for _ in 0..6 {
        let arrived = road.pass(50_000, u64::MAX);
        assert!(arrived + PACKET >= wanted, "{arrived} of {wanted}");
        wanted = arrived * 2;
    }
    assert!(road.limit > 300_000, "{}", road.limit);
}

#[test]
fn a_wide_path_gets_all_there_is() {
    let mut road = Road::new(100_000, 50_000_000);
    road.watermark.handle_round_trip(100_000);
    road.pass(3_000_000, u64::MAX);
    assert_eq!(road.limit, MOST_BYTES);
    let second = road.pass(1_000_000, u64::MAX);
    assert!(second >= 4_500_000, "{second}");
}

#[test]
fn a_window_that_losses_keep_small_still_finds_more_waiting() {
    let mut road = Road::new(100_000, 50_000_000);
    road.watermark.handle_round_trip(100_000);
    road.window_most = 20_000;
    road.pass(5_000_000, u64::MAX);
    assert!(road.limit >= 40_000, "the window is full and as much waits: {}", road.limit);
    road.window_most = u64::MAX;
    road.pass(3_000_000, u64::MAX);
    assert_eq!(road.limit, MOST_BYTES, "it opens again");
}

#[test]
fn receivers_that_acknowledge_in_bursts_cost_little_speed() {
    let mut road = Road::new(300, 20_000_000);
    road.watermark.handle_round_trip(300);
    road.burst_us = 500;
    road.pass(500_000, u64::MAX);
    let second = road.pass(1_000_000, u64::MAX);
    assert!(second >= 18_000_000, "{second}");
    assert!(road.limit <= 40 * 1024, "{}", road.limit);
}

#[test]
fn a_phone_that_asks_for_little_does_not_narrow_the_path() {
    let mut road = Road::new(50_000, 4_000_000);
    road.watermark.handle_round_trip(50_000);
    road.pass(2_000_000, u64::MAX);
    let wide = road.limit;
    assert!(wide >= 400_000, "{wide}");
    while road.buffered > 0 {
        road.pass(100_000, 0);
    }
    for _ in 0..100 {
        road.pass(100_000, 200);
    }
    assert_eq!(road.limit, wide);
    let mut narrow = Road { watermark: road.watermark, now_us: road.now_us, ..Road::new(0, 1) };
    (narrow.trip_us, narrow.rate) = (50_000, 400_000);
    narrow.pass(3_000_000, u64::MAX);
    assert!(narrow.limit <= 80_000, "a path that became narrow is noticed: {}", narrow.limit);
}

#[test]
fn whatever_is_told_the_limit_stays_within_its_bounds() {
    let mut dice = Dice(3);
    for _ in 0..50 {
        let mut watermark = Watermark::new();
        let mut now = 0;
        for _ in 0..1000 {
            now = match dice.below(20) {
                0 => u64::MAX - dice.below(9),
                1 => dice.below(1_000_000),
                _ => now + dice.below(20_000),
            };
            match dice.below(4) {
                0 => watermark.handle_round_trip(dice.below(3) * dice.below(1_000_000)),
                1 => watermark.handle_round_trip(u64::MAX),
                2 => watermark.handle_written(usize::MAX),
                _ => watermark.handle_written(4096),
            }
            let buffered = usize::try_from(dice.below(1 << 20)).expect("small");
            let limit = watermark.handle_buffered(now, buffered);
            assert!((LEAST_BYTES..=MOST_BYTES).contains(&limit), "{limit}");
            let pace = watermark.pace_bytes();
            assert!((LEAST_PACE_BYTES..=MOST_PACE_BYTES).contains(&pace), "{pace}");
        }
    }
}

#[test]
fn no_pace_is_slower_than_twice_what_the_path_takes() {
    for (trip_us, rate) in [(200, 20_000_000), (5_000, 30_000_000), (100_000, 4_000_000)] {
        let mut road = Road::new(trip_us, rate);
        assert_eq!(road.watermark.pace_bytes(), LEAST_PACE_BYTES, "nothing is known of it");
        road.watermark.handle_round_trip(trip_us);
        road.pass(3_000_000, u64::MAX);
        let pace = road.watermark.pace_bytes() as u64 * 1000;
        assert!(pace >= rate * 19 / 10 || pace == MOST_PACE_BYTES as u64 * 1000, "{pace}");
    }
    let mut road = Road::new(100_000, 50_000_000);
    road.watermark.handle_round_trip(100_000);
    road.pass(3_000_000, u64::MAX);
    assert_eq!(road.limit, MOST_BYTES);
    assert_eq!(road.watermark.pace_bytes(), LEAST_PACE_BYTES, "half a megabyte in 0.1 s");
}
