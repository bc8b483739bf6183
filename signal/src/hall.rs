//! Who has a connection: visitors, until they become clients or go, and clients' sockets.
//!
//! Bounds: [`VISITORS_MAX`] visitors, [`VISITORS_OF_ONE`] of them from one address. Beyond
//! either, who has been idle longest between two requests makes room; where nobody is, the
//! newcomer is closed unheard.

use signal_proto::network::Site;
use smol::channel::{Receiver, Sender, bounded};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most connections at once that are no WebSocket (yet).
pub const VISITORS_MAX: usize = 4096;

/// Most of them from one IPv4 address or IPv6 /64.
pub const VISITORS_OF_ONE: usize = 256;

/// Counts everybody.
#[derive(Debug)]
pub struct Hall {
    most: usize,
    most_of_one: usize,
    visitors: Cell<usize>,
    sites: RefCell<BTreeMap<Site, usize>>,
    /// Visitors between two requests, the longest idle first; who is dropped from here goes.
    idle: RefCell<BTreeMap<u64, Idle>>,
    next: Cell<u64>,
    sockets: Cell<usize>,
    empty: (Sender<()>, Receiver<()>),
}

#[derive(Debug)]
struct Idle {
    site: Option<Site>,
    /// Nothing is sent: the visitor sees it dropped.
    _place: Sender<()>,
}

impl Default for Hall {
    fn default() -> Self {
        Self::new(VISITORS_MAX, VISITORS_OF_ONE)
    }
}

impl Hall {
    /// A hall with bounds of its own.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            most,
            most_of_one,
            visitors: Cell::new(0),
            sites: RefCell::default(),
            idle: RefCell::default(),
            next: Cell::new(0),
            sockets: Cell::new(0),
            empty: bounded(1),
        }
    }

    /// Lets a visitor in, if there is room or room can be made. A `site` of `None` counts only
    /// among all: a trusted proxy brings many.
    pub fn enter(self: &Rc<Self>, site: Option<Site>) -> Option<Visitor> {
        let here = site.map_or(0, |site| self.sites.borrow().get(&site).copied().unwrap_or(0));
        let has_room = if here >= self.most_of_one {
            self.evict(|idle| idle == site)
        } else {
            self.visitors.get() < self.most || self.evict(|_| true)
        };
        if !has_room {
            return None;
        }
        self.visitors.set(self.visitors.get() + 1);
        if let Some(site) = site {
            *self.sites.borrow_mut().entry(site).or_default() += 1;
        }
        Some(Visitor { hall: Rc::clone(self), site })
    }

    /// A client's socket, until it is dropped.
    pub fn seat(self: &Rc<Self>) -> Seat {
        self.sockets.set(self.sockets.get() + 1);
        Seat(Rc::clone(self))
    }

    /// Waits until no client's socket is left; visitors are not waited for.
    pub async fn emptied(&self) {
        while self.sockets.get() > 0 {
            let _ = self.empty.1.recv().await;
        }
    }

    /// Sends the longest idle of some visitors away; false where none is idle.
    fn evict(&self, is_meant: impl Fn(Option<Site>) -> bool) -> bool {
        let mut idle = self.idle.borrow_mut();
        let found = idle.iter().find(|(_, idle)| is_meant(idle.site)).map(|(number, _)| *number);
        found.is_some_and(|number| idle.remove(&number).is_some())
    }
}

/// One visitor, until it is dropped.
#[derive(Debug)]
pub struct Visitor {
    hall: Rc<Hall>,
    site: Option<Site>,
}

impl Visitor {
    /// `work`'s result, unless the visitor has to make room while it waits for that.
    pub async fn idle<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        let (place, gone) = bounded(1);
        let number = self.hall.next.get();
        self.hall.next.set(number + 1);
        self.hall.idle.borrow_mut().insert(number, Idle { site: self.site, _place: place });
        let _rest = Rest { hall: &self.hall, number };
        smol::future::or(work, async {
            let _ = gone.recv().await;
            None
        })
        .await
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.hall.visitors.set(self.hall.visitors.get() - 1);
        let Some(site) = self.site else { return };
        let mut sites = self.hall.sites.borrow_mut();
        if let Some(count) = sites.get_mut(&site) {
            *count -= 1;
            if *count == 0 {
                sites.remove(&site);
            }
        }
    }
}

/// A place among the idle.
struct Rest<'a> {
    hall: &'a Hall,
    number: u64,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.hall.idle.borrow_mut().remove(&self.number);
    }
}

/// A client's socket.
#[derive(Debug)]
pub struct Seat(Rc<Hall>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.set(self.0.sockets.get() - 1);
        if self.0.sockets.get() == 0 {
            // A full channel has said it already.
            let _ = self.0.empty.0.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::LocalExecutor;
    use std::future::pending;

    fn site(number: u8) -> Site {
        Site::of([192, 0, 2, number].into())
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let hall = Rc::new(Hall::new(5, 2));
        let mut here: Vec<_> = (0..9).filter_map(|_| hall.enter(Some(site(1)))).collect();
        assert_eq!(here.len(), 2);
        here.extend(hall.enter(Some(site(2))));
        assert_eq!(here.len(), 3);
        let proxied: Vec<_> = (0..9).filter_map(|_| hall.enter(None)).collect();
        assert_eq!(proxied.len(), 2, "a proxy's bound is that of all");
        assert!(hall.enter(Some(site(3))).is_none());
        drop((here, proxied));
        assert!(hall.enter(Some(site(3))).is_some() && hall.sites.borrow().is_empty());
        assert_eq!(hall.visitors.get(), 0);
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let hall = Rc::new(Hall::new(3, 2));
        let executor = LocalExecutor::new();
        let rest = |site| {
            let visitor = hall.enter(Some(site)).unwrap();
            let task = executor.spawn(async move { visitor.idle(pending::<Option<()>>()).await });
            while executor.try_tick() {}
            task
        };
        let (first, second, third) = (rest(site(1)), rest(site(2)), rest(site(2)));
        let own = hall.enter(Some(site(2))).expect("in its own neighbour's place");
        while executor.try_tick() {}
        assert!(!first.is_finished() && second.is_finished() && !third.is_finished());
        let other = hall.enter(Some(site(3))).expect("in the longest idle one's place");
        while executor.try_tick() {}
        assert!(first.is_finished() && !third.is_finished());
        drop((own, other, third));
        while executor.try_tick() {}
        assert_eq!((hall.visitors.get(), hall.idle.borrow().len()), (0, 0));
    }
}
