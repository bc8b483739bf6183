//! Rooms: who of one network is here. A convenience for finding each other, never an
//! authentication.
//!
//! A room has no life of its own: it is the members of a network, and its id is derived from
//! the network and a secret that changes daily, so that no id tells an address.

use crate::hmac;
use crate::network::Network;
use crate::peer_id::PeerId;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Most members of one room; who comes after them is not added.
pub const MEMBERS_MAX: usize = 64;

/// The longest name of a member, in bytes; the rest is cut off.
pub const NAME_MAX: usize = 64;

/// How long a random secret is used.
pub const ROTATE_MS: u64 = 24 * 60 * 60 * 1000;

/// How long the previous secret's room ids are still known.
pub const OVERLAP_MS: u64 = 10 * 60 * 1000;

/// Forty hex digits that stand for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomId([u8; 20]);

impl RoomId {
    /// HMAC-SHA1 of the network's text.
    pub fn derive(secret: &[u8], network: &Network) -> Self {
        Self(hmac::sha1(secret, network.to_string().as_bytes()))
    }

    /// Reads forty lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 20];
        let mut digits = text.bytes();
        let mut digit = || match digits.next()? {
            byte @ b'0'..=b'9' => Some(byte - b'0'),
            byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        for byte in &mut id {
            *byte = digit()? << 4 | digit()?;
        }
        (text.len() == 40).then_some(Self(id))
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret behind the room ids, and the one before it.
///
/// ```text
/// current --24 h--> previous --10 min--> forgotten
/// ```
pub struct Secrets {
    current: Vec<u8>,
    previous: Option<Vec<u8>>,
    /// When something changes next; `None`: never.
    change_ms: Option<u64>,
}

/// Prints no secret.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("change_ms", &self.change_ms).finish_non_exhaustive()
    }
}

impl Secrets {
    /// A secret that the operator chose; it stays.
    pub fn fixed(secret: &[u8]) -> Self {
        Self { current: secret.to_vec(), previous: None, change_ms: None }
    }

    /// A secret of fresh entropy, to be rotated.
    pub fn random(now_ms: u64, fresh: [u8; 32]) -> Self {
        Self { current: fresh.to_vec(), previous: None, change_ms: Some(now_ms + ROTATE_MS) }
    }

    /// When [`Self::rotate`] is due.
    pub const fn change_ms(&self) -> Option<u64> {
        self.change_ms
    }

    /// Forgets the previous secret after its time, or puts a fresh one in the current one's
    /// place after its own.
    pub fn rotate(&mut self, now_ms: u64, fresh: [u8; 32]) {
        let Some(due) = self.change_ms.filter(|due| *due <= now_ms) else { return };
        if self.previous.take().is_some() {
            self.change_ms = Some(due + ROTATE_MS - OVERLAP_MS);
        } else {
            self.previous = Some(core::mem::replace(&mut self.current, fresh.to_vec()));
            self.change_ms = Some(now_ms + OVERLAP_MS);
        }
    }

    /// The id of `network`'s room.
    pub fn room_id(&self, network: &Network) -> RoomId {
        RoomId::derive(&self.current, network)
    }

    /// Whether `id` names `network`'s room, by this secret or the one before.
    pub fn names(&self, id: &RoomId, network: &Network) -> bool {
        let by = |secret: &Vec<u8>| RoomId::derive(secret, network) == *id;
        by(&self.current) || self.previous.as_ref().is_some_and(by)
    }
}

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// It is an edge: a device to pair with.
    pub is_edge: bool,
    /// What its owner calls it.
    pub name: String,
}

impl About {
    /// A description whose name is cut to [`NAME_MAX`] and has no control characters.
    pub fn new(is_edge: bool, name: &str) -> Self {
        let mut kept = String::new();
        for letter in name.trim().chars().filter(|letter| !letter.is_control()) {
            if kept.len() + letter.len_utf8() > NAME_MAX {
                break;
            }
            kept.push(letter);
        }
        Self { is_edge, name: kept }
    }
}

/// One who is here.
#[derive(Debug, Clone)]
pub struct Member {
    /// How to reach it.
    pub id: PeerId,
    /// What it says of itself.
    pub about: About,
}

/// The members of every network, in the order they joined.
#[derive(Debug, Default)]
pub struct Rooms {
    rooms: BTreeMap<Network, Vec<Member>>,
}

impl Rooms {
    /// Nobody anywhere.
    pub const fn new() -> Self {
        Self { rooms: BTreeMap::new() }
    }

