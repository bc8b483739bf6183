//! A bundle on its way in: read once, piece by piece.

use image_core::bundle::{Head, PREFIX, Piece, Reader, Wrong};
use image_core::manifest::Part;
use std::io::{self, Read};

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// Why the next piece did not come.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The stream broke.
    Stream(io::Error),
    /// It is no bundle, or too short.
    Wrong(Wrong),
    /// The card did not take it.
    Card(io::Error),
}

/// The stream and how far it was read.
pub(crate) struct Incoming<'r> {
    reader: &'r mut dyn Read,
    bytes: u64,
    left: u64,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    parser: Reader,
}

impl<'r> Incoming<'r> {
    pub(crate) fn new(reader: &'r mut dyn Read, bytes: u64) -> Self {
        let buffer = vec![0; PIECE];
        Self { reader, bytes, left: bytes, buffer, from: 0, to: 0, parser: Reader::new() }
    }

    /// Reads the head; the whole must be as long as it says.
    pub(crate) fn head(&mut self) -> Result<Head<'_>, Fault> {
        self.next(&mut |_, _| Ok(()))?;
        let parts = self.parser.head().map(|head| {
            let head_bytes = PREFIX + head.signed.len() + head.signature.len();
            head_bytes as u64 + head.manifest.boot.bytes + head.manifest.root.bytes
        });
        match parts {
            Some(parts) if parts < self.bytes => Err(Fault::Wrong(Wrong::Beyond)),
            Some(parts) if parts > self.bytes => Err(Fault::Wrong(Wrong::Short)),
            _ => self.parser.head().ok_or(Fault::Wrong(Wrong::Short)),
        }
    }

    /// Reads the next part into `sink`, which also hears how much of the whole was read, 0 to 100.
    pub(crate) fn part(
        &mut self,
        sink: &mut dyn FnMut(&[u8], u64) -> io::Result<()>,
    ) -> Result<(), Fault> {
        self.next(sink).map(|_| ())
    }

    /// Up to the end of the head or of a part, which is returned.
    fn next(
        &mut self,
        sink: &mut dyn FnMut(&[u8], u64) -> io::Result<()>,
    ) -> Result<Option<Part>, Fault> {
        loop {
            let percent = (self.bytes - self.left) * 100 / self.bytes.max(1);
            let mut input = self.buffer.get(self.from..self.to).unwrap_or_default();
            let piece = self.parser.read(&mut input).map_err(Fault::Wrong)?;
            self.from = self.to - input.len();
            match piece {
                Some(Piece::Head) => return Ok(None),
                Some(Piece::End(part)) => return Ok(Some(part)),
                Some(Piece::Data(_, data)) => sink(data, percent).map_err(Fault::Card)?,
                None => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let room = self.buffer.get_mut(..most).unwrap_or_default();
        let read = loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(Fault::Stream)?.min(most),
            }
        };
        if read == 0 {
            return Err(Fault::Wrong(Wrong::Short));
        }
        (self.from, self.to) = (0, read);
        self.left -= read as u64;
        Ok(())
    }
}
