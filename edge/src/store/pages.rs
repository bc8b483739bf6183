//! The index's file under sums of our own: what rotted is an error before redb ever sees it.
//!
//! ```text
//!  start: sums there and whole --> no check: each block is held against its sum when it is read
//!         none                 --> redb checks the whole file
//!         either way the sums are taken away; then blocks are summed as they are written and read
//!  clean stop: the file is sealed, the sums are written
//! ```
//! Sums that outlive a change by some accident differ from the file: the index is made anew.

use super::disk::{self, Disk, Medium};
use super::record::Take;
use redb::StorageBackend;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one sum is over.
const BLOCK_BYTES: usize = 4096;
/// Begins the file of sums.
const MAGIC: &[u8; 8] = b"NJSUM\0\0\x01";

/// CRC32C of each block of a file; 0 where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums(Vec<u32>);

impl Sums {
    /// The sums that a clean stop left, if they are whole. From here on the card has none.
    pub(super) fn take(disk: &dyn Disk, dir: &Path) -> Option<Self> {
        let bytes = disk::read(disk, &place(dir)).ok()?;
        let taken = disk.remove(&place(dir)).and_then(|()| disk.sync_folder(dir));
        taken.ok().and_then(|()| Self::parse(&bytes))
    }

    /// Leaves them for the next start.
    pub(super) fn leave(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk::replace(disk, &place(dir), &self.write())
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::from(MAGIC);
        self.0.iter().for_each(|sum| out.extend_from_slice(&sum.to_be_bytes()));
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (told, crc) = bytes.split_last_chunk()?;
        let mut take = Take(told.strip_prefix(MAGIC)?);
        if crc32c::crc32c(told) != u32::from_be_bytes(*crc) || take.0.len() % 4 != 0 {
            return None;
        }
        let sums = std::iter::from_fn(|| take.bytes().map(u32::from_be_bytes));
        Some(Self(sums.collect()))
    }

