//! The network's own threads: one that takes orders from the cameras, and those that help it.
//!
//! ```text
//! eye --(plan, arena)--> [ orders ] --> "infer 0" --join--> "infer 1", ...
//!     <------(arena)--------------------'
//! ```
//! However many cameras there are, no more threads compute than were asked for. An arena goes
//! there and back by value, so that nothing is borrowed across threads, and neither an order
//! nor a join asks the heap for anything once all are warm.

use edge_infer::{Fork, Plan};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Orders that wait; who orders when it is full waits for a place.
const ORDERS: usize = 16;

/// Work on both of two parts at once, for who is on a thread of the crew.
#[derive(Debug, Clone, Copy)]
struct Joined;

impl Fork for Joined {
    fn join<A: FnOnce() + Send, B: FnOnce() + Send>(&self, a: A, b: B) {
        rayon_core::join(a, b);
    }
}

/// One run of a plan.
#[derive(Debug)]
struct Order {
    plan: Arc<Plan>,
    arena: Box<[u8]>,
    reply: SyncSender<Done>,
}

/// An arena that comes back, and whether the run went well.
#[derive(Debug)]
struct Done {
    arena: Box<[u8]>,
    well: bool,
}

/// Threads that wait for orders; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Crew {
    orders: SyncSender<Order>,
}

/// Where one who orders hears that it is done.
#[derive(Debug)]
pub(super) struct Desk {
    reply: SyncSender<Done>,
    done: Receiver<Done>,
}

impl Crew {
    /// `count` threads, 2 or more.
    pub(super) fn new(count: usize) -> Result<Self, String> {
        let (orders, taken) = sync_channel(ORDERS);
        let (tell, told) = sync_channel(1);
        let work = move || {
            let pool = rayon_core::ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|at| format!("infer {at}"))
                .use_current_thread()
                .build();
            let built = pool.as_ref().map(|_| ()).map_err(ToString::to_string);
            if tell.send(built).is_ok() && pool.is_ok() {
                serve(&taken);
            }
        };
        let words = |error: &dyn std::fmt::Display| format!("its threads cannot start: {error}");
        let thread = thread::Builder::new().name("infer 0".into()).spawn(work);
        thread.map_err(|error| words(&error))?;
        told.recv().map_err(|error| words(&error))?.map_err(|error| words(&error))?;
        Ok(Self { orders })
    }

    /// Runs `plan` in `arena`, which is there again afterwards.
    ///
    /// # Panics
    /// Where the plan does, or the crew is gone.
    pub(super) fn run(&self, plan: &Arc<Plan>, arena: &mut Box<[u8]>, desk: &Desk) {
        let order = Order {
            plan: Arc::clone(plan),
            arena: std::mem::take(arena),
            reply: desk.reply.clone(),
        };
        assert!(self.orders.send(order).is_ok(), "the network's threads are gone");
        let done = desk.done.recv().expect("this end holds a sender of its own");
        *arena = done.arena;
        assert!(done.well, "a step of the network panicked");
    }
}

impl Desk {
    pub(super) fn new() -> Self {
        let (reply, done) = sync_channel(1);
        Self { reply, done }
    }
}

fn serve(orders: &Receiver<Order>) {
    for Order { plan, mut arena, reply } in orders {
        let run = AssertUnwindSafe(|| plan.run(&mut arena, &Joined));
        let well = catch_unwind(run).is_ok();
        // Who ordered may have ended meanwhile.
        let _ = reply.send(Done { arena, well });
    }
}
