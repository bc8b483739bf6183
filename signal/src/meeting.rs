//! The realm with its clock and its clients' outboxes: what the realm decides reaches them
//! before any call here returns.

use crate::clock::{self, Clock};
use crate::metrics::Metrics;
use crate::outbox::{Ledger, Outbox};
use signal_proto::realm::{Conn, Knock, Output, Realm, Refusal};
use smol::channel::{Receiver, Sender, bounded};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

/// The one meeting of this process.
#[derive(Debug)]
pub struct Meeting {
    clock: Clock,
    realm: RefCell<Realm>,
    ledger: Rc<Ledger>,
    metrics: Metrics,
    outboxes: RefCell<HashMap<Conn, Rc<Outbox>>>,
    /// When the timekeeper wakes.
    armed_ms: Cell<u64>,
    /// Says that the next timeout may have come nearer; one word waits at most.
    hurry: (Sender<()>, Receiver<()>),
}

impl Meeting {
    /// A meeting of nobody.
    pub fn new(clock: Clock, realm: Realm) -> Self {
        Self {
            clock,
            realm: RefCell::new(realm),
            ledger: Rc::default(),
            metrics: Metrics::default(),
            outboxes: RefCell::default(),
            armed_ms: Cell::new(u64::MAX),
            hurry: bounded(1),
        }
    }

    /// The clock that times are told by.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What waits for clients to read it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Lets a client in.
    pub fn connect(&self, knock: Knock) -> Result<(Conn, Rc<Outbox>), Refusal> {
        let conn = self.realm.borrow_mut().connect(self.clock.now_ms(), knock)?;
        let outbox = self.ledger.outbox();
        self.outboxes.borrow_mut().insert(conn, Rc::clone(&outbox));
        self.dispatch();
        Ok((conn, outbox))
    }

    /// An outbox for somebody who is not let in.
    pub fn refuse(&self, refusal: Refusal) -> Rc<Outbox> {
        self.metrics.refuse(refusal);
        let outbox = self.ledger.outbox();
        outbox.text(&refusal.to_text());
        outbox.close(1008);
        outbox
    }

    /// Asks or changes the realm at the time of now.
    pub fn with_realm<T>(&self, act: impl FnOnce(&mut Realm, u64) -> T) -> T {
        let result = act(&mut self.realm.borrow_mut(), self.clock.now_ms());
        self.dispatch();
        result
    }

    /// A client says something: to a peer that is here it goes on at once.
    pub fn hear(&self, conn: Conn, text: &str) {
        let relay = self.realm.borrow_mut().handle_message(self.clock.now_ms(), conn, text);
        if let Some(relay) = relay
            && let Some(outbox) = self.outboxes.borrow().get(&relay.to)
        {
            outbox.relay(&relay.message);
        }
        self.dispatch();
    }

    /// A client's connection has ended, from whichever side.
    pub fn end(&self, conn: Conn) {
        self.outboxes.borrow_mut().remove(&conn);
        self.with_realm(|realm, _| realm.handle_close(conn));
    }

    /// Lets time pass, for ever.
    pub async fn keep_time(&self) {
        loop {
            let due = {
                let mut realm = self.realm.borrow_mut();
                let change = realm.secrets().change_ms();
                realm.timeout_ms().into_iter().chain(change).min()
            };
            self.armed_ms.set(due.unwrap_or(u64::MAX));
            let wait = due.map(|due| due.saturating_sub(self.clock.now_ms()));
            let rest = async {
                match wait {
                    Some(ms) => {
                        smol::Timer::after(Duration::from_millis(ms)).await;
                    }
                    None => pending().await,
                }
            };
            smol::future::or(rest, async {
                let _ = self.hurry.1.recv().await;
            })
            .await;
            self.with_realm(|realm, now_ms| {
                realm.handle_timeout(now_ms);
                realm.secrets().rotate(now_ms, clock::entropy());
            });
        }
    }

    fn dispatch(&self) {
        let mut realm = self.realm.borrow_mut();
        let mut outboxes = self.outboxes.borrow_mut();
        while let Some(output) = realm.poll_output() {
            match output {
                Output::Send(conn, text) => {
                    if let Some(outbox) = outboxes.get(&conn) {
                        outbox.text(&text);
                    }
                }
                Output::Ping(conn) => {
                    if let Some(outbox) = outboxes.get(&conn) {
                        outbox.ping();
                    }
                }
                Output::Close(conn, code) => {
                    if let Some(outbox) = outboxes.remove(&conn) {
                        outbox.close(code);
                    }
                }
            }
        }
        let next = realm.timeout_ms().unwrap_or(u64::MAX);
        if next < self.armed_ms.get() {
            // A full channel has said it already.
            let _ = self.hurry.0.try_send(());
        }
    }
}
