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

    /// For how long the heartbeat is to wait as the server stops reading, if that is `cap` otherwise: this
    /// stop ends by itself, however long it takes. A debt that is never paid is no reason to wait for ever.
    pub(crate) fn stall(&self, now: u64, cap: u64) -> u64 {
        match self.until {
            u64::MAX => cap,
            until => cap.max(until.saturating_sub(now)),
        }
    }

    /// The time has come.
    pub(crate) fn handle_timeout(&mut self, now: u64) {
        if now >= self.until {
            self.until = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye_net::rate::Rate;

    use super::*;

    const CAP: u64 = 60_000;

    fn after(rate: Rate, bytes: usize) -> Throttle {
        let config = Config { byte_rate: Some(rate), ..Config::default() };
        let mut throttle = *Throttle::new(&config).unwrap();
        throttle.spend(5_000, &config, bytes);
        throttle
    }

    #[test]
    fn the_heartbeat_waits_as_long_as_the_debt_takes() {
        let rate = Rate { burst: 10_000, per_second: 1_000 };
        // 990 seconds.
        let throttle = after(rate, 1_000_000);
        assert_eq!(throttle.until(), Some(995_000));
        assert_eq!(throttle.stall(5_000, CAP), 990_000);
        // Handlers that are behind may take as long as ever, all the same.
        assert_eq!(after(rate, 11_000).stall(5_000, CAP), CAP);
        assert_eq!(after(rate, 10_000).stall(5_000, CAP), CAP);
    }

    #[test]
    fn a_debt_that_is_never_paid_ends_by_the_cap() {
        let throttle = after(Rate { burst: 10, per_second: 0 }, 11);
        assert_eq!(throttle.until(), Some(u64::MAX));
        assert_eq!(throttle.stall(5_000, CAP), CAP);
    }
}
