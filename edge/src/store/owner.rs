//! What the owner said: favourites, the box's name, paired phones. A small log of its own,
//! synced at once, wholly in memory while running, independent of the index.

use super::Client;
use super::disk::{self, Disk, How, Medium, replace, swap};
use super::record::{Found, HEADER_BYTES, Record, Tag, Take, Walk};
use edge_core::event::EventId;
use edge_core::time::UnixMs;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A log this long is rewritten when most of it is history.
const COMPACT_BYTES: u64 = 64 * 1024;
const MAGIC: [u8; 8] = *b"NJOWN\0\0\x01";

/// The name of the mark that some phone once paired.
const MARK: &str = "paired";

/// Some phone once paired: the first, whose token is no more.
const SOMEBODY: Word = Word::Revoked(1);

/// The owner's marks on one event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) favourite: bool,
    pub(super) reviewed: bool,
}

/// All the owner said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) marks: HashMap<EventId, Marks>,
    pub(super) name: Option<String>,
    pub(super) notifications: bool,
    pub(super) clients: BTreeMap<u64, Client>,
    /// The highest client id ever given.
    pub(super) last_client: u64,
    pub(super) scrubbed: Option<Scrubbed>,
    /// The day that retention goes by; 0: none yet.
    pub(super) day: UnixMs,
}

/// What the last reading of the whole log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scrubbed {
    pub(super) at: UnixMs,
    /// Damaged stretches in the log.
    pub(super) damaged: u64,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Marks(EventId, Marks),
    Name(String),
    Notifications(bool),
    Client(Client),
    Revoked(u64),
    Scrubbed(Scrubbed),
    Day(UnixMs),
}

impl State {
    /// The owner's marks on an event.
    pub(super) fn marks(&self, id: EventId) -> Marks {
        self.marks.get(&id).copied().unwrap_or_default()
    }

    /// Takes in one thing said.
    pub(super) fn hear(&mut self, word: Word) {
        match word {
            Word::Marks(id, marks) if marks == Marks::default() => {
                self.marks.remove(&id);
            }
            Word::Marks(id, marks) => {
                self.marks.insert(id, marks);
            }
            Word::Name(name) => self.name = Some(name),
            Word::Notifications(wanted) => self.notifications = wanted,
            Word::Scrubbed(scrubbed) => self.scrubbed = Some(scrubbed),
            Word::Day(day) => self.day = day,
            Word::Client(client) => {
                self.last_client = self.last_client.max(client.id);
                self.clients.insert(client.id, client);
            }
            Word::Revoked(id) => {
                self.last_client = self.last_client.max(id);
                self.clients.remove(&id);
            }
        }
    }

    /// Everything that still counts, as words.
    fn words(&self) -> impl Iterator<Item = Word> {
        let last = self.last_client;
        let gone = last > 0 && !self.clients.contains_key(&last);
        let marks = self.marks.iter().map(|(id, marks)| Word::Marks(*id, *marks));
        let clients = self.clients.values().cloned().map(Word::Client);
        gone.then_some(Word::Revoked(last))
            .into_iter()
            .chain(self.name.clone().map(Word::Name))
            .chain(self.notifications.then_some(Word::Notifications(true)))
            .chain(clients)
            .chain(self.scrubbed.map(Word::Scrubbed))
            .chain(Some(self.day).filter(|day| day.0 > 0).map(Word::Day))
            .chain(marks)
    }
}

impl Word {
    fn write(&self, out: &mut Vec<u8>) {
        let (tag, id, bytes) = match self {
            Self::Marks(id, marks) => {
                let flags = u8::from(marks.favourite) | u8::from(marks.reviewed) << 1;
                (Tag::Marks, id.0, vec![flags])
            }
            Self::Name(name) => (Tag::Name, 0, name.clone().into_bytes()),
            Self::Notifications(wanted) => (Tag::Notifications, 0, vec![u8::from(*wanted)]),
            Self::Client(client) => (Tag::Client, client.id, client_bytes(client)),
            Self::Revoked(id) => (Tag::Revoked, *id, Vec::new()),
            Self::Scrubbed(Scrubbed { at, damaged }) => {
                (Tag::Scrub, 0, [at.0.to_be_bytes(), damaged.to_be_bytes()].concat())
            }
            Self::Day(day) => (Tag::Day, 0, day.0.to_be_bytes().into()),
        };
        Record { tag, id, bytes: &bytes }.write(out);
    }

