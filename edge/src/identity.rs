//! Who this box is to others: peer id, signaling token and DTLS certificate, made once.
//!
//! All of it lies in one file of the data directory, readable by its owner only. It is never
//! made anew by itself: a phone knows the box by it.

use crate::clock::entropy;
use crate::store::replace;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use str0m::crypto::dtls::DtlsCert;

/// The file in the data directory.
pub const FILE: &str = "identity";
/// Its first line; the number is the format's version.
const TITLE: &str = "nightjar-identity 1";
/// No identity is longer, bytes.
const FILE_BYTES: u64 = 64 * 1024;

/// What makes this box itself.
#[derive(Clone)]
pub struct Identity {
    /// The address at the signaling server, a UUID4; not a secret, not a credential.
    pub peer_id: String,
    /// Shows the signaling server that a returning box is the same one.
    pub token: String,
    /// The certificate of every session; its fingerprint is the box's lasting mark.
    pub certificate: DtlsCert,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why there is no identity; names the file.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The file does not hold what was once written there.
    Damaged(PathBuf),
    /// No certificate could be made.
    NoCertificate,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Damaged(path) => write!(
                f,
                "{} is damaged: put it back from a copy, or delete it and add this device to \
                 the phones anew",
                path.display()
            ),
            Self::NoCertificate => write!(f, "a DTLS certificate cannot be made"),
        }
    }
}

impl std::error::Error for Error {}

impl Identity {
    /// Reads the identity in `dir`, or makes it where there is none.
    pub fn load_or_create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        match read(&path) {
            Ok(text) => Self::parse(&text).ok_or(Error::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self::create()?;
                replace(&path, identity.to_text().as_bytes())
                    .map_err(|error| Error::Io(path, error))?;
                Ok(identity)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::Damaged(path)),
            Err(error) => Err(Error::Io(path, error)),
        }
    }

    fn create() -> Result<Self, Error> {
        let peer_id = uuid::Builder::from_random_bytes(entropy()).into_uuid().to_string();
        let provider = str0m::crypto::from_feature_flags().dtls_provider;
        let certificate = provider.generate_certificate().ok_or(Error::NoCertificate)?;
        Ok(Self { peer_id, token: hex(&entropy::<16>()), certificate })
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "{TITLE}\npeer-id {}\ntoken {}\ncertificate {}\nkey {}\n",
            self.peer_id,
            self.token,
            hex(&self.certificate.certificate),
            hex(&self.certificate.private_key)
        );
        let check = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {check:08x}");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("crc32c ")?;
        let (body, check) = text.split_at(at);
        if check != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines();
        let title = lines.next()?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let (peer_id, token) = (value("peer-id")?, value("token")?);
        let certificate = unhex(value("certificate")?)?;
        let private_key = unhex(value("key")?)?;
        (title == TITLE).then(|| Self {
            peer_id: peer_id.to_owned(),
            token: token.to_owned(),
            certificate: DtlsCert { certificate, private_key },
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    struct Folder(PathBuf);

    impl Folder {
        fn new(tag: &str) -> Self {
            let name = format!("nightjar-identity-{tag}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a scratch folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn it_is_made_once_and_for_its_owner_only() {
        let dir = Folder::new("once");
        let first = Identity::load_or_create(&dir.0).expect("made");
        let again = Identity::load_or_create(&dir.0).expect("read");
        assert_eq!((&first.peer_id, &first.token), (&again.peer_id, &again.token));
        assert_eq!(first.certificate.certificate, again.certificate.certificate);
        assert_eq!(first.certificate.private_key, again.certificate.private_key);
        assert_eq!(uuid::Uuid::parse_str(&first.peer_id).expect("a UUID").get_version_num(), 4);
        let mode = fs::metadata(dir.0.join(FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damage_is_named_and_never_overwritten() {
        let dir = Folder::new("damage");
        Identity::load_or_create(&dir.0).expect("made");
        let path = dir.0.join(FILE);
        let whole = fs::read(&path).expect("a file");
        for at in (0..whole.len()).step_by(13) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            for damaged in [&bytes[..], &whole[..at]] {
                fs::write(&path, damaged).expect("written");
                let error = Identity::load_or_create(&dir.0).expect_err("damaged").to_string();
                assert!(error.contains(&path.display().to_string()), "{error}");
                assert_eq!(fs::read(&path).expect("a file"), damaged);
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let dir = Path::new("/proc/nowhere");
        let error = Identity::load_or_create(dir).expect_err("no folder").to_string();
        assert!(error.starts_with("/proc/nowhere/identity: "), "{error}");
    }
}
