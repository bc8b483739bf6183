//! Settings as people write them, right and wrong.

use super::*;
use std::vec;

const GOOD: &str = r#"hostname = "attic"
name = "Attic"
timezone = "Europe/Berlin"
[wifi]
ssid = "Home"
passphrase = "a \"good\" one" # do not tell
country = "DE"
[signal]
url = "https://meet.example.org/"
[time]
servers = ["pool.ntp.org", "10.0.0.1"]
[[camera]]
name = "Front door"
source = "v4l2:/dev/video0?size=640x480&fps=10"
[[camera]]
source = "demo:"
"#;

fn said(text: &str) -> Vec<String> {
    read(text).1.iter().map(ToString::to_string).collect()
}

fn wifi(ssid: &str, passphrase: Option<&str>) -> Settings {
    let passphrase = passphrase.map(Into::into);
    let wifi = Some(Wifi { ssid: ssid.into(), passphrase, country: None });
    Settings { wifi, ..Settings::default() }
}

#[test]
fn every_setting_is_read_and_kept() {
    let (settings, mistakes) = read(GOOD);
    assert_eq!(mistakes, []);
    assert_eq!((settings.hostname.as_str(), settings.name.as_deref()), ("attic", Some("Attic")));
    let wifi = settings.wifi.as_ref().unwrap();
    assert_eq!(wifi.passphrase.as_deref(), Some("a \"good\" one"));
    assert_eq!(settings.time, ["pool.ntp.org", "10.0.0.1"]);
    assert_eq!((settings.cameras.len(), settings.cameras[1].name.as_deref()), (2, None));
    assert_eq!(read(&settings.to_toml()), (settings, vec![]));
    assert_eq!(read(&Settings::default().to_toml()), (Settings::default(), vec![]));
}

#[test]
fn the_template_says_nothing() {
    assert_eq!(read(TEMPLATE), (Settings::default(), vec![]));
    let lines = TEMPLATE.lines().map(|it| match it.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => it,
    });
    let all: Vec<_> = lines.collect();
    let all = all.join("\n").replace("ssid = \"\"", "ssid = \"Home\"");
    let (settings, mistakes) = read(&all);
    assert_eq!(mistakes, [], "{all}");
    assert!(settings.name.is_some() && settings.signal.is_some());
    assert!(settings.wifi.is_some() && settings.time.len() == 1 && settings.cameras.len() == 1);
    assert!(!tells_passphrase(TEMPLATE) && blanked(TEMPLATE) == TEMPLATE);
}

#[test]
fn mistakes_are_all_named_and_the_rest_holds() {
    let text = "hostnme = \"attic\"\nname = \"Attic\"\n\n[wifi]\nssid = \"Home\"\n\
                passphrase = \"short\"\ncountry = \"Germany\"\n[[camera]]\nsource = \"usb\"\n\
                [time]\nservers = \"pool\"\n";
    let want = [
        "line 1: there is no setting hostnme here; there are: hostname, name, timezone, wifi, \
         signal, time, camera",
        "line 6: passphrase is 8 to 63 letters, digits and signs, without umlauts and the like",
        "line 7: country is two capital letters, such as DE; this is Germany",
        "line 9: source is such as v4l2:/dev/video0 or v4l2:/dev/video0?size=640x480&fps=10; \
         this is usb",
        "line 11: servers is a list of names or addresses, such as [\"pool.ntp.org\"]",
    ];
    assert_eq!(said(text), want);
    assert_eq!(read(text).0.name.as_deref(), Some("Attic"));
}

#[test]
fn forgotten_and_odd_quotes_are_told_from_other_noise() {
    let quotes = "what stands after = is written in straight double quotes, such as \"Home\"";
    let text = "name = “Attic”\n[wifi]\nssid = Home\npassphrase = hunter22hunter22\n";
    let said = said(text);
    assert_eq!(said[0], std::format!("line 1: {quotes}"));
    assert!(said.contains(&std::format!("line 3: {quotes}")), "{said:?}");
    assert!(said.iter().all(|it| !it.contains("hunter")), "{said:?}");
    let (settings, mistakes) = read("name = \"Attic\"\n]]\nhostname = \"a\"\n");
    assert_eq!((settings.name.as_deref(), settings.hostname.as_str()), (Some("Attic"), "a"));
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 2));
    assert_eq!(
        read("name = 5").1[0].words,
        "name is 1 to 64 bytes of text, in straight double quotes"
    );
    assert_eq!(read("wifi = 5").1[0].words, "wifi is a section: write [wifi] above");
}

