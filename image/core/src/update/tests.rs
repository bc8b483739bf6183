//! A card, a firmware and an owner, with the power cut at every step of every story, and again at every
//! step of what follows.

use super::*;
use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const TRIAL_MS: u64 = 15_000;
const TICK_MS: u64 = 5_000;
/// Nothing starts more often in a story: what does so loops.
const STARTS_MAX: u32 = 16;
const BOARD: &str = "here";

/// What a system does once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Good,
    /// It never comes as far as nightjar-box.
    Dead,
    /// It runs and is never well.
    Ill,
    /// It is well every other moment.
    Moody,
    /// It is reset after so many ticks of its first minute.
    Resets(u32),
    /// Well, but its data partition takes no state.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct System {
    number: u8,
    version: Version,
    nature: Nature,
}

const fn system(number: u8, nature: Nature) -> System {
    System { number, version: Version([0, number as u16, 0]), nature }
}

const OLD: System = system(10, Nature::Good);
const NEW: System = system(20, Nature::Good);

/// What lies in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Torn,
    Of(System),
}

/// How the firmware takes a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firmware {
    /// A register, which a power cut clears.
    Register,
    /// A file, which outlives a power cut.
    File,
    /// A register; a trial slot without a kernel makes it start the usual one, and say "trial".
    Fallback,
}

/// What goes wrong besides the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    /// The stream ends within the root part.
    Ends,
    /// The stream's boot part is not what the manifest says.
    Damaged,
    /// The card confirms what it does not keep.
    Lies,
    /// The staged content is gone before the restart.
    SpoiltBefore,
    /// The staged content is gone when the wish is uttered.
    SpoiltAfter,
}

/// An owner's wish, and how often it is tried.
#[derive(Debug, Clone, Copy)]
struct Upload {
    system: System,
    chances: u8,
    mishap: Mishap,
}

/// All that outlives a power cut, and what is still on its way there.
#[derive(Debug, Clone)]
struct World {
    firmware: Firmware,
    slots: [[Content; 2]; 2],
    writes: Vec<(Slot, Part, Content)>,
    autoboot: Autoboot,
    new_autoboot: Option<Autoboot>,
    wish: bool,
    new_wish: bool,
    state: Option<String>,
    new_state: Option<String>,
    uploads: Vec<Upload>,
    /// Versions that were healthy for long enough.
    proven: BTreeSet<Version>,
    /// The highest one that `autoboot.txt` ever led to.
    committed: Version,
    starts: u32,
    cuts: u8,
    refused: Vec<Why>,
    story: &'static str,
}

/// What all stories together came to.
#[derive(Debug, Default)]
struct Tally {
    ends: u64,
    cut_points: u64,
    outcomes: BTreeSet<String>,
}

enum End {
    Reset,
    Rest(Saved),
}

fn digest(content: Content, part: Part) -> [u8; 32] {
    match content {
        Content::Torn => [0xff; 32],
        Content::Of(system) => [system.number * 2 + part as u8; 32],
    }
}

fn sums(system: System) -> [Sum; 2] {
    Part::ALL.map(|part| Sum { bytes: 100, sha256: digest(Content::Of(system), part) })
}

impl World {
    fn new(story: &'static str, firmware: Firmware, uploads: &[Upload]) -> Self {
        Self {
            firmware,
            slots: [[Content::Of(OLD); 2], [Content::Torn; 2]],
            writes: Vec::new(),
            autoboot: Autoboot::new(Slot::A),
            new_autoboot: None,
            wish: false,
            new_wish: false,
            state: None,
            new_state: None,
            uploads: uploads.into(),
            proven: BTreeSet::from([OLD.version]),
            committed: OLD.version,
            starts: 0,
            cuts: 0,
            refused: Vec::new(),
            story,
        }
    }

    fn at(&mut self, slot: Slot, part: Part) -> &mut Content {
        &mut self.slots[slot as usize][part as usize]
    }

    /// What is read back: the card's, or what is on its way.
    fn seen(&self, slot: Slot, part: Part) -> Content {
        let mine = |it: &&(Slot, Part, Content)| (it.0, it.1) == (slot, part);
        let on_its_way = self.writes.iter().rev().find(mine).map(|it| it.2);
        on_its_way.unwrap_or(self.slots[slot as usize][part as usize])
    }

