//! HMAC-SHA1 (RFC 2104), for room ids and time-limited TURN passwords, where the other side
//! expects exactly this.

use sha1_smol::Sha1;

const BLOCK: usize = 64;

/// The 20 bytes that only a holder of `key` can make of `message`.
pub fn sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0; BLOCK];
    let digest;
    let short = if key.len() <= BLOCK {
        key
    } else {
        digest = Sha1::from(key).digest().bytes();
        &digest
    };
    for (slot, byte) in block.iter_mut().zip(short) {
        *slot = *byte;
    }
    let inner = keyed(&block, 0x36, message);
    keyed(&block, 0x5c, &inner)
}

fn keyed(block: &[u8; BLOCK], pad: u8, message: &[u8]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    sha1.update(&block.map(|byte| byte ^ pad));
    sha1.update(message);
    sha1.digest().bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key, a message, and the first sixteen and last four bytes.
    type Row = (&'static [u8], &'static [u8], u128, [u8; 4]);

    /// RFC 2202 section 3.
    #[test]
    fn says_what_the_rfc_says() {
        let first = 0xb617_3186_5505_7264_e28b_c0b6_fb37_8c8e_u128;
        let second = 0xeffc_df6a_e5eb_2fa2_d274_16d5_f184_df9c_u128;
        let sixth = 0xaa4a_e5e1_5272_d00e_9570_5637_ce8a_3b55_u128;
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let table: [Row; 3] = [
            (&[0x0b; 20], b"Hi There", first, [0xf1, 0x46, 0xbe, 0x00]),
            (b"Jefe", b"what do ya want for nothing?", second, [0x25, 0x9a, 0x7c, 0x79]),
            (&[0xaa; 80], long, sixth, [0xed, 0x40, 0x21, 0x12]),
        ];
        for (key, message, front, back) in table {
            let bytes = sha1(key, message);
            assert_eq!((&bytes[..16], &bytes[16..]), (&front.to_be_bytes()[..], &back[..]));
        }
    }
}
