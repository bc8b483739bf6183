//! The codes of refusals that more than one door gives, and bodies made of them when compiled.

/// A target, a head or a body is not what it should be.
pub const MALFORMED: &str = "malformed";
/// A body is longer than allowed.
pub const TOO_LARGE: &str = "too_large";
/// The rest of a body was asked for, and it ends before.
pub const BEYOND_END: &str = "beyond_end";
/// Too many requests at once: one phone's (429), or all that the box can take (503).
pub const TOO_MANY: &str = "too_many";

/// The body of an error of this code and message, `&'static str`.
macro_rules! error_body {
    ($code:expr, $message:expr) => {{
        const PARTS: [&str; 5] =
            [r#"{"error":{"code":""#, $code, r#"","message":""#, $message, r#""}}"#];
        const BYTES: [u8; $crate::rest::code::length(PARTS)] = $crate::rest::code::join(PARTS);
        match core::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("parts in UTF-8 make a whole in UTF-8"),
        }
    }};
}
pub(crate) use error_body;

/// Bytes of all the parts together.
pub(crate) const fn length(parts: [&str; 5]) -> usize {
    let (mut at, mut sum) = (0, 0);
    while at < parts.len() {
        sum += parts[at].len();
        at += 1;
    }
    sum
}

/// The parts one after the other; they have `N` bytes.
pub(crate) const fn join<const N: usize>(parts: [&str; 5]) -> [u8; N] {
    let mut whole = [0; N];
    let (mut part, mut used) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            whole[used] = bytes[at];
            (at, used) = (at + 1, used + 1);
        }
        part += 1;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_made_when_compiled() {
        const BODY: &str = error_body!(MALFORMED, "No.");
        assert_eq!(BODY, r#"{"error":{"code":"malformed","message":"No."}}"#);
    }
}
