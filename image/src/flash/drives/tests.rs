//! The guard against pictures of machines: what is offered, and why everything else is not.

use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

/// A machine in a folder that goes with it.
struct Picture(Machine);

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.root);
    }
}

impl Picture {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nightjar-drives-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for folder in ["sys/block", "sys/class/block", "sys/dev/block", "proc/self", "dev/mapper"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self(Machine { root, loops: false })
    }

    /// A block device at a place below `sys/devices`; `facts` are its files.
    fn device(&self, place: &str, number: &str, facts: &[(&str, &str)]) {
        let root = &self.0.root;
        let path = root.join("sys/devices").join(place);
        fs::create_dir_all(path.join("holders")).unwrap();
        fs::create_dir_all(path.join("slaves")).unwrap();
        fs::create_dir_all(path.join("device")).unwrap();
        fs::write(path.join("dev"), number).unwrap();
        for (name, value) in facts {
            fs::write(path.join(name), value).unwrap();
        }
        let name = file_name(&path).unwrap();
        symlink(&path, root.join("sys/class/block").join(&name)).unwrap();
        symlink(&path, root.join("sys/dev/block").join(number)).unwrap();
        if !path.join("partition").exists() {
            symlink(&path, root.join("sys/block").join(&name)).unwrap();
        }
        fs::write(root.join("dev").join(name), "").unwrap();
    }

    /// An SD card in a USB reader with two partitions.
    fn card(&self, name: &str, major: u32) {
        let place = format!("pci0000:00/usb1/1-2/host6/block/{name}");
        let facts = [("size", "62333952\n"), ("removable", "1\n"), ("ro", "0\n")];
        self.device(&place, &format!("{major}:0"), &facts);
        let device = self.0.root.join("sys/devices").join(&place).join("device");
        fs::write(device.join("vendor"), "Generic \n").unwrap();
        fs::write(device.join("model"), "STORAGE\x1b[2J DEVICE\n").unwrap();
        for nr in [1, 2] {
            let part = format!("{place}/{name}{nr}");
            self.device(&part, &format!("{major}:{nr}"), &[("partition", "1")]);
        }
    }

    /// A mapping over other devices.
    fn mapping(&self, name: &str, number: &str, over: &[&str]) {
        self.device(&format!("virtual/block/{name}"), number, &[("size", "1"), ("removable", "1")]);
        let class = self.0.root.join("sys/class/block");
        for below in over {
            fs::write(class.join(name).join("slaves").join(below), "").unwrap();
            fs::write(class.join(below).join("holders").join(name), "").unwrap();
        }
    }

    fn mounted(&self, lines: &[(&str, &str, &str)]) {
        let text = lines.iter().enumerate().map(|(nr, (number, point, source))| {
            format!("{nr} 1 {number} / {point} rw,relatime shared:1 - ext4 {source} rw\n")
        });
        let path = self.0.root.join("proc/self/mountinfo");
        fs::write(path, text.collect::<String>()).unwrap();
    }

    fn judge(&self, name: &str) -> Result<Drive, No> {
        self.0.judge(name)
    }

    fn refusal(&self, name: &str) -> String {
        self.judge(name).unwrap_err().to_string()
    }
}

#[test]
fn a_card_in_a_reader_is_offered_with_what_it_says_of_itself() {
    let picture = Picture::new();
    picture.card("sdb", 8);
    let drive = picture.judge("sdb").unwrap();
    assert_eq!(drive.to_string(), "sdb        31.9 GB  Generic STORAGE[2J DEVICE");
    assert_eq!((drive.number.as_str(), drive.mounts.len()), ("8:0", 0));
    fs::create_dir_all(picture.0.root.join("dev/disk/by-id")).unwrap();
    symlink("../../sdb", picture.0.root.join("dev/disk/by-id/usb-X")).unwrap();
    assert_eq!(picture.judge("/dev/disk/by-id/usb-X"), Ok(drive.clone()));
    assert_eq!(picture.judge("/dev/sdb"), Ok(drive.clone()));
    // Another card in the same reader.
    fs::write(picture.0.root.join("sys/class/block/sdb/diskseq"), "7\n").unwrap();
    assert!(drive.is(&drive) && !drive.is(&picture.judge("sdb").unwrap()));
}

#[test]
fn a_stick_that_this_machine_runs_from_is_never_touched() {
    let picture = Picture::new();
    picture.card("sda", 8);
    picture.mounted(&[("0:25", "/", "overlay"), ("8:2", "/", "/dev/root")]);
    assert_eq!(
        picture.refusal("sda"),
        "sda is never touched: this machine runs from it (sda2 is /)"
    );
    for point in ["/boot", "/home", "/var/lib/x", "/mnt", "/mediaserver", "/srv/my\\040disk"] {
        picture.mounted(&[("8:1", point, "/dev/sda1")]);
        let place = point.replace("\\040", " ");
        assert_eq!(picture.refusal("sda"), format!("sda is in use: sda1 is mounted at {place}"));
    }
}

#[test]
fn the_whole_disk_may_be_the_file_system() {
    let picture = Picture::new();
    picture.card("sda", 8);
    picture.mounted(&[("8:0", "/", "/dev/sda")]);
    assert!(picture.refusal("sda").contains("this machine runs from it"));
}

