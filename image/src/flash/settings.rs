//! An owner's settings into the image's own `nightjar.toml`: from flags, or asked for on a terminal.
//! What stands there otherwise, notes for people among it, stays.

use super::question;
use crate::failure::Failure;
use crate::screen::{self, Screen};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use toml_edit::{DocumentMut, Item, Table, value};

/// What was said; what was not stays as the image has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) wifi: Option<String>,
    /// A file whose first line is the passphrase: a command line is seen by everybody.
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) passphrase: Option<Secret>,
    pub(crate) country: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) signal: Option<String>,
}

/// Shows itself to nobody.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

impl Answers {
    /// Whether nothing was said.
    pub(super) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// With the passphrase out of its file, and checked.
    pub(super) fn whole(mut self) -> Result<Self, Failure> {
        if let Some(path) = self.passphrase_file.take() {
            let text = fs::read_to_string(&path);
            let text =
                text.map_err(|error| Failure::Trouble(format!("{}: {error}", path.display())))?;
            self.passphrase = Some(Secret(text.lines().next().unwrap_or_default().to_owned()));
        }
        match self.mistake() {
            Some(mistake) => Err(Failure::Usage(mistake)),
            None => Ok(self),
        }
    }

    /// What the box would say of them, in its own words.
    fn mistake(&self) -> Option<String> {
        if self.wifi.is_none() && (self.passphrase.is_some() || self.country.is_some()) {
            return Some("a passphrase and a country go with a network: --wifi SSID".into());
        }
        let (_, mistakes) = image_core::settings::read(&self.put_into(""));
        mistakes.into_iter().next().map(|it| it.words)
    }

    /// The file's text with them in it.
    pub(super) fn put_into(&self, file: &str) -> String {
        let mut document = file.parse::<DocumentMut>().unwrap_or_default();
        let mut put = |section: Option<&str>, key: &str, said: Option<&str>| {
            let Some(said) = said else { return };
            let table = match section {
                None => document.as_table_mut(),
                Some(name) => {
                    if !document.get(name).is_some_and(Item::is_table) {
                        document.remove(name);
                    }
                    let item = document.entry(name).or_insert(Item::Table(Table::new()));
                    let Some(table) = item.as_table_mut() else { return };
                    table
                }
            };
            match table.get_mut(key).and_then(Item::as_value_mut) {
                // Its notes, before and behind it, stay.
                Some(old) => {
                    let notes = old.decor().clone();
                    *old = said.into();
                    *old.decor_mut() = notes;
                }
                None => drop(table.insert(key, value(said))),
            }
        };
        put(None, "hostname", self.hostname.as_deref());
        put(None, "name", self.name.as_deref());
        put(None, "timezone", self.timezone.as_deref());
        put(Some("wifi"), "ssid", self.wifi.as_deref());
        put(Some("wifi"), "passphrase", self.passphrase.as_ref().map(|it| it.0.as_str()));
        put(Some("wifi"), "country", self.country.as_deref());
        put(Some("signal"), "url", self.signal.as_deref());
        // An open network has no passphrase; one that stands there is another network's.
        let wifi = document.get_mut("wifi").and_then(Item::as_table_mut);
        if let Some(wifi) = wifi.filter(|_| self.wifi.is_some() && self.passphrase.is_none()) {
            wifi.remove("passphrase");
        }
        document.to_string()
    }
}

/// Asks for what most people want to say.
pub(super) fn ask(screen: &Mutex<Screen>) -> Result<Answers, Failure> {
    screen::lock(screen).say("What the box should know; nothing leaves it as it is.");
    let mut answers = Answers::default();
    one(screen, &mut answers, "Wi-Fi network (nothing with a cable): ", false, |it, said| {
        it.wifi = said;
    })?;
    if answers.wifi.is_some() {
        one(screen, &mut answers, "Its passphrase (not shown): ", true, |it, said| {
            it.passphrase = said.map(Secret);
        })?;
        one(screen, &mut answers, "Country, two capital letters: ", false, |it, said| {
            it.country = said;
        })?;
    }
    one(screen, &mut answers, "Name that phones show: ", false, |it, said| it.name = said)?;
    let here = fs::read_link("/etc/localtime").ok();
    let here = here.and_then(|it| Some(it.to_str()?.split_once("zoneinfo/")?.1.to_owned()));
    let question = format!("Time zone ({}): ", here.as_deref().unwrap_or("UTC"));
    one(screen, &mut answers, &question, false, |it, said| it.timezone = said.or(here.clone()))?;
    Ok(answers)
}

