//! `nightjar.toml`, what an owner decides on the card: read as far as it is good, every mistake
//! named with its line in plain words, the passphrase never shown.

mod mistake;
mod template;

pub use mistake::Mistake;
pub use template::TEMPLATE;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;
use mistake::Mistakes;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// More than this is no settings file, bytes.
pub const BYTES: usize = 64 * 1024;
/// What the box is called in its network, where nothing else is said.
pub const HOSTNAME: &str = "nightjar";
/// Most cameras, most time servers.
const MANY: usize = 8;

/// What an owner decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in the network, without `.local`.
    pub hostname: String,
    /// What phones show.
    pub name: Option<String>,
    /// Such as `Europe/Berlin`.
    pub timezone: Option<String>,
    /// The radio network to join.
    pub wifi: Option<Wifi>,
    /// Another meeting place than the box's own.
    pub signal: Option<String>,
    /// Time servers besides those of DHCP.
    pub time: Vec<String>,
    /// Name and source of each; none: the first one found.
    pub cameras: Vec<Camera>,
}

/// A radio network.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name.
    pub ssid: String,
    /// `None`: an open network. Empty: taken over before.
    pub passphrase: Option<String>,
    /// Whose rules the radio follows.
    pub country: Option<String>,
}

impl core::fmt::Debug for Wifi {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// What phones show; where there is none, `camera`, `camera2`.
    pub name: Option<String>,
    /// As `nightjar-edge --camera` takes it.
    pub source: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: HOSTNAME.to_owned(),
            name: None,
            timezone: None,
            wifi: None,
            signal: None,
            time: Vec::new(),
            cameras: Vec::new(),
        }
    }
}

/// Why a radio network cannot be that, in words that follow the value's name.
pub fn check_wifi(wifi: &Wifi) -> Result<(), (&'static str, &'static str)> {
    if !is_ssid(&wifi.ssid) {
        return Err(("ssid", SSID));
    }
    if !wifi.passphrase.as_deref().is_none_or(|it| it.is_empty() || is_passphrase(it)) {
        return Err(("passphrase", PASSPHRASE));
    }
    if !wifi.country.as_deref().is_none_or(is_country) {
        return Err(("country", COUNTRY));
    }
    Ok(())
}

const SSID: &str = "the network's name, 1 to 32 bytes";
const PASSPHRASE: &str = "8 to 63 letters, digits and signs, without umlauts and the like";
const COUNTRY: &str = "two capital letters, such as DE";

fn is_ssid(text: &str) -> bool {
    (1..=32).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_passphrase(text: &str) -> bool {
    let phrase = (8..=63).contains(&text.len()) && text.bytes().all(|it| (32..127).contains(&it));
    phrase || text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|it| it.is_ascii_uppercase())
}

fn is_hostname(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    // Where it is taken, a number is added: a label has 63 at most.
    (1..=60).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.trim().len()) && !text.chars().any(char::is_control)
}

fn is_timezone(text: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|it: char| it.is_ascii_uppercase())
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'+'))
    };
    text.len() <= 64 && text.split('/').all(word)
}

fn is_server(text: &str) -> bool {
    let letter = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b':');
    (1..=253).contains(&text.len()) && text.bytes().all(letter)
}