    fn note_commit(&mut self) {
        let system = self.bootable(self.autoboot.slot()).expect("what is committed can boot");
        self.committed = self.committed.max(system.version);
    }

    fn bootable(&self, slot: Slot) -> Option<System> {
        match self.slots[slot as usize] {
            [Content::Of(boot), Content::Of(root)] if boot == root => Some(boot),
            _ => None,
        }
    }

    /// The worlds that a power cut may leave.
    fn after_cut(&self) -> Vec<Self> {
        let mut lost = self.clone();
        lost.cuts += 1;
        lost.writes.clear();
        (lost.new_autoboot, lost.new_state) = (None, None);
        lost.new_wish = false;
        if lost.firmware != Firmware::File {
            lost.wish = false;
        }
        let mut worlds = Vec::from([lost.clone()]);
        if let Some(autoboot) = self.new_autoboot {
            let mut kept = Self { autoboot, ..lost.clone() };
            kept.note_commit();
            worlds.push(kept);
        }
        if self.new_state.is_some() {
            worlds.push(Self { state: self.new_state.clone(), ..lost.clone() });
        }
        if self.new_wish {
            worlds.push(Self { wish: true, ..lost.clone() });
        }
        if !self.writes.is_empty() {
            let (mut whole, mut torn) = (lost.clone(), lost);
            for &(slot, part, content) in &self.writes {
                *whole.at(slot, part) = content;
                *torn.at(slot, part) = Content::Torn;
            }
            worlds.extend([whole, torn]);
        }
        worlds
    }

    /// Power cuts at this step, each lived to its end; then life goes on.
    fn step(&self, depth: u8, tally: &mut Tally) {
        if depth == 0 {
            return;
        }
        for world in self.after_cut() {
            tally.cut_points += 1;
            world.live(depth - 1, tally);
        }
    }

    /// From power on to where nothing more happens.
    fn live(mut self, depth: u8, tally: &mut Tally) {
        loop {
            self.starts += 1;
            assert!(self.starts <= STARTS_MAX, "{}: it starts again and again", self.story);
            let trial = core::mem::take(&mut self.wish);
            self.step(depth, tally);
            let named = if trial { self.autoboot.trial() } else { self.autoboot.partition() };
            let mut slot = Slot::from_partition(named.into()).unwrap();
            if trial && self.firmware == Firmware::Fallback && self.bootable(slot).is_none() {
                slot = self.autoboot.slot();
            }
            let system = self.bootable(slot);
            if slot == self.autoboot.slot() {
                let version = system.map(|it| it.version);
                let stands = version.is_some_and(|it| self.proven.contains(&it));
                assert!(stands, "{}: boots {system:?}, which never proved itself", self.story);
            }
            match system {
                Some(system) if system.nature != Nature::Dead => {
                    match self.run(system, Booted { slot, trial }, depth, tally) {
                        End::Reset => {}
                        End::Rest(saved) => return self.judge(system, &saved, tally),
                    }
                }
                // The kernel panics, or stands still until the watchdog bites.
                _ => assert!(trial, "{}: a brick", self.story),
            }
        }
    }

    /// One run of nightjar-box.
    fn run(&mut self, system: System, booted: Booted, depth: u8, tally: &mut Tally) -> End {
        let saved = self.state.as_ref().map_or(Saved::NONE, |text| {
            Saved::parse(text.as_bytes()).expect("what was saved can be read")
        });
        let config = Config {
            board: BOARD,
            version: system.version,
            booted,
            can_try: true,
            has_key: true,
            trial_ms: TRIAL_MS,
            room: [1000; 2],
            autoboot: Some(self.autoboot),
            saved,
        };
        let (mut now, mut ticks, mut well) = (7, 0, 0);
        let mut machine = Machine::new(now, &config);
        let mut upload = None;
        loop {
            while let Some(action) = machine.poll_output() {
                match action {
                    Action::Commit(slot) => {
                        let long = well * TICK_MS >= TRIAL_MS + TICK_MS;
                        assert!(booted.trial && slot == booted.slot && long, "{}", self.story);
                        self.proven.insert(system.version);
                    }
                    Action::Restart(restart) => {
                        self.restart(restart, upload, depth, tally);
                        return End::Reset;
                    }
                    _ => {}
                }
                let done = self.act(&machine, action, (system, booted), upload, depth, tally);
                machine.handle_done(now, done);
                self.step(depth, tally);
            }
            if machine.is_ready() {
                if upload.is_some_and(|it: Upload| it.mishap == Mishap::SpoiltBefore) {
                    *self.at(booted.slot.other(), Part::Root) = Content::Torn;
                }
                machine.handle_restart();
            } else if machine.is_trial() {
                ticks += 1;
                now += TICK_MS;
                if system.nature == Nature::Resets(ticks) {
                    *self = self.after_cut().swap_remove(0);
                    self.cuts -= 1;
                    return End::Reset;
                }
                let good = match system.nature {
                    Nature::Ill => false,
                    Nature::Moody => ticks % 3 != 0,
                    _ => true,
                };
                well = if good { well + 1 } else { 0 };
                machine.handle_health(now, good);
                self.step(depth, tally);
            } else {
                let Some(next) = self.next_upload() else { return End::Rest(*machine.saved()) };
                upload = Some(next);
                let [boot, root] = sums(next.system);
                let version = next.system.version;
                let minimum = Version([0, 10, 0]);
                let manifest = Manifest { board: BOARD, version, minimum, boot, root };
                if let Err(why) = machine.handle_bundle(&manifest, Signed::Well) {
                    self.refused.push(why);
                    self.uploads.remove(0);
                }
            }
        }
    }

