//! Both servers of the product, as the keeper starts them.

use crate::args::Options;
use crate::people;
use crate::place::Place;
use crate::supervise::Spec;
use image_core::keeper::Terms;
use image_core::settings::Settings;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};

/// The edge writes until its end and leans on the other, so it ends first; in all, below 8 s.
const EDGE: Terms = Terms { stage: 0, grace_ms: 5_000 };
/// All that serve it.
pub(crate) const OTHERS: Terms = Terms { stage: 1, grace_ms: 2_500 };
/// Where the detector lies.
pub(crate) const MODEL: &str = "/usr/share/nightjar/model.tflite";
/// From so many crashes in a row on nightjar-edge starts safe, and counts no further.
const SAFE: u32 = 3;
/// Before that the whole machine is begun anew, for what no process can mend.
pub(crate) const WORN: u32 = SAFE - 1;

/// nightjar-signal.
pub(crate) fn signal(options: &Options, settings: &Settings) -> Spec {
    let words = ["--listen", &options.listen.to_string(), "--home"];
    Spec {
        name: "signal".into(),
        program: options.place.at("/usr/bin/nightjar-signal"),
        args: words.iter().map(OsString::from).collect(),
        who: people::who(&options.place, "signal", &[]),
        env: zone(settings),
        terms: OTHERS,
        heard: false,
    }
}

/// nightjar-edge.
pub(crate) fn edge(options: &Options, settings: &Settings) -> Spec {
    let place = &options.place;
    Spec {
        name: "edge".into(),
        program: place.at("/usr/bin/nightjar-edge"),
        args: edge_args(options, settings),
        who: people::who(place, "nightjar", &["video"]),
        env: zone(settings),
        terms: EDGE,
        heard: false,
    }
}

fn zone(settings: &Settings) -> Vec<(&'static str, String)> {
    settings.timezone.iter().map(|it| ("TZ", it.clone())).collect()
}

fn edge_args(options: &Options, settings: &Settings) -> Vec<OsString> {
    let place = &options.place;
    let mut args: Vec<OsString> = vec!["--data-dir".into(), place.at("/data/edge").into()];
    let own = format!("http://{}/", loopback(options.listen));
    let meeting = settings.signal.clone().unwrap_or(own);
    args.extend(["--signal".into(), meeting.into()]);
    args.extend(["--http".into(), options.http.to_string().into()]);
    if place.at(MODEL).exists() {
        args.extend(["--model".into(), place.at(MODEL).into()]);
    }
    args.extend(["--box".into(), place.at("/run/nightjar/box.sock").into()]);
    // Those with a name first: the edge gives the others what is left.
    let (named, other): (Vec<_>, Vec<_>) =
        settings.cameras.iter().partition(|it| it.name.is_some());
    for camera in named.into_iter().chain(other) {
        let named = camera.name.as_ref().map(|name| format!("{name}={}", camera.source));
        args.extend(["--camera".into(), named.unwrap_or_else(|| camera.source.clone()).into()]);
    }
    if let Some(name) = &settings.name {
        args.extend(["--name".into(), name.into()]);
    }
    args
}

/// How a program on this machine reaches what listens there.
fn loopback(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], listen.port()))
    } else {
        listen
    }
}

/// nightjar-edge's data directory, made and owned by it.
pub(crate) fn make_data_dir(place: &Place) -> io::Result<()> {
    let dir = place.at("/data/edge");
    fs::create_dir_all(&dir)?;
    match people::person(place, "nightjar", &[]) {
        Some(person) => chown(&dir, Some(person.uid), Some(person.gid)),
        None => Ok(()),
    }
}

/// nightjar-edge was ended by a signal, so it could not count its crash itself. The directory is
/// the edge's: nothing in it is followed elsewhere.
pub(crate) fn note_crash(place: &Place) -> io::Result<()> {
    let dir = place.at("/data/edge");
    let (file, count) = (dir.join("crashes"), crashes(place));
    if count >= SAFE {
        return Ok(());
    }
    let new = dir.join("crashes.new");
    let _ = fs::remove_file(&new);
    let mut written = File::create_new(&new)?;
    writeln!(written, "{}", count + 1)?;
    let owner = fs::metadata(&dir)?;
    std::os::unix::fs::fchown(&written, Some(owner.uid()), Some(owner.gid()))?;
    fs::rename(new, file)
}

/// How often nightjar-edge has crashed in a row, as it counts itself.
pub(crate) fn crashes(place: &Place) -> u32 {
    let file = place.at("/data/edge/crashes");
    let regular = fs::symlink_metadata(&file).is_ok_and(|it| it.is_file());
    let mut text = String::new();
    let mut read = || File::open(&file)?.take(32).read_to_string(&mut text);
    if regular && read().is_err() {
        return 0;
    }
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn crashes_are_counted_as_the_edge_counts_its_own() {
        let root = std::env::temp_dir().join(format!("nightjar-crashed-{}", std::process::id()));
        let place = Place::new(root.clone());
        make_data_dir(&place).unwrap();
        for want in ["1\n", "2\n", "3\n", "3\n"] {
            note_crash(&place).unwrap();
            assert_eq!(fs::read_to_string(root.join("data/edge/crashes")).unwrap(), want);
            assert_eq!(crashes(&place).to_string(), want.trim());
        }
        let (crashes, other) = (root.join("data/edge/crashes"), root.join("other"));
        fs::write(&other, "1\n").unwrap();
        fs::remove_file(&crashes).unwrap();
        std::os::unix::fs::symlink(&other, &crashes).unwrap();
        note_crash(&place).unwrap();
        assert_eq!(fs::read_to_string(&crashes).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&other).unwrap(), "1\n", "a link leads nowhere");
        assert!(!fs::symlink_metadata(&crashes).unwrap().is_symlink());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_edge_meets_over_loopback() {
        let options = Options {
            place: Place::new(PathBuf::from("/nowhere")),
            listen: "[::]:80".parse().unwrap(),
            http: "127.0.0.1:8778".parse().unwrap(),
            network: false,
        };
        let line = |settings: &Settings| {
            let args = edge_args(&options, settings);
            let words: Vec<_> = args.iter().filter_map(|it| it.to_str()).collect();
            words.join(" ")
        };
        let want = "--data-dir /nowhere/data/edge --signal http://127.0.0.1:80/ \
                    --http 127.0.0.1:8778 --box /nowhere/run/nightjar/box.sock";
        assert_eq!(line(&Settings::default()), want);
        let text = "name = \"Attic\"\nsignal.url = \"wss://x.example/\"\n[[camera]]\n\
                    name = \"Door\"\nsource = \"demo:\"\n[[camera]]\nsource = \"demo:\"\n";
        let want = "--data-dir /nowhere/data/edge --signal wss://x.example/ --http \
                    127.0.0.1:8778 --box /nowhere/run/nightjar/box.sock --camera Door=demo: \
                    --camera demo: --name Attic";
        assert_eq!(line(&image_core::settings::read(text).0), want);
    }
}
