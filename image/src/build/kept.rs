//! What was made of the same is not made again.
//!
//! Beside a file that was made stands its mark: a digest of all that it was made of, and one of the
//! file itself. While both are what they were, the file stays.

use super::root::entries;
use crate::failure::{Failure, trouble};
use crate::whole;
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Makes `out` of the files and folders in `of`, unless it was made of the same before.
pub(super) fn once(
    out: &Path,
    of: &[&Path],
    make: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut inputs = Context::new(&SHA256);
    of.iter().try_for_each(|path| add(&mut inputs, path))?;
    let inputs = inputs.finish();
    let whole = || Ok::<_, Failure>([inputs.as_ref(), &sum(out)?].concat());
    let mark = whole::beside(out, ".of");
    if fs::read(&mark).is_ok_and(|it| whole().is_ok_and(|whole| whole == it)) {
        return Ok(());
    }
    let _ = fs::remove_file(&mark);
    make()?;
    fs::write(&mark, whole()?).map_err(|error| trouble(&mark, &error))
}

/// This program: what its own code packs is made of it too.
pub(super) fn us() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| trouble(Path::new("nightjar"), &error))
}

/// The SHA-256 of a file.
pub(super) fn sum(file: &Path) -> Result<[u8; 32], Failure> {
    let bytes = fs::read(file).map_err(|error| trouble(file, &error))?;
    digest(&SHA256, &bytes).as_ref().try_into().map_err(|error| trouble(file, &error))
}

/// Modes, names and bytes, in the order of names. What is not there counts too.
fn add(inputs: &mut Context, path: &Path) -> Result<(), Failure> {
    let Ok(found) = fs::symlink_metadata(path) else {
        put(inputs, b"nothing");
        return Ok(());
    };
    put(inputs, &found.mode().to_le_bytes());
    if found.is_symlink() {
        let to = fs::read_link(path).map_err(|error| trouble(path, &error))?;
        put(inputs, to.as_os_str().as_bytes());
    } else if found.is_dir() {
        for entry in entries(path)? {
            put(inputs, entry.file_name().unwrap_or_default().as_bytes());
            add(inputs, &entry)?;
        }
        put(inputs, b"");
    } else {
        put(inputs, &fs::read(path).map_err(|error| trouble(path, &error))?);
    }
    Ok(())
}

fn put(inputs: &mut Context, bytes: &[u8]) {
    inputs.update(&bytes.len().to_le_bytes());
    inputs.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_made_again_where_it_or_what_it_is_made_of_changed() {
        let folder = std::env::temp_dir().join(format!("nightjar-kept-{}", std::process::id()));
        let of = folder.join("of");
        fs::create_dir_all(of.join("below")).unwrap();
        fs::write(of.join("below/a"), "a").unwrap();
        let (out, made) = (folder.join("out"), Cell::new(0));
        let make = |fill: &dyn Fn() -> Result<(), Failure>| {
            once(&out, &[&of, &folder.join("later")], || {
                made.set(made.get() + 1);
                fill()
            })
        };
        let fill = || fs::write(&out, "out").map_err(|error| trouble(&out, &error));
        let changes: [&dyn Fn(); 7] = [
            &|| {},
            &|| fs::write(of.join("below/a"), "b").unwrap(),
            &|| fs::rename(of.join("below/a"), of.join("below/b")).unwrap(),
            &|| fs::set_permissions(&of, fs::Permissions::from_mode(0o700)).unwrap(),
            &|| symlink("below/b", of.join("link")).unwrap(),
            &|| fs::write(folder.join("later"), "").unwrap(),
            &|| fs::write(&out, "another").unwrap(),
        ];
        for (nr, change) in (1..).zip(changes) {
            change();
            make(&fill).unwrap();
            make(&|| panic!("it was made of the same")).unwrap();
            assert_eq!((made.get(), fs::read(&out).unwrap()), (nr, b"out".to_vec()));
        }
        // One that failed halfway does not count.
        fs::remove_file(of.join("link")).unwrap();
        let half = || fs::write(&out, "out").map_or(Ok(()), |()| Err(trouble(&out, &"no room")));
        make(&half).unwrap_err();
        make(&fill).unwrap();
        assert_eq!(made.get(), 9);
        fs::remove_dir_all(&folder).unwrap();
    }
}
