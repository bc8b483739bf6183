//! What outlives a restart: the account's key and the certificate, each a file that only its
//! owner may read and that is replaced whole.

use super::jws::AccountKey;
use crate::error::Error;
use crate::say;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use sha1_smol::Sha1;
use signal_proto::base64;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The files of one domain at one CA.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

impl State {
    /// Makes the folder, for its owner alone, where it is missing. Files of another domain or
    /// another CA in it are left alone.
    pub fn open(folder: &Path, domain: &str, directory: &str) -> Result<Self, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Error::new(format!("--state-dir {}: {error}", folder.display())))?;
        let ca = Sha1::from(directory).digest().to_string();
        let ca = ca.get(..8).unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            account: folder.join(format!("account-{ca}.pem")),
            certificate: folder.join(format!("{domain}-{ca}.pem")),
        })
    }

    /// The account's key; a fresh one where there is none yet.
    pub fn account(&self) -> Result<AccountKey, Error> {
        let wrong =
            |what: String| Error::new(format!("--state-dir: {}: {what}", self.account.display()));
        match fs::read(&self.account) {
            Ok(pem) => {
                let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).ok();
                if let Some(key) = key.and_then(|key| AccountKey::read(key.secret_pkcs8_der())) {
                    return Ok(key);
                }
                say!("{}: no account's key; a new account is made", self.account.display());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(error.to_string())),
        }
        let no_key = || wrong("no key can be made here".into());
        let key = AccountKey::generate().map_err(|_| no_key())?;
        let saved = self.replace(&self.account, &pem("PRIVATE KEY", &key));
        saved.map_err(|error| wrong(error.to_string()))?;
        AccountKey::read(&key).ok_or_else(no_key)
    }

    /// The key and the certificates that were last kept, PEM.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        fs::read(&self.certificate).ok()
    }

    /// Keeps a key and its certificates, PEM.
    pub fn keep(&self, pem: &str) -> io::Result<()> {
        self.replace(&self.certificate, pem)
    }

    /// Whoever looks, and whenever the power goes: the old content or the new.
    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let beside = path.with_extension("new");
        // What a crash left there may belong to anybody.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// `bytes` in PEM (RFC 7468).
pub fn pem(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    // 48 bytes are a line of 64 letters.
    for line in bytes.chunks(48) {
        text.push_str(&base64::encode(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_their_owners_alone_and_kept() {
        let top = std::env::temp_dir().join(format!("nightjar-state-{}", std::process::id()));
        let folder = top.join("deep");
        let open = |directory| State::open(&folder, "meet.example", directory).unwrap();
        let state = open("https://ca.example/");
        assert_eq!(mode(&folder), 0o700);
        let token = state.account().unwrap().authorize("t");
        assert_eq!(state.account().unwrap().authorize("t"), token, "the same account");
        assert_ne!(open("https://other.example/").account().unwrap().authorize("t"), token);
        assert_eq!(state.certificate(), None);
        fs::write(state.certificate.with_extension("new"), "torn").unwrap();
        for chain in ["first", "second"] {
            state.keep(&(pem("PRIVATE KEY", &[7; 100]) + chain)).unwrap();
            let kept = String::from_utf8(state.certificate().unwrap()).unwrap();
            assert!(kept.starts_with("-----BEGIN PRIVATE KEY-----\n") && kept.ends_with(chain));
            assert!(kept.lines().all(|line| line.len() <= 64));
        }
        assert_eq!((mode(&state.account), mode(&state.certificate)), (0o600, 0o600));
        fs::write(&state.account, "broken").unwrap();
        assert_ne!(state.account().unwrap().authorize("t"), token);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing else lies about");
        fs::remove_dir_all(&top).unwrap();
    }
}
