//! `nightjar image`, `flash` and `boot` from the outside: what is laid out is read by other
//! programs, and loop devices stand for cards and for disks that must not be touched.

use harness::data::{Scratch, left_out};
use harness::program::{binary, outcome};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where partitions of a `qemu-arm64` card lie: first sector and sectors.
const TABLE: &str = "\
label: dos
label-id: 0x6e6a0001
unit: sectors
sector-size: 512
card1 : start= 8192, size= 32768, type=e, bootable
card2 : start= 40960, size= 98304, type=e
card3 : start= 139264, size= 98304, type=e
card4 : start= 237568, size= 352256, type=f
card5 : start= 245760, size= 131072, type=83
card6 : start= 385024, size= 131072, type=83
card7 : start= 524288, size= 65536, type=83";
const BYTES: u64 = 589_824 * 512;

/// A program that is also found where only root looks.
fn program(name: &str, args: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.args(args).env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    command
}

/// Runs it; its output, where it ended well.
fn ran(name: &str, args: &[&str]) -> String {
    let output = outcome(&mut program(name, args));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {args:?}: {said}{}", complaint(&output));
    said
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether all these are installed; said aloud where not.
fn has(test: &str, names: &[&str]) -> bool {
    let has = |name: &&&str| program("sh", &["-c", &format!("command -v {name}")]).output();
    let lacks = names.iter().find(|it| !has(it).is_ok_and(|it| it.status.success()));
    if let Some(name) = lacks {
        left_out(test, &format!("no {name}"));
    }
    lacks.is_none()
}

fn nightjar(args: &[&str]) -> Output {
    outcome(Command::new(binary("nightjar")).args(args))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

/// A card's image of small parts, in a folder of its own.
struct Card {
    scratch: Scratch,
    image: PathBuf,
}

impl Card {
    fn new(tag: &str) -> Self {
        let scratch = Scratch::new(tag);
        let folder = scratch.path();
        fs::create_dir_all(folder.join("boot/overlays")).expect("a folder");
        fs::create_dir_all(folder.join("root/etc")).expect("a folder");
        let kernel: Vec<u8> =
            (0..3_000_000u32).map(|it| it.to_le_bytes()[it as usize % 3]).collect();
        fs::write(folder.join("boot/Image.gz"), kernel).expect("a file");
        fs::write(folder.join("boot/cmdline-a.txt"), "root=/dev/vda5 quiet\n").expect("a file");
        fs::write(folder.join("boot/overlays/a name longer than eleven.dtbo"), "x")
            .expect("a file");
        fs::write(folder.join("root/etc/os-release"), "NAME=Nightjar\n").expect("a file");
        fs::write(folder.join("nightjar.toml"), "# Notes stay.\nhostname = \"nightjar\"\n")
            .expect("a file");
        ran(
            "mksquashfs",
            &[
                text(&folder.join("root")),
                text(&folder.join("root.squashfs")),
                "-quiet",
                "-no-progress",
            ],
        );
        let image = folder.join("card");
        let card = Self { scratch, image };
        card.lay_out(&card.image);
        card
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn lay_out(&self, out: &Path) {
        let [boot, root, toml] = ["boot", "root.squashfs", "nightjar.toml"].map(|it| self.path(it));
        let done = nightjar(&[
            "image",
            "--board",
            "qemu-arm64",
            "--boot",
            text(&boot),
            "--root",
            text(&root),
            "--toml",
            text(&toml),
            "--out",
            text(out),
        ]);
        assert!(done.status.success(), "{}", complaint(&done));
    }

    /// A partition's bytes as a file of their own.
    fn part(&self, start: u64, sectors: u64) -> PathBuf {
        let mut bytes = vec![0; usize::try_from(sectors * 512).expect("it fits")];
        let image = fs::File::open(&self.image).expect("the image");
        image.read_exact_at(&mut bytes, start * 512).expect("it is that long");
        let path = self.path("part");
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.image).expect("the image")
    }
}

/// A file on the first FAT of an image or a device.
fn on_autoboot(image: &Path, name: &str) -> String {
    ran("mtype", &["-i", &format!("{}@@4M", image.display()), &format!("::{name}")])
}

#[test]
fn an_image_is_the_same_twice_and_other_programs_read_every_part() {
    let test = "an_image_is_the_same_twice_and_other_programs_read_every_part";
    if !has(
        test,
        &["mksquashfs", "unsquashfs", "mke2fs", "e2fsck", "fsck.fat", "mtype", "sfdisk", "gzip"],
    ) {
        return;
    }
    let card = Card::new("image");
    let [again, packed, packed_again] = ["again", "a.gz", "b.gz"].map(|it| card.path(it));
    card.lay_out(&again);
    assert!(card.bytes() == fs::read(&again).expect("the second"), "two runs are two images");
    card.lay_out(&packed);
    card.lay_out(&packed_again);
    let gz = fs::read(&packed).expect("packed");
    assert!(gz == fs::read(&packed_again).expect("packed again"), "two packed ones differ");
    assert!(gz.len() < 4_000_000, "empty parts take {} bytes", gz.len());
    let unpacked = program("gzip", &["-dc", text(&packed)]).output().expect("gzip runs");
    assert!(unpacked.stdout == card.bytes(), "gzip reads another image");

    let folder = format!("{}/", card.scratch.path().display());
    let dump = ran("sfdisk", &["--dump", text(&card.image)]).replace(&folder, "");
    let lines = dump.lines().filter(|it| !it.is_empty() && !it.starts_with("device:"));
    let lines: Vec<_> =
        lines.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines.join("\n"), TABLE);
    assert_eq!(card.image.metadata().expect("the image").len(), BYTES);

    assert_eq!(
        on_autoboot(&card.image, "nightjar.toml"),
        "# Notes stay.\nhostname = \"nightjar\"\n"
    );
    assert!(on_autoboot(&card.image, "autoboot.txt").contains("boot_partition=2"));
    assert!(on_autoboot(&card.image, "README.txt").contains("named factory-reset"));
    for (start, sectors) in [(8192, 32768), (40960, 98304)] {
        ran("fsck.fat", &["-n", text(&card.part(start, sectors))]);
    }
    let boot = card.part(40960, 98304);
    ran("mtype", &["-i", text(&boot), "::overlays/a name longer than eleven.dtbo"]);
    ran("e2fsck", &["-f", "-n", text(&card.part(524_288, 65536))]);
    let listed = ran("unsquashfs", &["-l", text(&card.part(245_760, 131_072))]);
    assert!(listed.contains("squashfs-root/etc/os-release"), "{listed}");
    for empty in [card.part(139_264, 98304), card.part(385_024, 131_072)] {
        assert!(fs::read(empty).expect("a part").iter().all(|&it| it == 0), "slot B is not empty");
    }
}

#[test]
fn a_file_takes_the_settings_and_nothing_else_changes() {
    let test = "a_file_takes_the_settings_and_nothing_else_changes";
    if !has(test, &["mksquashfs", "mke2fs", "mtype", "fsck.fat"]) {
        return;
    }
    let card = Card::new("file");
    let [packed, out, word] = ["card.img.gz", "out.img", "word"].map(|it| card.path(it));
    card.lay_out(&packed);
    for image in [&card.image, &packed] {
        let done = nightjar(&["flash", text(image), "--file", text(&out)]);
        assert!(done.status.success(), "{}", complaint(&done));
        assert!(fs::read(&out).expect("the copy") == card.bytes(), "{}", image.display());
    }
    fs::write(&word, "a \"quoted\" \\ phrase\n").expect("a file");
    let image = text(&packed);
    let done = nightjar(&[
        "flash",
        image,
        "--file",
        text(&out),
        "--wifi",
        "Home",
        "--passphrase-file",
        text(&word),
        "--country",
        "DE",
        "--hostname",
        "porch",
    ]);
    assert!(done.status.success(), "{}", complaint(&done));
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("Read back and the same: 288 MiB") && !said.contains("quoted"), "{said}");
    let toml = on_autoboot(&out, "nightjar.toml");
    assert!(toml.starts_with("# Notes stay.\nhostname = \"porch\"\n"), "{toml}");
    assert!(toml.contains("ssid = \"Home\"") && toml.contains("quoted"), "{toml}");
    let (new, old) = (fs::read(&out).expect("the copy"), card.bytes());
    let behind = (8192 + 32768) * 512;
    assert!(new[..8192 * 512] == old[..8192 * 512] && new[behind..] == old[behind..]);
    assert_eq!(out.metadata().expect("the copy").mode() & 0o777, 0o600, "it holds a passphrase");
    let first = card.path("first");
    fs::write(&first, &new[8192 * 512..behind]).expect("a file");
    ran("fsck.fat", &["-n", text(&first)]);
}

