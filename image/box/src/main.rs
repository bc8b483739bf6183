//! The keeper on the card: first boot, both servers, watchdog, updates.

fn main() {}