    fn parse(record: &Record<'_>) -> Option<Self> {
        let mut take = Take(record.bytes);
        Some(match record.tag {
            Tag::Marks => {
                let [flags] = take.bytes()?;
                let marks = Marks { favourite: flags & 1 != 0, reviewed: flags & 2 != 0 };
                Self::Marks(EventId(record.id), marks)
            }
            Tag::Name => Self::Name(std::str::from_utf8(record.bytes).ok()?.into()),
            Tag::Notifications => Self::Notifications(take.bytes()? == [1]),
            Tag::Client => {
                let paired = UnixMs(take.number()?);
                let last_used = Some(UnixMs(take.number()?)).filter(|at| at.0 != 0);
                let token_hash = take.bytes()?;
                let name = take.text()?.into();
                Self::Client(Client { id: record.id, name, paired, last_used, token_hash })
            }
            Tag::Revoked => Self::Revoked(record.id),
            Tag::Scrub => {
                let at = UnixMs(take.number()?);
                Self::Scrubbed(Scrubbed { at, damaged: take.number()? })
            }
            Tag::Day => Self::Day(UnixMs(take.number()?)),
            Tag::Event | Tag::Thumbnail | Tag::Picture | Tag::Gone | Tag::Beat => return None,
        })
    }
}

fn client_bytes(client: &Client) -> Vec<u8> {
    let mut bytes = Vec::from(client.paired.0.to_be_bytes());
    bytes.extend_from_slice(&client.last_used.unwrap_or_default().0.to_be_bytes());
    bytes.extend_from_slice(&client.token_hash);
    bytes.push(u8::try_from(client.name.len()).expect("names are short"));
    bytes.extend_from_slice(client.name.as_bytes());
    bytes
}

/// The log of it, open for writing.
#[derive(Debug)]
pub(super) struct Owner {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn Medium>,
    length: u64,
}

