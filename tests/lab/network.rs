//! The way between phone and box: seeded loss, delay, reordering and outages in virtual time.

use std::collections::BTreeMap;
use std::ops::Range;

/// A seeded generator (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 up to and without `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("below a usize")
    }

    /// Whether something of so many percent happens.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// A datagram on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) to_box: bool,
    /// The link whose datagram it is; each has ports of its own.
    pub(crate) link: u16,
    pub(crate) bytes: Vec<u8>,
}

/// The network of one run. Times are ms. The fate of the n-th datagram of a link and a direction
/// follows from the seed, whatever else is on its way.
#[derive(Debug)]
pub(crate) struct Network {
    seed: u64,
    /// Datagrams so far of each link and direction.
    counts: BTreeMap<(u16, bool), u64>,
    loss_percent: u64,
    one_way: u64,
    jitter: u64,
    outages: Vec<Range<u64>>,
    /// From then on nothing is lost.
    heals_at: u64,
    flights: BTreeMap<(u64, u64), Flight>,
    pub(crate) sent: u64,
}

impl Network {
    /// 0 to 20 % loss, round trips of 50 to 500 ms and as much again of jitter, which reorders.
    pub(crate) fn new(mut dice: Dice, heals_at: u64) -> Self {
        let one_way = 25 + dice.below(226);
        let loss_percent = if dice.percent(25) { 0 } else { dice.below(21) };
        let jitter = 1 + dice.below(one_way);
        Self {
            seed: dice.next(),
            counts: BTreeMap::new(),
            loss_percent,
            one_way,
            jitter,
            outages: Vec::new(),
            heals_at,
            flights: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Nothing passes for so long.
    pub(crate) fn break_down(&mut self, now: u64, ms: u64) {
        self.outages.push(now..now + ms);
    }

    pub(crate) fn is_down(&self, now: u64) -> bool {
        self.outages.iter().any(|outage| outage.contains(&now))
    }

    pub(crate) fn send(&mut self, now: u64, flight: Flight) {
        self.sent += 1;
        let count = self.counts.entry((flight.link, flight.to_box)).or_default();
        *count += 1;
        let way = u64::from(flight.link) << 33 | u64::from(flight.to_box) << 32;
        let mut dice = Dice(self.seed ^ way ^ *count);
        let lost = dice.percent(self.loss_percent) && now < self.heals_at;
        let at = now + self.one_way + dice.below(self.jitter);
        if !lost && !self.is_down(now) {
            self.flights.insert((at, self.sent), flight);
        }
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.flights.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn arrive(&mut self, now: u64) -> Option<Flight> {
        let first = self.flights.first_entry().filter(|first| first.key().0 <= now);
        first.map(std::collections::btree_map::OccupiedEntry::remove)
    }
}
