//! A card's partitions as an MBR: four entries, the last of which holds a chain of three more.

use crate::facts::Facts;

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Where partitions begin: multiples of 4 MiB, an erase block of most cards. Sectors.
const ALIGN: u32 = 8192;
const MIB: u32 = 2048;

const FAT: u8 = 0x0e;
const EXTENDED: u8 = 0x0f;
const LINK: u8 = 0x05;
const LINUX: u8 = 0x83;

/// Sectors of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first.
    pub start: u32,
    /// How many.
    pub sectors: u32,
}

impl Span {
    /// The first byte's place.
    pub const fn offset(self) -> u64 {
        self.start as u64 * SECTOR as u64
    }

    /// Its size.
    pub const fn bytes(self) -> u64 {
        self.sectors as u64 * SECTOR as u64
    }

    const fn end(self) -> u32 {
        self.start + self.sectors
    }
}

/// Where each partition lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Partitions 1 to 7.
    spans: [Span; 7],
}

impl Layout {
    /// A new card's.
    pub const fn new(facts: &Facts<'_>) -> Self {
        let sizes = [facts.autoboot_mib, facts.boot_mib, facts.boot_mib];
        let logical = [facts.root_mib, facts.root_mib, facts.data_mib];
        let mut spans = [Span { start: 0, sectors: 0 }; 7];
        let mut at = ALIGN;
        let mut nr = 0;
        while nr < 3 {
            spans[nr] = Span { start: at, sectors: sizes[nr] * MIB };
            at = align(spans[nr].end());
            nr += 1;
        }
        let extended = at;
        nr = 0;
        while nr < 3 {
            // The link that names it stands one step before it.
            spans[4 + nr] = Span { start: at + ALIGN, sectors: logical[nr] * MIB };
            at = align(spans[4 + nr].end());
            nr += 1;
        }
        spans[3] = Span { start: extended, sectors: at - extended };
        Self { spans }
    }

    /// The same with data up to the end of a disk of so many sectors; as it was on a smaller one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "it is bounded just before")]
    pub const fn grown(mut self, disk: u64) -> Self {
        // An MBR counts sectors in 32 bits; data beyond 2 TiB is out of its reach.
        let end = if disk > u32::MAX as u64 { u32::MAX } else { disk as u32 } / ALIGN * ALIGN;
        if end > self.spans[6].end() {
            self.spans[6].sectors = end - self.spans[6].start;
            self.spans[3].sectors = end - self.spans[3].start;
        }
        self
    }

    /// Partition `nr`, 1 to 7.
    pub fn span(&self, nr: u8) -> Option<Span> {
        self.spans.get(usize::from(nr).checked_sub(1)?).copied()
    }

    /// Sectors of the whole.
    pub const fn sectors(&self) -> u32 {
        self.spans[3].end()
    }

    /// The four sectors that say so, each with its place.
    pub fn encode(&self, signature: u32) -> [(u32, [u8; SECTOR]); 4] {
        let [p1, p2, p3, extended, p5, p6, p7] = self.spans;
        let mut first = table(&[(FAT, p1), (FAT, p2), (FAT, p3), (EXTENDED, extended)]);
        first[440..444].copy_from_slice(&signature.to_le_bytes());
        first[446] = 0x80;
        // A link's own partition counts from the link, the next link from the chain's beginning.
        let link = |span: Span, next: Option<Span>| {
            let at = span.start - ALIGN;
            let own = (LINUX, Span { start: ALIGN, sectors: span.sectors });
            let Some(next) = next else { return (at, table(&[own])) };
            let begin = next.start - ALIGN - extended.start;
            let next = (LINK, Span { start: begin, sectors: next.sectors + ALIGN });
            (at, table(&[own, next]))
        };
        [(0, first), link(p5, Some(p6)), link(p6, Some(p7)), link(p7, None)]
    }
}

