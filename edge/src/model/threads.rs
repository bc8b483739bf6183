//! The network's own threads: one that takes orders from the cameras, and those that help it.
//!
//! ```text
//! eye --(plan, arena)--> [ orders ] --> "infer 0" --join--> "infer 1", ...
//!     <------(arena)------- [ desk ] <------'
//! ```
//! However many cameras there are, no more threads compute than were asked for. An arena goes
//! there and back by value, so that nothing is borrowed across threads. Neither an order nor a
//! join asks the heap for anything: locks and bells, where a channel of the standard library
//! makes room for whoever has to wait.

use edge_infer::{Fork, Plan};
use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

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

/// Something that several threads hand on, and a bell for each change.
#[derive(Debug, Default)]
struct Shared<T> {
    held: Mutex<T>,
    bell: Condvar,
}

impl<T> Shared<T> {
    /// Waits until `take` finds what it looks for.
    fn wait<R>(&self, mut take: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut held = self.lock();
        loop {
            if let Some(found) = take(&mut held) {
                self.bell.notify_all();
                return found;
            }
            held = self.bell.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run of a plan.
#[derive(Debug)]
struct Order {
    plan: Arc<Plan>,
    arena: Box<[u8]>,
    desk: Arc<Shared<Option<Done>>>,
}

/// An arena that comes back, and whether the run went well.
#[derive(Debug)]
struct Done {
    arena: Box<[u8]>,
    well: bool,
}

/// What the crew has to do.
#[derive(Debug, Default)]
struct Orders {
    waiting: VecDeque<Order>,
    /// Whether more will come.
    closed: bool,
    /// Whether the crew could start, once that is known.
    started: Option<Result<(), String>>,
}

/// Threads that wait for orders; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Crew {
    orders: Arc<Shared<Orders>>,
    thread: Option<JoinHandle<()>>,
}

/// Where one who orders hears that it is done.
#[derive(Debug, Default)]
pub(super) struct Desk(Arc<Shared<Option<Done>>>);

impl Crew {
    /// `count` threads, 2 or more.
    pub(super) fn new(count: usize) -> Result<Self, String> {
        let orders = Arc::new(Shared::<Orders>::default());
        orders.lock().waiting.reserve_exact(ORDERS);
        let taken = Arc::clone(&orders);
        let work = move || {
            let pool = ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|at| format!("infer {at}"))
                .use_current_thread()
                .build();
            // Each looks for work once, which is when it makes its notes of the others.
            let warm = |pool: &ThreadPool| drop(pool.broadcast(|_| rayon_core::yield_now()));
            let built = pool.as_ref().map(warm).map_err(ToString::to_string);
            taken.lock().started = Some(built);
            taken.bell.notify_all();
            if pool.is_ok() {
                serve(&taken);
            }
        };
        let words = |error: &dyn std::fmt::Display| format!("its threads cannot start: {error}");
        let thread = thread::Builder::new().name("infer 0".into()).spawn(work);
        let thread = thread.map_err(|error| words(&error))?;
        orders.wait(|orders| orders.started.take()).map_err(|error| words(&error))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Runs `plan` in `arena`, which is there again afterwards.
    ///
    /// # Panics
    /// Where the plan does.
    pub(super) fn run(&self, plan: &Arc<Plan>, arena: &mut Box<[u8]>, desk: &Desk) {
        let mut order = Some(Order {
            plan: Arc::clone(plan),
            arena: std::mem::take(arena),
            desk: Arc::clone(&desk.0),
        });
        self.orders.wait(|orders| {
            let room = orders.waiting.len() < ORDERS;
            room.then(|| orders.waiting.extend(order.take()))
        });
        let done = desk.0.wait(Option::take);
        *arena = done.arena;
        assert!(done.well, "a step of the network panicked");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.orders.lock().closed = true;
        self.orders.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            // It catches its panics.
            let _ = thread.join();
        }
    }
}

fn serve(orders: &Shared<Orders>) {
    let next = |orders: &mut Orders| match orders.waiting.pop_front() {
        None if orders.closed => Some(None),
        None => None,
        order => Some(order),
    };
    while let Some(Order { plan, mut arena, desk }) = orders.wait(next) {
        let run = AssertUnwindSafe(|| plan.run(&mut arena, &Joined));
        let well = catch_unwind(run).is_ok();
        drop(plan);
        *desk.lock() = Some(Done { arena, well });
        desk.bell.notify_all();
    }
}
