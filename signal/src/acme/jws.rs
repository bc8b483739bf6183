//! The account's key, and requests signed with it (RFC 8555 s6.2, RFC 7515).

use super::Failure;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use signal_proto::{base64, json};

/// The key that the account is known by.
#[derive(Debug)]
pub struct AccountKey(EcdsaKeyPair);

/// Who signs: an account that the CA has named by a URL, or a key that it has yet to hear of.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// The account's URL.
    Account(&'a str),
    /// The key itself.
    Key,
}

impl AccountKey {
    /// A fresh key, in PKCS #8.
    pub fn generate() -> Result<Vec<u8>, Unspecified> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        Ok(made.as_ref().to_vec())
    }

    /// The key in some PKCS #8; `None` where there is none of P-256.
    pub fn read(pkcs8: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok().map(Self)
    }

    /// What a challenge's certificate carries: the digest of the key authorization (RFC 8555
    /// s8.1).
    pub fn authorize(&self, token: &str) -> Vec<u8> {
        let thumbprint = base64_url(digest(&SHA256, self.jwk().as_bytes()).as_ref());
        digest(&SHA256, format!("{token}.{thumbprint}").as_bytes()).as_ref().to_vec()
    }

    /// The body of a POST of `payload` to `url`.
    pub fn sign(
        &self,
        signer: Signer<'_>,
        nonce: &str,
        url: &str,
        payload: &str,
    ) -> Result<String, Failure> {
        let mut header = String::from("{\"alg\":\"ES256\",");
        match signer {
            Signer::Account(kid) => {
                header.push_str("\"kid\":");
                json::quote(kid, &mut header);
            }
            Signer::Key => {
                header.push_str("\"jwk\":");
                header.push_str(&self.jwk());
            }
        }
        header.push_str(",\"nonce\":");
        json::quote(nonce, &mut header);
        header.push_str(",\"url\":");
        json::quote(url, &mut header);
        header.push('}');
        let (header, payload) = (base64_url(header.as_bytes()), base64_url(payload.as_bytes()));
        let signed = self.0.sign(&SystemRandom::new(), format!("{header}.{payload}").as_bytes());
        let signature =
            base64_url(signed.map_err(|_| Failure::Strange("signing failed"))?.as_ref());
        Ok(format!(
            "{{\"protected\":\"{header}\",\"payload\":\"{payload}\",\"signature\":\"{signature}\"}}"
        ))
    }

    /// The public key with its members in the order that its thumbprint wants (RFC 7638 s3).
    fn jwk(&self) -> String {
        // Uncompressed: 4, then x and y of 32 bytes each.
        let point = self.0.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(32).unwrap_or_default();
        let (x, y) = (base64_url(x), base64_url(y));
        format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}")
    }
}

/// Base64 for URLs, without padding (RFC 4648 s5).
pub fn base64_url(bytes: &[u8]) -> String {
    let text = base64::encode(bytes);
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let key = AccountKey::read(&AccountKey::generate().unwrap()).unwrap();
        for (signer, named) in [(Signer::Key, "jwk"), (Signer::Account("https://ca/a/1"), "kid")] {
            let body = key.sign(signer, "n-1", "https://ca/x", "{}").unwrap();
            assert_eq!(json::check(&body), Ok(()));
            let part = |name| json::string(json::member(&body, name).unwrap()).unwrap();
            assert_eq!(part("payload"), "e30");
            let signed = format!("{}.{}", part("protected"), part("payload"));
            let signature = from_base64_url(&part("signature"));
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.0.public_key());
            assert!(public.verify(signed.as_bytes(), &signature).is_ok());
            let header = String::from_utf8(from_base64_url(&part("protected"))).unwrap();
            assert_eq!(json::check(&header), Ok(()));
            let member = |name| json::string(json::member(&header, name).unwrap()).unwrap();
            assert_eq!((member("nonce").as_ref(), member("alg").as_ref()), ("n-1", "ES256"));
            assert_eq!(member("url"), "https://ca/x");
            assert!(json::member(&header, named).is_some());
        }
        assert!(AccountKey::read(b"no key").is_none());
        assert_eq!(key.authorize("t").len(), 32);
    }

    #[test]
    fn url_letters_stand_for_the_two_others() {
        assert_eq!(base64_url(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(base64_url(b"f"), "Zg");
    }

    fn from_base64_url(text: &str) -> Vec<u8> {
        let value = |letter| match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        let bits =
            text.bytes().flat_map(|letter| (0..6).rev().map(move |at| value(letter) >> at & 1));
        let bits: Vec<u8> = bits.collect();
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
    }
}
