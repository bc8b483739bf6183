//! The time from a time server (RFC 4330, a client's part): one packet there, one back.

/// A packet.
pub const BYTES: usize = 48;
/// From 1900, whence servers count, to 1970.
const EPOCH_S: u64 = 2_208_988_800;
/// No server is right about a time before this was written, s since 1970.
const EARLIEST_S: u64 = 1_780_000_000;
/// An answer that took longer says little, ns.
const LONGEST_NS: u64 = 2_000_000_000;

/// Asks; `nonce` is told nobody else, and comes back.
pub fn request(nonce: u64) -> [u8; BYTES] {
    let mut packet = [0; BYTES];
    // Version 4, client.
    packet[0] = 0x23;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// What the wall clock should say, ns since 1970, by an answer that came `took_ns` after the
/// question. `None`: no answer, not to this question, or not one to go by.
pub fn time(answer: &[u8], nonce: u64, took_ns: u64) -> Option<u64> {
    let (first, stratum) = (*answer.first()?, *answer.get(1)?);
    let (unsure, mode) = (first >> 6 == 3, first & 7);
    if unsure || mode != 4 || !(1..16).contains(&stratum) || word(answer, 24)? != nonce {
        return None;
    }
    let (received, sent) = (unix_ns(word(answer, 32)?)?, unix_ns(word(answer, 40)?)?);
    let way_ns = took_ns.checked_sub(sent.checked_sub(received)?)?;
    (took_ns <= LONGEST_NS).then(|| sent + way_ns / 2)
}

fn word(packet: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(packet.get(at..at + 8)?.try_into().ok()?))
}

/// Seconds of the next era, from 2036 on, are small again.
fn unix_ns(stamp: u64) -> Option<u64> {
    let (seconds, fraction) = (stamp >> 32, stamp & 0xffff_ffff);
    let era = if seconds < EPOCH_S { 1 << 32 } else { 0 };
    let unix_s = (seconds + era).checked_sub(EPOCH_S).filter(|it| *it >= EARLIEST_S)?;
    Some(unix_s * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(nonce: u64, unix_s: u64) -> [u8; BYTES] {
        let mut packet = [0; BYTES];
        (packet[0], packet[1]) = (0x24, 2);
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        let stamp = ((unix_s + EPOCH_S) << 32) | 0x8000_0000;
        packet[32..40].copy_from_slice(&stamp.to_be_bytes());
        packet[40..].copy_from_slice(&(stamp + 0x1000_0000).to_be_bytes());
        packet
    }

    #[test]
    fn half_of_the_way_is_added() {
        let unix_s = 1_800_000_000;
        let at = time(&answer(7, unix_s), 7, 200_000_000).unwrap();
        assert_eq!(at, unix_s * 1_000_000_000 + 562_500_000 + 68_750_000);
        let after_2036 = 2_200_000_000;
        assert!(time(&answer(7, after_2036), 7, 200_000_000).is_some());
        let asked = request(7);
        assert_eq!((asked[0], &asked[40..]), (0x23, &7_u64.to_be_bytes()[..]));
    }

    #[test]
    fn other_answers_are_none() {
        let good = answer(7, 1_800_000_000);
        let with = |at: usize, byte: u8| {
            let mut packet = good;
            packet[at] = byte;
            time(&packet, 7, 200_000_000)
        };
        assert!(time(&good, 8, 200_000_000).is_none(), "not to this question");
        assert!(with(0, 0xe4).is_none() && with(0, 0x23).is_none(), "unsure; not a server");
        assert!(with(1, 0).is_none() && with(1, 16).is_none(), "a refusal; not synchronized");
        assert!(time(&answer(7, 1_700_000_000), 7, 200_000_000).is_none(), "long ago");
        assert!(time(&good, 7, 10_000_000).is_none(), "it took the server longer than the whole");
        assert!(time(&good, 7, 3_000_000_000).is_none(), "too late to go by");
        for length in 0..BYTES {
            assert!(time(&good[..length], 7, 200_000_000).is_none());
        }
    }
}
