//! `nightjar.toml` as a person first sees it on a new card.

/// Says nothing but what holds without it.
pub const TEMPLATE: &str = r#"# Nightjar: what this box should know. Everything is optional.
# Change a line, save, put the card into the box, switch it on. A mistake is answered in
# nightjar-errors.txt beside this file. Lines that begin with # are notes for people.

# The box's name in your network: it answers at http://nightjar.local
hostname = "nightjar"

# The name your phones show.
#name = "Front door"

#timezone = "Europe/Berlin"

# Wi-Fi. The passphrase is moved into the box at the first start and removed from this file.
# With a network cable none of this is needed.
[wifi]
ssid = ""
passphrase = ""
#country = "DE"

# Without this, the box is its own meeting place for phones in your home.
#[signal]
#url = "https://meet.example.org/"

# The time comes from your router. Name servers here only if it gives none.
#[time]
#servers = ["pool.ntp.org"]

# Without this, the first camera found is watched. One section for each camera.
#[[camera]]
#name = "Front door"
#source = "v4l2:/dev/video0"
"#;
