//! What an outbox promises, one promise a test.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use sockeye_outbox::{Class, Entry, Outbox, RESERVE, Refused, VOLATILE_BELOW};

#[derive(Debug, PartialEq, Eq, Clone)]
struct Item(u32, usize);

impl Entry for Item {
    fn bytes(&self) -> usize {
        self.1
    }
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (Arc<Counter>, Waker) {
    let counter = Arc::new(Counter::default());
    (counter.clone(), counter.into())
}

fn take(outbox: &Outbox<Item>, waker: &Waker, released: usize, max: usize) -> (Vec<u32>, bool) {
    let mut batch = Vec::new();
    let taken = outbox.poll_take(&mut Context::from_waker(waker), released, max, &mut batch);
    (batch.into_iter().map(|item| item.0).collect(), taken.last)
}

#[test]
fn entries_leave_in_order_and_in_portions() {
    let outbox = Outbox::new(1000);
    let (_, waker) = counter();
    for n in 0..5 {
        outbox.push(Item(n, 100), Class::Data).unwrap();
    }
    assert_eq!(take(&outbox, &waker, 0, 250).0, [0, 1]);
    assert_eq!(take(&outbox, &waker, 200, 10).0, [2], "one entry moves whatever its size");
    assert_eq!(take(&outbox, &waker, 100, 1000).0, [3, 4]);
}

#[test]
fn an_entry_counts_until_it_is_released() {
    let outbox = Outbox::new(100);
    let (_, waker) = counter();
    outbox.push(Item(0, 80), Class::Data).unwrap();
    take(&outbox, &waker, 0, 1000);
    assert_eq!(outbox.push(Item(1, 80), Class::Data), Err(Refused::Full(Item(1, 80))));
    take(&outbox, &waker, 80, 1000);
    outbox.push(Item(1, 80), Class::Data).unwrap();
}

#[test]
fn one_entry_over_the_limit_passes_alone() {
    let outbox = Outbox::new(10);
    outbox.push(Item(0, 5000), Class::Data).unwrap();
    assert!(matches!(outbox.push(Item(1, 1), Class::Data), Err(Refused::Full(_))));
}

#[test]
fn the_reserve_is_for_acks_and_control() {
    let outbox = Outbox::new(100);
    outbox.push(Item(0, 100), Class::Data).unwrap();
    assert!(matches!(outbox.push(Item(1, 1), Class::Data), Err(Refused::Full(_))));
    outbox.push(Item(2, RESERVE), Class::Reserved).unwrap();
    assert!(matches!(outbox.push(Item(3, 1), Class::Reserved), Err(Refused::Full(_))));
}

#[test]
fn volatile_goes_only_where_it_is_written_at_once() {
    let outbox = Outbox::new(1_000_000);
    let (_, waker) = counter();
    outbox.push(Item(0, 10), Class::Volatile).unwrap();
    outbox.push(Item(1, VOLATILE_BELOW), Class::Data).unwrap();
    assert!(matches!(outbox.push(Item(2, 1), Class::Volatile), Err(Refused::Full(_))));
    take(&outbox, &waker, 0, usize::MAX);
    let _ = outbox.park_blocked(&mut Context::from_waker(&waker), 0);
    assert!(matches!(outbox.push(Item(3, 1), Class::Volatile), Err(Refused::Full(_))));
    take(&outbox, &waker, VOLATILE_BELOW + 10, usize::MAX);
    outbox.push(Item(4, 1), Class::Volatile).unwrap();
}

#[test]
fn push_wakes_a_driver_once_for_many_entries() {
    let outbox = Outbox::new(1000);
    let (wakes, waker) = counter();
    take(&outbox, &waker, 0, 1000);
    for n in 0..3 {
        outbox.push(Item(n, 1), Class::Data).unwrap();
    }
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn sealing_lets_the_queued_out_and_nothing_in() {
    let outbox = Outbox::new(1000);
    let (wakes, waker) = counter();
    take(&outbox, &waker, 0, 1000);
    outbox.push(Item(0, 1), Class::Data).unwrap();
    outbox.seal();
    assert_eq!(outbox.push(Item(1, 1), Class::Reserved), Err(Refused::Sealed(Item(1, 1))));
    assert_eq!(take(&outbox, &waker, 0, 1000), (vec![0], true));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn closing_drops_what_is_queued_and_ends_every_wait() {
    let outbox = Outbox::new(10);
    let (waits, waiter) = counter();
    outbox.push(Item(0, 10), Class::Data).unwrap();
    let mut slot = Some(Item(1, 5));
    let mut cx = Context::from_waker(&waiter);
    assert_eq!(outbox.poll_push(&mut cx, &mut slot), Poll::Pending);
    outbox.close();
    assert_eq!(waits.0.load(Ordering::SeqCst), 1);
    assert_eq!(outbox.poll_push(&mut cx, &mut slot), Poll::Ready(Err(())));
    assert_eq!(slot, Some(Item(1, 5)), "what was not queued is still its owner's");
    let (_, waker) = counter();
    assert_eq!(take(&outbox, &waker, 0, 1000), (vec![], true));
}

#[test]
fn a_waiting_push_goes_on_below_the_low_water_mark() {
    let outbox = Outbox::new(100);
    let (waits, waiter) = counter();
    let (_, driver) = counter();
    outbox.push(Item(0, 30), Class::Data).unwrap();
    outbox.push(Item(1, 70), Class::Data).unwrap();
    let mut slot = Some(Item(2, 40));
    let mut cx = Context::from_waker(&waiter);
    assert_eq!(outbox.poll_push(&mut cx, &mut slot), Poll::Pending);
    take(&outbox, &driver, 0, 1000);
    take(&outbox, &driver, 30, 1000);
    assert_eq!(waits.0.load(Ordering::SeqCst), 0, "70 of 100 are still buffered");
    take(&outbox, &driver, 70, 1000);
    assert_eq!(waits.0.load(Ordering::SeqCst), 1);
    assert_eq!(outbox.poll_push(&mut cx, &mut slot), Poll::Ready(Ok(())));
    assert_eq!(slot, None);
}

#[test]
fn a_notification_is_reported_once() {
    let outbox: Outbox<Item> = Outbox::new(100);
    let (wakes, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    outbox.poll_take(&mut cx, 0, 1, &mut Vec::new());
    outbox.notify();
    outbox.notify();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(outbox.poll_take(&mut cx, 0, 1, &mut Vec::new()).notified);
    assert!(!outbox.poll_take(&mut cx, 0, 1, &mut Vec::new()).notified);
}

#[test]
fn room_is_promised_while_half_of_the_limit_is_free() {
    let outbox = Outbox::new(100);
    let (woken, waker) = counter();
    let room = || outbox.poll_room(&mut Context::from_waker(&waker));
    assert_eq!(room(), Poll::Ready(Ok(())));
    // Whatever its size: it was promised.
    outbox.push(Item(0, 500), Class::Promised).unwrap();
    assert_eq!(room(), Poll::Pending);
    take(&outbox, Waker::noop(), 0, 1000);
    take(&outbox, Waker::noop(), 449, 1000);
    assert_eq!((room(), woken.0.load(Ordering::SeqCst)), (Poll::Pending, 0));
    take(&outbox, Waker::noop(), 1, 1000);
    assert_eq!((room(), woken.0.load(Ordering::SeqCst)), (Poll::Ready(Ok(())), 1));
    outbox.seal();
    assert_eq!(room(), Poll::Ready(Err(())));
    assert!(outbox.push(Item(1, 1), Class::Promised).is_err());
}

#[test]
fn drained_is_when_the_kernel_has_everything() {
    let outbox = Outbox::new(100);
    let (woken, waker) = counter();
    let drained = || outbox.poll_drained(&mut Context::from_waker(&waker));
    assert_eq!(drained(), Poll::Ready(()));
    outbox.push(Item(0, 60), Class::Data).unwrap();
    take(&outbox, Waker::noop(), 0, 1000);
    for released in [20, 20, 19] {
        assert_eq!(drained(), Poll::Pending);
        take(&outbox, Waker::noop(), released, 1000);
    }
    assert_eq!(drained(), Poll::Pending);
    let before = woken.0.load(Ordering::SeqCst);
    take(&outbox, Waker::noop(), 1, 1000);
    assert_eq!((drained(), woken.0.load(Ordering::SeqCst)), (Poll::Ready(()), before + 1));

    outbox.push(Item(1, 60), Class::Data).unwrap();
    assert_eq!(drained(), Poll::Pending);
    outbox.close();
    assert_eq!(drained(), Poll::Ready(()));
}

#[test]
fn many_that_wait_do_not_keep_each_other_awake() {
    const TASKS: usize = 3000;
    let outbox = Outbox::new(10);
    outbox.push(Item(0, 10), Class::Data).unwrap();
    let mut tasks: Vec<_> = (0..TASKS).map(|_| (counter(), 0)).collect();
    let poll = |waker: &Waker| {
        let pushed = outbox.poll_push(&mut Context::from_waker(waker), &mut Some(Item(1, 1)));
        assert_eq!(pushed, Poll::Pending);
    };
    tasks.iter().for_each(|((_, waker), _)| poll(waker));
    let mut rounds = 0;
    loop {
        let mut woken = 0;
        for ((wakes, waker), seen) in &mut tasks {
            if std::mem::replace(seen, wakes.0.load(Ordering::SeqCst)) < *seen {
                woken += 1;
                poll(waker);
            }
        }
        if woken == 0 {
            break;
        }
        rounds += 1;
        assert!(rounds < 10, "{woken} are asked again and again, though nothing has changed");
    }
    take(&outbox, Waker::noop(), 0, 10);
    take(&outbox, Waker::noop(), 10, 10);
    assert!(tasks.iter().all(|((wakes, _), seen)| wakes.0.load(Ordering::SeqCst) == seen + 1));
}

#[test]
fn those_that_gave_up_waiting_do_not_pile_up() {
    let outbox = Outbox::new(10);
    outbox.push(Item(0, 10), Class::Data).unwrap();
    let given_up: Vec<_> = (0..20_000)
        .map(|_| {
            let (wakes, waker) = counter();
            let mut cx = Context::from_waker(&waker);
            assert_eq!(outbox.poll_room(&mut cx), Poll::Pending);
            Arc::downgrade(&wakes)
        })
        .collect();
    let kept = given_up.iter().filter(|wakes| wakes.strong_count() > 0).count();
    assert!(kept < 10_000, "{kept} wakers are kept");
}
