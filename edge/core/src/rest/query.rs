//! The part after `?`: filters of a list, read from the query string.
#![deny(clippy::indexing_slicing)]

/// Which events to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Events {}