impl Owner {
    /// Opens the log, cuts a torn tail; what it says, and how many records are damaged.
    ///
    /// In a store that is not `fresh`, what is missing or damaged may have been the first
    /// phone: from then on some phone counts as paired, so that damage never opens the door.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        fresh: bool,
    ) -> io::Result<(Self, State, u64)> {
        let mut lost = 0;
        let bytes = match disk::read(&*disk, path) {
            Ok(bytes) if bytes.len() >= MAGIC.len() => bytes,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {
                let mut bytes = Vec::from(MAGIC);
                if !fresh {
                    SOMEBODY.write(&mut bytes);
                    lost = 1;
                }
                replace(&*disk, path, &bytes)?;
                bytes
            }
        };
        let mut state = State::default();
        let mut damaged = lost + u64::from(!bytes.starts_with(&MAGIC));
        let mut length = bytes.len();
        for found in Walk::new(&bytes, MAGIC.len()) {
            match found {
                Found::Record(_, record) => match Word::parse(&record) {
                    Some(word) => state.hear(word),
                    None => damaged += 1,
                },
                Found::Damage(_) => damaged += 1,
                Found::Torn(at) => length = at,
            }
        }
        let mark = path.with_file_name(MARK);
        if damaged > 0 || disk.open(&mark, How::Read).is_ok() {
            state.last_client = state.last_client.max(1);
        }
        let file = disk.open(path, How::Write)?;
        if length < bytes.len() {
            file.set_length(length as u64)?;
        }
        // What a killed process said and never synced is heeded from now on: it has to last.
        file.sync()?;
        let owner = Self { disk, path: path.into(), file, length: length as u64 };
        if state.last_client > 0 {
            owner.mark_paired();
        }
        Ok((owner, state, damaged))
    }

    /// Writes something said and waits until the card has it.
    pub(super) fn say(&mut self, words: &[Word]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(words.len() * (HEADER_BYTES + 1));
        for word in words {
            word.write(&mut bytes);
        }
        let written = self.file.write(self.length, &bytes).and_then(|()| self.file.sync());
        if written.is_ok() {
            self.length += bytes.len() as u64;
            if words.iter().any(|word| matches!(word, Word::Client(_))) {
                self.mark_paired();
            }
        } else {
            let _ = self.file.set_length(self.length);
        }
        written
    }

    /// Leaves a mark of its own that some phone paired: should the log's end be damaged, it looks
    /// like a word half said. Where the card does not take it, the next start tries again.
    fn mark_paired(&self) {
        let mark = self.path.with_file_name(MARK);
        if self.disk.open(&mark, How::Read).is_err() && self.disk.open(&mark, How::Write).is_ok() {
            let _ = self.disk.sync_folder(self.path.parent().expect("a file lies in a folder"));
        }
    }

    /// Rewrites the log when most of it is history.
    pub(super) fn compact(&mut self, state: &State) -> io::Result<()> {
        if self.length < COMPACT_BYTES {
            return Ok(());
        }
        let mut bytes = Vec::from(MAGIC);
        state.words().for_each(|word| word.write(&mut bytes));
        if self.length < 2 * bytes.len() as u64 {
            return Ok(());
        }
        // From the rename on this is the file that counts, even where the sync fails.
        self.file = swap(&*self.disk, &self.path, &bytes)?;
        self.length = bytes.len() as u64;
        self.disk.sync_folder(self.path.parent().expect("a file lies in a folder"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::System;
    use super::super::fault::{self, Point};
    use super::*;
    use std::fs;

    fn client(id: u64) -> Client {
        let token_hash = [u8::try_from(id).unwrap(); 32];
        let (paired, last_used) = (UnixMs(5), Some(UnixMs(6)));
        Client { id, name: format!("phone {id}"), paired, last_used, token_hash }
    }

    #[test]
    fn a_rewrite_that_half_fails_loses_no_later_word() {
        let name = format!("nightjar-owner-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("owner.log");
        let (mut owner, mut state, _) = Owner::open(Arc::new(System), &path, true).unwrap();
        let name = Word::Name("n".repeat(60));
        state.hear(name.clone());
        owner.say(&vec![name; 1000]).unwrap();
        fault::ask(Point::Folder, io::ErrorKind::Other);
        owner.compact(&state).unwrap_err();
        let last = Word::Client(client(7));
        owner.say(std::slice::from_ref(&last)).unwrap();
        state.hear(last);
        let (_, again, damaged) = Owner::open(Arc::new(System), &path, true).unwrap();
        assert_eq!((again, damaged), (state, 0));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn damage_never_opens_the_door() {
        let name = format!("nightjar-owner-lost-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("owner.log");
        let paired = |fresh| Owner::open(Arc::new(System), &path, fresh).unwrap().1.last_client > 0;
        assert!(!paired(true), "a new box waits for its first phone");
        fs::remove_file(&path).unwrap();
        assert!(paired(false), "lost in a store that has lived");
        assert!(paired(false), "and so it stays");
        for bytes in [&b""[..], b"NJ", &[0xff; 400]] {
            fs::write(&path, bytes).unwrap();
            assert!(paired(false), "{} bytes", bytes.len());
            assert!(paired(false), "{} bytes, the next time", bytes.len());
        }
        fs::remove_file(&path).unwrap();
        fs::remove_file(folder.join(MARK)).unwrap();
        let (mut owner, ..) = Owner::open(Arc::new(System), &path, true).unwrap();
        owner.say(&[Word::Name("Door".into()), Word::Client(client(1))]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[MAGIC.len() + HEADER_BYTES] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (_, state, damaged) = Owner::open(Arc::new(System), &path, false).unwrap();
        assert!(damaged > 0);
        assert_eq!(state.clients.len(), 1, "what is whole stays: the first phone, too");
        let whole = fs::read(&path).unwrap();
        for cut in [1, 20, whole.len() - MAGIC.len()] {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert!(paired(false), "the only phone's record lacks {cut} bytes");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_rewritten_state_says_the_same() {
        let mut state = State::default();
        let star = Marks { favourite: true, reviewed: false };
        for word in [
            Word::Name("Door".into()),
            Word::Client(client(1)),
            Word::Client(client(2)),
            Word::Revoked(2),
            Word::Marks(EventId(4), star),
            Word::Marks(EventId(5), star),
            Word::Marks(EventId(5), Marks::default()),
            Word::Notifications(true),
            Word::Scrubbed(Scrubbed { at: UnixMs(8), damaged: 9 }),
            Word::Day(UnixMs(10)),
        ] {
            state.hear(word);
        }
        let mut bytes = Vec::new();
        state.words().for_each(|word| word.write(&mut bytes));
        let mut again = State::default();
        for found in Walk::new(&bytes, 0) {
            let Found::Record(_, record) = found else { panic!("{found:?}") };
            again.hear(Word::parse(&record).unwrap());
        }
        assert_eq!(again, state);
        assert_eq!(again.last_client, 2, "an id is never given twice");
    }
}