/// One question, until its answer is good.
fn one(
    screen: &Mutex<Screen>,
    answers: &mut Answers,
    question: &str,
    unseen: bool,
    put: impl Fn(&mut Answers, Option<String>),
) -> Result<(), Failure> {
    loop {
        let ask = if unseen { question::ask_unseen } else { question::ask };
        put(answers, Some(ask(screen, question)?).filter(|it| !it.is_empty()));
        match answers.mistake() {
            None => return Ok(()),
            Some(mistake) => screen::lock(screen).say(&mistake),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Answers {
        Answers {
            wifi: Some(r#"Home "5 GHz" \o/"#.into()),
            passphrase: Some(Secret("[wifi] # \"'".into())),
            country: Some("DE".into()),
            hostname: Some("porch".into()),
            name: Some("Front door".into()),
            timezone: Some("Europe/Berlin".into()),
            signal: Some("https://meet.example.org/".into()),
            ..Answers::default()
        }
    }

    #[test]
    fn every_sign_of_a_name_and_a_passphrase_survives() {
        let text = said().put_into("");
        let read = text.parse::<DocumentMut>().unwrap();
        assert_eq!(read["wifi"]["ssid"].as_str(), Some(r#"Home "5 GHz" \o/"#));
        assert_eq!(read["wifi"]["passphrase"].as_str(), Some("[wifi] # \"'"));
        assert_eq!(read["hostname"].as_str(), Some("porch"));
        assert_eq!(read["signal"]["url"].as_str(), Some("https://meet.example.org/"));
    }

    #[test]
    fn notes_and_what_was_not_said_stay() {
        let file = "# Notes.\nhostname = \"nightjar\" # here\n\n[wifi]\nssid = \"\"\npassphrase = \"other\"\n#country = \"DE\"\n\
                    [[camera]]\nsource = \"demo:\"\n";
        assert_eq!(Answers::default().put_into(file), file);
        let text = Answers { wifi: Some("Home".into()), ..Answers::default() }.put_into(file);
        let rest = "# Notes.\nhostname = \"nightjar\" # here\n\n[wifi]\nssid = \"Home\"\n";
        assert!(text.starts_with(rest) && !text.contains("passphrase"), "{text}");
        assert!(text.contains("source = \"demo:\""), "{text}");
        let text = Answers { hostname: Some("porch".into()), ..Answers::default() }.put_into(file);
        assert_eq!(text, file.replace("nightjar", "porch"));
        let odd = said().put_into("wifi = 5\n= broken");
        assert_eq!(odd, said().put_into(""), "a file that is none is replaced");
        assert!(said().put_into("wifi = 5").contains("[wifi]\nssid"));
    }

    #[test]
    fn mistakes_are_named() {
        type Spoil = fn(&mut Answers);
        let wrong: [(Spoil, &str); 8] = [
            (|it| it.wifi = None, "--wifi SSID"),
            (|it| it.wifi = Some("x".repeat(33)), "ssid is"),
            (|it| it.passphrase = Some(Secret("short".into())), "passphrase is 8 to 63"),
            (|it| it.country = Some("de".into()), "country is two capital letters"),
            (|it| it.hostname = Some("My box".into()), "hostname is"),
            (|it| it.name = Some("a\nb".into()), "name is"),
            (|it| it.timezone = Some("berlin".into()), "timezone is"),
            (|it| it.signal = Some("here".into()), "url is"),
        ];
        for (spoil, word) in wrong {
            let mut answers = said();
            spoil(&mut answers);
            let line = answers.whole().unwrap_err().to_string();
            assert!(line.contains(word) && !line.contains("short"), "{line}");
        }
        assert!(said().whole().is_ok());
        assert!(!format!("{:?}", said()).contains("# "), "a passphrase is shown to nobody");
    }

    #[test]
    fn the_box_reads_what_is_put_into_its_template() {
        let text = said().put_into(image_core::settings::TEMPLATE);
        let (settings, mistakes) = image_core::settings::read(&text);
        assert_eq!(mistakes, []);
        let wifi = settings.wifi.unwrap();
        assert_eq!(wifi.passphrase.as_deref(), Some("[wifi] # \"'"));
        assert_eq!((settings.hostname.as_str(), wifi.country.as_deref()), ("porch", Some("DE")));
        assert!(text.contains("# Wi-Fi. The passphrase is moved"), "{text}");
    }
}
