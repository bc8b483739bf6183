//! The web app, carried in the program: `signal/web`, one row a file.

use crate::head::Head;
use crate::response::Response;
use sha1_smol::Sha1;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Where the app's start page lies in the table.
const INDEX: &str = "index.html";

/// The service worker, whose version stamp is set when the files are read.
const WORKER: &str = "sw.js";

/// What stands in the service worker where its version goes.
const STAMP: &str = "__VERSION__";

/// Only our own scripts, styles and pictures; thumbnails are blobs. Requests and sockets go where
/// the page came from: `'self'` covers ws: and wss: in every browser that has `<dialog>`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; \
    worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! table {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../web/", $name)))),*]
    };
}

/// Path below the prefix, and content.
const TABLE: &[(&str, &[u8])] = table![
    "app.css",
    "icons/hero.svg",
    "icons/icon-192.png",
    "icons/icon-512.png",
    "icons/icon.svg",
    "icons/maskable-512.png",
    "icons/maskable.svg",
    "index.html",
    "js/app.js",
    "js/device.js",
    "js/favourites.js",
    "js/feed.js",
    "js/link/ahead.js",
    "js/link/error.js",
    "js/link/partials.js",
    "js/link/requester.js",
    "js/link/rtc.js",
    "js/link/signaling.js",
    "js/link/wire.js",
    "js/main.js",
    "js/pictures.js",
    "js/store.js",
    "js/timeline.js",
    "js/view/cameras.js",
    "js/view/card.js",
    "js/view/devices.js",
    "js/view/dialog.js",
    "js/view/dom.js",
    "js/view/event.js",
    "js/view/favourites.js",
    "js/view/home.js",
    "js/view/icons.js",
    "js/view/install.js",
    "js/view/list.js",
    "js/view/live.js",
    "js/view/notices.js",
    "js/view/pair.js",
    "js/view/phones.js",
    "js/view/picture.js",
    "js/view/shell.js",
    "js/view/system.js",
    "js/view/timeline.js",
    "js/wishes.js",
    "js/words.js",
    "link.js",
    "manifest.webmanifest",
    "sw.js",
];

/// One file as it is served.
#[derive(Debug)]
struct File {
    name: &'static str,
    content: Cow<'static, [u8]>,
    /// SHA-1 of the content, in quotes.
    etag: String,
}

/// Every file. They are read when the first is asked for: until then they take no memory, and
/// no time at the start.
#[derive(Debug, Default)]
pub struct Files {
    files: OnceCell<Vec<File>>,
}

impl Files {
    /// The files, the service worker stamped with what all of them together are.
    fn load() -> Vec<File> {
        let mut all = Sha1::new();
        for (name, content) in TABLE {
            all.update(name.as_bytes());
            all.update(content);
        }
        let version = all.digest().to_string();
        let file = |(name, content): &(&'static str, &'static [u8])| {
            let content = match std::str::from_utf8(content) {
                Ok(text) if *name == WORKER => text.replace(STAMP, &version).into_bytes().into(),
                _ => Cow::Borrowed(*content),
            };
            let etag = format!("\"{}\"", Sha1::from(&content).digest());
            File { name, content, etag }
        };
        TABLE.iter().map(file).collect()
    }

    /// The start page.
    pub fn index(&self, head: &Head) -> Option<Response> {
        self.answer(INDEX, head)
    }

    /// The file of that path below the prefix.
    pub fn answer(&self, name: &str, head: &Head) -> Option<Response> {
        let file = self.files.get_or_init(Self::load).iter().find(|file| file.name == name)?;
        let known = head
            .headers("if-none-match")
            .flat_map(|value| value.split(','))
            .any(|tag| tag.trim().trim_start_matches("W/") == file.etag || tag.trim() == "*");
        let content_type = content_type(name);
        let response = if known {
            Response::empty(304)
        } else {
            Response::new(200, content_type, file.content.clone())
        };
        let response = response.with("ETag", file.etag.clone()).with("Cache-Control", "no-cache");
        Some(match name {
            INDEX => response.with("Content-Security-Policy", POLICY).with("Vary", "Accept"),
            WORKER => response.with("Content-Security-Policy", POLICY),
            // link.js and what it imports serve other apps too.
            _ if content_type.starts_with("text/javascript") => response.for_any_origin(),
            _ => response,
        })
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn list(folder: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                list(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn the_table_is_the_folder() {
        let mut found = Vec::new();
        list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), "", &mut found);
        found.sort();
        let mut rows: Vec<_> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
        rows.sort();
        assert_eq!(rows, found, "the table in files.rs lists every file of signal/web");
    }

    #[test]
    fn every_file_has_a_type_and_the_worker_a_version() {
        for file in Files::load() {
            assert_ne!(content_type(file.name), "application/octet-stream", "{}", file.name);
            let text = String::from_utf8_lossy(&file.content);
            assert!(!text.contains(STAMP), "{} is stamped", file.name);
        }
    }
}
