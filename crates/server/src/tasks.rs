//! The tasks in which handlers run on, and their end.

use std::sync::OnceLock;
use std::time::Duration;

use sockeye_net::wheel::sleep;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::site::Site;

/// The running handlers of one server.
#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
    /// What goes on when the grace is over.
    ends: TaskTracker,
    /// That of the first session, for threads that have none: sockets may be used there, too.
    runtime: OnceLock<Handle>,
}

impl Tasks {
    /// Runs a handler to its end, or to the end of the server's grace.
    pub(crate) fn spawn(&self, running: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        let running = async move {
            abort.run_until_cancelled(running).await;
        };
        self.spawn_on(&self.tracker, running);
    }

    /// Runs what is to end well even if the server's grace is over.
    pub(crate) fn spawn_end(&self, end: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&self.ends, end);
    }

    /// Waits for what was spawned to end well, but not longer than this.
    pub(crate) async fn ended(&self, within: Duration) {
        self.ends.close();
        tokio::select! {
            () = self.ends.wait() => {}
            () = sleep(within) => tracing::warn!("an adapter takes too long to close"),
        }
    }

    /// A session begins: its runtime is one for whoever has none.
    pub(crate) fn begin(&self) {
        self.runtime.get_or_init(Handle::current);
    }

    fn spawn_on(&self, tracker: &TaskTracker, running: impl Future<Output = ()> + Send + 'static) {
        match self.runtime.get() {
            Some(runtime) if Handle::try_current().is_err() => {
                tracker.spawn_on(running, runtime);
            }
            None if Handle::try_current().is_err() => {
                tracing::debug!("nothing runs: there was no session yet");
            }
            _ => {
                tracker.spawn(running);
            }
        }
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
                site.cut_off();
                self.abort.cancel();
                self.tracker.wait().await;
            }
        }
    }
}
