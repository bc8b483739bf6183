//! The step between the keeper and a child: it drops what root may do, binds the child's life to
//! the keeper's, and becomes the child. `nightjar-box launch KEEPER UID GID GROUPS PROGRAM ...`,
//! for the keeper alone; `-` in place of UID stays who it is.

use crate::people::Person;
use rustix::process::{Pid, Signal, getppid, getuid, set_parent_process_death_signal};
use rustix::thread::{
    Gid, Uid, set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The word that asks for it.
pub(crate) const WORD: &str = "launch";

/// A command that will launch `program`.
pub(crate) fn command(person: Option<&Person>, program: &Path, args: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(WORD).arg(std::process::id().to_string());
    if let Some(Person { uid, gid, groups }) = person {
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        command.args([uid.to_string(), gid.to_string(), groups.join(",")]);
    } else {
        command.args(["-", "-", "-"]);
    }
    command.arg(program).args(args);
    command
}

/// Becomes the child; returns only where that fails.
pub(crate) fn become_child(mut args: impl Iterator<Item = OsString>) -> io::Error {
    let mut word = || args.next().and_then(|it| it.into_string().ok()).unwrap_or_default();
    let (keeper, uid, gid, groups) = (word(), word(), word(), word());
    let Some(program) = args.next() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "launch is for nightjar-box itself");
    };
    let ready = drop_rights(&uid, &gid, &groups).and_then(|()| bind(&keeper));
    match ready {
        Ok(()) => Command::new(program).args(args).exec(),
        Err(error) => error,
    }
}

fn drop_rights(uid: &str, gid: &str, groups: &str) -> io::Result<()> {
    if uid == "-" {
        return Ok(());
    }
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    // Who is no root has no rights to drop, and can be nobody else.
    if number(uid)? == getuid().as_raw() && !getuid().is_root() {
        return Ok(set_no_new_privs(true)?);
    }
    let further = groups.split(',').filter(|it| !it.is_empty()).map(number);
    let further: Result<Vec<_>, _> = further.map(|it| it.map(Gid::from_raw)).collect();
    // A new program starts with one thread, so a thread's rights are the process's.
    set_thread_groups(&further?)?;
    set_thread_gid(Gid::from_raw(number(gid)?))?;
    set_thread_uid(Uid::from_raw(number(uid)?))?;
    set_no_new_privs(true)?;
    Ok(())
}

/// After the rights are dropped: that forgets such a wish. A keeper that died before it was
/// uttered would not be noticed, hence the look.
fn bind(keeper: &str) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let parent = getppid().map(Pid::as_raw_nonzero).map(i32::from);
    if parent.map(|it| it.to_string()).as_deref() != Some(keeper) {
        return Err(io::Error::other("the keeper has died"));
    }
    Ok(())
}
