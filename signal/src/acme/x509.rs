//! The little of X.509 that ACME needs: a request for a certificate (RFC 2986), the certificate
//! that answers a challenge (RFC 8737), and until when a certificate is valid (RFC 5280).
#![deny(clippy::indexing_slicing)]

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[n]` of a structure, and `[2]` of a name's letters.
const CONTEXT: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;

const TRUE: &[u8] = &[0x01, 0x01, 0xff];
const ECDSA_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const EXTENSIONS_WANTED: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const ALTERNATIVE_NAME: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 0x04, 0x03];
/// id-pe-acmeIdentifier, RFC 8737 s6.1.
const ACME_IDENTIFIER: &[u8] = &[0x06, 8, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];

/// A request for a certificate of `domain`, signed with the key that it is to be for.
pub fn request(domain: &str, key: &EcdsaKeyPair) -> Result<Vec<u8>, Unspecified> {
    let extensions = write(SEQUENCE, &[&alternative_name(domain)]);
    let wanted = write(SEQUENCE, &[EXTENSIONS_WANTED, &write(SET, &[&extensions])]);
    let info = write(
        SEQUENCE,
        &[&write(INTEGER, &[&[0]]), &write(SEQUENCE, &[]), &spki(key), &write(CONTEXT, &[&wanted])],
    );
    sign(&info, key)
}

/// The certificate by which a server shows that it controls `domain`: signed by itself, with the
/// digest of the challenge's key authorization (RFC 8737 s3).
pub fn challenge(domain: &str, digest: &[u8], key: &EcdsaKeyPair) -> Result<Vec<u8>, Unspecified> {
    let algorithm = write(SEQUENCE, &[ECDSA_SHA256]);
    let common = write(SEQUENCE, &[COMMON_NAME, &write(UTF8_STRING, &[b"ACME challenge"])]);
    let name = write(SEQUENCE, &[&write(SET, &[&common])]);
    let valid = write(
        SEQUENCE,
        &[&write(UTC_TIME, &[b"200101000000Z"]), &write(GENERALIZED_TIME, &[b"99991231235959Z"])],
    );
    let digest = write(OCTET_STRING, &[&write(OCTET_STRING, &[digest])]);
    let identifier = write(SEQUENCE, &[ACME_IDENTIFIER, TRUE, &digest]);
    let extensions = write(SEQUENCE, &[&alternative_name(domain), &identifier]);
    let body = write(
        SEQUENCE,
        &[
            &write(CONTEXT, &[&write(INTEGER, &[&[2]])]),
            &write(INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &valid,
            &name,
            &spki(key),
            &write(CONTEXT | 3, &[&extensions]),
        ],
    );
    sign(&body, key)
}

/// From when until when a certificate is valid, in seconds since 1970; `None` where its bytes
/// are none.
pub fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let mut rest = certificate;
    let mut certificate = inside(&mut rest, SEQUENCE)?;
    let mut body = inside(&mut certificate, SEQUENCE)?;
    if body.first() == Some(&CONTEXT) {
        read(&mut body)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        read(&mut body)?;
    }
    let mut valid = inside(&mut body, SEQUENCE)?;
    Some((time(read(&mut valid)?)?, time(read(&mut valid)?)?))
}

fn alternative_name(domain: &str) -> Vec<u8> {
    let names = write(SEQUENCE, &[&write(DNS_NAME, &[domain.as_bytes()])]);
    write(SEQUENCE, &[ALTERNATIVE_NAME, &write(OCTET_STRING, &[&names])])
}

/// `SubjectPublicKeyInfo` of a P-256 key (RFC 5480).
fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    let algorithm = write(SEQUENCE, &[EC_KEY, P256]);
    write(SEQUENCE, &[&algorithm, &write(BIT_STRING, &[&[0], key.public_key().as_ref()])])
}

fn sign(info: &[u8], key: &EcdsaKeyPair) -> Result<Vec<u8>, Unspecified> {
    let signature = key.sign(&SystemRandom::new(), info)?;
    let signature = write(BIT_STRING, &[&[0], signature.as_ref()]);
    Ok(write(SEQUENCE, &[info, &write(SEQUENCE, &[ECDSA_SHA256]), &signature]))
}

/// One DER element (X.690 s8.1) made of `parts`, less than 64 KiB of them.
fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let [.., high, low] = length.to_be_bytes();
    let mut out = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Takes the next DER element off `bytes`: its tag and what is inside.
fn read<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let digits = rest.split_off(..usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    }
    let inside = rest.split_off(..length)?;
    *bytes = rest;
    Some((tag, inside))
}

fn inside<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    read(bytes).filter(|(found, _)| *found == tag).map(|(_, inside)| inside)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` in seconds since 1970 (RFC 5280 s4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    let mut pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        pair.bytes().all(|digit| digit.is_ascii_digit()).then(|| pair.parse::<u64>().ok())?
    });
    let mut next = || pairs.next().flatten();
    let year = match tag {
        UTC_TIME => {
            let year = next()?;
            year + if year < 50 { 2000 } else { 1900 }
        }
        GENERALIZED_TIME => next()? * 100 + next()?,
        _ => return None,
    };
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1970;
    if !is_date || hour > 23 || minute > 59 || second > 60 || pairs.next().is_some() {
        return None;
    }
    // Years that begin in March, so that the leap day is their last (days_from_civil).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests cut their own bytes")]
