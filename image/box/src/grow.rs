//! Gives the data partition the rest of the card, once: the table on the card, then the kernel's.

use crate::place::Place;
use image_core::facts::Facts;
use image_core::layout::{Layout, SECTOR};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::ffi::c_void;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The data partition.
const DATA: u8 = 7;

/// Does so where there is something to give; `resize2fs` is the caller's.
pub(crate) fn grow(place: &Place) -> io::Result<()> {
    let text = fs::read_to_string(place.at("/etc/nightjar/facts"))?;
    let facts = Facts::parse(&text).map_err(|wrong| io::Error::other(wrong.to_string()))?;
    let disk = facts.disk.trim_start_matches("/dev/");
    let sectors = number(place, &format!("/sys/class/block/{disk}/size"))?;
    let layout = Layout::new(&facts).grown(sectors);
    let Some(span) = layout.span(DATA) else { return Ok(()) };
    let mut card = File::options().read(true).write(true).open(place.at(facts.disk))?;
    if !begins_as(&mut card, &layout)? {
        return Err(io::Error::other("the card is laid out in another way than this system's"));
    }
    write_table(&mut card, &layout)?;
    let data = format!("/sys/class/block/{disk}{}{DATA}/size", facts.partition);
    if number(place, &data)? < u64::from(span.sectors) {
        resize(&card, span.offset(), span.bytes())?;
    }
    Ok(())
}

/// Whether the partitions on the card begin where `layout` has them, and are as long but for the
/// last: the system of an update must not move those of the one it replaces.
fn begins_as(card: &mut (impl Read + Seek), layout: &Layout) -> io::Result<bool> {
    let table = layout.encode(0);
    for (nr, (sector, bytes)) in table.iter().enumerate() {
        let mut there = [0; SECTOR];
        card.seek(SeekFrom::Start(u64::from(*sector) * SECTOR as u64))?;
        card.read_exact(&mut there)?;
        // An entry ends with its start and its length; data and what holds it grow.
        let grows = |entry: usize| matches!((nr, entry), (0, 3) | (2, 1) | (3, 0));
        for entry in 0..4 {
            let at = 446 + 16 * entry;
            let end = if grows(entry) { at + 12 } else { at + 16 };
            if there.get(at + 8..end) != bytes.get(at + 8..end) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The table's four sectors, the innermost first: until the last one is written, the partition is
/// as it was to all that read from the outside in. Nothing is written that is there already.
fn write_table(card: &mut (impl Read + Write + Seek + Durable), layout: &Layout) -> io::Result<()> {
    let mut first = [0; SECTOR];
    card.seek(SeekFrom::Start(0))?;
    card.read_exact(&mut first)?;
    let [.., a, b, c, d] = *first.get(440..444).unwrap_or(&[0; 4]) else { return Ok(()) };
    for (sector, bytes) in layout.encode(u32::from_le_bytes([a, b, c, d])).iter().rev() {
        let at = SeekFrom::Start(u64::from(*sector) * SECTOR as u64);
        let mut there = [0; SECTOR];
        card.seek(at)?;
        card.read_exact(&mut there)?;
        if there != *bytes {
            card.seek(at)?;
            card.write_all(bytes)?;
            card.sync_all()?;
        }
    }
    Ok(())
}

/// What a file can, and a test's vector need not.
trait Durable {
    fn sync_all(&mut self) -> io::Result<()>;
}

impl Durable for File {
    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }
}

fn number(place: &Place, path: &str) -> io::Result<u64> {
    let text = fs::read_to_string(place.at(path))
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{path} is no number")))
}

/// `BLKPG` of `linux/blkpg.h`: a partition in use can be resized, while the whole table cannot be
/// read again.
const BLKPG: Opcode = opcode::none(0x12, 105);
const RESIZE: i32 = 3;

#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

#[repr(C)]
struct Request {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut c_void,
}

#[expect(unsafe_code, reason = "there is no other way to ask the kernel")]
fn resize(card: &File, start: u64, length: u64) -> io::Result<()> {
    let signed = |it: u64| i64::try_from(it).map_err(io::Error::other);
    let mut partition = Partition {
        start: signed(start)?,
        length: signed(length)?,
        number: DATA.into(),
        names: [0; 128],
    };
    let request = Request {
        operation: RESIZE,
        flags: 0,
        length: i32::try_from(size_of::<Partition>()).map_err(io::Error::other)?,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: BLKPG reads a `blkpg_ioctl_arg`, which `Request` is ...
    let setter = unsafe { Setter::<BLKPG, Request>::new(request) };
    // SAFETY: ... and the `blkpg_partition` it points to, which outlives the call.
    Ok(unsafe { ioctl(card, setter) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    impl Durable for Cursor<Vec<u8>> {
        fn sync_all(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_table_grows_and_is_then_left_alone() {
        let facts = Facts::parse(include_str!("../../../board/qemu-arm64/facts")).unwrap();
        let small = Layout::new(&facts);
        let big = small.grown(8 << 21);
        let mut card = Cursor::new(vec![0; small.sectors() as usize * SECTOR]);
        for (sector, bytes) in small.encode(0x1234_5678) {
            let at = sector as usize * SECTOR;
            card.get_mut()[at..at + SECTOR].copy_from_slice(&bytes);
        }
        assert!(begins_as(&mut card, &big).unwrap());
        write_table(&mut card, &big).unwrap();
        for (sector, bytes) in big.encode(0x1234_5678) {
            let at = sector as usize * SECTOR;
            assert_eq!(card.get_ref()[at..at + SECTOR], bytes);
        }
        let grown = card.get_ref().clone();
        write_table(&mut card, &big).unwrap();
        assert!(*card.get_ref() == grown);
        assert!(begins_as(&mut card, &big).unwrap() && begins_as(&mut card, &small).unwrap());
    }

    #[test]
    fn a_card_of_another_layout_is_none_to_grow() {
        let text = include_str!("../../../board/qemu-arm64/facts");
        let ours = Facts::parse(text).unwrap();
        for (name, mib) in [("AUTOBOOT_MIB", 4), ("BOOT_MIB", 4), ("ROOT_MIB", 8)] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let more: u32 = line.split_once('=').unwrap().1.parse::<u32>().unwrap() + mib;
            let text = text.replace(line, &format!("{name}={more}"));
            let theirs = Layout::new(&Facts::parse(&text).unwrap());
            let mut card = Cursor::new(vec![0; theirs.sectors() as usize * SECTOR]);
            for (sector, bytes) in theirs.encode(1) {
                let at = sector as usize * SECTOR;
                card.get_mut()[at..at + SECTOR].copy_from_slice(&bytes);
            }
            assert!(!begins_as(&mut card, &Layout::new(&ours)).unwrap(), "{name}");
        }
    }

    #[test]
    fn the_kernels_shapes_are_ours() {
        assert_eq!((size_of::<Partition>(), size_of::<Request>()), (152, 24));
    }
}
