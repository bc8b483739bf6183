//! The pictures of an event: a thumbnail and the whole frame, as JPEGs that fit a data channel.
//!
//! Made once an event or snapshot, not once a frame; this is where allocating is allowed.

use crate::camera::Frame;
use crate::store::Pictures;
use edge_core::pixels::View;
use jpeg_encoder::{ColorType, Encoder};

/// The widest thumbnail, pixels.
pub const THUMBNAIL_WIDTH: u32 = 320;
/// The largest thumbnail.
pub const THUMBNAIL_BYTES: usize = 60 << 10;
/// The largest whole frame: one body of the link.
pub const FULL_BYTES: usize = 256 << 10;
/// The widest whole frame, pixels: more shows no more of a thief.
const FULL_WIDTH: u32 = 1_920;
/// What is tried until a picture fits, best first; then it is halved. Their first ones decide what
/// a day costs the card: tests/bench/wear.
const QUALITIES: [u8; 4] = [75, 65, 52, 40];
/// The same of thumbnails: twenty of them are a page, which a phone far away waits for.
const THUMBNAIL_QUALITIES: [u8; 3] = [65, 55, 40];
/// No picture is made smaller than this, pixels.
const LEAST_SIDE: u32 = 16;

/// Both pictures of a frame.
pub fn pictures(frame: &Frame<'_>) -> Pictures {
    Pictures { thumbnail: thumbnail(&frame.view), full: full(frame) }
}

/// A JPEG at most [`THUMBNAIL_WIDTH`] wide and [`THUMBNAIL_BYTES`] long.
pub fn thumbnail(view: &View<'_>) -> Vec<u8> {
    fit(view, THUMBNAIL_WIDTH, THUMBNAIL_BYTES, &THUMBNAIL_QUALITIES)
}

/// A JPEG of the whole frame, at most [`FULL_BYTES`] long: its own where that fits.
pub fn full(frame: &Frame<'_>) -> Vec<u8> {
    match frame.jpeg {
        Some(jpeg) if jpeg.len() <= FULL_BYTES => jpeg.to_vec(),
        _ => fit(&frame.view, FULL_WIDTH, FULL_BYTES, &QUALITIES),
    }
}

/// The best JPEG of `view` within a width and a length; empty if there is none.
fn fit(view: &View<'_>, width_max: u32, bytes_max: usize, qualities: &[u8]) -> Vec<u8> {
    let (mut width, mut height) = within(view, width_max);
    while width.min(height) >= LEAST_SIDE || (width, height) == within(view, width_max) {
        let mut rgb = vec![0; width as usize * height as usize * 3];
        if !view.sample_into(&mut rgb, width, height) {
            break;
        }
        for quality in qualities {
            let jpeg = encode(&rgb, width, height, *quality);
            if !jpeg.is_empty() && jpeg.len() <= bytes_max {
                return jpeg;
            }
        }
        (width, height) = (width / 2, height / 2);
    }
    Vec::new()
}

/// The sides of `view`, made smaller but never larger, in proportion.
fn within(view: &View<'_>, width_max: u32) -> (u32, u32) {
    let (width, height) = (view.width(), view.height());
    if width <= width_max {
        return (width, height);
    }
    let scaled = u64::from(height) * u64::from(width_max) / u64::from(width);
    (width_max, u32::try_from(scaled).unwrap_or(height).max(1))
}

fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Vec<u8> {
    let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Vec::new();
    };
    let mut jpeg = Vec::with_capacity(64 << 10);
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_optimized_huffman_tables(true);
    match encoder.encode(rgb, width, height, ColorType::Rgb) {
        Ok(()) => jpeg,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::jpeg::Decoder;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut roll = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| roll()).collect()
    }

    fn size(jpeg: &[u8]) -> (u32, u32) {
        let mut decoder = Decoder::default();
        decoder.decode(jpeg).expect("a JPEG of ours");
        let view = decoder.view().expect("decoded");
        (view.width(), view.height())
    }

    #[test]
    fn pictures_keep_their_shape_and_their_bounds() {
        for (width, height, thumb, whole) in [
            (640, 480, (320, 240), (640, 480)),
            (1280, 720, (320, 180), (1280, 720)),
            (2560, 1920, (320, 240), (1920, 1440)),
            (100, 60, (100, 60), (100, 60)),
            (4000, 4, (320, 1), (1920, 1)),
            (8, 2000, (8, 2000), (8, 2000)),
        ] {
            let bytes = vec![120; (width * height * 3) as usize];
            let view = View::rgb(&bytes, width, height, width * 3).expect("enough bytes");
            let made = pictures(&Frame { view, jpeg: None });
            assert_eq!(size(&made.thumbnail), thumb, "{width}x{height}");
            assert_eq!(size(&made.full), whole, "{width}x{height}");
        }
    }

    #[test]
    fn even_noise_fits() {
        let (width, height) = (1_920, 1_080);
        let bytes = noise(width as usize * height as usize * 3);
        let view = View::rgb(&bytes, width, height, width * 3).expect("enough bytes");
        let made = pictures(&Frame { view, jpeg: None });
        for (jpeg, most) in [(&made.thumbnail, THUMBNAIL_BYTES), (&made.full, FULL_BYTES)] {
            assert!(!jpeg.is_empty() && jpeg.len() <= most, "{} bytes", jpeg.len());
        }
    }

    #[test]
    fn a_frame_s_own_jpeg_is_kept_where_it_fits() {
        let bytes = noise(64 * 48 * 2);
        let view = View::yuyv(&bytes, 64, 48, 128).expect("enough bytes");
        assert_eq!(full(&Frame { view, jpeg: Some(b"as it came") }), b"as it came");
        let long = vec![0; FULL_BYTES + 1];
        assert_eq!(size(&full(&Frame { view, jpeg: Some(&long) })), (64, 48));
    }
}