#[test]
fn what_is_no_whole_image_is_refused_before_anything_is_written() {
    let test = "what_is_no_whole_image_is_refused_before_anything_is_written";
    if !has(test, &["mksquashfs", "mke2fs"]) {
        return;
    }
    let card = Card::new("damaged");
    let [packed, bad, out] = ["card.img.gz", "bad", "out"].map(|it| card.path(it));
    card.lay_out(&packed);
    let (whole, gz) = (card.bytes(), fs::read(&packed).expect("packed"));
    let mut flipped = gz.clone();
    flipped[gz.len() / 2] ^= 0x10;
    let cases: [(&[u8], &str); 6] = [
        (&whole[..whole.len() / 2], "is damaged: it ends after"),
        (&gz[..gz.len() - 9], "is damaged"),
        (&flipped, "is damaged"),
        (b"", "is no image of a card of Nightjar"),
        (&[0x55; 4096], "is no image of a card of Nightjar"),
        (b"\x1f\x8b not gzip at all", "is no image of a card of Nightjar"),
    ];
    for (bytes, word) in cases {
        fs::write(&bad, bytes).expect("a file");
        let done = nightjar(&["flash", text(&bad), "--file", text(&out)]);
        let said = complaint(&done);
        assert!(done.status.code() == Some(1) && said.contains(word), "{said}");
        assert!(!out.exists() && said.lines().count() == 1, "{said}");
    }
    let done = nightjar(&["flash", text(&card.path("nowhere")), "--file", text(&out)]);
    assert!(complaint(&done).contains("nowhere: No such file"), "{}", complaint(&done));
    for args in [&["flash", "x", "--yes"][..], &["flash", "x"], &["flash", "x", "--to", "sdb"]] {
        assert_eq!(nightjar(args).status.code(), Some(2), "{args:?}: nobody can be asked");
    }
}

