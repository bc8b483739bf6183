//! The machine that runs: mounts and the restart.

use super::card::Machinery;
use rustix::mount::{MountFlags, mount_remount};
use rustix::system::{RebootCommand, reboot};
use std::ffi::{c_int, c_long};
use std::io;
use std::path::Path;

/// The real one.
#[derive(Debug)]
pub(crate) struct Machine;

impl Machinery for Machine {
    fn remount(&self, folder: &Path, writable: bool) -> io::Result<()> {
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        flags.set(MountFlags::RDONLY, !writable);
        Ok(mount_remount(folder, flags, "")?)
    }

    fn restart(&self, trial: bool) -> io::Error {
        if trial {
            return restart_with(c"0 tryboot");
        }
        reboot(RebootCommand::Restart).err().map_or_else(io::Error::last_os_error, Into::into)
    }
}

#[cfg(target_arch = "aarch64")]
const SYS_REBOOT: c_long = 142;
#[cfg(not(target_arch = "aarch64"))]
const SYS_REBOOT: c_long = 169;
/// `LINUX_REBOOT_MAGIC1`, `LINUX_REBOOT_MAGIC2C` and `LINUX_REBOOT_CMD_RESTART2` of reboot(2).
const MAGIC: [c_int; 2] = [0xfee1_dead_u32.cast_signed(), 0x2011_2000];
const RESTART2: c_int = 0xa1b2_c3d4_u32.cast_signed();

/// Restarts with a word for the firmware's driver, for which neither std nor rustix has a call.
#[expect(unsafe_code, reason = "reboot(2) with a word is a bare system call")]
fn restart_with(word: &std::ffi::CStr) -> io::Error {
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    // SAFETY: reboot(2) takes two numbers, a command and, for this one, a string that ends in
    // zero, which it only reads.
    unsafe {
        syscall(SYS_REBOOT, MAGIC[0], MAGIC[1], RESTART2, word.as_ptr());
    }
    io::Error::last_os_error()
}
