//! A bound on how many operations run at once.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bounds how many operations run at once: see [`QemuImg::semaphore`](crate::QemuImg::semaphore).
///
/// Clones are the same semaphore, for any number of clients. Who comes first is served first: a place that becomes
/// free goes to the one who has waited longest, and to nobody who comes later.
///
/// ```
/// use std::num::NonZero;
///
/// use qemu_exec::{LocalExecutor, QemuImg, Semaphore};
///
/// let semaphore = Semaphore::new(const { NonZero::new(4).unwrap() });
/// let ours = QemuImg::new(LocalExecutor::new()).semaphore(semaphore.clone());
/// let theirs = QemuImg::new(LocalExecutor::new()).semaphore(semaphore.clone());
/// assert_eq!(semaphore.free(), 4);
/// # drop((ours, theirs));
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// There is none while somebody waits.
    free: usize,
    /// Who waits, by the number of the ticket, which only grows. Who is no longer here has a place.
    queue: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Semaphore {
    /// Lets so many operations run at once.
    #[must_use]
    pub fn new(places: NonZero<usize>) -> Self {
        let state = State { free: places.get(), queue: VecDeque::new(), next_ticket: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// How many more operations could begin now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.state().free
    }

    /// How many operations wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().queue.len()
    }

    /// Takes a place, when there is one.
    pub(crate) const fn acquire(&self) -> Acquire<'_> {
        Acquire { semaphore: self, ticket: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let mut state = self.state();
        let first = state.queue.pop_front();
        if first.is_none() {
            state.free += 1;
        }
        drop(state);
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Semaphore);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Waits for a place; who is dropped meanwhile no longer does.
pub(crate) struct Acquire<'a> {
    semaphore: &'a Semaphore,
    ticket: Option<u64>,
}

impl Future for Acquire<'_> {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let semaphore = self.semaphore;
        let mut state = semaphore.state();
        let Some(ticket) = self.ticket else {
            if state.free > 0 {
                state.free -= 1;
                return Poll::Ready(Permit(semaphore.clone()));
            }
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.queue.push_back((ticket, context.waker().clone()));
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        match state.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            Ok(index) => {
                let place = state.queue.get_mut(index);
                let old = place.map(|(_, waker)| std::mem::replace(waker, context.waker().clone()));
                // Not under the lock: a waker may be all that holds a task, which may hold a place here.
                drop(state);
                drop(old);
                Poll::Pending
            }
            Err(_) => {
                self.ticket = None;
                Poll::Ready(Permit(semaphore.clone()))
            }
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.semaphore.state();
        let place = state.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket);
        let waker = place.map(|index| state.queue.remove(index));
        // See `poll`.
        drop(state);
        if waker.is_err() {
            // A place was ours already.
            self.semaphore.release();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn one() -> Semaphore {
        Semaphore::new(NonZero::new(1).unwrap())
    }

    fn poll(future: Pin<&mut Acquire<'_>>) -> Option<Permit> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_comes_first_is_served_first() {
        let semaphore = one();
        let held = poll(pin!(semaphore.acquire())).unwrap();
        let (mut second, mut third) = (pin!(semaphore.acquire()), pin!(semaphore.acquire()));
        assert!(poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());
        drop(held);
        // It goes to the second, even if others ask before that one does.
        assert!(poll(third.as_mut()).is_none() && poll(pin!(semaphore.acquire())).is_none());
        let held = poll(second).unwrap();
        assert!(poll(third.as_mut()).is_none());
        drop(held);
        assert!(poll(third).is_some());
        assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
    }

    #[test]
    fn who_goes_away_leaves_the_place_to_others() {
        let semaphore = one();
        let held = poll(pin!(semaphore.acquire())).unwrap();
        let (mut second, mut third) = (Box::pin(semaphore.acquire()), pin!(semaphore.acquire()));
        let mut goes = Box::pin(semaphore.acquire());
        assert!(poll(goes.as_mut()).is_none() && poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());
        drop(goes);
        assert_eq!(semaphore.waiting(), 2);
        // The place is the second's, who never takes it.
        drop(held);
        drop(second);
        assert!(poll(third).is_some());
        assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
    }

    /// A task that nothing but its waker holds, and that looks at the semaphore when it goes.
    struct Last(Semaphore);

    impl std::task::Wake for Last {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.0.0.try_lock().is_ok(), "a waker is dropped under the lock");
        }
    }

    #[test]
    fn a_waker_may_take_with_it_what_uses_the_semaphore() {
        let semaphore = one();
        let _held = poll(pin!(semaphore.acquire())).unwrap();
        let mut second = Box::pin(semaphore.acquire());
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Last(semaphore.clone())));
            assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(second);
        assert_eq!(semaphore.waiting(), 0);
    }
}