    /// The owner tries the first update that did not come to be, as long as there is a chance.
    fn next_upload(&mut self) -> Option<Upload> {
        loop {
            let first = self.uploads.first_mut()?;
            // One that is older is refused each time, whatever was proven.
            let older = first.system.version <= OLD.version;
            if first.chances > 0 && (older || first.system.version > self.committed) {
                first.chances -= 1;
                return Some(*first);
            }
            self.uploads.remove(0);
        }
    }

    fn act(
        &mut self,
        machine: &Machine,
        action: Action,
        (system, booted): (System, Booted),
        upload: Option<Upload>,
        depth: u8,
        tally: &mut Tally,
    ) -> Done {
        let mishap = upload.map_or(Mishap::None, |it| it.mishap);
        match action {
            Action::Save if system.nature == Nature::Full => return Done::Badly,
            Action::Save => {
                self.new_state = Some(machine.saved().to_string());
                self.step(depth, tally);
                self.state = self.new_state.take();
            }
            Action::Write(slot, part) => {
                assert!(slot != booted.slot && slot != self.autoboot.slot(), "{}", self.story);
                self.writes.push((slot, part, Content::Torn));
                self.step(depth, tally);
                let came = upload.map_or(Content::Torn, |it| Content::Of(it.system));
                match (mishap, part) {
                    (Mishap::Ends, Part::Root) => return Done::Cut,
                    (Mishap::Damaged, Part::Boot) => return Done::Digest([0xff; 32]),
                    _ => {}
                }
                self.writes.push((slot, part, came));
                return Done::Digest(digest(came, part));
            }
            Action::Sync(_) => {
                for (slot, part, content) in core::mem::take(&mut self.writes) {
                    let kept = if mishap == Mishap::Lies { Content::Torn } else { content };
                    *self.at(slot, part) = kept;
                }
            }
            Action::ReadBack(slot, part, 100) => {
                return Done::Digest(digest(self.seen(slot, part), part));
            }
            Action::Commit(slot) => {
                self.new_autoboot = Some(self.autoboot.committed(slot).unwrap());
                self.step(depth, tally);
                self.autoboot = self.new_autoboot.take().unwrap();
                self.note_commit();
            }
            other => panic!("{}: {other:?}", self.story),
        }
        Done::Well
    }

    fn restart(&mut self, restart: Restart, upload: Option<Upload>, depth: u8, tally: &mut Tally) {
        if restart == Restart::Trial {
            if upload.is_some_and(|it| it.mishap == Mishap::SpoiltAfter) {
                *self.at(self.autoboot.slot().other(), Part::Boot) = Content::Torn;
            }
            self.new_wish = self.firmware == Firmware::File;
            self.step(depth, tally);
            (self.wish, self.new_wish) = (true, false);
        }
        self.step(depth, tally);
    }

