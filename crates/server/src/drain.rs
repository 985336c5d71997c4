//! Going down gracefully: clients leave a few at a time, so that they do not all come to the next server in
//! the same second.

use std::time::Duration;

use sockeye_engineio::CloseReason;
use sockeye_net::wheel::sleep;
use sockeye_transport::Ending;

use crate::site::Site;

/// How long a slice of the window is: sessions that are closed together. Short beside the second, more or
/// less, that official clients wait before they reconnect.
const SLICE: Duration = Duration::from_millis(50);

impl Site {
    /// Ends the sessions that are open in slices that fill the window; others are refused by now.
    ///
    /// Ready when each of them has been told to end. Dropping the future leaves those that it did not come
    /// to open.
    pub(crate) async fn drain(&self, window: Duration) {
        // In the order of a table by hash of random ids: nobody's turn can be foreseen.
        let mut sessions = self.engine.sessions();
        sessions.extend(self.adoptions.sessions());
        let slices = slices(window, sessions.len());
        let mut sessions = sessions.into_iter();
        for slice in 0..slices {
            if slice > 0 {
                sleep(window / slices as u32).await;
            }
            if self.engine.is_empty() && self.adoptions.is_empty() {
                break;
            }
            let left = sessions.len();
            for session in sessions.by_ref().take(left.div_ceil(slices - slice)) {
                session.close(Ending::of(CloseReason::ServerShuttingDown));
            }
        }
    }
}

/// How many slices a window has: none without sessions, and at most one for each.
fn slices(window: Duration, sessions: usize) -> usize {
    let most = usize::try_from(window.as_millis() / SLICE.as_millis()).unwrap_or(usize::MAX);
    most.min(sessions).min(u32::MAX as usize).max(usize::from(sessions > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_as_many_slices_as_it_can_and_needs() {
        let slices = |millis, sessions| slices(Duration::from_millis(millis), sessions);
        assert_eq!(slices(1000, 0), 0);
        assert_eq!(slices(1000, 3), 3);
        assert_eq!(slices(1000, 10_000), 20);
        assert_eq!(slices(0, 10_000), 1);
    }
}
