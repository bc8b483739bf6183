//! What the children say, kept in memory alone: two files each on the tmpfs, the older of which
//! gives way; on the console only where the kernel's command line has `nightjar.console`.

use crate::place::Place;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Of one child at most twice this is kept, bytes.
const FILE_BYTES: usize = 128 * 1024;
/// The longest line; the rest of it is another one.
const LINE_BYTES: u64 = 2_048;

/// All that is said.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    console: bool,
    files: Mutex<BTreeMap<String, (File, usize)>>,
}

impl Journal {
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        let dir = place.at("/run/nightjar/log");
        fs::create_dir_all(&dir)?;
        let words = fs::read_to_string(place.at("/proc/cmdline")).unwrap_or_default();
        let console = words.split_whitespace().any(|word| word == "nightjar.console");
        Ok(Self { dir, console, files: Mutex::default() })
    }

    /// Of the keeper itself.
    pub(crate) fn say(&self, line: &str) {
        self.line("box", line.as_bytes());
    }

    /// One line of `name`, without its end.
    pub(crate) fn line(&self, name: &str, line: &[u8]) {
        if self.console {
            let mut shown = format!("{name}: ").into_bytes();
            shown.extend(line);
            shown.push(b'\n');
            let _ = io::stderr().lock().write_all(&shown);
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // A full tmpfs must not stop a child.
        let _ = self.write(&mut files, name, line);
    }

    fn write(
        &self,
        files: &mut BTreeMap<String, (File, usize)>,
        name: &str,
        line: &[u8],
    ) -> io::Result<()> {
        let path = self.dir.join(name);
        if files.get(name).is_some_and(|(_, bytes)| bytes + line.len() >= FILE_BYTES) {
            fs::rename(&path, self.dir.join(format!("{name}.1")))?;
            files.remove(name);
        }
        if !files.contains_key(name) {
            let file = File::options().append(true).create(true).open(&path)?;
            let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(FILE_BYTES);
            files.insert(name.to_owned(), (file, bytes));
        }
        if let Some((file, bytes)) = files.get_mut(name) {
            file.write_all(&[line, b"\n"].concat())?;
            *bytes += line.len() + 1;
        }
        Ok(())
    }

    /// Takes down every line of a child until it has ended; `hear` hears them, too.
    pub(crate) fn take_down(&self, name: &str, from: impl Read, mut hear: impl FnMut(&str)) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line).is_ok_and(|it| it > 0) {
            while line.last().is_some_and(|it| matches!(it, b'\n' | b'\r')) {
                line.pop();
            }
            self.line(name, &line);
            hear(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_never_stops_talking_keeps_its_last_words() {
        let root = std::env::temp_dir().join(format!("nightjar-journal-{}", std::process::id()));
        let journal = Journal::open(&Place::new(root.clone())).unwrap();
        let mut heard = 0;
        let long = [b'x'; 5_000];
        journal.take_down("edge", &long[..], |_| heard += 1);
        assert_eq!(heard, 3, "a long line is several");
        for number in 0..40_000 {
            journal.line("edge", format!("line {number}").as_bytes());
        }
        let sizes = ["edge", "edge.1"]
            .map(|it| fs::metadata(root.join("run/nightjar/log").join(it)).unwrap().len());
        assert!(sizes.iter().all(|it| *it <= FILE_BYTES as u64 + 20), "{sizes:?}");
        let last = fs::read_to_string(root.join("run/nightjar/log/edge")).unwrap();
        assert!(last.ends_with("line 39999\n"));
        fs::remove_dir_all(root).unwrap();
    }
}