#[test]
fn a_slot_is_booted_with_what_it_holds_out_of_a_folder_that_is_ours_alone() {
    let test = "a_slot_is_booted_with_what_it_holds_out_of_a_folder_that_is_ours_alone";
    if !has(test, &["mksquashfs", "mke2fs"]) {
        return;
    }
    let card = Card::new("boot");
    let tools = card.path("tools");
    fs::create_dir_all(&tools).expect("a folder");
    // In QEMU's place: says what it is given, and fails, for it has no socket to say its end over.
    let qemu = tools.join("qemu-system-aarch64");
    let says = "#!/bin/sh
        for word; do
          case $before in -kernel | -initrd) stat -c \"$before %s\" \"$word\" && stat -c %A \"${word%/*}\" ;; esac
          before=$word
        done
        echo \"$@\"
        exit 3\n";
    fs::write(&qemu, says).expect("a file");
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).expect("ours");
    let boot = || {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut nightjar = Command::new(binary("nightjar"));
        nightjar.args(["boot", text(&card.image)]).env("TMPDIR", card.scratch.path());
        let done = outcome(nightjar.env("PATH", format!("{}:{path}", tools.display())));
        assert!(complaint(&done).contains("qemu-system-aarch64 failed"), "{}", complaint(&done));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    // Buildroot's kernel has all that it starts with built in.
    let said = boot();
    assert!(said.contains("-kernel 3000000\ndrwx------\n"), "{said}");
    assert!(said.contains("-append root=/dev/vda5 quiet nightjar.partition=2 "), "{said}");
    assert!(!said.contains("-initrd"), "{said}");
    // Debian's has not.
    fs::write(card.path("boot/initrd.gz"), "first steps").expect("a file");
    card.lay_out(&card.image);
    let said = boot();
    assert!(said.contains("-initrd 11\ndrwx------\n"), "{said}");
    let folder = fs::read_dir(card.scratch.path()).expect("a folder").flatten();
    let left = folder.filter(|it| it.file_name().to_string_lossy().contains("nightjar-boot"));
    assert_eq!(left.count(), 0, "it cleans up behind itself");
}

