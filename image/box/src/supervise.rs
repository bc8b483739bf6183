//! The children as processes: started, heard, ended as `image_core::keeper` decides.

use crate::clock::Clock;
use crate::journal::Journal;
use crate::launch;
use crate::people::Who;
use image_core::keeper::{Deed, Keeper, Terms};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

/// What a child is.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Under which its words are kept.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) who: Who,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) terms: Terms,
    /// Whether its lines are reported, too.
    pub(crate) heard: bool,
}

/// What children report.
#[derive(Debug)]
pub(crate) enum Word {
    /// A child by its number, in which of its lives, and how it ended.
    Ended(usize, u64, io::Result<ExitStatus>),
    /// A line of a child, in which of its lives.
    Said(usize, u64, String),
}

struct Job {
    spec: Spec,
    /// Each start has its own.
    life: u64,
    process: Option<OwnedFd>,
}

/// All children.
pub(crate) struct Supervisor<W> {
    keeper: Keeper,
    jobs: Vec<Job>,
    lives: u64,
    clock: Clock,
    journal: Arc<Journal>,
    words: Sender<W>,
}

impl<W: From<Word> + Send + 'static> Supervisor<W> {
    pub(crate) fn new(clock: Clock, journal: Arc<Journal>, words: Sender<W>) -> Self {
        Self { keeper: Keeper::new(), jobs: Vec::new(), lives: 0, clock, journal, words }
    }

    /// One more child; its number.
    pub(crate) fn add(&mut self, spec: Spec) -> usize {
        let number = self.keeper.add(self.clock.now_ms(), spec.terms);
        let job = Job { spec, life: 0, process: None };
        match self.jobs.get_mut(number) {
            Some(place) => *place = job,
            None => self.jobs.push(job),
        }
        number
    }

    /// Ends one for good.
    pub(crate) fn remove(&mut self, number: usize) {
        self.keeper.remove(number);
    }

    /// Begins one anew.
    pub(crate) fn restart(&mut self, number: usize) {
        self.keeper.restart(self.clock.now_ms(), number);
    }

    /// Ends all of them.
    pub(crate) fn stop(&mut self) {
        self.keeper.stop();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.keeper.is_over()
    }

    /// Since when a child runs, ms.
    pub(crate) fn running_since(&self, number: usize) -> Option<u64> {
        self.keeper.running_since(number)
    }

    /// Whether that life of a child's goes on: what it said before it was to end is of yesterday.
    pub(crate) fn lives(&self, number: usize, life: u64) -> bool {
        self.jobs.get(number).is_some_and(|it| it.life == life)
            && self.running_since(number).is_some()
    }

    /// When [`Self::turn`] has something to do even if nothing happens, ms.
    pub(crate) fn wake_ms(&self) -> Option<u64> {
        self.keeper.wake_ms()
    }

    /// Does what is due.
    pub(crate) fn turn(&mut self) {
        while let Some(deed) = self.keeper.poll(self.clock.now_ms()) {
            match deed {
                Deed::Start(number) => self.start(number),
                Deed::Terminate(number) => self.send(number, Signal::TERM),
                Deed::Kill(number) => {
                    let name = self.jobs.get(number).map_or("", |it| &it.spec.name);
                    self.journal.say(&format!("{name} does not end, so it is killed"));
                    self.send(number, Signal::KILL);
                }
            }
        }
    }

    /// Takes note of an end; whether it was by a signal nobody here had sent, a crash.
    pub(crate) fn ended(&mut self, number: usize, life: u64, how: &io::Result<ExitStatus>) -> bool {
        let Some(job) = self.jobs.get_mut(number).filter(|it| it.life == life) else {
            return false;
        };
        job.process = None;
        let asked = self.keeper.was_asked(number);
        if !asked {
            let how = how.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            self.journal.say(&format!("{} ended: {how}", job.spec.name));
        }
        self.keeper.ended(self.clock.now_ms(), number);
        !asked && how.as_ref().is_ok_and(|it| it.code().is_none())
    }

    fn start(&mut self, number: usize) {
        self.lives += 1;
        let life = self.lives;
        let Some(job) = self.jobs.get_mut(number) else { return };
        job.life = life;
        match spawn(&job.spec) {
            Ok((child, process, words)) => {
                job.process = Some(process);
                self.attend(number, life, child, words);
            }
            Err(error) => {
                self.journal.say(&format!("{} does not start: {error}", job.spec.name));
                self.keeper.ended(self.clock.now_ms(), number);
            }
        }
    }

    /// Hears a child, and waits for its end: what it leaves behind may hold its output longer.
    fn attend(&self, number: usize, life: u64, mut child: Child, words: io::PipeReader) {
        let Some(Job { spec, .. }) = self.jobs.get(number) else { return };
        let (name, heard, journal) = (spec.name.clone(), spec.heard, Arc::clone(&self.journal));
        let sender = self.words.clone();
        thread::spawn(move || {
            journal.take_down(&name, words, |line| {
                if heard {
                    let _ = sender.send(Word::Said(number, life, line.to_owned()).into());
                }
            });
        });
        let sender = self.words.clone();
        thread::spawn(move || {
            let _ = sender.send(Word::Ended(number, life, child.wait()).into());
        });
    }

    fn send(&self, number: usize, signal: Signal) {
        if let Some(process) = self.jobs.get(number).and_then(|it| it.process.as_ref()) {
            let _ = pidfd_send_signal(process, signal);
        }
    }
}

fn spawn(spec: &Spec) -> io::Result<(Child, OwnedFd, io::PipeReader)> {
    let person = match &spec.who {
        Who::Keeper => None,
        Who::Person(person) => Some(person),
        Who::Unknown(name) => {
            return Err(io::Error::other(format!("there is no user {name} in /etc/passwd")));
        }
    };
    let (reader, writer) = io::pipe()?;
    let mut command = launch::command(person, &spec.program, &spec.args);
    let path = "/sbin:/usr/sbin:/bin:/usr/bin";
    command.env_clear().env("PATH", path).envs(spec.env.iter().map(|(key, it)| (key, it)));
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).current_dir("/");
    let mut child = command.spawn()?;
    // Taken before anybody waits for the child: the number cannot be another's.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = pid.ok_or(io::ErrorKind::InvalidData.into());
    match process.and_then(|it| Ok(pidfd_open(it, PidfdFlags::empty())?)) {
        Ok(process) => Ok((child, process, reader)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}
