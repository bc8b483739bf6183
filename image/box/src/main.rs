//! The keeper on the card: first boot, both servers, watchdog, updates.

#[cfg_attr(not(test), expect(dead_code, reason = "the supervisor calls it"))]
mod update;

fn main() {}