/// While one test looks for a free loop device, no other frees one that it needs again.
fn lock() -> MutexGuard<'static, ()> {
    static FINDING: Mutex<()> = Mutex::new(());
    FINDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop device over a file; gone with this.
struct Loop {
    node: String,
    file: PathBuf,
}

impl Loop {
    fn new(file: PathBuf, bytes: u64, more: &[&str]) -> Self {
        let made = fs::File::create(&file).expect("a file");
        made.set_len(bytes).expect("room");
        let args = [&["--find", "--show"], more, &[text(&file)]].concat();
        let _alone = lock();
        let node = ran("losetup", &args).trim().to_owned();
        Self { node, file }
    }

    fn name(&self) -> &str {
        self.node.trim_start_matches("/dev/")
    }

    /// Puts another file under its name.
    fn change(&self, file: &Path) {
        let _alone = lock();
        ran("losetup", &["--detach", &self.node]);
        ran("losetup", &[&self.node, text(file)]);
    }

    /// Flashes it without a question.
    fn flash(&self, image: &Path) -> Output {
        nightjar(&["flash", text(image), "--to", &self.node, "--yes", "--loop-devices-too"])
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        let mut read = vec![0; bytes.len()];
        let file = fs::File::open(&self.file).expect("the file below");
        file.read_exact_at(&mut read, 0).expect("it is that long");
        read == bytes
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = program("losetup", &["--detach", &self.node]).status();
    }
}

/// Whether loop devices can be made here.
fn has_loops(test: &str) -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    let works =
        root && program("losetup", &["--find"]).output().is_ok_and(|it| it.status.success());
    if !works {
        left_out(test, "no root, or no loop devices");
    }
    works && has(test, &["mksquashfs", "mke2fs", "mtype", "unshare", "script"])
}

fn refused(done: &Output, words: &str) {
    let said = complaint(done);
    assert!(done.status.code() == Some(1) && said.contains(words), "{words:?} is not in {said:?}");
}

#[test]
fn a_drive_is_written_and_read_back() {
    if !has_loops("a_drive_is_written_and_read_back") {
        return;
    }
    let card = Card::new("drive");
    let drive = Loop::new(card.path("drive"), BYTES + (8 << 20), &[]);
    let done = drive.flash(&card.image);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", complaint(&done));
    assert!(said.contains("Written: 288 MiB") && said.contains("MB/s"), "{said}");
    assert!(
        said.contains("Read back and the same") && said.contains("Done: take the card"),
        "{said}"
    );
    assert!(drive.holds(&card.bytes()));

    // On a terminal the drive is chosen by its name, once; settings that were said are not asked for.
    let ask = |answer: &str| {
        let mut terminal = Terminal::flash(&card.image, "--name 'Front door'");
        terminal.answer("nothing to stop: ", &format!("{answer}\n"));
        terminal.end()
    };
    let (good, said) = ask("no");
    assert!(!good && said.contains("stopped: nothing was written"), "{said}");
    assert!(drive.holds(&card.bytes()));
    let (good, said) = ask(drive.name());
    assert!(good && said.contains("100 %") && said.contains("Done"), "{said}");
    assert!(on_autoboot(&drive.file, "nightjar.toml").contains("name = \"Front door\""));
}

