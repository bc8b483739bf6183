//! What the owner wrote on the card, taken over at the start: settings, and the wish to forget
//! everything. Every step can be cut off and is done again at the next start.

use crate::journal::Journal;
use crate::place::Place;
use image_core::settings::{self, Settings, Wifi};
use rustix::mount::{MountFlags, mount_remount};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// On partition 1, for people.
const FILE: &str = "/boot/nightjar.toml";
const ERRORS: &str = "/boot/nightjar-errors.txt";
/// What holds, and the owner's file as it was last seen, without its passphrase.
const KEPT: &str = "/data/box/nightjar.toml";
const SEEN: &str = "/data/box/seen.toml";
/// The radio network before the one that a phone gave, until that was joined.
const FORMER: &str = "/data/box/former.toml";
/// What init has left, in memory.
const TROUBLE: &str = "/run/nightjar/trouble";
/// There while everything is being forgotten.
const FORGETTING: &str = "/data/box/forgetting";
/// Starts that may try; each leaves a byte in the file.
const FORGET_TRIES: u64 = 3;
/// What a reset leaves: which updates were committed, and the file system's own.
const LEFT: &[&str] = &["box", "lost+found"];
const LEFT_IN_BOX: &[&str] = &["update", "forgetting"];

/// Does what the owner wishes; the settings that hold.
pub(crate) fn take_over(place: &Place, journal: &Journal) -> Settings {
    let trouble = |what: &str, error: &io::Error| journal.say(&format!("{what}: {error}"));
    if let Err(error) = fs::create_dir_all(place.at("/data/box")) {
        trouble("/data/box", &error);
    }
    if let Err(error) = forget(place, journal) {
        trouble("the factory reset", &error);
    }
    settle(place, journal).unwrap_or_else(|error| {
        trouble("nightjar.toml", &error);
        kept(place)
    })
}

/// The settings that hold, as kept before.
pub(crate) fn kept(place: &Place) -> Settings {
    settings::read(&fs::read_to_string(place.at(KEPT)).unwrap_or_default()).0
}

/// Keeps settings from now on.
fn keep(place: &Place, settings: &Settings) -> io::Result<()> {
    replace(&place.at(KEPT), settings.to_toml().as_bytes())
}

/// Who changes the settings, one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Keeps another radio network. The one before is the second choice until this one was joined, and
/// stays it through further mistakes.
pub(crate) fn change_wifi(place: &Place, wifi: Wifi) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut settings = kept(place);
    if settings.wifi.is_some() && former(place).is_none() {
        let former = Settings { wifi: settings.wifi, ..Settings::default() };
        replace(&place.at(FORMER), former.to_toml().as_bytes())?;
    }
    settings.wifi = Some(wifi);
    keep(place, &settings)
}

/// The second choice.
pub(crate) fn former(place: &Place) -> Option<Wifi> {
    settings::read(&fs::read_to_string(place.at(FORMER)).unwrap_or_default()).0.wifi
}

/// That network was joined: unless another one is wished by now, it needs no second choice.
pub(crate) fn note_joined(place: &Place, wifi: &Wifi) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = kept(place).wifi.as_ref() == Some(wifi);
    if is_first { remove(&place.at(FORMER)) } else { Ok(()) }
}

/// What failed before the box ran: as many sentences as an answer of the socket's has room for.
pub(crate) fn trouble(place: &Place) -> Vec<String> {
    let text = read(&place.at(TROUBLE)).ok().flatten().unwrap_or_default();
    let plain = |it: char| if matches!(it, ' '..='~') { it } else { '?' };
    text.lines().take(8).map(|it| it.chars().take(120).map(plain).collect()).collect()
}

/// Has the next start forget everything.
pub(crate) fn wish_to_forget(place: &Place) -> io::Result<()> {
    fs::create_dir_all(place.at("/data/box"))?;
    replace(&place.at(FORGETTING), b"")
}

