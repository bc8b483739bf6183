//! The first steps of a kernel whose disk drivers and file systems are modules: an archive that
//! the kernel unpacks into memory, with busybox, those modules, and `init`.

use crate::failure::Failure;
use cpio::newc::{Builder, trailer};
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// Writes the archive: `init`, busybox, and `modules` in the order of loading.
pub(crate) fn write(
    file: &Path,
    init: &Path,
    busybox: &Path,
    modules: &[std::path::PathBuf],
) -> Result<(), Failure> {
    let trouble = |error: io::Error| Failure::Trouble(format!("{}: {error}", file.display()));
    let out = BufWriter::new(File::create(file).map_err(trouble)?);
    let mut packed = GzBuilder::new().mtime(0).write(out, Compression::best());
    let mut entries: Vec<(String, u32, Vec<u8>)> = Vec::new();
    for folder in ["bin", "dev", "modules", "new", "proc", "sys"] {
        entries.push((folder.into(), FOLDER, Vec::new()));
    }
    entries.push(("init".into(), PROGRAM, read(init)?));
    entries.push(("bin/busybox".into(), PROGRAM, read(busybox)?));
    for (nr, module) in modules.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        entries.push((format!("modules/{nr:02}-{name}"), FILE, read(module)?));
    }
    for (inode, (name, mode, bytes)) in (1..).zip(entries) {
        let length = u32::try_from(bytes.len())
            .map_err(|_| Failure::Trouble(format!("{name} is beyond 4 GiB")))?;
        let builder = Builder::new(&name).ino(inode).nlink(1).mode(mode);
        let mut entry = builder.write(&mut packed, length);
        entry.write_all(&bytes).and_then(|()| entry.finish().map(|_| ())).map_err(trouble)?;
    }
    trailer(&mut packed).map_err(trouble)?;
    packed.finish().and_then(|mut out| out.flush()).map_err(trouble)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Trouble(format!("{}: {error}", path.display())))
}