    /// Where nothing more happens: one whole system, and a word about the last update.
    fn judge(self, system: System, saved: &Saved, tally: &mut Tally) {
        assert_eq!(
            self.autoboot.slot(),
            self.running(system),
            "{}: it runs what boots",
            self.story
        );
        let settled = matches!(saved.phase, Phase::None | Phase::Committed | Phase::Failed(_));
        assert!(settled, "{}: {saved:?}", self.story);
        assert_eq!(system.version, self.committed, "{}: it never goes back", self.story);
        assert!(saved.committed.is_none_or(|it| it <= system.version));
        tally.ends += 1;
        let cuts = self.cuts;
        let refused: Vec<_> = self.refused.iter().map(|it| it.code()).collect();
        let why = if let Phase::Failed(why) = saved.phase { why.code() } else { "" };
        let end = format!(
            "{} cuts={cuts}: {} {} {why} {refused:?}",
            self.story,
            system.version,
            saved.word()
        );
        tally.outcomes.insert(end);
    }

    fn running(&self, system: System) -> Slot {
        if self.bootable(Slot::A) == Some(system) { Slot::A } else { Slot::B }
    }
}

fn upload(system: System, chances: u8) -> Upload {
    Upload { system, chances, mishap: Mishap::None }
}

const ALL_FIRMWARE: [Firmware; 3] = [Firmware::Register, Firmware::File, Firmware::Fallback];

/// The ends of one story on every firmware, with up to `depth` cuts.
fn tell(story: &'static str, uploads: &[Upload], depth: u8) -> Tally {
    let mut tally = Tally::default();
    for firmware in ALL_FIRMWARE {
        World::new(story, firmware, uploads).live(depth, &mut tally);
    }
    std::println!("{story}: {} ends after {} cuts", tally.ends, tally.cut_points);
    tally
}

/// How a story ends after `cuts` cuts: without the story and the number.
fn ends(tally: &Tally, cuts: u8) -> BTreeSet<&str> {
    let mark = format!(" cuts={cuts}: ");
    tally
        .outcomes
        .iter()
        .filter_map(|it| it.split_once(mark.as_str()).map(|(_, end)| end))
        .collect()
}

#[test]
fn a_good_update_with_two_chances_stands_any_cut() {
    let tally = tell("good", &[upload(NEW, 2)], 3);
    assert_eq!(ends(&tally, 0), BTreeSet::from(["0.20.0 committed  []"]));
    assert_eq!(ends(&tally, 1), BTreeSet::from(["0.20.0 committed  []"]), "a cut costs one chance");
    for end in ends(&tally, 2).union(&ends(&tally, 3)) {
        let failed = end.starts_with("0.10.0 failed ") || *end == "0.10.0 none  []";
        assert!(failed || *end == "0.20.0 committed  []", "{end}");
    }
    assert!(tally.ends > 50_000, "{}", tally.ends);
}

#[test]
fn a_bad_system_is_tried_and_left_again() {
    for (nature, why) in [
        (Nature::Dead, "not-started"),
        (Nature::Ill, "unhealthy"),
        (Nature::Moody, "unhealthy"),
        (Nature::Resets(1), "restarted"),
        (Nature::Resets(3), "restarted"),
        (Nature::Full, "not-started"),
    ] {
        let tally = tell("bad", &[upload(system(20, nature), 1)], 2);
        let end = format!("0.10.0 failed {why} []");
        assert_eq!(ends(&tally, 0), BTreeSet::from([end.as_str()]), "{nature:?}");
        assert!(tally.outcomes.iter().all(|it| it.contains(": 0.10.0 ")), "{nature:?}: {tally:?}");
        assert!(tally.ends > 800, "{nature:?}: {}", tally.ends);
    }
}

#[test]
fn a_mishap_on_the_way_is_said_and_nothing_else_happens() {
    for (mishap, why) in [
        (Mishap::Ends, "interrupted"),
        (Mishap::Damaged, "damaged"),
        (Mishap::Lies, "card"),
        // Home Assistant OS 3842: the wish outlived what it was for.
        (Mishap::SpoiltBefore, "card"),
        (Mishap::SpoiltAfter, "card"),
    ] {
        let tally = tell("mishap", &[Upload { system: NEW, chances: 1, mishap }], 2);
        let end = format!("0.10.0 failed {why} []");
        assert_eq!(ends(&tally, 0), BTreeSet::from([end.as_str()]), "{mishap:?}");
        assert!(tally.ends > 200, "{mishap:?}: {}", tally.ends);
    }
}