fn settle(place: &Place, journal: &Journal) -> io::Result<Settings> {
    let read_file = read(&place.at(FILE));
    let Some(text) = read_file.or_else(|error| tell_unread(place, error))? else {
        return Ok(kept(place));
    };
    let seen = read(&place.at(SEEN))?;
    if seen.as_deref() == Some(&text) {
        return Ok(kept(place));
    }
    let before = kept(place);
    let (settings, mistakes) = settings::take_over(&text, &before);
    if !lasts(place) {
        journal.say("nightjar.toml holds, and stays as it is: there is no card under /data");
        return Ok(settings);
    }
    journal.say(&format!("nightjar.toml is taken over, {} mistakes", mistakes.len()));
    if settings.wifi != before.wifi {
        remove(&place.at(FORMER))?;
    }
    // The passphrase is safe on data before it leaves the file, and the file is done with last.
    keep(place, &settings)?;
    let blank = settings::blanked(&text);
    let lines = mistakes.iter().map(|it| format!("{it}\n"));
    let errors: String = lines.collect();
    write_boot(place, &text, &blank, &errors)?;
    replace(&place.at(SEEN), blank.as_bytes())?;
    Ok(settings)
}

/// Says on the card, too, that its file cannot be read; what is there next is taken over anew.
fn tell_unread(place: &Place, error: io::Error) -> io::Result<Option<String>> {
    let words = format!("nightjar.toml cannot be read: {error}; what held before holds\n");
    write_boot(place, "", "", &words)?;
    remove(&place.at(SEEN))?;
    Err(error)
}

/// Whether what is written to /data is there after a restart: rcS puts memory there where the card
/// has none. A passphrase that was moved there would be lost, and a wish to forget, too.
fn lasts(place: &Place) -> bool {
    let mounts = fs::read_to_string(place.at("/proc/mounts")).unwrap_or_default();
    let found = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some("/data")).then(|| words.next().unwrap_or_default())
    });
    found != Some("tmpfs")
}

/// Writes to partition 1 what differs from what is there.
fn write_boot(place: &Place, text: &str, blank: &str, errors: &str) -> io::Result<()> {
    let path = place.at(ERRORS);
    let said = read(&path)?.unwrap_or_default();
    if text == blank && said == errors {
        return Ok(());
    }
    writable(place, || {
        if text != blank {
            // In place: nothing of the passphrase stays elsewhere on the card.
            let mut file = File::options().write(true).open(place.at(FILE))?;
            file.write_all(blank.as_bytes())?;
            file.sync_all()?;
        }
        if errors.is_empty() {
            return remove(&path);
        }
        if said != errors {
            let mut file = File::create(&path)?;
            file.write_all(errors.as_bytes())?;
            file.sync_all()?;
        }
        Ok(())
    })
}

/// Where the card or a phone says so, forgets everything. The wish is noted on data before it is
/// taken off the card, so it holds once, and through a cut.
fn forget(place: &Place, journal: &Journal) -> io::Result<()> {
    let wishes = wishes(&place.at("/boot"));
    if !wishes.is_empty() && lasts(place) {
        wish_to_forget(place)?;
        writable(place, || wishes.iter().try_for_each(|it| remove(it)))?;
    }
    if place.at(FORGETTING).exists() {
        journal.say("everything is forgotten: a factory reset");
        let all = clear(&place.at("/data"), LEFT).and(clear(&place.at("/data/box"), LEFT_IN_BOX));
        sync(&place.at("/data/box"))?;
        if let Err(error) = all {
            journal.say(&format!("not everything could be forgotten: {error}"));
            // The next start checks the file system first. But no pairing is forgotten for ever.
            let tries = fs::metadata(place.at(FORGETTING))?.len() + 1;
            if tries < FORGET_TRIES {
                return File::options().append(true).open(place.at(FORGETTING))?.write_all(b".");
            }
        }
        fs::remove_file(place.at(FORGETTING))?;
        sync(&place.at("/data/box"))?;
    }
    Ok(())
}

/// `factory-reset`, as any system writes it.
fn wishes(boot: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(boot).into_iter().flatten().flatten();
    let wishes = entries.filter(|it| {
        let name = it.file_name().to_string_lossy().to_ascii_lowercase();
        name == "factory-reset" || name == "factory-reset.txt"
    });
    wishes.map(|it| it.path()).collect()
}