/// Somebody at a terminal who flashes a card, and the terminal's state at the end.
struct Terminal {
    child: Child,
    said: String,
}

impl Terminal {
    fn flash(image: &Path, flags: &str) -> Self {
        let nightjar = binary("nightjar");
        let command = format!(
            "trap : INT; {} flash {} {flags} --loop-devices-too; code=$?; stty -a; exit $code",
            nightjar.display(),
            image.display()
        );
        let mut script = program("script", &["-qec", &command, "/dev/null"]);
        let child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self { child: child.expect("script runs"), said: String::new() }
    }

    /// Types `keys` when it has been asked for them.
    fn answer(&mut self, question: &str, keys: &str) {
        let out = self.child.stdout.as_mut().expect("a pipe");
        let mut byte = [0];
        while !self.said.ends_with(question) {
            assert_eq!(out.read(&mut byte).expect("text"), 1, "it ended: {}", self.said);
            self.said.push(byte[0].into());
        }
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("it listens");
    }

    /// Whether it ended well, and all that stood on the terminal.
    fn end(mut self) -> (bool, String) {
        let out = self.child.stdout.as_mut().expect("a pipe");
        out.read_to_string(&mut self.said).expect("text");
        (self.child.wait().expect("it ends").success(), self.said)
    }
}

#[test]
fn a_drive_that_was_changed_after_it_was_chosen_is_not_written() {
    if !has_loops("a_drive_that_was_changed_after_it_was_chosen_is_not_written") {
        return;
    }
    let card = Card::new("changed");
    let drive = Loop::new(card.path("drive"), BYTES, &[]);
    // Of the same size and, for its lack of a maker, of the same title.
    let another = card.path("another");
    fs::write(&another, fs::read(&drive.file).expect("the drive")).expect("room");
    let mut terminal = Terminal::flash(&card.image, "");
    terminal.answer("nothing to stop: ", &format!("{}\n", drive.name()));
    terminal.answer("Wi-Fi network (nothing with a cable): ", "\n");
    terminal.answer("Name that phones show: ", "");
    drive.change(&another);
    terminal.answer("", "\n");
    terminal.answer("Time zone (", "\n");
    let (good, said) = terminal.end();
    assert!(!good && said.contains("is another drive now: nothing was written"), "{said}");
    for file in [&drive.file, &another] {
        assert!(fs::read(file).expect("a file").iter().all(|&it| it == 0), "{}", file.display());
    }
}

#[test]
fn whoever_stops_at_the_passphrase_sees_what_is_typed_after_it() {
    if !has_loops("whoever_stops_at_the_passphrase_sees_what_is_typed_after_it") {
        return;
    }
    let card = Card::new("stopped");
    let drive = Loop::new(card.path("drive"), BYTES, &[]);
    let mut terminal = Terminal::flash(&card.image, "");
    terminal.answer("nothing to stop: ", &format!("{}\n", drive.name()));
    terminal.answer("Wi-Fi network (nothing with a cable): ", "Home\n");
    terminal.answer("Its passphrase (not shown): ", "half of\x03");
    let (good, said) = terminal.end();
    assert!(!good && said.contains(" echo ") && !said.contains("half of"), "{said}");
}

#[test]
fn drives_that_cannot_be_a_card_are_refused() {
    if !has_loops("drives_that_cannot_be_a_card_are_refused") {
        return;
    }
    let card = Card::new("cannot");
    let short = Loop::new(card.path("short"), BYTES - 4096, &[]);
    refused(&short.flash(&card.image), "is too small: it has 287 MiB, the card takes 288 MiB");
    let protected = Loop::new(card.path("protected"), BYTES, &["--read-only"]);
    refused(&protected.flash(&card.image), "write-protected");
    let plain = Loop::new(card.path("plain"), BYTES, &[]);
    let image = text(&card.image);
    refused(&nightjar(&["flash", image, "--to", &plain.node, "--yes"]), "is no removable drive");
    refused(&nightjar(&["flash", image, "--to", "/dev/null", "--yes"]), "no drive is called");
    refused(&nightjar(&["flash", image, "--to", text(&plain.file), "--yes"]), "no drive is called");
    for untouched in [&short, &protected, &plain] {
        assert!(untouched.holds(&vec![0; 1 << 20]));
    }
}