    /// Adds `id`, or takes note of what it says now; false where the room is full.
    pub fn join(&mut self, network: Network, id: &PeerId, about: Option<About>) -> bool {
        let room = self.rooms.entry(network).or_default();
        if let Some(member) = room.iter_mut().find(|member| member.id == *id) {
            if let Some(about) = about {
                member.about = about;
            }
            return true;
        }
        if room.len() == MEMBERS_MAX {
            return false;
        }
        room.push(Member { id: id.clone(), about: about.unwrap_or_default() });
        true
    }

    /// Takes `id` out; whether it was in.
    pub fn leave(&mut self, network: &Network, id: &PeerId) -> bool {
        let Some(room) = self.rooms.get_mut(network) else { return false };
        let before = room.len();
        room.retain(|member| member.id != *id);
        let was_in = room.len() < before;
        if room.is_empty() {
            self.rooms.remove(network);
        }
        was_in
    }

    /// Who is in `network`'s room.
    pub fn members(&self, network: &Network) -> &[Member] {
        self.rooms.get(network).map_or(&[], Vec::as_slice)
    }

    /// How many rooms have members.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether nobody is anywhere.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::format;

    const HOME: Network = Network::V4(Ipv4Addr::new(203, 0, 113, 9));

    fn id(text: &str) -> PeerId {
        PeerId::parse(text).unwrap()
    }

    #[test]
    fn ids_are_the_hmac_of_the_network() {
        // printf 203.0.113.9 | openssl dgst -sha1 -hmac secret
        let id = RoomId::derive(b"secret", &HOME);
        assert_eq!(id.to_string(), "d38138337c0c8e1d61b422e8a8e8d1d46405e5cc");
        assert_eq!(RoomId::parse(&id.to_string()), Some(id));
        for wrong in ["", "ab", &"g".repeat(40), &"A".repeat(40), &"a".repeat(41)] {
            assert_eq!(RoomId::parse(wrong), None);
        }
    }

    #[test]
    fn a_random_secret_rotates_and_overlaps() {
        let mut secrets = Secrets::random(0, [1; 32]);
        let first = secrets.room_id(&HOME);
        secrets.rotate(ROTATE_MS - 1, [9; 32]);
        assert_eq!(secrets.room_id(&HOME), first, "not before its time");
        secrets.rotate(ROTATE_MS, [2; 32]);
        let second = secrets.room_id(&HOME);
        assert!(first != second && secrets.names(&first, &HOME) && secrets.names(&second, &HOME));
        assert!(!secrets.names(&first, &Network::Home));
        assert_eq!(secrets.change_ms(), Some(ROTATE_MS + OVERLAP_MS));
        secrets.rotate(ROTATE_MS + OVERLAP_MS, [3; 32]);
        assert!(!secrets.names(&first, &HOME) && secrets.names(&second, &HOME));
        assert_eq!(secrets.change_ms(), Some(2 * ROTATE_MS));

        let mut fixed = Secrets::fixed(b"mine");
        let first = fixed.room_id(&HOME);
        fixed.rotate(u64::MAX, [4; 32]);
        assert!(fixed.room_id(&HOME) == first && fixed.change_ms().is_none());
        assert!(!format!("{secrets:?}").contains('2'.to_string().repeat(3).as_str()));
    }

    #[test]
    fn members_join_once_and_the_room_is_bounded() {
        let mut rooms = Rooms::default();
        assert!(rooms.join(HOME, &id("a"), None));
        assert!(rooms.join(HOME, &id("b"), Some(About::new(true, "Front door"))));
        assert!(rooms.join(HOME, &id("a"), None) && rooms.join(HOME, &id("b"), None));
        let names: Vec<_> = rooms.members(&HOME).iter().map(|m| m.about.name.as_str()).collect();
        assert_eq!(names, ["", "Front door"], "an empty body changes nothing");
        for number in 2..MEMBERS_MAX {
            assert!(rooms.join(HOME, &id(&format!("x{number}")), None));
        }
        assert!(!rooms.join(HOME, &id("late"), None) && rooms.join(HOME, &id("a"), None));
        assert!(!rooms.leave(&HOME, &id("late")) && rooms.leave(&HOME, &id("a")));
        assert!(rooms.join(HOME, &id("late"), None));
        assert_eq!(rooms.members(&HOME).last().map(|m| m.id.clone()), Some(id("late")));
        assert!(rooms.members(&Network::Home).is_empty());
    }

    #[test]
    fn an_empty_room_is_no_room() {
        let mut rooms = Rooms::default();
        rooms.join(HOME, &id("a"), None);
        assert_eq!(rooms.len(), 1);
        assert!(rooms.leave(&HOME, &id("a")) && rooms.is_empty());
    }

    #[test]
    fn names_are_cut_between_letters() {
        assert_eq!(About::new(true, " Door\u{7}\n ").name, "Door");
        let name = About::new(false, &"\u{20ac}".repeat(30)).name;
        assert_eq!((name.len(), name.chars().count()), (63, 21));
    }
}
