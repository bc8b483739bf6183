//! What is lost is sent anew: one by one, in bursts, twice; and what merely comes late is not.
#![expect(clippy::indexing_slicing, reason = "tests index what they made")]

use super::*;
use crate::clock::Clock;

/// A packet with one DATA chunk of that sequence number.
fn packet(number: u32) -> Vec<u8> {
    let mut packet = vec![0; COMMON_BYTES];
    packet.extend_from_slice(&[DATA, 3, 0, 20]);
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&[0; 12]);
    packet
}

/// A packet that acknowledges all up to `point`, and these blocks beyond.
fn sack(point: u32, blocks: &[(u16, u16)]) -> Vec<u8> {
    let mut packet = vec![0; COMMON_BYTES];
    let length = u16::try_from(16 + 4 * blocks.len()).expect("small").to_be_bytes();
    packet.extend_from_slice(&[SACK, 0, length[0], length[1]]);
    packet.extend_from_slice(&point.to_be_bytes());
    packet.extend_from_slice(&[0, 9, 9, 9]);
    packet.extend_from_slice(&u16::try_from(blocks.len()).expect("small").to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    for (start, end) in blocks {
        packet.extend_from_slice(&start.to_be_bytes());
        packet.extend_from_slice(&end.to_be_bytes());
    }
    packet
}

/// A sender whose first number is `first`, after it sent `count` packets.
fn sent(first: u32, count: u32) -> (Mend, Instant) {
    let start = Clock::start().std_now();
    let mut mend = Mend::new(start);
    mend.handle_timeout(start);
    for at in 0..count {
        assert!(mend.handle_packet(&packet(first.wrapping_add(at))));
    }
    (mend, start)
}

/// The sequence numbers of what an acknowledgement has leave anew.
fn anew(mend: &mut Mend, sack: &[u8]) -> Vec<u32> {
    let mut left = Vec::new();
    mend.handle_arrived(sack, |bytes| {
        left.push(numbers(bytes).expect("data").0);
        true
    });
    left
}

#[test]
fn a_lost_packet_leaves_again_once_three_that_left_later_arrived() {
    for first in [1, u32::MAX - 2] {
        let (mut mend, _) = sent(first, 8);
        let lost = first.wrapping_add(1);
        assert_eq!(anew(&mut mend, &sack(first, &[])), [0; 0]);
        assert_eq!(anew(&mut mend, &sack(first, &[(2, 2)])), [0; 0]);
        assert_eq!(anew(&mut mend, &sack(first, &[(2, 3)])), [0; 0]);
        assert_eq!(anew(&mut mend, &sack(first, &[(2, 4)])), [lost]);
        assert_eq!(anew(&mut mend, &sack(first, &[(2, 6)])), [0; 0], "it is on its way");
        assert_eq!(anew(&mut mend, &sack(first.wrapping_add(7), &[])), [0; 0]);
        assert!(mend.kept.is_empty());
    }
}

#[test]
fn a_burst_is_mended_in_one_round_trip_and_no_faster_than_packets_arrive() {
    let (mut mend, _) = sent(0, 100);
    // 10 to 49 are lost; the others arrive two by two.
    let mut mended = anew(&mut mend, &sack(9, &[(41, 43)]));
    assert_eq!(mended.len(), 11 + 3, "as many as arrived, and one");
    for end in (45..90).step_by(2) {
        let some = anew(&mut mend, &sack(9, &[(41, end)]));
        assert!(some.len() <= 3);
        mended.extend(some);
    }
    assert_eq!(mended, (10..50).collect::<Vec<_>>());
}

#[test]
fn what_is_not_taken_is_left_to_sctp() {
    let (mut mend, _) = sent(0, 8);
    let mut room = 1;
    let acknowledged = sack(0, &[(4, 7)]);
    mend.handle_arrived(&acknowledged, |_| {
        room -= 1;
        room >= 0
    });
    assert!(!mend.handle_packet(&packet(1)), "it has just left");
    assert!(mend.handle_packet(&packet(2)) && mend.handle_packet(&packet(3)));
}

#[test]
fn what_is_lost_twice_leaves_a_third_time() {
    let (mut mend, _) = sent(0, 6);
    assert_eq!(anew(&mut mend, &sack(0, &[(2, 5)])), [1]);
    for number in 6..9 {
        mend.handle_packet(&packet(number));
    }
    assert_eq!(anew(&mut mend, &sack(0, &[(2, 7)])), [0; 0]);
    assert_eq!(anew(&mut mend, &sack(0, &[(2, 8)])), [1]);
}

#[test]
fn sctp_sends_the_same_again_only_when_time_has_passed() {
    let (mut mend, start) = sent(0, 6);
    assert!(mend.handle_packet(&packet(1)), "nobody else did");
    let (mut mend_two, _) = sent(0, 6);
    assert_eq!(anew(&mut mend_two, &sack(0, &[(2, 5)])), [1]);
    mend_two.handle_timeout(start + SAME / 2);
    assert!(!mend_two.handle_packet(&packet(1)));
    assert!(mend_two.handle_packet(&packet(6)), "that one is new");
    mend_two.handle_timeout(start + Duration::from_secs(1));
    assert!(mend_two.handle_packet(&packet(1)));
}

#[test]
fn little_is_kept_and_any_bytes_pass() {
    let (mut mend, _) = sent(7, 3 * 1024);
    assert_eq!(mend.kept.len(), KEPT);
    let whole = sack(3000, &[(1, 2), (5, u16::MAX), (9, 3), (0, 0)]);
    for end in 0..=whole.len() {
        anew(&mut mend, &whole[..end]);
    }
    anew(&mut mend, &[0xff; 60]);
    assert!(mend.handle_packet(&[3; 60]) && mend.handle_packet(&[]));
    assert!(mend.kept.len() <= KEPT);
}
