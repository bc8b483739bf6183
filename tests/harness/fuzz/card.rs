//! What a card reads of its updates: a bundle's head and parts, the saved state, `autoboot.txt`.

use image_core::autoboot::{Autoboot, BYTES_MAX, Slot};
use image_core::bundle::{HEAD_MAX, Piece, Reader, Wrong};
use image_core::manifest::Part;
use image_core::update;

/// What a reader made of some bytes: the manifest and both parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    manifest: String,
    parts: [Vec<u8>; 2],
    ends: usize,
}

/// A bundle is the same however it is cut.
pub fn bundle(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, 1), "cut into bytes");
    assert_eq!(whole, read(bytes, 7), "cut into sevens");
    let Ok(read) = whole else { return };
    let [boot, root] = &read.parts;
    assert!(read.ends == 2 && bytes.len() - boot.len() - root.len() <= HEAD_MAX);
}

fn read(bytes: &[u8], piece: usize) -> Result<Read, Wrong> {
    let (mut reader, mut read) = (Reader::new(), Read::default());
    for mut input in bytes.chunks(piece).chain([&[][..]]) {
        while let Some(piece) = reader.read(&mut input)? {
            match piece {
                Piece::Head => {
                    let head = reader.head().expect("the head is there");
                    read.manifest = head.manifest.to_string();
                    assert_eq!(
                        read.manifest.as_bytes(),
                        head.signed,
                        "what is signed is what is said"
                    );
                }
                Piece::Data(part, data) => {
                    assert!(!data.is_empty());
                    read.parts[usize::from(part == Part::Root)].extend(data);
                }
                Piece::End(part) => {
                    assert_eq!(part, Part::ALL[read.ends]);
                    read.ends += 1;
                }
            }
        }
        assert!(input.is_empty());
    }
    reader.finish().map(|()| read)
}

/// `autoboot.txt`: a commit changes two digits, and another one changes them back.
pub fn autoboot(bytes: &[u8]) {
    let Ok(read) = Autoboot::parse(bytes) else { return };
    assert!(bytes.len() <= BYTES_MAX && read.text() == bytes);
    let other = read.slot().other();
    let Ok(after) = read.committed(other) else { return };
    assert_eq!(Autoboot::parse(after.text()), Ok(after));
    assert_eq!((after.slot(), after.trial()), (other, read.slot().boot()));
    let changed = bytes.iter().zip(after.text()).filter(|(a, b)| a != b).count();
    assert_eq!((changed, after.text().len()), (2, bytes.len()));
    assert_eq!(after.committed(read.slot()), Ok(read));
    assert_eq!(Slot::from_partition(read.partition().into()), Some(read.slot()));
}

/// The state of an update, and what a start makes of it.
pub fn saved(bytes: &[u8]) {
    let Some(saved) = update::Saved::parse(bytes) else { return };
    let text = saved.to_string();
    assert!(text.len() <= update::BYTES_MAX);
    assert_eq!(update::Saved::parse(text.as_bytes()), Some(saved));
    for (slot, trial) in [(Slot::A, false), (Slot::B, true), (Slot::B, false)] {
        let mut machine = update::Machine::new(0, &config(saved, update::Booted { slot, trial }));
        // Everything fails: it comes to rest.
        let steps = std::iter::from_fn(|| {
            let action = machine.poll_output()?;
            machine.handle_done(0, update::Done::Badly);
            Some(action)
        });
        assert!(steps.take(9).count() < 9, "it goes on without an end");
    }
}

fn config(saved: update::Saved, booted: update::Booted) -> update::Config<'static> {
    update::Config {
        board: "here",
        version: image_core::version::Version([1, 0, 0]),
        booted,
        can_try: true,
        has_key: true,
        trial_ms: 15_000,
        room: [1 << 20; 2],
        autoboot: Some(Autoboot::new(Slot::A)),
        saved,
    }
}
