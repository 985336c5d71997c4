//! The tasks in which handlers run on, and their end.

use sockeye_engineio::CloseReason;
use sockeye_net::wheel::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::site::Site;

/// The running handlers of one server.
#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Tasks {
    /// Runs a handler to its end, or to the end of the server's grace.
    pub(crate) fn spawn(&self, running: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tracker.spawn(async move {
            abort.run_until_cancelled(running).await;
        });
    }

    /// Closes the server whose handlers these are: ready when its sessions and handlers are over, of
    /// themselves or by the end of its grace.
    pub(crate) async fn close(&self, site: &Site) {
        site.begin_close();
        self.tracker.close();
        let ended = async {
            site.quiet().await;
            self.tracker.wait().await;
        };
        tokio::select! {
            () = ended => {}
            () = sleep(site.grace) => {
                site.engine.discard_all(CloseReason::ServerShuttingDown);
                site.end_http();
                self.abort.cancel();
                self.tracker.wait().await;
            }
        }
    }
}
