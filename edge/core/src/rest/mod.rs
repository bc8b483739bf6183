//! REST without a socket: paths to routes, queries to filters, JSON in and out.
//!
//! ```text
//! target --> path::Route + query::Events --> (the shell's api) --> body --> JSON
//! body   --> json::guard, json::Flags, json::name, system::Wifi
//! ```

pub mod body;
pub mod code;
pub mod json;
pub mod path;
pub mod query;
pub mod system;

pub use path::Route;

/// What a request wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Replace.
    Put,
    /// Do.
    Post,
    /// Remove.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// The method named by the wire's word, in capitals.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Get, Self::Put, Self::Post, Self::Delete].into_iter().find(|m| m.word() == word)
    }
}