mod tests {
    use super::*;
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    use rustls::server::ParsedCertificate;
    use rustls_pki_types::CertificateDer;

    fn key() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    #[test]
    fn a_challenge_names_its_domain_and_digest() {
        let made = challenge("meet.example", &[7; 32], &key()).unwrap();
        let digest = [&[ACME_IDENTIFIER, TRUE, &[4, 34, 4, 32]].concat()[..], &[7; 32]].concat();
        assert!(made.windows(digest.len()).any(|bytes| bytes == digest));
        assert_eq!(validity(&made), Some((1_577_836_800, 253_402_300_799)));
        let made = CertificateDer::from(made);
        // webpki refuses what it does not know to be critical, as it should in the open.
        assert!(ParsedCertificate::try_from(&made).is_err());
    }

    #[test]
    fn a_request_is_whole_der() {
        let made = request("meet.example", &key()).unwrap();
        let mut rest = &made[..];
        let mut inner = inside(&mut rest, SEQUENCE).unwrap();
        assert!(rest.is_empty());
        let tags: Vec<_> = std::iter::from_fn(|| read(&mut inner)).map(|(tag, _)| tag).collect();
        assert_eq!(tags, [SEQUENCE, SEQUENCE, BIT_STRING]);
        assert!(made.windows(12).any(|bytes| bytes == b"meet.example"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let table: [(u8, &str, Option<u64>); 8] = [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000229000000Z", Some(951_782_400)),
            (GENERALIZED_TIME, "20240229235959Z", Some(1_709_251_199)),
            (GENERALIZED_TIME, "20991231235959Z", Some(4_102_444_799)),
            (GENERALIZED_TIME, "20241331235959Z", None),
            (UTC_TIME, "2402292359Z", None),
            (UTC_TIME, "240229235959", None),
            (UTC_TIME, "24022923595+Z", None),
        ];
        for (tag, text, seconds) in table {
            assert_eq!(time((tag, text.as_bytes())), seconds, "{text}");
        }
    }

    /// Every cut and every flipped bit is answered, one way or the other.
    #[test]
    fn broken_certificates_are_none() {
        let made = challenge("meet.example", &[7; 32], &key()).unwrap();
        for length in 0..made.len() {
            assert_eq!(validity(&made[..length]), None);
        }
        for at in 0..made.len() * 8 {
            let mut broken = made.clone();
            broken[at / 8] ^= 1 << (at % 8);
            let _ = validity(&broken);
        }
    }
}
