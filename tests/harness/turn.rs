//! The password that a TURN server expects of who knows its secret (coturn: use-auth-secret),
//! made without the code that it is a test of.

use sha1_smol::Sha1;

/// base64(HMAC-SHA1(secret, username)).
///
/// # Panics
/// When the secret is longer than a block of SHA-1.
pub fn password(secret: &[u8], username: &[u8]) -> String {
    base64(&hmac_sha1(secret, username))
}

/// RFC 2104, for keys of at most 64 bytes.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    assert!(key.len() <= 64, "a key of one block");
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
    let inner = Sha1::from([&pad(0x36)[..], message].concat()).digest().bytes();
    Sha1::from([&pad(0x5c)[..], &inner].concat()).digest().bytes()
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String =
        bytes.iter().flat_map(|byte| format!("{byte:08b}").into_bytes()).map(char::from).collect();
    let mut text = String::new();
    for six in bits.as_bytes().chunks(6) {
        let six = std::str::from_utf8(six).expect("digits");
        let index = usize::from_str_radix(&format!("{six:0<6}"), 2).expect("six binary digits");
        text.push(char::from(letters[index]));
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 section 3, cases 1 and 2; RFC 4648 section 10.
    #[test]
    fn says_what_the_rfcs_say() {
        let first = [
            0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72, 0x64, 0xe2, 0x8b, 0xc0, 0xb6, 0xfb, 0x37,
            0x8c, 0x8e, 0xf1, 0x46, 0xbe, 0x00,
        ];
        assert_eq!(hmac_sha1(&[0x0b; 20], b"Hi There"), first);
        let second = [
            0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84,
            0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79,
        ];
        assert_eq!(hmac_sha1(b"Jefe", b"what do ya want for nothing?"), second);
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