#[test]
fn one_update_follows_another_into_the_slot_that_became_free() {
    let third = system(30, Nature::Good);
    let tally = tell("two", &[upload(NEW, 2), upload(third, 2)], 2);
    let last = BTreeSet::from(["0.30.0 committed  []"]);
    assert_eq!((ends(&tally, 0), ends(&tally, 1)), (last.clone(), last));
    assert!(tally.ends > 10_000, "{}", tally.ends);
    let tally = tell("bad, good", &[upload(system(20, Nature::Ill), 1), upload(third, 2)], 1);
    assert_eq!(ends(&tally, 1), BTreeSet::from(["0.30.0 committed  []"]));
}

#[test]
fn what_is_older_than_what_was_committed_is_refused() {
    let older = system(5, Nature::Good);
    assert_eq!(
        ends(&tell("older", &[upload(older, 1)], 1), 0),
        BTreeSet::from(["0.10.0 none  [\"older\"]"])
    );
    let tally = tell("between", &[upload(NEW, 2), upload(older, 1)], 1);
    assert_eq!(ends(&tally, 0), BTreeSet::from(["0.20.0 committed  [\"older\"]"]));
    let same = machine(NEW.version, Saved { committed: Some(NEW.version), ..Saved::NONE });
    assert_eq!(same.newest(), NEW.version);
}

/// Home Assistant OS 4888: the power was cut between staging and the restart.
#[test]
fn what_was_staged_and_never_tried_is_tried_at_the_next_start() {
    let [boot, root] = sums(NEW);
    let update = Update { version: NEW.version, slot: Slot::B, boot, root };
    for (attempts, end) in
        [(0, "0.20.0 committed "), (1, "0.20.0 committed "), (2, "0.10.0 failed not-started")]
    {
        let saved =
            Saved { phase: Phase::Staged { attempts }, update: Some(update), committed: None };
        for firmware in ALL_FIRMWARE {
            let mut world = World::new("staged", firmware, &[]);
            world.slots[1] = [Content::Of(NEW); 2];
            world.state = Some(saved.to_string());
            let mut tally = Tally::default();
            world.live(0, &mut tally);
            assert_eq!(
                ends(&tally, 0),
                BTreeSet::from([format!("{end} []").as_str()]),
                "{attempts}"
            );
        }
    }
}

fn config(version: Version, saved: Saved) -> Config<'static> {
    let booted = Booted { slot: Slot::A, trial: false };
    Config {
        board: BOARD,
        version,
        booted,
        can_try: true,
        has_key: true,
        trial_ms: TRIAL_MS,
        room: [1000, 100],
        autoboot: Some(Autoboot::new(Slot::A)),
        saved,
    }
}

fn machine(version: Version, saved: Saved) -> Machine {
    Machine::new(0, &config(version, saved))
}

fn manifest() -> Manifest<'static> {
    let [boot, root] = sums(NEW);
    Manifest { board: BOARD, version: NEW.version, minimum: OLD.version, boot, root }
}

#[test]
fn a_refusal_names_its_reason_and_changes_nothing() {
    let refused = |config: &Config<'_>, manifest: &Manifest<'_>, signed| {
        let mut machine = Machine::new(0, config);
        let why = machine.handle_bundle(manifest, signed).expect_err("refused");
        assert_eq!((machine.poll_output(), *machine.saved()), (None, config.saved), "{why}");
        why
    };
    let (whole, good) = (config(OLD.version, Saved::NONE), manifest());
    let large = Sum { bytes: 101, ..good.root };
    let one_way = Autoboot::parse(b"boot_partition=2").ok();
    let elsewhere = Some(Autoboot::new(Slot::B));
    let booted = Booted { slot: Slot::B, trial: false };
    for (config, manifest, signed, why) in [
        (Config { can_try: false, ..whole }, good, Signed::Well, Why::Unsupported),
        (Config { has_key: false, ..whole }, good, Signed::Well, Why::NoKey),
        (Config { autoboot: None, ..whole }, good, Signed::Well, Why::Autoboot),
        (Config { autoboot: one_way, ..whole }, good, Signed::Well, Why::Autoboot),
        (Config { autoboot: elsewhere, ..whole }, good, Signed::Well, Why::Autoboot),
        (Config { booted, ..whole }, good, Signed::Well, Why::Autoboot),
        (whole, good, Signed::Badly, Why::Signature),
        (whole, Manifest { board: "there", ..good }, Signed::Well, Why::Board),
        (whole, Manifest { version: OLD.version, ..good }, Signed::Well, Why::Older),
        (whole, Manifest { minimum: NEW.version, ..good }, Signed::Well, Why::Minimum),
        (whole, Manifest { root: large, ..good }, Signed::Well, Why::Large),
    ] {
        assert_eq!(refused(&config, &manifest, signed), why);
    }
    let mut busy = machine(OLD.version, Saved::NONE);
    assert_eq!(busy.handle_bundle(&good, Signed::Well), Ok(()));
    assert_eq!(busy.handle_bundle(&good, Signed::Well), Err(Why::Busy));
}

