//! The thread that starts children for those who do not wait for them in a thread of their own.
//!
//! A child is killed when the thread that made it ends (see `sys.rs`). The threads of a runtime come and go, so there is
//! one that stays for as long as the process: it starts each child, which takes about a millisecond, and reaps what was
//! killed and did not go at once. It is made when it is first needed, and waits for nothing in between.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::process::Pid;

use crate::child::Child;
use crate::start::Prepared;
use crate::wait::try_wait;
use crate::{Error, ErrorKind};

/// How long the drop of a future waits for a child that it has killed: as a rule that takes a millisecond or two.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often it is looked for those who took longer: from the first pause on, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

enum Order {
    Start(Arc<Mutex<Commission>>),
    Reap(Pid),
}

/// What becomes of a child that somebody wants.
enum Commission {
    Open(Box<Prepared>, Waker),
    Done(Result<Child, Error>),
    /// The child was handed over, or is not wanted any more.
    Closed,
}

/// Has a child started. Who is dropped meanwhile has none: before whatever the child works on goes too, it is killed or
/// was never made.
pub(super) async fn start(prepared: Prepared) -> Result<Child, Error> {
    let commission = Arc::new(Mutex::new(Commission::Open(Box::new(prepared), Waker::noop().clone())));
    let starting = Starting(Arc::clone(&commission));
    order(Order::Start(commission)).map_err(|source| Error::could_not_start("no thread could be made", source))?;
    starting.await
}

struct Starting(Arc<Mutex<Commission>>);

/// It is locked for as long as it takes to start a child.
fn lock(commission: &Mutex<Commission>) -> MutexGuard<'_, Commission> {
    commission.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Future for Starting {
    type Output = Result<Child, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut commission = lock(&self.0);
        if let Commission::Open(_, waker) = &mut *commission {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *commission, Commission::Closed) {
            Commission::Done(child) => Poll::Ready(child),
            // To start it did not come to an end.
            _ => Poll::Ready(Err(Error::new(ErrorKind::CouldNotStart).message("qemu-img could not be started"))),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        *lock(&self.0) = Commission::Closed;
    }
}

/// A panic, of a waker that others made, say, is not to end this thread: the children would go with it.
fn fulfil(commission: &Mutex<Commission>) {
    let mut open = lock(commission);
    if let Commission::Open(prepared, waker) = std::mem::replace(&mut *open, Commission::Closed) {
        let start = AssertUnwindSafe(|| prepared.start().map(|child| child.left_to(reap, PATIENCE)));
        if let Ok(started) = catch_unwind(start) {
            *open = Commission::Done(started);
        }
        drop(open);
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

fn order(mut order: Order) -> io::Result<()> {
    static KEEPER: Mutex<Option<Sender<Order>>> = Mutex::new(None);
    let mut keeper = KEEPER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = &*keeper {
        match orders.send(order) {
            Ok(()) => return Ok(()),
            Err(unsent) => order = unsent.0,
        }
    }
    let (orders, received) = channel();
    std::thread::Builder::new().name("qemu-img-keeper".into()).spawn(move || keep(&received))?;
    // It waits for orders.
    let _ = orders.send(order);
    *keeper = Some(orders);
    Ok(())
}

fn keep(orders: &Receiver<Order>) {
    let mut dying: Vec<Pid> = Vec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let order = if dying.is_empty() {
            pause = FIRST_PAUSE;
            orders.recv().map_err(RecvTimeoutError::from)
        } else {
            orders.recv_timeout(pause)
        };
        match order {
            Ok(Order::Start(commission)) => fulfil(&commission),
            Ok(Order::Reap(pid)) => {
                dying.push(pid);
                pause = FIRST_PAUSE;
            }
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(LONGEST_PAUSE),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        dying.retain(|pid| matches!(try_wait(*pid), Ok(None)));
    }
}

/// Reaps a child that was killed, whenever it is gone.
fn reap(pid: Pid) {
    // The thread is there: it has started the child.
    let _ = order(Order::Reap(pid));
}
