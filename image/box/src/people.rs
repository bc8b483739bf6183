//! Who is who: `/etc/passwd` and `/etc/group`, without a C library's help.

use crate::place::Place;
use std::fs;

/// As whom a child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// As the keeper: root.
    Keeper,
    Person(Person),
    /// Somebody who is not known here: not at all, rather than as the keeper.
    Unknown(&'static str),
}

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
}

/// A user with the named groups besides its own, those that are there.
pub(crate) fn person(place: &Place, name: &str, groups: &[&str]) -> Option<Person> {
    let users = fs::read_to_string(place.at("/etc/passwd")).unwrap_or_default();
    let all = fs::read_to_string(place.at("/etc/group")).unwrap_or_default();
    let user = fields(&users, name)?;
    let further = groups.iter().filter_map(|it| number(&fields(&all, it)?, 2));
    Some(Person { uid: number(&user, 2)?, gid: number(&user, 3)?, groups: further.collect() })
}

/// As that user and nobody else.
pub(crate) fn who(place: &Place, name: &'static str, groups: &[&str]) -> Who {
    person(place, name, groups).map_or(Who::Unknown(name), Who::Person)
}

/// A group's number.
pub(crate) fn group(place: &Place, name: &str) -> Option<u32> {
    number(&fields(&fs::read_to_string(place.at("/etc/group")).ok()?, name)?, 2)
}

fn fields<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))
}

fn number(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_name() {
        let root = std::env::temp_dir().join(format!("nightjar-people-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        let place = Place::new(root.clone());
        assert_eq!(person(&place, "nightjar", &[]), None);
        let users = "root:x:0:0::/:/bin/sh\nsignal:x:101:102::/:/bin/false\nbroken:x\n";
        fs::write(root.join("etc/passwd"), users).unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nvideo:x:44:\n").unwrap();
        let want = Person { uid: 101, gid: 102, groups: vec![44] };
        assert_eq!(person(&place, "signal", &["video", "none"]), Some(want));
        assert_eq!(person(&place, "broken", &[]), None);
        assert_eq!(who(&place, "broken", &[]), Who::Unknown("broken"));
        assert_eq!((group(&place, "video"), group(&place, "x")), (Some(44), None));
        fs::remove_dir_all(root).unwrap();
    }
}