    /// Holds whole blocks, the first of them `block`, against their sums; learns those not known.
    fn hold(&mut self, block: usize, bytes: &[u8]) -> io::Result<()> {
        for (block, bytes) in (block..).zip(bytes.chunks_exact(BLOCK_BYTES)) {
            let sum = crc32c::crc32c(bytes);
            match self.0.get(block) {
                None | Some(0) => self.set(block, sum),
                Some(known) if *known == sum => {}
                Some(_) => {
                    let what = format!("block {block} of the index is not what was written there");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
        Ok(())
    }

    /// Notes what was written from `block` on.
    fn note(&mut self, block: usize, bytes: &[u8]) {
        for (block, bytes) in (block..).zip(bytes.chunks(BLOCK_BYTES)) {
            let is_whole = bytes.len() == BLOCK_BYTES;
            self.set(block, if is_whole { crc32c::crc32c(bytes) } else { 0 });
        }
    }

    fn set(&mut self, block: usize, sum: u32) {
        if self.0.len() <= block {
            self.0.resize(block + 1, 0);
        }
        if let Some(place) = self.0.get_mut(block) {
            *place = sum;
        }
    }
}

fn place(dir: &Path) -> PathBuf {
    dir.join("sums")
}

/// The file and its sums.
#[derive(Debug)]
pub(super) struct Pages {
    medium: Arc<dyn Medium>,
    sums: Mutex<Sums>,
    /// Nothing is written any more.
    sealed: AtomicBool,
}

impl Pages {
    pub(super) fn new(medium: Arc<dyn Medium>, sums: Sums) -> Self {
        Self { medium, sums: Mutex::new(sums), sealed: AtomicBool::new(false) }
    }

    /// Ends writing: the file stays as these sums say. redb, when it lets go of the file, wants
    /// to write once more and is refused, as by a crash, which leaves it what it last committed.
    pub(super) fn seal(&self) -> Sums {
        self.sealed.store(true, Ordering::SeqCst);
        self.sums().clone()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_when_sealed(&self) -> io::Result<()> {
        let sealed = self.sealed.load(Ordering::SeqCst);
        if sealed { Err(io::Error::other("the index is closed")) } else { Ok(()) }
    }

    /// The blocks that `length` bytes at `at` touch, as far as the file goes, and how far into
    /// them the bytes begin.
    fn around(&self, at: u64, length: usize) -> io::Result<(Vec<u8>, usize)> {
        let into = usize::try_from(at % BLOCK_BYTES as u64).map_err(io::Error::other)?;
        let start = at - into as u64;
        let wanted = (into + length).next_multiple_of(BLOCK_BYTES) as u64;
        let there = wanted.min(self.medium.length()?.saturating_sub(start));
        let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        self.medium.read(start, &mut bytes)?;
        self.sums().hold(block(at)?, &bytes)?;
        Ok((bytes, into))
    }
}

fn block(at: u64) -> io::Result<usize> {
    usize::try_from(at / BLOCK_BYTES as u64).map_err(io::Error::other)
}

fn is_aligned(at: u64, length: usize) -> bool {
    at.is_multiple_of(BLOCK_BYTES as u64) && length.is_multiple_of(BLOCK_BYTES)
}

/// What redb holds of it. The data directory's lock is ours, so it needs none of its own.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<Pages>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.medium.length()
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        if is_aligned(at, out.len()) {
            self.0.medium.read(at, out)?;
            return self.0.sums().hold(block(at)?, out);
        }
        let (bytes, into) = self.0.around(at, out.len())?;
        let part = bytes.get(into..into + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.refuse_when_sealed()?;
        self.0.medium.set_length(length)?;
        self.0.sums().0.truncate(block(length)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.medium.sync()
    }

    /// Where the card refuses, the old sums stand: what it then holds may not fit them, and the
    /// index is made anew.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.refuse_when_sealed()?;
        if is_aligned(at, bytes.len()) {
            self.0.medium.write(at, bytes)?;
            self.0.sums().note(block(at)?, bytes);
            return Ok(());
        }
        let (mut whole, into) = self.0.around(at, bytes.len())?;
        let end = into + bytes.len();
        whole.resize(whole.len().max(end), 0);
        whole.get_mut(into..end).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(bytes);
        self.0.medium.write(at, bytes)?;
        self.0.sums().note(block(at)?, &whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{How, System};
    use super::*;

    #[test]
    fn sums_read_as_they_were_written_and_any_flip_is_seen() {
        let sums = Sums(vec![7, 0, u32::MAX]);
        let bytes = sums.write();
        assert_eq!(Sums::parse(&bytes), Some(sums));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Sums::parse(&bytes), None, "bit {bit}");
        }
        (0..bytes.len()).for_each(|end| assert_eq!(Sums::parse(&bytes[..end]), None));
    }

    #[test]
    fn any_stretch_reads_as_written_and_rot_is_an_error() {
        let folder = std::env::temp_dir().join(format!("nightjar-pages-{}", std::process::id()));
        System.make_folder(&folder).unwrap();
        let medium = System.open(&folder.join("file"), How::New).unwrap();
        let pages = Arc::new(Pages::new(Arc::clone(&medium), Sums::default()));
        let backend = Backend(Arc::clone(&pages));
        backend.set_len(5 * 4096).unwrap();
        let mut twin = vec![0; 5 * 4096];
        for (at, length) in [(0, 320), (4096, 8192), (100, 5000), (12_288, 4096), (16_000, 500)] {
            let bytes = vec![u8::try_from(length % 251).unwrap(); length];
            backend.write(at as u64, &bytes).unwrap();
            twin[at..at + length].copy_from_slice(&bytes);
            let mut read = vec![0; twin.len()];
            backend.read(0, &mut read).unwrap();
            assert_eq!(read, twin);
        }
        medium.write(9000, &[0xAA]).unwrap();
        assert!(backend.read(8192, &mut [0; 4096]).is_err());
        assert!(backend.read(8200, &mut [0; 10]).is_err());
        assert!(backend.read(4096, &mut [0; 4096]).is_ok());
        let sums = pages.seal();
        assert!(backend.write(0, &[1]).is_err() && backend.set_len(0).is_err());
        let next = Backend(Arc::new(Pages::new(medium, sums)));
        assert!(next.read(8192, &mut [0; 4096]).is_err());
        assert!(next.read(0, &mut [0; 8192]).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
