//! JPEG in: decoding into a buffer that is kept, and finding pictures in an .mjpeg stream.

#![deny(clippy::indexing_slicing)]

use edge_core::pixels::View;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The longest side of a picture we take, pixels.
pub const SIDE_MAX: u32 = 8_192;
/// The most pixels of a picture we take: 60 MB of RGB.
const PIXELS_MAX: usize = 20_000_000;
/// The longest JPEG we take, bytes.
pub const BYTES_MAX: usize = 20 << 20;
/// The most scans of a progressive JPEG: more is an attack on our time.
const SCANS_MAX: usize = 64;

/// Why a JPEG is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be decoded.
    Damaged,
    /// It is larger than we take.
    TooLarge,
}

/// Decodes one JPEG after another into the same buffer.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
    width: u32,
    height: u32,
    /// Whether browsers show the JPEG as it is: grey or YCbCr.
    plain: bool,
}

impl Decoder {
    /// Decodes `bytes`; the buffer grows to the largest picture and stays.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.len() > BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let side = SIDE_MAX as usize;
        let options = DecoderOptions::default()
            .set_max_width(side)
            .set_max_height(side)
            .jpeg_set_max_scans(SCANS_MAX)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|_| Refusal::Damaged)?;
        let info = decoder.info().ok_or(Refusal::Damaged)?;
        let length = decoder.output_buffer_size().ok_or(Refusal::Damaged)?;
        if length > 3 * PIXELS_MAX {
            return Err(Refusal::TooLarge);
        }
        if self.rgb.len() < length {
            self.rgb.resize(length, 0);
        }
        let target = self.rgb.get_mut(..length).ok_or(Refusal::Damaged)?;
        decoder.decode_into(target).map_err(|_| Refusal::Damaged)?;
        (self.width, self.height) = (info.width.into(), info.height.into());
        self.plain = matches!(info.components, 1 | 3);
        Ok(())
    }

    /// The picture last decoded; `None` before the first.
    pub fn view(&self) -> Option<View<'_>> {
        View::rgb(&self.rgb, self.width, self.height, self.width * 3)
    }

    /// Whether the JPEG last decoded can be shown by others as it is.
    pub fn is_plain(&self) -> bool {
        self.plain
    }
}

/// Where a picture lies in a stream of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A whole one, from its first byte to behind its last.
    Whole(usize, usize),
    /// None that is whole; bytes before this are of no use.
    Partial(usize),
}

/// Finds the first whole JPEG: markers and their lengths are followed (ITU T.81 B.1.1), so
/// that a thumbnail inside a header does not end it.
pub fn find(stream: &[u8]) -> Found {
    let mut from = 0;
    loop {
        let rest = stream.get(from..).unwrap_or_default();
        let Some(ahead) = rest.windows(2).position(|pair| pair == [0xff, 0xd8]) else {
            return Found::Partial(stream.len().saturating_sub(1).max(from));
        };
        let start = from + ahead;
        match follow(stream, start + 2) {
            Some(end) if end <= stream.len() => return Found::Whole(start, end),
            Some(_) => return Found::Partial(start),
            None => from = start + 2,
        }
    }
}

/// Follows the markers to behind the end of the picture, past the end of the stream where
/// more bytes are needed; `None` where there is no marker although one belongs there.
fn follow(stream: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match stream.get(at..at + 2) {
            Some([0xff, 0xd9]) => return Some(at + 2),
            Some([0xff, 0xff]) => at += 1,
            Some([0xff, 0x01 | 0xd0..=0xd8]) => at += 2,
            Some([0xff, kind]) => {
                let Some([high, low]) = stream.get(at + 2..at + 4) else {
                    return Some(usize::MAX);
                };
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]).max(2));
                if *kind == 0xda {
                    at = skip_scan(stream, at);
                }
            }
            Some(_) => return None,
            None => return Some(usize::MAX),
        }
    }
}

/// The first marker after entropy-coded bytes: not a stuffed 0xff, not a restart.
fn skip_scan(stream: &[u8], from: usize) -> usize {
    let rest = stream.get(from..).unwrap_or_default();
    let marker = |pair: &[u8]| matches!(pair, [0xff, second] if !matches!(second, 0 | 0xd0..=0xd7));
    from + rest.windows(2).position(marker).unwrap_or(rest.len())
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Start, a header that holds another picture's end, a scan with stuffing, end.
    const PICTURE: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9, 0xff, 0xda, 0, 3, 9, 1, 2, 0xff, 0,
        0xff, 0xd3, 7, 0xff, 0xd9,
    ];

    #[test]
    fn a_picture_is_found_between_rubbish_and_only_when_whole() {
        let stream = [&[9, 0xff, 0xd9, 1][..], PICTURE, &[0xff, 0xd8]].concat();
        assert_eq!(find(&stream), Found::Whole(4, 4 + PICTURE.len()));
        for cut in 0..4 + PICTURE.len() {
            assert!(
                matches!(find(&stream[..cut]), Found::Partial(at) if at <= cut),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end() {
        let mut state = 7_u32;
        for length in 0..3_000 {
            let bytes: Vec<u8> = (0..length % 97)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let [roll, value, ..] = state.to_be_bytes();
                    if roll < 110 {
                        0xff
                    } else {
                        [0xd8, 0xd9, 0xda, 0, 2, value][value as usize % 6]
                    }
                })
                .collect();
            match find(&bytes) {
                Found::Whole(start, end) => assert!(start + 4 <= end && end <= bytes.len()),
                Found::Partial(useless) => assert!(useless <= bytes.len()),
            }
            assert!(Decoder::default().decode(&bytes).is_err());
        }
    }
}