/// Partitions 1 to 4 as the first sector of a disk with this signature says, where it is one. Their
/// ends lie after their beginnings, which is all that is promised: any bytes may come in.
pub fn primary(sector: &[u8; SECTOR], signature: u32) -> Option<[Span; 4]> {
    let number = |at: usize| Some(u32::from_le_bytes(sector.get(at..at + 4)?.try_into().ok()?));
    if sector.get(510..)? != [0x55, 0xaa] || number(440)? != signature {
        return None;
    }
    let mut spans = [Span::default(); 4];
    for (nr, span) in spans.iter_mut().enumerate() {
        let entry = 446 + 16 * nr;
        *span = Span { start: number(entry + 8)?, sectors: number(entry + 12)? };
        span.start.checked_add(span.sectors).filter(|&end| end > span.start && span.start > 0)?;
    }
    Some(spans)
}

const fn align(sector: u32) -> u32 {
    sector.div_ceil(ALIGN) * ALIGN
}

/// A sector with a partition table.
fn table(entries: &[(u8, Span)]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    for (place, (kind, span)) in sector[446..510].chunks_exact_mut(16).zip(entries) {
        // Cylinders, heads and sectors as who cannot say them writes them.
        place[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
        place[4] = *kind;
        place[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        place[8..12].copy_from_slice(&span.start.to_le_bytes());
        place[12..16].copy_from_slice(&span.sectors.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu() -> Layout {
        let text = include_str!("../../../board/qemu-arm64/facts");
        Layout::new(&Facts::parse(text).unwrap())
    }

    #[test]
    fn partitions_are_aligned_and_apart() {
        let layout = qemu();
        let spans: std::vec::Vec<_> = [1, 2, 3, 5, 6, 7].map(|nr| layout.span(nr).unwrap()).into();
        for pair in spans.windows(2) {
            assert!(pair[0].end() <= pair[1].start && pair[1].start % ALIGN == 0);
        }
        assert_eq!((layout.span(0), layout.span(8)), (None, None));
        assert_eq!(layout.span(4).unwrap().end(), layout.span(7).unwrap().end());
    }

    #[test]
    fn data_grows_to_a_disks_end_and_never_shrinks() {
        let layout = qemu();
        let grown = layout.grown(64_000_001);
        assert_eq!(grown.span(7).unwrap().end(), 64_000_001 / ALIGN * ALIGN);
        assert_eq!(grown.sectors(), grown.span(7).unwrap().end());
        assert_eq!(grown.span(6), layout.span(6));
        assert_eq!(layout.grown(1000), layout);
        assert_eq!(layout.grown(u64::MAX).span(7).unwrap().end(), u32::MAX / ALIGN * ALIGN);
    }

    #[test]
    fn a_table_is_read_as_it_was_written_and_no_other() {
        let layout = qemu();
        let [(_, first), ..] = layout.encode(7);
        let read = primary(&first, 7).unwrap();
        assert_eq!(read, [1, 2, 3, 4].map(|nr| layout.span(nr).unwrap()));
        assert_eq!((primary(&first, 8), primary(&[0; SECTOR], 0)), (None, None));
        for entry in [454, 458, 502, 506] {
            let mut odd = first;
            odd[entry..entry + 4].fill(0);
            assert_eq!(primary(&odd, 7), None, "nothing at {entry}");
            odd[entry..entry + 4].fill(0xff);
            assert_eq!(primary(&odd, 7), None, "past the end at {entry}");
        }
    }

    #[test]
    fn a_link_counts_from_where_it_should() {
        let layout = qemu();
        let [(_, first), (at, link), ..] = layout.encode(0x6e6a_0001);
        assert_eq!(&first[440..444], &[1, 0, 0x6a, 0x6e]);
        assert_eq!((first[446], &first[510..]), (0x80, &[0x55, 0xaa][..]));
        assert_eq!(at, layout.span(4).unwrap().start);
        assert_eq!(link[454..458], ALIGN.to_le_bytes());
        let next = layout.span(6).unwrap().start - ALIGN - at;
        assert_eq!(link[470..474], next.to_le_bytes());
    }
}
