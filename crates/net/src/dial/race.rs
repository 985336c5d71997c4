//! One connection out of many addresses: "Happy Eyeballs" (RFC 8305 §4, §5).
//!
//! The families take turns. An attempt that neither fails nor succeeds in a quarter of a second gets
//! company by the next one; one that fails makes way for it at once. The first to succeed wins, the
//! others are dropped, which closes them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Long enough for any connection, and no date that a clock cannot express.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An attempt to connect that failed.
#[derive(Debug)]
pub struct Attempt {
    /// The address tried.
    pub address: SocketAddr,
    /// Why there is no connection to it.
    pub error: io::Error,
}

/// The addresses in the order in which they are tried: families by turns, beginning with that of the
/// first, else as they came; none twice.
pub(super) fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut queues = [VecDeque::new(), VecDeque::new()];
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    for &address in addresses {
        let queue = &mut queues[usize::from(address.is_ipv4() != first_is_v4)];
        if !queue.contains(&address) {
            queue.push_back(address);
        }
    }
    let [mut ours, mut others] = queues;
    let mut order = Vec::with_capacity(addresses.len());
    while let Some(address) = ours.pop_front().or_else(|| others.pop_front()) {
        order.push(address);
        std::mem::swap(&mut ours, &mut others);
    }
    order
}

/// Connects to the first address that can be reached. What failed until then is in `failed`, also when
/// this is dropped.
///
/// `None` if nothing is left to try.
pub(super) async fn race<T, F>(
    addresses: &[SocketAddr],
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
    failed: &mut Vec<Attempt>,
) -> Option<(SocketAddr, T)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut timer = pin!(sleep(Duration::ZERO));
    // Whether the next address is due, whatever the timer says.
    let mut due = true;
    poll_fn(|cx| {
        loop {
            if (due || timer.as_mut().poll(cx).is_ready())
                && let Some(address) = waiting.next()
            {
                due = false;
                running.push((address, Box::pin(connect(address))));
                timer.as_mut().reset(Instant::now() + delay.min(NEVER));
            }
            let mut index = 0;
            let failed_before = failed.len();
            while let Some((address, attempt)) = running.get_mut(index) {
                let address = *address;
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(connection)) => return Poll::Ready(Some((address, connection))),
                    Poll::Ready(Err(error)) => {
                        failed.push(Attempt { address, error });
                        drop(running.remove(index));
                    }
                    Poll::Pending => index += 1,
                }
            }
            due = failed.len() > failed_before;
            match (waiting.len(), running.len()) {
                (0, 0) => return Poll::Ready(None),
                (0, _) => return Poll::Pending,
                // The timer has to be asked, so that it wakes this task.
                (_, _) if !due && timer.as_mut().poll(cx).is_pending() => return Poll::Pending,
                (_, _) => {}
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::io::ErrorKind;

    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        for (resolved, tried) in [
            ("", ""),
            ("1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1"),
            (
                "[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 1.1.1.2:1",
                "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1",
            ),
            ("1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1", "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1"),
            ("[::1]:1 1.1.1.1:1 [::1]:1 1.1.1.1:1", "[::1]:1 1.1.1.1:1"),
        ] {
            assert_eq!(interleave(&addresses(resolved)), addresses(tried), "{resolved}");
        }
    }

    /// What becomes of an attempt.
    #[derive(Clone, Copy)]
    enum Fate {
        Silent,
        Fails(Duration),
        Succeeds(Duration),
    }
    use Fate::{Fails, Silent, Succeeds};

    const DELAY: Duration = Duration::from_millis(250);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Runs a race between addresses with these fates, by a clock that stands still while there is
    /// something to do. Gives the winner's place, when each attempt began, who failed, and the time.
    async fn run(fates: &[Fate]) -> (Option<usize>, Vec<Duration>, Vec<usize>, Duration) {
        let addresses: Vec<SocketAddr> =
            (0..fates.len()).map(|index| ([127, 0, 0, 1], index as u16).into()).collect();
        let place = |address: SocketAddr| usize::from(address.port());
        let start = Instant::now();
        let begun = RefCell::new(Vec::new());
        let mut failed = Vec::new();
        let connect = async |address: SocketAddr| {
            begun.borrow_mut().push(start.elapsed());
            match fates[place(address)] {
                Silent => pending().await,
                Fails(after) => {
                    sleep(after).await;
                    Err(ErrorKind::ConnectionRefused.into())
                }
                Succeeds(after) => {
                    sleep(after).await;
                    Ok(place(address))
                }
            }
        };
        let won = race(&addresses, DELAY, connect, &mut failed).await;
        let failed = failed.iter().map(|attempt| place(attempt.address)).collect();
        let winner = won.map(|(address, connection)| {
            assert_eq!(place(address), connection);
            connection
        });
        (winner, begun.into_inner(), failed, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_wins_alone_when_it_is_quick() {
        let race = run(&[Succeeds(ms(249)), Succeeds(ms(0))]).await;
        assert_eq!(race, (Some(0), vec![ms(0)], vec![], ms(249)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_gets_company() {
        let race = run(&[Silent, Silent, Succeeds(ms(10)), Silent]).await;
        assert_eq!(race, (Some(2), vec![ms(0), ms(250), ms(500)], vec![], ms(510)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_makes_way_at_once() {
        let race = run(&[Fails(ms(0)), Fails(ms(20)), Succeeds(ms(5))]).await;
        assert_eq!(race, (Some(2), vec![ms(0), ms(0), ms(20)], vec![0, 1], ms(25)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_first_address_still_wins() {
        let race = run(&[Succeeds(ms(300)), Succeeds(ms(100))]).await;
        assert_eq!(race, (Some(0), vec![ms(0), ms(250)], vec![], ms(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_beside_a_silent_attempt_makes_way_too() {
        let race = run(&[Silent, Fails(ms(50)), Succeeds(ms(1))]).await;
        assert_eq!(race, (Some(2), vec![ms(0), ms(250), ms(300)], vec![1], ms(301)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_kept() {
        let race = run(&[Fails(ms(260)), Fails(ms(1)), Fails(ms(0))]).await;
        assert_eq!(race, (None, vec![ms(0), ms(250), ms(251)], vec![1, 2, 0], ms(260)));
        assert_eq!(run(&[]).await, (None, vec![], vec![], ms(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_boundless_delay_waits_for_failure() {
        let addresses = addresses("127.0.0.1:1 127.0.0.1:2");
        let mut failed = Vec::new();
        let connect = async |address: SocketAddr| match address.port() {
            1 => {
                sleep(ms(60_000)).await;
                Err(ErrorKind::TimedOut.into())
            }
            _ => Ok(()),
        };
        let won = race(&addresses, Duration::MAX, connect, &mut failed).await;
        assert_eq!(won, Some((addresses[1], ())));
        assert_eq!(failed.len(), 1);
    }
}
