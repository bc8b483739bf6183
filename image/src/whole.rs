//! Files that are there whole or not at all: written beside, then renamed.

use crate::failure::{Failure, trouble};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Makes `path` of what `fill` puts into a file beside it, readable as `mode` says. What is there
/// and no ordinary file, such as a drive, stays: a rename would take its place.
pub(crate) fn write(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File, &Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let why = "it is no ordinary file; a drive is written by nightjar flash IMAGE --to DEVICE";
        return Err(trouble(path, &why));
    }
    let part = beside(path, ".part");
    let made = make(&part, mode).and_then(|mut file| fill(&mut file, &part));
    let done = made.and_then(|()| fs::rename(&part, path).map_err(|error| trouble(path, &error)));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// The name with something behind it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// A new file: what an earlier run left has the modes of that run, or leads elsewhere.
fn make(path: &Path, mode: u32) -> Result<File, Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(trouble(path, &error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let made = options.read(true).write(true).create_new(true).mode(mode).open(path);
    made.map_err(|error| trouble(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_whole_or_as_it_was_and_a_device_stays_one() {
        let folder = std::env::temp_dir().join(format!("nightjar-whole-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("card.img");
        symlink(folder.join("elsewhere"), beside(&path, ".part")).unwrap();
        write(&path, 0o600, |file, _| {
            file.write_all(b"new").map_err(|error| trouble(&path, &error))
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.join("elsewhere").exists(), "nothing was written through a link");
        let failed = write(&path, 0o644, |file, _| {
            let _ = file.write_all(b"half");
            Err(Failure::Trouble("no".into()))
        });
        assert!(failed.is_err());
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read_dir(&folder).unwrap().count()),
            (b"new".to_vec(), 1)
        );
        for device in ["/dev/null", "/dev"] {
            let refused = write(Path::new(device), 0o644, |_, _| panic!("nothing is filled"));
            assert!(refused.is_err(), "{device}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