#[test]
fn layers_hide_no_disk() {
    let picture = Picture::new();
    picture.card("sda", 8);
    picture.card("sdb", 9);
    // / on a volume, on an encrypted mapping, on a RAID of both disks.
    picture.mapping("md0", "10:0", &["sda2", "sdb2"]);
    picture.mapping("dm-0", "253:0", &["md0"]);
    picture.mapping("dm-1", "253:1", &["dm-0"]);
    picture.mounted(&[("253:1", "/", "/dev/mapper/system")]);
    for name in ["sda", "sdb"] {
        assert!(picture.refusal(name).contains("runs from it (dm-1 is /)"), "{name}");
    }
    picture.mounted(&[]);
    assert_eq!(picture.refusal("sdb"), "sdb is in use: md0 is built upon it");
    assert_eq!(picture.refusal("dm-1"), "dm-1 is no removable drive", "whatever it says of itself");
}

#[test]
fn a_file_system_of_many_disks_is_found_by_its_source() {
    let picture = Picture::new();
    picture.card("sda", 8);
    picture.mapping("dm-0", "253:0", &["sda1"]);
    symlink("../dm-0", picture.0.root.join("dev/mapper/home")).unwrap();
    picture.mounted(&[("0:31", "/home", "/dev/mapper/home")]);
    assert_eq!(picture.refusal("sda"), "sda is in use: dm-0 is mounted at /home");
}

#[test]
fn swap_is_use() {
    let picture = Picture::new();
    picture.card("sda", 8);
    let swaps =
        "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n/swapfile file 1 0 -3\n";
    fs::write(picture.0.root.join("proc/swaps"), swaps).unwrap();
    assert_eq!(picture.refusal("sda"), "sda is in use: sda2 is swap");
}

#[test]
fn what_a_desktop_mounted_is_unmounted_last_first() {
    let picture = Picture::new();
    picture.card("sdb", 8);
    let points =
        [("8:1", "/media/me/A", "/dev/sdb1"), ("8:2", "/run/media/me/B\\040C", "/dev/sdb2")];
    picture.mounted(&points);
    let mounts = picture.judge("sdb").unwrap().mounts;
    assert_eq!(mounts, ["/run/media/me/B C", "/media/me/A"].map(PathBuf::from));
    picture.mounted(&[points[0], ("8:2", "/home", "/dev/sdb2")]);
    assert!(picture.refusal("sdb").contains("mounted at /home"), "one such is enough");
}

#[test]
fn only_what_can_be_taken_out_is_offered() {
    let mut picture = Picture::new();
    let large = [("size", "62333952"), ("removable", "0"), ("ro", "0")];
    let fixed = ["pci0000:00/nvme/nvme0/nvme0n1", "pci0000:00/ata1/host0/block/sda"];
    for (nr, place) in fixed.iter().enumerate() {
        picture.device(place, &format!("1:{nr}"), &large);
    }
    let optical = [("size", "62333952"), ("removable", "1"), ("ro", "0")];
    picture.device("pci0000:00/ata2/host1/block/sr0", "11:0", &optical);
    picture.device("virtual/block/zram0", "252:0", &optical);
    picture.device("virtual/block/loop0", "7:0", &large);
    picture.device("platform/mmc0/mmc0:0001/block/mmcblk0", "179:0", &large);
    picture.device("platform/mmc1/mmc1:0001/block/mmcblk1", "179:8", &large);
    picture.device("pci0000:00/usb2/2-1/host7/block/sdc", "8:32", &large);
    let root = picture.0.root.join("sys/class/block");
    fs::write(root.join("mmcblk0/device/type"), "MMC\n").unwrap();
    fs::write(root.join("mmcblk1/device/type"), "SD\n").unwrap();
    fs::write(root.join("mmcblk1/device/name"), "SD64G\n").unwrap();
    let offered = |picture: &Picture| {
        let names = picture.0.names().into_iter().filter_map(|name| picture.judge(&name).ok());
        names.map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(offered(&picture), ["mmcblk1", "sdc"]);
    assert_eq!(picture.judge("mmcblk1").unwrap().title, "SD card SD64G");
    assert_eq!(picture.refusal("sda"), "sda is no removable drive");
    picture.0.loops = true;
    assert_eq!(offered(&picture), ["loop0", "mmcblk1", "sdc"], "loops alone are added");
}

#[test]
fn no_card_a_switch_and_wrong_names_are_said() {
    let picture = Picture::new();
    picture.card("sdb", 8);
    let sys = picture.0.root.join("sys/class/block/sdb");
    fs::write(sys.join("ro"), "1").unwrap();
    assert!(picture.refusal("sdb").contains("write-protected"));
    fs::write(sys.join("size"), "0").unwrap();
    assert_eq!(picture.refusal("sdb"), "there is no card in sdb");
    assert!(picture.refusal("/dev/sdb1").ends_with("a card is a whole drive, here sdb"));
    fs::write(picture.0.root.join("proc/sdb"), "a file of that name").unwrap();
    for name in ["/proc/sdb", "sdz", "", "../sdb", "sdb/sdb1", "/dev/sdz", "/proc", ".", "/"] {
        assert_eq!(picture.judge(name), Err(No::Unknown(name.into())), "{name:?}");
    }
}