#[test]
fn a_passphrase_is_blanked_wherever_it_stands() {
    for text in [
        GOOD,
        "\u{feff}[wifi]\r\nssid = \"Home\"\r\npassphrase = \"hunter22\"\r\ncountry = \"DE\"\r\n",
        "wifi.passphrase = 'hunter22'\n",
        "wifi = { ssid = \"Home\", passphrase = \"hunter22\" } # here\n",
        "[wifi]\npassphrase = hunter22\nssid = \"Home\"\n",
        "[wifi]\npassphrase = \"hunter22\nssid = \"Home\"\n",
        "[wifi\npassphrase = \"hunter22\" # it\n",
        "[wlan]\npassphrase = \"hunter22\"\n",
    ] {
        assert!(tells_passphrase(text), "{text}");
        let blank = blanked(text);
        assert!(!blank.contains("hunter") && !blank.contains("good"), "{blank}");
        assert_eq!(blank.len(), text.len());
        assert!(!tells_passphrase(&blank), "{blank}");
        assert_eq!(blank.lines().count(), text.lines().count());
    }
    let blank = blanked(GOOD);
    let changed = GOOD.lines().zip(blank.lines()).find(|(a, b)| a != b).unwrap();
    assert_eq!(changed.1, "passphrase = \"\"               # do not tell");
    assert!(!tells_passphrase("[wifi]\n# passphrase = \"x\"\npassphrase = ''\npassphrase =\n"));
}

#[test]
fn what_the_card_knows_of_its_network_outlives_the_blank() {
    let old = wifi("Home", Some("hunter22"));
    let blank = "[wifi]\nssid = \"Home\"\npassphrase = \"\"\n";
    let (new, mistakes) = take_over(blank, &old);
    assert_eq!((&new, mistakes), (&old, vec![]));
    let other = "[wifi]\nssid = \"Other\"\npassphrase = \"\"\n";
    let (new, mistakes) = take_over(other, &old);
    assert_eq!((&new, mistakes.len(), mistakes[0].line), (&old, 1, 3));
    let open = take_over("[wifi]\nssid = \"Other\"\n", &old).0;
    assert_eq!(open, wifi("Other", None));
    let wrong = "[wifi]\nssid = \"Other\"\npassphrase = \"short\"\n";
    assert_eq!(take_over(wrong, &old).0, old, "a mistake takes nobody off the network");
    assert_eq!(take_over("", &old).0.wifi, None);
    assert_eq!(take_over(TEMPLATE, &old), (old.clone(), vec![]), "an empty name names none");
    assert_eq!(take_over("wifi.ssid = ''\n", &old), (old.clone(), vec![]));
    let (mistaken, _) = take_over("nme = \"x\"\n", &old);
    assert_eq!(mistaken.wifi, None, "a mistake elsewhere keeps nothing");
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut seed = 3_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let letters: Vec<char> = "\"'[]{}=#\n\r\t .,ab\\u{}\u{feff}ä\0".chars().collect();
    for _ in 0..4_000 {
        let mut text: Vec<char> = GOOD.chars().collect();
        for _ in 0..=next(6) {
            let at = next(text.len());
            match next(3) {
                0 => text[at] = letters[next(letters.len())],
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, letters[next(letters.len())]),
            }
        }
        let text: String = text.iter().collect();
        let (settings, _) = take_over(&text, &Settings::default());
        assert_eq!(read(&settings.to_toml()), (settings, vec![]), "{text}");
        let blank = blanked(&text);
        assert_eq!(blank.len(), text.len());
        assert!(!tells_passphrase(&blank), "{text}\n{blank}");
    }
}

#[test]
fn what_the_card_takes_the_programs_take_too() {
    for url in ["https://u@h/", "https://h:99999/", "https://h:", "https://h/#room", "https://a,b/"]
    {
        assert!(!is_url(url), "{url}");
    }
    for url in ["http://10.0.0.2:9000/x?key=k", "wss://[fd00::1]:9000/", "https://meet.example.org"]
    {
        assert!(is_url(url), "{url}");
    }
    assert!(!is_camera_name("Garage ") && is_camera_name("Front door"));
    assert!(!is_name("  ") && is_name(" Home "));
    assert!(!is_source("v4l2:/dev/video0?size=8x8") && is_source("v4l2:/dev/video0?size=16x16"));
}