fn is_url(text: &str) -> bool {
    let schemes = ["http://", "https://", "ws://", "wss://"];
    let rest = schemes.iter().find_map(|it| text.strip_prefix(it));
    rest.is_some_and(|it| is_authority(it.split(['/', '?']).next().unwrap_or_default()))
        && text.len() <= 512
        && !text.contains('#')
        && text.bytes().all(|it| it.is_ascii_graphic())
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`, as nightjar-edge takes it.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_address = |it: &str| it.bytes().all(|it| it.is_ascii_hexdigit() || it == b':');
    let letter = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_');
    let fine = inner.map_or_else(|| host.bytes().all(letter), is_address);
    fine && !host.is_empty() && port.is_none_or(|it| it.parse::<u16>().is_ok_and(|it| it > 0))
}

fn is_camera_name(text: &str) -> bool {
    let letter = |it: char| it.is_ascii_alphanumeric() || matches!(it, ' ' | '-' | '_' | '.');
    (1..=32).contains(&text.len()) && text.trim() == text && text.chars().all(letter)
}

/// `v4l2:/dev/videoN[?size=WxH&fps=N]` or `demo:`; a card has no pictures to replay.
fn is_source(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("v4l2:/dev/") else { return text == "demo:" };
    let (device, wishes) = rest.split_once('?').unwrap_or((rest, "fps=1"));
    let number =
        |it: &str, least: u32, most: u32| it.parse().is_ok_and(|it| (least..=most).contains(&it));
    let side = |it: &str| number(it, 16, 8192);
    let wish = |wish: &str| match wish.split_once('=') {
        Some(("fps", it)) => number(it, 1, 120),
        Some(("size", it)) => it.split_once('x').is_some_and(|(w, h)| side(w) && side(h)),
        _ => false,
    };
    let letter = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'/');
    !device.is_empty() && device.bytes().all(letter) && wishes.split('&').all(wish)
}

/// Reads a settings file: what is good of it, and all that is not.
pub fn read(text: &str) -> (Settings, Vec<Mistake>) {
    let text = bare(text);
    let mut mistakes = Mistakes::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        mistakes.syntax(error);
    }
    let mut settings = Settings::default();
    let mut top = Section { table: root.get_ref(), name: "", mistakes: &mut mistakes };
    top.know(&["hostname", "name", "timezone", "wifi", "signal", "time", "camera"]);
    let hostname = "1 to 60 small letters, digits and -, such as nightjar";
    if let Some(it) = top.text("hostname", hostname, is_hostname) {
        settings.hostname = it;
    }
    settings.name = top.text("name", "1 to 64 bytes of text", is_name);
    settings.timezone = top.text("timezone", "a place such as Europe/Berlin", is_timezone);
    settings.wifi = top.section("wifi").and_then(|mut it| it.wifi());
    settings.signal = top.section("signal").and_then(|mut it| {
        it.know(&["url"]);
        it.text("url", "an address such as https://meet.example.org/", is_url)
    });
    settings.time = top.section("time").map(|mut it| it.servers()).unwrap_or_default();
    settings.cameras = top.cameras();
    (settings, mistakes.sorted())
}

/// Without what some editors put first.
fn bare(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A table of the file.
struct Section<'a, 't, 'm> {
    table: &'a DeTable<'t>,
    name: &'static str,
    mistakes: &'m mut Mistakes<'t>,
}

impl<'a, 't> Section<'a, 't, '_> {
    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn know(&mut self, known: &[&str]) {
        for (key, _) in self.table {
            if !known.contains(&key.get_ref().as_ref()) {
                self.mistakes.unknown(key.span(), self.name, known);
            }
        }
    }

    fn text(&mut self, key: &str, what: &str, good: fn(&str) -> bool) -> Option<String> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        match text {
            Some(text) if good(text) => Some(text.to_owned()),
            Some(text) if key != "passphrase" => {
                self.mistakes.value(value.span(), key, what, Some(text))
            }
            Some(_) => self.mistakes.value(value.span(), key, what, None),
            None => self.mistakes.quotes(value.span(), key, what),
        }
    }

    fn section<'s>(&'s mut self, key: &'static str) -> Option<Section<'a, 't, 's>> {
        let value = self.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.mistakes.add(value.span(), format!("{key} is a section: write [{key}] above"));
            return None;
        };
        Some(Section { table, name: key, mistakes: self.mistakes })
    }

    fn wifi(&mut self) -> Option<Wifi> {
        self.know(&["ssid", "passphrase", "country"]);
        let country = self.text("country", COUNTRY, is_country);
        let good = |it: &str| it.is_empty() || is_passphrase(it);
        let passphrase = self.text("passphrase", PASSPHRASE, good);
        let wrong = self.get("passphrase").is_some() && passphrase.is_none();
        if self.get("ssid").is_some_and(|it| it.get_ref().as_str() == Some("")) {
            // The template, as it is.
            return None;
        }
        if self.get("ssid").is_none() && passphrase.as_deref().is_some_and(|it| !it.is_empty()) {
            self.mistakes.missing("passphrase", "[wifi] has a passphrase, but no ssid");
        }
        let ssid = self.text("ssid", SSID, is_ssid)?;
        (!wrong).then_some(Wifi { ssid, passphrase, country })
    }

    fn servers(&mut self) -> Vec<String> {
        self.know(&["servers"]);
        let what = "a list of names or addresses, such as [\"pool.ntp.org\"]";
        let Some(value) = self.get("servers") else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.mistakes.add(value.span(), format!("servers is {what}"));
            return Vec::new();
        };
        let mut servers = Vec::new();
        for value in list {
            match value.get_ref().as_str() {
                Some(text) if is_server(text) && servers.len() < MANY => servers.push(text.into()),
                text => {
                    let _: Option<()> = self.mistakes.value(value.span(), "servers", what, text);
                }
            }
        }
        servers
    }

    fn cameras(&mut self) -> Vec<Camera> {
        let Some(value) = self.get("camera") else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.mistakes.add(value.span(), "a camera's section is written [[camera]]".into());
            return Vec::new();
        };
        let mut cameras: Vec<Camera> = Vec::new();
        for value in list {
            let Some(table) = value.get_ref().as_table() else { continue };
            let mut one = Section { table, name: "camera", mistakes: self.mistakes };
            let Some(camera) = one.camera() else {
                continue;
            };
            let named = camera.name.is_some();
            if cameras.len() == MANY {
                self.mistakes.add(value.span(), format!("there are more than {MANY} cameras"));
            } else if named && cameras.iter().any(|it| it.name == camera.name) {
                self.mistakes.add(value.span(), "another camera has this one's name".into());
            } else {
                cameras.push(camera);
            }
        }
        cameras
    }

    fn camera(&mut self) -> Option<Camera> {
        self.know(&["name", "source"]);
        let name = "1 to 32 letters, digits, spaces and -_.";
        let name = self.text("name", name, is_camera_name);
        let what = "such as v4l2:/dev/video0 or v4l2:/dev/video0?size=640x480&fps=10";
        let source = self.text("source", what, is_source)?;
        Some(Camera { name, source })
    }
}

/// Where a passphrase stands, that is not empty: with its quotes.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let cut = text.len() - bare(text).len();
    let (root, _) = DeTable::parse_recoverable(bare(text));
    let wifi = root.get_ref().iter().find(|(key, _)| key.get_ref() == "wifi");
    let table = wifi.and_then(|(_, value)| value.get_ref().as_table());
    let values = table.into_iter().flatten().filter(|(key, _)| key.get_ref() == "passphrase");
    let parsed = values.map(|(_, it)| it.span()).map(|it| it.start + cut..it.end + cut);
    let parsed: Vec<_> = parsed.collect();
    let noted = |at: usize| text.get(at..).is_none_or(ends_or_notes);
    let told = |at: &Range<usize>| {
        let value = text.get(at.clone()).unwrap_or_default().trim();
        !matches!(value, "" | "\"\"" | "''")
    };
    // What the parser gave up on: lines that begin so, to their end.
    let given_up = values_by_line(text).filter(|line| {
        let emptied = matches!(text.get(line.start..line.start + 2), Some("\"\"" | "''"));
        let known = |it: &Range<usize>| it.start == line.start && noted(it.end);
        !(noted(line.start) || emptied && noted(line.start + 2) || parsed.iter().any(known))
    });
    let mut all: Vec<_> = parsed.iter().filter(|it| told(it)).cloned().chain(given_up).collect();
    all.sort_by_key(|it| it.start);
    all.dedup_by(|next, it| {
        let meet = next.start <= it.end;
        it.end = if meet { it.end.max(next.end) } else { it.end };
        meet
    });
    all
}

/// Whether the rest of this line says nothing to the box.
fn ends_or_notes(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or_default().trim_start();
    line.is_empty() || line.starts_with('#')
}

/// What stands after `passphrase =` on each line that begins so.
fn values_by_line(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let at = next;
        next += line.len();
        let line = line.trim_end();
        let key = bare(line).trim_start().strip_prefix("passphrase")?;
        let value = key.trim_start().strip_prefix('=')?.trim_start();
        Some(at + line.len() - value.len()..at + line.len())
    })
}

/// Whether the file tells a passphrase.
pub fn tells_passphrase(text: &str) -> bool {
    !secrets(text).is_empty()
}

/// The same file without its passphrase, as long in bytes as it was: written in place it leaves
/// nothing of it on the card, and touches no more than the sectors where it stood.
pub fn blanked(text: &str) -> String {
    let mut bytes = text.to_owned().into_bytes();
    for at in secrets(text) {
        let room = text.get(at.clone()).is_some_and(|it| it.find('\n').unwrap_or(it.len()) >= 2);
        let quotes = if room { 2 } else { 0 };
        for (number, byte) in bytes.get_mut(at).into_iter().flatten().enumerate() {
            *byte = match *byte {
                b'\n' => *byte,
                _ if number < quotes => b'"',
                _ => b' ',
            };
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The settings that hold from now on: `new` as read from `text`, with what the card knows of a
/// radio network that `text` names without its passphrase, names wrongly, or leaves open by an
/// empty name.
pub fn take_over(text: &str, old: &Settings) -> (Settings, Vec<Mistake>) {
    let (mut new, mut mistakes) = read(text);
    let names_wifi = mistakes.iter().any(Mistake::is_about_wifi);
    match &mut new.wifi {
        Some(wifi) if wifi.passphrase.as_deref() == Some("") => {
            let known = old.wifi.as_ref().filter(|it| it.ssid == wifi.ssid);
            if let Some(known) = known.filter(|it| it.passphrase.is_some()) {
                wifi.passphrase.clone_from(&known.passphrase);
            } else {
                let words = "passphrase is empty, and this box does not know this network; \
                             an open one has no line passphrase";
                mistakes.push(Mistake::new(line_of(text, "passphrase"), words));
                new.wifi.clone_from(&old.wifi);
            }
        }
        None if names_wifi || leaves_wifi(text) => new.wifi.clone_from(&old.wifi),
        Some(_) | None => {}
    }
    (new, mistakes)
}

/// Whether the file has a radio network's section without its name, as the template does.
fn leaves_wifi(text: &str) -> bool {
    let (root, _) = DeTable::parse_recoverable(bare(text));
    let section = root.get_ref().get("wifi").and_then(|it| it.get_ref().as_table());
    let ssid = section.and_then(|it| it.get("ssid"));
    ssid.is_some_and(|it| it.get_ref().as_str() == Some(""))
}

/// The line, from 1, that begins with a word.
fn line_of(text: &str, word: &str) -> usize {
    let lines = bare(text).lines();
    lines.map(str::trim_start).position(|it| it.starts_with(word)).map_or(1, |it| it + 1)
}

impl Settings {
    /// As the box keeps them, the passphrase included.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        };
        line("hostname", Some(&self.hostname));
        line("name", self.name.as_deref());
        line("timezone", self.timezone.as_deref());
        if let Some(wifi) = &self.wifi {
            line("wifi.ssid", Some(&wifi.ssid));
            line("wifi.passphrase", wifi.passphrase.as_deref());
            line("wifi.country", wifi.country.as_deref());
        }
        line("signal.url", self.signal.as_deref());
        let servers: Vec<_> = self.time.iter().map(|it| quoted(it)).collect();
        let _ = writeln!(text, "time.servers = [{}]", servers.join(", "));
        for camera in &self.cameras {
            text += "[[camera]]\n";
            if let Some(name) = &camera.name {
                let _ = writeln!(text, "name = {}", quoted(name));
            }
            let _ = writeln!(text, "source = {}", quoted(&camera.source));
        }
        text
    }
}

fn quoted(text: &str) -> String {
    let mut out = "\"".to_string();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            it if it.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(it));
            }
            it => out.push(it),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests;
