//! A few threads that have the API answer what sessions ask.

use super::session::{Handle, Note};
use crate::api::{self, House, Refusal, Request, Response, Upload};
use crate::peer::inflow::Outlet;
use crate::peer::offer::Label;
use crate::peer::{Reply, Work};
use crate::principal::Principal;
use crate::say;
use edge_core::link::Ask;
use edge_core::rest::{Method, code};
use smol::channel::{Receiver, Sender, bounded};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Threads; an answer may wait up to three seconds for a camera.
const WORKERS: usize = 4;
/// Requests that wait for a thread; further ones are answered 503.
const QUEUE: usize = 64;
/// A worker's stack, bytes.
const STACK_BYTES: usize = 512 * 1024;

/// One request, and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    /// The request.
    pub(super) work: Work,
    /// The session's inbox.
    pub(super) answers: Sender<Note>,
}

/// Starts the threads; they end when the last sender is dropped.
pub(super) fn spawn(house: &Arc<House>) -> io::Result<Sender<Job>> {
    let (sender, jobs) = bounded(QUEUE);
    for number in 0..WORKERS {
        let (house, jobs) = (Arc::clone(house), jobs.clone());
        std::thread::Builder::new()
            .name(format!("answer-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || run(&house, &jobs))?;
    }
    Ok(sender)
}

fn run(house: &House, jobs: &Receiver<Job>) {
    while let Ok(Job { work, answers }) = jobs.recv_blocking() {
        let answer = catch_unwind(AssertUnwindSafe(|| answer(house, &work, &answers)));
        let (response, client) = answer.unwrap_or_else(|_| {
            say!("api: a request ended in a panic");
            (Response::refuse(Refusal::Internal), None)
        });
        // The session may be over by now.
        let _ = answers.send_blocking(Note::Reply(Reply { ask: work.ask, response, client }));
    }
}

/// The answer, and the paired phone that it is for.
fn answer(house: &House, work: &Work, session: &Sender<Note>) -> (Response, Option<u64>) {
    let principal = match (work.label, &work.head.token) {
        (Label::HttpProxy, _) => house.door.legacy(),
        (Label::Nightjar, Some(token)) => house.door.by_token(token),
        (Label::Nightjar, None) => Principal::Nobody,
    };
    let client = match principal {
        Principal::Client(id) => Some(id),
        Principal::Owner | Principal::Legacy | Principal::Nobody => None,
    };
    let Some(method) = Method::from_word(&work.head.method) else {
        return (Response::refuse(Refusal::Method), client);
    };
    let request = Request {
        method,
        target: &work.head.path,
        if_none_match: work.head.if_none_match.as_deref(),
        body: &work.body,
    };
    let Some(outlet) = &work.inflow else {
        return (api::answer(house, &principal, &request), client);
    };
    if let Some(client) = client {
        // So that to revoke it ends the session while the body comes. It may be over by now.
        let _ = session.send_blocking(Note::Client(client));
    }
    let length = work.head.length;
    let bytes = &mut Inflow { outlet, ask: work.ask, length: length.unwrap_or(0), session };
    (api::receive(house, &principal, &request, Upload { length, bytes }), client)
}

/// A body that is read as it comes; the session is told how much more may.
struct Inflow<'a> {
    outlet: &'a Outlet,
    ask: Ask,
    length: u32,
    session: &'a Sender<Note>,
}

impl Read for Inflow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // The session may be over by now.
        let grant = |room| drop(self.session.send_blocking(Note::Room(self.ask, room)));
        self.outlet.read(self.length, buf, grant)
    }
}

/// Hands work to the pool; where it is full, the session is told at once.
pub(super) fn submit(pool: &Sender<Job>, handle: &Handle, work: Work) -> Result<(), Reply> {
    let ask = work.ask;
    pool.try_send(Job { work, answers: handle.sender() }).map_err(|_| Reply {
        ask,
        response: Response::error(503, code::TOO_MANY, "Too many requests at once; try again."),
        client: None,
    })
}