fn on_trial() -> Machine {
    let [boot, root] = sums(NEW);
    let update = Some(Update { version: NEW.version, slot: Slot::B, boot, root });
    let saved = Saved { phase: Phase::Staged { attempts: 1 }, update, committed: None };
    let booted = Booted { slot: Slot::B, trial: true };
    let mut machine = Machine::new(0, &Config { booted, ..config(NEW.version, saved) });
    assert_eq!(machine.check(), Err(Why::Trial));
    assert_eq!(machine.poll_output(), Some(Action::Save));
    assert_eq!(machine.poll_output(), None, "once");
    machine.handle_done(0, Done::Well);
    machine
}

#[test]
fn a_trial_commits_after_unbroken_health_that_was_told() {
    let mut trial = on_trial();
    for second in 0..14 {
        trial.handle_health(second * 1_000, true);
    }
    // Nobody told for a while: what was before does not count.
    for second in 40..55 {
        trial.handle_health(second * 1_000, true);
        assert_eq!(trial.poll_output(), None, "{second}");
    }
    trial.handle_health(55_000, true);
    assert_eq!(trial.poll_output(), Some(Action::Commit(Slot::B)));
    trial.handle_done(55_000, Done::Well);
    assert_eq!((trial.poll_output(), trial.is_trial()), (Some(Action::Save), false));
    trial.handle_done(55_000, Done::Well);
    assert_eq!(trial.saved().committed, Some(NEW.version));
    let next = Manifest { version: Version([0, 30, 0]), ..manifest() };
    assert_eq!(trial.handle_bundle(&next, Signed::Well), Ok(()), "the other slot is free now");
    assert_eq!(trial.saved().update.map(|it| it.slot), Some(Slot::A));
}

#[test]
fn a_commit_of_which_nobody_knows_ends_in_a_restart_that_finds_out() {
    let mut trial = on_trial();
    (0..16).for_each(|second| trial.handle_health(second * 1_000, true));
    assert_eq!(trial.poll_output(), Some(Action::Commit(Slot::B)));
    trial.handle_done(16_000, Done::Badly);
    assert_eq!(trial.poll_output(), Some(Action::Restart(Restart::Plain)));
    assert_eq!(trial.saved().phase, Phase::Trial);
}

/// nightjar-box ended in its trial and init started it anew: that is not unbroken health.
#[test]
fn a_second_start_in_one_trial_ends_it() {
    let saved = *on_trial().saved();
    assert_eq!(saved.phase, Phase::Trial);
    let booted = Booted { slot: Slot::B, trial: true };
    let mut again = Machine::new(0, &Config { booted, ..config(NEW.version, saved) });
    assert_eq!(again.poll_output(), Some(Action::Save));
    assert_eq!(again.saved().phase, Phase::Failed(Why::Restarted));
    again.handle_done(0, Done::Well);
    assert_eq!(again.poll_output(), Some(Action::Restart(Restart::Plain)));
}

/// A wish that nobody here uttered, or a boot partition whose root is the old system's.
#[test]
fn a_trial_of_what_was_not_staged_ends_at_once() {
    let staged = Saved { phase: Phase::Staged { attempts: 1 }, ..*on_trial().saved() };
    let booted = Booted { slot: Slot::B, trial: true };
    for (version, saved) in [(OLD.version, staged), (NEW.version, Saved::NONE)] {
        let mut trial = Machine::new(0, &Config { booted, ..config(version, saved) });
        assert_eq!(trial.poll_output(), Some(Action::Save));
        assert_eq!(trial.saved().phase, Phase::Failed(Why::Unexpected));
        // Whether or not that can be saved.
        trial.handle_done(0, Done::Badly);
        assert_eq!(trial.poll_output(), Some(Action::Restart(Restart::Plain)));
    }
}
