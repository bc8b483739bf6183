//! Base64 (RFC 4648 section 4) of the few bytes that headers and TURN passwords carry.

use alloc::string::String;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64, padded.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let mut group = 0_u32;
        for at in 0..3 {
            group = group << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            out.push(if at <= three.len() { letter(group >> (18 - 6 * at)) } else { '=' });
        }
    }
    out
}

fn letter(group: u32) -> char {
    let index = usize::try_from(group & 63).expect("six bits fit");
    char::from(ALPHABET.get(index).copied().expect("six bits name one of 64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_the_rfc_says() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in table {
            assert_eq!(encode(plain.as_bytes()), coded);
        }
        assert_eq!(encode(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
