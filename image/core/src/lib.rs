//! What a Nightjar card decides without I/O: partitions, settings, bundles, updates, health.
//! The words are those of `image/card.md`.

pub mod keeper;
