//! What happens in one run, drawn from its seed before it begins.

use crate::house::{BODY_BYTES, pattern};
use crate::network::Dice;
use std::collections::VecDeque;

/// A request of the page's.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// How often it is asked again after its link was lost; what is put is put once.
    pub(crate) again: u32,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Act {
    Ask(Wish),
    /// One of the open requests is given up.
    Cancel,
    /// Nothing passes for so long, ms.
    Outage(u64),
    /// The box loses its power, and is back after so long, ms.
    RestartBox(u64),
    /// The page is loaded anew, with or without closing its connection.
    Reload {
        politely: bool,
    },
    /// The page is frozen for so long, ms, while its transport lives on.
    Freeze(u64),
    /// Every tagged body becomes another.
    Change,
    /// The box tells something unasked.
    Push,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// When what happens, ms; in order.
    pub(crate) acts: VecDeque<(u64, Act)>,
    /// From then on the network is good, ms.
    pub(crate) heals_at: u64,
    /// Bytes of bulk that the page wants on their way.
    pub(crate) window: u32,
    /// The page is one that was made before there were credit and rests.
    pub(crate) old_page: bool,
    /// The box is.
    pub(crate) old_box: bool,
}

/// While requests are made, ms.
const BUSY_MS: u64 = 40_000;

impl Plan {
    /// Both ends know of credit and rests.
    pub(crate) const fn is_new(&self) -> bool {
        !self.old_page && !self.old_box
    }

    pub(crate) fn new(dice: &mut Dice) -> Self {
        let mut acts = Vec::new();
        let at = |dice: &mut Dice| 500 + dice.below(BUSY_MS);
        for n in 0..6 + dice.below(16) {
            acts.push((at(dice), Act::Ask(wish(dice, n))));
        }
        let updates = dice.below(3);
        for _ in 0..dice.below(8) {
            acts.push((at(dice), Act::Push));
        }
        for _ in 0..dice.below(4) {
            acts.push((at(dice), Act::Cancel));
        }
        for _ in 0..[0, 0, 0, 1, 1, 2][dice.index(6)] {
            let act = match dice.below(8) {
                0 | 1 => Act::Outage(1000 + dice.below(30_000)),
                2 | 3 => Act::RestartBox(500 + dice.below(10_000)),
                4 => Act::Change,
                5 | 6 => Act::Freeze(1000 + dice.below(40_000)),
                _ => Act::Reload { politely: dice.percent(50) },
            };
            acts.push((at(dice), act));
        }
        let version = dice.below(8);
        // Versions before streamed bodies have none.
        for n in 0..if version > 1 { updates } else { 0 } {
            let seed = dice.next();
            let body = pattern(seed, 1 + dice.index(400_000));
            let path = format!("/api/v1/system/update?{n}");
            acts.push((at(dice), Act::Ask(Wish { method: "PUT", path, body, again: 0 })));
        }
        acts.sort_by_key(|act| act.0);
        Self {
            acts: acts.into(),
            heals_at: 3 * BUSY_MS,
            window: [1000, 40_000, 1 << 20][dice.index(3)],
            old_page: version == 0,
            old_box: version == 1,
        }
    }
}

fn wish(dice: &mut Dice, n: u64) -> Wish {
    let get = |path| Wish { method: "GET", path, body: Vec::new(), again: 3 };
    let tagged = if dice.percent(70) { "tagged" } else { "plain" };
    match dice.below(20) {
        0 => get(format!("/status/{n}/{}", [204, 404, 500][dice.index(3)])),
        1..=8 => get(format!("/{tagged}/{n}/{}", dice.below(2000))),
        9..=12 => get(format!("/{tagged}/{n}/{}", dice.below(60_000))),
        // Few names, so that one body is asked for again and at once.
        13..=16 => get(format!("/{tagged}/bulk/{}", 40_000 + 30_000 * dice.below(6))),
        _ => {
            let long = dice.percent(10);
            let size =
                if long { BODY_BYTES + 1 + dice.index(9000) } else { dice.index(BODY_BYTES) };
            let body = pattern(dice.next(), size);
            Wish { method: "PUT", path: format!("/put/{n}"), body, again: 0 }
        }
    }
}