/// Runs a script of shell in a mount namespace of its own, with what it mounts.
fn apart(script: &str, args: &[&str]) -> Command {
    program("unshare", &[&["--mount", "sh", "-euc", script, "apart"], args].concat())
}

#[test]
fn a_disk_in_use_is_never_touched() {
    if !has_loops("a_disk_in_use_is_never_touched") {
        return;
    }
    let card = Card::new("in-use");
    let disk = Loop::new(card.path("disk"), BYTES, &[]);
    ran("mke2fs", &["-q", "-t", "ext4", &disk.node]);
    let before = fs::read(&disk.file).expect("the disk");
    let folder = card.path("folder");
    fs::create_dir_all(&folder).expect("a folder");
    let nightjar = binary("nightjar");
    let [program, image, folder] = [&nightjar, &card.image, &folder].map(|it| text(it));

    let here = "mount -o ro,noload \"$1\" \"$2\"; shift 2; exec \"$@\"";
    let flash = [program, "flash", image, "--to", &disk.node, "--yes", "--loop-devices-too"];
    let args = [&[disk.node.as_str(), folder][..], &flash].concat();
    refused(&outcome(&mut apart(here, &args)), &format!("is mounted at {folder}"));

    // Mounted where this process cannot see it: the kernel knows.
    let mut elsewhere = Held::new(apart(
        "mount -o ro,noload \"$1\" \"$2\"; echo held; read -r end",
        &[&disk.node, folder],
    ));
    refused(&disk.flash(&card.image), "another program uses it");
    elsewhere.release();

    // Another writer that claimed it.
    let claimed = OpenOptions::new();
    let claimed = exclusively(claimed).open(&disk.node).expect("nobody else has it");
    refused(&disk.flash(&card.image), "another program uses it");
    drop(claimed);
    assert!(fs::read(&disk.file).expect("the disk") == before, "it was touched");

    // What a desktop mounted by itself is unmounted.
    let desktop = "mount -t tmpfs none /run; mkdir -p /run/media/me/card
                   mount -o ro,noload \"$1\" /run/media/me/card; shift; exec \"$@\"";
    let done = outcome(&mut apart(desktop, &[&[disk.node.as_str()][..], &flash].concat()));
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("Unmounting /run/media/me/card"),
        "{said}{}",
        complaint(&done)
    );
    assert!(disk.holds(&card.bytes()));
}

#[test]
fn the_disk_this_machine_runs_from_is_never_touched() {
    let test = "the_disk_this_machine_runs_from_is_never_touched";
    if !has_loops(test) || !has(test, &["findmnt"]) {
        return;
    }
    let source = ran("findmnt", &["--noheadings", "--output", "SOURCE", "/"]);
    let Some(node) = source.trim().split('[').next().filter(|it| it.starts_with("/dev/")) else {
        return left_out(test, "/ is on no device that this process sees");
    };
    let card = Card::new("system");
    let flash = ["flash", text(&card.image), "--to", node, "--yes", "--loop-devices-too"];
    let done = nightjar(&flash);
    let said = complaint(&done);
    assert!(done.status.code() == Some(1), "{said}");
    assert!(
        said.contains("this machine runs from it") || said.contains("is a partition"),
        "{said}"
    );
}

/// A process that holds something until it is told to let go.
struct Held(Child);

impl Held {
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn release(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// `O_EXCL` on a block device: for one alone (open(2)).
fn exclusively(mut options: OpenOptions) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.read(true).custom_flags(rustix::fs::OFlags::EXCL.bits().cast_signed());
    options
}