/// Deletes what lies there but `left`, and goes on past what cannot be deleted.
fn clear(dir: &Path, left: &[&str]) -> io::Result<()> {
    let delete = |entry: fs::DirEntry| {
        let path = entry.path();
        if left.iter().any(|it| entry.file_name() == *it) {
            Ok(())
        } else if entry.file_type()?.is_dir() {
            clear(&path, &[]).and(fs::remove_dir(&path))
        } else {
            fs::remove_file(&path)
        }
    };
    let mut done = Ok(());
    for entry in fs::read_dir(dir)? {
        done = done.and(entry.and_then(delete));
    }
    done
}

/// A text of at most [`settings::BYTES`]; odd bytes are shown as such.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(settings::BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > settings::BYTES {
        return Err(io::Error::other(format!("more than {} bytes", settings::BYTES)));
    }
    // As long as it was, for it may be written back.
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .into_bytes()
            .iter()
            .map(|it| if it.is_ascii() { char::from(*it) } else { '?' })
            .collect()
    });
    Ok(Some(text))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Replaces a file of data whole, for root's eyes only.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync)
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Has partition 1 writable meanwhile.
fn writable(place: &Place, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if !place.is_real() {
        return write();
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount("/boot", flags, "")?;
    let done = write().and_then(|()| sync(Path::new("/boot")));
    mount_remount("/boot", flags | MountFlags::RDONLY, "")?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Card(PathBuf, Place, Journal);

    impl Card {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("nightjar-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            let place = Place::new(root.clone());
            for dir in ["boot", "data/edge", "run"] {
                fs::create_dir_all(root.join(dir)).unwrap();
            }
            let journal = Journal::open(&place).unwrap();
            Self(root, place, journal)
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.join(path), text).unwrap();
        }

        fn text(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.0.join(path)).ok()
        }

        fn take_over(&self) -> Settings {
            take_over(&self.1, &self.2)
        }
    }

    impl Drop for Card {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const WIFI: &str = "[wifi]\nssid = \"Home\"\npassphrase = \"hunter22\"\n";

    #[test]
    fn a_passphrase_moves_into_the_box() {
        let card = Card::new("takeover");
        assert_eq!(card.take_over(), Settings::default());
        card.write("boot/nightjar.toml", WIFI);
        let settings = card.take_over();
        let passphrase = settings.wifi.as_ref().and_then(|it| it.passphrase.as_deref());
        assert_eq!(passphrase, Some("hunter22"));
        let blank = card.text("boot/nightjar.toml").unwrap();
        assert!(
            !blank.contains("hunter")
                && !card.text("data/box/seen.toml").unwrap().contains("hunter")
        );
        let mode = fs::metadata(card.0.join("data/box/nightjar.toml")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
        assert_eq!(card.take_over(), settings, "a second start knows it still");
        card.write("boot/nightjar.toml", &format!("name = \"Attic\"\n{blank}"));
        let named = card.take_over();
        assert_eq!((named.name.as_deref(), &named.wifi), (Some("Attic"), &settings.wifi));
    }

    #[test]
    fn what_has_not_changed_writes_nothing() {
        let card = Card::new("unchanged");
        card.write("boot/nightjar.toml", "hostname = \"Attic\"\n");
        card.take_over();
        let files = ["boot/nightjar.toml", "boot/nightjar-errors.txt", "data/box/nightjar.toml"];
        let times = || files.map(|it| fs::metadata(card.0.join(it)).unwrap().modified().unwrap());
        let before = times();
        card.take_over();
        assert_eq!(times(), before);
        assert!(card.text("boot/nightjar-errors.txt").unwrap().starts_with("line 1: hostname is"));
        card.write("boot/nightjar.toml", "hostname = \"attic\"\n");
        assert_eq!(card.take_over().hostname, "attic");
        assert_eq!(card.text("boot/nightjar-errors.txt"), None);
    }

    #[test]
    fn a_cut_between_the_steps_loses_nothing() {
        let card = Card::new("cut");
        card.write("boot/nightjar.toml", WIFI);
        let settings = card.take_over();
        // Cut before the file was blanked, and before it was noted as seen.
        fs::remove_file(card.0.join("data/box/seen.toml")).unwrap();
        assert_eq!(card.take_over(), settings);
        card.write("boot/nightjar.toml", WIFI);
        fs::remove_file(card.0.join("data/box/seen.toml")).unwrap();
        assert_eq!(card.take_over(), settings);
        assert!(!card.text("boot/nightjar.toml").unwrap().contains("hunter"));
    }

    #[test]
    fn what_cannot_be_deleted_keeps_nothing_else() {
        let card = Card::new("stuck");
        card.write("data/edge/stuck", "");
        let stuck = card.0.join("data/edge/stuck");
        let chattr = |flag| std::process::Command::new("chattr").arg(flag).arg(&stuck).status();
        if !chattr("+i").is_ok_and(|it| it.success()) {
            return; // no root here, or a file system without that flag
        }
        card.take_over();
        wish_to_forget(&card.1).unwrap();
        let tries = [Some("."), Some(".."), None].map(|left| {
            card.write("data/edge/owner.log", "tokens");
            card.take_over();
            (card.0.join("data/edge/owner.log").exists(), card.text("data/box/forgetting"), left)
        });
        chattr("-i").unwrap();
        for (there, wish, left) in tries {
            assert_eq!((there, wish.as_deref()), (false, left));
        }
        assert!(stuck.exists());
    }

    #[test]
    fn a_reset_forgets_everything_once() {
        let card = Card::new("reset");
        card.write("boot/nightjar.toml", WIFI);
        card.take_over();
        card.write("data/edge/store", "events");
        card.write("data/box/update", "highest=0.2.0\n");
        card.write("boot/Factory-Reset.TXT", "");
        let settings = card.take_over();
        assert_eq!(settings.wifi, None, "its passphrase is forgotten, too");
        assert!(
            !card.0.join("data/edge").exists() && !card.0.join("boot/Factory-Reset.TXT").exists()
        );
        assert_eq!(card.text("data/box/update").as_deref(), Some("highest=0.2.0\n"));
        fs::create_dir(card.0.join("data/edge")).unwrap();
        card.write("data/edge/store", "new events");
        card.take_over();
        assert!(card.0.join("data/edge/store").exists());
        // Cut after the wish was taken off the card: it is granted at the next start.
        wish_to_forget(&card.1).unwrap();
        card.take_over();
        assert!(!card.0.join("data/edge").exists() && !card.0.join("data/box/forgetting").exists());
    }

    #[test]
    fn odd_bytes_keep_their_length() {
        let card = Card::new("odd");
        fs::write(card.0.join("boot/nightjar.toml"), b"name = \"B\xfcro\"\n").unwrap();
        assert_eq!(card.take_over().name.as_deref(), Some("B?ro"));
        card.write("boot/nightjar.toml", &"x".repeat(settings::BYTES + 1));
        assert_eq!(card.take_over().name.as_deref(), Some("B?ro"), "what holds, holds");
        let want = "nightjar.toml cannot be read: more than 65536 bytes; what held before holds\n";
        assert_eq!(card.text("boot/nightjar-errors.txt").as_deref(), Some(want));
        fs::write(card.0.join("boot/nightjar.toml"), b"name = \"B\xfcro\"\n").unwrap();
        card.take_over();
        assert_eq!(card.text("boot/nightjar-errors.txt"), None, "the same file as before is good");
    }

    #[test]
    fn trouble_is_told_as_far_as_there_is_room() {
        let card = Card::new("trouble");
        assert_eq!(trouble(&card.1), [""; 0]);
        card.write("run/nightjar/trouble", &format!("data was damaged\n{}\n", "x".repeat(500)));
        let told = trouble(&card.1);
        assert_eq!((told[0].as_str(), told[1].len()), ("data was damaged", 120));
        card.write("run/nightjar/trouble", &"\u{1}\u{e9}\n".repeat(100));
        assert_eq!(trouble(&card.1), ["??"; 8]);
    }
}
