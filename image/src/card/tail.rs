//! Where a FAT16's last used cluster ends: what is behind it need not be written.
//!
//! Zeros at the end of a file count as used: the partition that takes them may hold something
//! older.

/// The bytes that count; all of them where `fat` is no FAT16 of ours.
pub(super) fn used(fat: &[u8]) -> usize {
    measure(fat).map_or(fat.len(), |bytes| bytes.min(fat.len()))
}

/// Microsoft's FAT specification 1.03, sections 3.1 and 3.5.
fn measure(fat: &[u8]) -> Option<usize> {
    let byte = |at: usize| fat.get(at).copied().map(usize::from);
    let word = |at: usize| Some(byte(at)? | byte(at + 1)? << 8);
    let (sector, cluster) = (word(11)?, byte(13)?);
    let (reserved, copies, roots, length) = (word(14)?, byte(16)?, word(17)?, word(22)?);
    if !sector.is_power_of_two() || !cluster.is_power_of_two() || length == 0 {
        return None;
    }
    let data = (reserved + copies * length) * sector + (roots * 32).next_multiple_of(sector);
    let sectors =
        Some(word(19)?).filter(|&it| it > 0).or_else(|| Some(word(32)? | word(34)? << 16))?;
    // Entries behind the last cluster's are no clusters, though marked as taken.
    let clusters = (sectors * sector).checked_sub(data)? / (cluster * sector);
    let entry = |nr: usize| word(reserved * sector + nr * 2);
    let last = (2..clusters + 2).rev().find(|&nr| entry(nr).is_some_and(|it| it != 0));
    // Cluster 2 is the first.
    Some(data + last.map_or(0, |nr| (nr - 1) * cluster * sector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_own_zeros_count_and_the_empty_tail_does_not() {
        let files = |length| [("one".to_owned(), vec![0_u8; length])];
        let format = |length| super::super::fat::format("BOOT", 16, &files(length)).unwrap();
        let (small, large) = (used(&format(1)), used(&format(1_000_000)));
        assert!((1_000_000 - 4096..1_000_000 + 4096).contains(&(large - small)), "{small} {large}");
        assert!(large < 2_000_000, "{large}");
        assert_eq!(used(&[0; 5]), 5);
        assert_eq!(used(&[0xff; 4096]), 4096);
    }
}
