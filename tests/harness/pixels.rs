//! One picture as the input of any model, as `tests/infer/models.py` makes it.

use edge_infer::{Element, Tensor};

/// Sides of the picture, `[300, 300, 3] u8` RGB: those of the golden tensors.
pub const SIDE: usize = 300;

/// A picture in a model's own type: the nearest pixel for each place, grey by whole numbers,
/// real numbers from -1 to 1.
pub fn input(picture: &[u8], form: Tensor) -> Vec<u8> {
    let [rows, columns, channels] = form.shape.as_picture().expect("a picture");
    let mut bytes = Vec::new();
    for at in 0..rows * columns {
        let (row, column) = (at / columns * SIDE / rows, at % columns * SIDE / columns);
        let pixel = &picture[(row * SIDE + column) * 3..][..3];
        let [r, g, b] = [0, 1, 2].map(|at| u32::from(pixel[at]));
        let grey = [u8::try_from((77 * r + 150 * g + 29 * b) >> 8).expect("a byte")];
        for value in if channels == 1 { &grey } else { pixel } {
            match form.element {
                Element::U8(_) => bytes.push(*value),
                Element::I8(_) => bytes.push(value ^ 0x80),
                _ => bytes.extend(((f32::from(*value) - 127.5) / 127.5).to_le_bytes()),
            }
        }
    }
    bytes
}
