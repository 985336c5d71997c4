//! How fast one client may send: one that is faster is not refused but read from more slowly, so that
//! nothing of it is lost.

use sockeye_net::rate::Bucket;

use crate::config::Config;

/// What a session is limited by, beyond the limits that all have.
pub(crate) struct Throttle {
    packets: Bucket,
    bytes: Bucket,
    /// Until when nothing more is to be read; in the past if that is none.
    until: u64,
}

impl Throttle {
    /// None where nothing is limited: most sessions spare its memory.
    pub(crate) fn new(config: &Config) -> Option<Box<Self>> {
        let limited = config.packet_rate.is_some() || config.byte_rate.is_some();
        limited.then(|| {
            Box::new(Self { packets: Bucket::default(), bytes: Bucket::default(), until: 0 })
        })
    }

    /// A packet has come.
    pub(crate) fn spend(&mut self, now: u64, config: &Config, bytes: usize) {
        for (bucket, rate, tokens) in [
            (&mut self.packets, config.packet_rate, 1),
            (&mut self.bytes, config.byte_rate, bytes as u64),
        ] {
            if let Some(rate) = rate {
                bucket.spend(now, rate, tokens);
                let ready = bucket.ready_at(rate);
                if ready > now {
                    self.until = self.until.max(ready);
                }
            }
        }
    }

    /// When more may be read, if that is not now.
    pub(crate) fn until(&self) -> Option<u64> {
        (self.until != 0).then_some(self.until)
    }

    /// The time has come.
    pub(crate) fn handle_timeout(&mut self, now: u64) {
        if now >= self.until {
            self.until = 0;
        }
    }
}
