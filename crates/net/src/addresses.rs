//! How much one client address may have and how fast it may come, and how much all may have
//! together.
//!
//! An address is what one customer gets: an IPv4 address, or a /64 of IPv6, within which a host
//! picks addresses as it likes (RFC 8981). Behind one IPv4 address there may be an office or a
//! mobile network, and behind a proxy there is everybody: take the client's address from
//! [`TrustedProxies`](crate::TrustedProxies) or [`proxy`](crate::proxy) first.
//!
//! Memory: an address has an entry as long as something of it is open or its bucket is not full. An
//! entry takes 33 bytes of a table that is between 7/16 and 7/8 full, so at most 76; entries of
//! addresses that have nothing open are 65 536 at most, which is 5 MB. What a burst leaves behind is
//! given back while handshakes come: a sixteenth of the table each 625 ms.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

use crate::rate::{Bucket, Rate};

/// Locks, so that accepting threads seldom meet. A power of two; the hub has as many, for the same
/// reason.
const SHARDS: usize = 16;

/// The most entries of one shard of whose address nothing is open. Beyond them some are forgotten
/// before their buckets are full: who has 65 536 addresses has as many full buckets.
const MAX_IDLE: usize = 4096;

/// Milliseconds between two shards' sweeps: the whole table in ten seconds, since memory is to be
/// back within a minute of a burst, and never more than a shard's share at once.
const SWEEP_EVERY: u64 = 625;

/// Entries for which a table keeps its room.
const KEEP: usize = 64;

/// How much clients may have open, and how fast they may come. By default nobody is refused, as in
/// Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most that all clients together may have open. Default: `usize::MAX`; a process usually
    /// runs out of file descriptors first.
    pub max_open: usize,
    /// The most that one address may have open. Default: `usize::MAX`, since nobody but the operator
    /// knows how many clients share one.
    pub max_open_per_address: usize,
    /// How fast one address may open them. Default: `None`, without a limit.
    pub rate_per_address: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_open: usize::MAX, max_open_per_address: usize::MAX, rate_per_address: None }
    }
}

/// Why somebody is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// [`Limits::max_open`] are open. It is not this client's fault.
    Full,
    /// The address has [`Limits::max_open_per_address`] open.
    TooMany,
    /// The address comes faster than [`Limits::rate_per_address`].
    TooFast {
        /// Milliseconds until it may come again, if it does not come in between; `u64::MAX` is
        /// never.
        retry_after_ms: u64,
    },
}

/// Who has how much open. Clones are handles of the same table.
#[derive(Clone)]
pub struct Addresses {
    table: Arc<Table>,
}

/// Leave to have something open: what is counted, until it is dropped. 16 bytes.
#[must_use = "dropped, it counts as closed"]
pub struct Admission {
    table: Arc<Table>,
    network: u64,
}

struct Table {
    open: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// When the next shard is swept, and which: the remainder by [`SHARDS`].
    next_sweep: AtomicU64,
    hand: AtomicUsize,
}

struct Shard {
    entries: HashMap<u64, Entry, RandomState>,
    /// How many entries have nothing open.
    idle: usize,
    /// As of the last admission, and the last one with a rate, for what closes: that is told neither.
    now: u64,
    rate: Option<Rate>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    open: u32,
    handshakes: Bucket,
}

impl Addresses {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let hasher = RandomState::new();
        let shard = |_| {
            let entries = HashMap::with_hasher(hasher.clone());
            Mutex::new(Shard { entries, idle: 0, now: 0, rate: None })
        };
        let table = Table {
            open: AtomicUsize::new(0),
            shards: std::array::from_fn(shard),
            hasher,
            next_sweep: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
        };
        Self { table: Arc::new(table) }
    }

    /// Counts one more that `address` has open at `now` ([`clock::now`](crate::clock::now)), until
    /// the [`Admission`] is dropped.
    ///
    /// The limits are handed in and may be others than before: what is open stays open.
    ///
    /// # Errors
    ///
    /// The limit that is reached, see [`Refused`]. A refusal counts for nothing: it takes no token
    /// either.
    pub fn admit(&self, now: u64, address: IpAddr, limits: &Limits) -> Result<Admission, Refused> {
        let table = &self.table;
        table.sweep(now);
        // The place among all is taken first, so that a flood beyond it meets no lock. Until a
        // refusal below gives it back, somebody else may find the last place taken.
        let place = |open| (open < limits.max_open).then_some(open + 1);
        let taken = table.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place);
        taken.map_err(|_| Refused::Full)?;
        let network = network(address);
        let admitted = table.shard(network).admit(now, network, limits);
        match admitted {
            Ok(()) => Ok(Admission { table: table.clone(), network }),
            Err(refused) => {
                table.open.fetch_sub(1, Ordering::Relaxed);
                Err(refused)
            }
        }
    }

    /// How much is open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.table.open.load(Ordering::Relaxed)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.table.shard(self.network).release(self.network);
        self.table.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Table {
    fn shard(&self, network: u64) -> MutexGuard<'_, Shard> {
        // Bits that the map within, with the same keys, uses for neither place nor tag.
        lock(&self.shards[(self.hasher.hash_one(network) >> 48) as usize % SHARDS])
    }

    /// Sweeps one shard, if it is time.
    fn sweep(&self, now: u64) {
        let due = self.next_sweep.load(Ordering::Relaxed);
        let next = now.saturating_add(SWEEP_EVERY);
        // Of several threads that find it due, one sweeps.
        if now >= due
            && self
                .next_sweep
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let hand = self.hand.fetch_add(1, Ordering::Relaxed);
            lock(&self.shards[hand % SHARDS]).sweep(now, MAX_IDLE);
        }
    }
}

impl Shard {
    fn admit(&mut self, now: u64, network: u64, limits: &Limits) -> Result<(), Refused> {
        self.now = self.now.max(now);
        // Some come without a rate, such as proxies that are trusted: the buckets of the others stay what they are.
        self.rate = limits.rate_per_address.or(self.rate);
        let known = self.entries.get(&network).copied();
        let mut entry = known.unwrap_or_default();
        if entry.open as usize >= limits.max_open_per_address || entry.open == u32::MAX {
            return Err(Refused::TooMany);
        }
        if let Some(rate) = limits.rate_per_address {
            let taken = entry.handshakes.take(now, rate, 1);
            taken.map_err(|retry_after_ms| Refused::TooFast { retry_after_ms })?;
        }
        self.idle -= usize::from(known.is_some_and(|known| known.open == 0));
        entry.open += 1;
        self.entries.insert(network, entry);
        Ok(())
    }

    fn release(&mut self, network: u64) {
        let entry = self.entries.get_mut(&network);
        let entry = entry.expect("an entry stays while its address has something open");
        entry.open -= 1;
        if entry.open > 0 {
            return;
        }
        if entry.is_idle_and_full(self.now, self.rate) {
            self.entries.remove(&network);
            return;
        }
        self.idle += 1;
        if self.idle > MAX_IDLE {
            // Half of them, so that the next sweep is as many connections away.
            self.sweep(self.now, MAX_IDLE / 2);
        }
    }

    /// Removes the entries that have nothing to say, and of the others with nothing open all but
    /// `keep_idle`; then gives back what room is too much.
    fn sweep(&mut self, now: u64, keep_idle: usize) {
        self.now = self.now.max(now);
        let (now, rate) = (self.now, self.rate);
        let mut idle = 0;
        self.entries.retain(|_, entry| {
            if entry.open > 0 {
                return true;
            }
            let keep = idle < keep_idle && !entry.is_idle_and_full(now, rate);
            idle += usize::from(keep);
            keep
        });
        self.idle = idle;
        // A quarter full: a table that only breathes keeps its size.
        let len = self.entries.len();
        if self.entries.capacity() > (4 * len).max(KEEP) {
            self.entries.shrink_to(2 * len);
        }
    }
}

impl Entry {
    fn is_idle_and_full(&self, now: u64, rate: Option<Rate>) -> bool {
        self.open == 0 && rate.is_none_or(|rate| self.handshakes.is_full(now, rate))
    }
}

/// A lock, poisoned or not: no code of anybody else's runs under it.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one customer gets, as one number: the upper half of an IPv6 address, or an IPv4 address
/// behind the prefix of multicast (ff00::/8, RFC 4291 §2.7), which is nobody's own address.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => 0xFF << 56 | u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("as many as the server admits are open (max_open)"),
            Self::TooMany => {
                f.write_str("the address has as many open as one may have (max_open_per_address)")
            }
            Self::TooFast { retry_after_ms: u64::MAX } => {
                f.write_str("the rate admits nobody (rate_per_address)")
            }
            Self::TooFast { retry_after_ms } => write!(
                f,
                "the address comes too fast (rate_per_address): again in {retry_after_ms} ms"
            ),
        }
    }
}

impl error::Error for Refused {}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::thread;

    use super::*;

    const RATE: Rate = Rate { burst: 2, per_second: 1 };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn entries(addresses: &Addresses) -> usize {
        addresses.table.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    fn room(addresses: &Addresses) -> usize {
        addresses.table.shards.iter().map(|shard| lock(shard).entries.capacity()).sum()
    }

    #[test]
    fn an_admission_is_small() {
        assert_eq!(size_of::<Admission>(), 16);
        assert_eq!(size_of::<Option<Admission>>(), 16);
        assert_eq!(size_of::<(u64, Entry)>(), 32);
    }

    #[test]
    fn one_address_has_its_limit_and_leaves_the_others_theirs() {
        let addresses = Addresses::new();
        let limits = Limits { max_open_per_address: 2, ..Limits::default() };
        let first = addresses.admit(0, ip("192.0.2.1"), &limits).unwrap();
        let _second = addresses.admit(0, ip("::ffff:192.0.2.1"), &limits).unwrap();
        assert_eq!(addresses.admit(0, ip("192.0.2.1"), &limits).unwrap_err(), Refused::TooMany);
        let _other = addresses.admit(0, ip("192.0.2.2"), &limits).unwrap();
        assert_eq!(addresses.open(), 3);
        drop(first);
        assert!(addresses.admit(0, ip("192.0.2.1"), &limits).is_ok());
        assert_eq!(addresses.open(), 2);
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let addresses = Addresses::new();
        let limits = Limits { max_open_per_address: 1, ..Limits::default() };
        let _open = addresses.admit(0, ip("2001:db8:0:1::1"), &limits).unwrap();
        let same = ip("2001:db8:0:1:ffff::2");
        assert_eq!(addresses.admit(0, same, &limits).unwrap_err(), Refused::TooMany);
        assert!(addresses.admit(0, ip("2001:db8:0:2::1"), &limits).is_ok());
        assert_ne!(network(ip("::1")), network(ip("0.0.0.0")));
        assert_ne!(network(Ipv6Addr::from(1_u128 << 64).into()), network(ip("0.0.0.1")));
    }

    #[test]
    fn all_together_have_their_limit() {
        let addresses = Addresses::new();
        let limits = Limits { max_open: 2, ..Limits::default() };
        let _first = addresses.admit(0, v4(1), &limits).unwrap();
        let second = addresses.admit(0, v4(2), &limits).unwrap();
        assert_eq!(addresses.admit(0, v4(3), &limits).unwrap_err(), Refused::Full);
        drop(second);
        assert!(addresses.admit(0, v4(3), &limits).is_ok());
        assert_eq!(entries(&addresses), 1);
    }

    #[test]
    fn a_fast_address_is_told_when_to_come_again() {
        let addresses = Addresses::new();
        let limits = Limits { rate_per_address: Some(RATE), ..Limits::default() };
        for _ in 0..2 {
            drop(addresses.admit(1_000, v4(1), &limits).unwrap());
        }
        let refused = addresses.admit(1_400, v4(1), &limits).unwrap_err();
        assert_eq!(refused, Refused::TooFast { retry_after_ms: 600 });
        assert!(addresses.admit(1_400, v4(2), &limits).is_ok());
        assert_eq!(addresses.open(), 0);
        assert!(addresses.admit(2_000, v4(1), &limits).is_ok());
    }

    #[test]
    fn who_comes_without_a_rate_makes_nobody_forget_theirs() {
        let addresses = Addresses::new();
        let limits = Limits { rate_per_address: Some(RATE), ..Limits::default() };
        let unlimited = Limits { max_open: 100_000, ..Limits::default() };
        for _ in 0..2 {
            let open = addresses.admit(0, v4(1), &limits).unwrap();
            // Some of these are in the same shard.
            for number in 2..1_000 {
                drop(addresses.admit(0, v4(number), &unlimited).unwrap());
            }
            drop(open);
        }
        let refused = addresses.admit(0, v4(1), &limits).unwrap_err();
        assert_eq!(refused, Refused::TooFast { retry_after_ms: 1_000 });
    }

    #[test]
    fn a_refusal_leaves_nothing_behind() {
        let addresses = Addresses::new();
        let nobody = Rate { burst: 0, per_second: 0 };
        for limits in [
            Limits { max_open: 0, ..Limits::default() },
            Limits { max_open_per_address: 0, ..Limits::default() },
            Limits { rate_per_address: Some(nobody), ..Limits::default() },
        ] {
            assert!(addresses.admit(0, v4(1), &limits).is_err());
        }
        assert_eq!((addresses.open(), entries(&addresses)), (0, 0));
    }

    #[test]
    fn what_closes_is_forgotten_at_once_if_no_token_is_missing() {
        let addresses = Addresses::new();
        drop(addresses.admit(0, v4(1), &Limits::default()).unwrap());
        assert_eq!(entries(&addresses), 0);
        let limits = Limits { rate_per_address: Some(RATE), ..Limits::default() };
        let open = addresses.admit(0, v4(1), &limits).unwrap();
        // Somebody else in the same shard moves its clock on.
        for number in 2..1_000 {
            let _ = addresses.admit(5_000, v4(number), &limits);
        }
        let before = entries(&addresses);
        drop(open);
        assert_eq!(entries(&addresses), before - 1);
    }

    #[test]
    fn the_table_of_a_burst_shrinks_again() {
        let addresses = Addresses::new();
        let limits = Limits { rate_per_address: Some(RATE), ..Limits::default() };
        let open: Vec<_> =
            (0..50_000).map(|n| addresses.admit(0, v4(n), &limits).unwrap()).collect();
        assert_eq!(entries(&addresses), 50_000);
        drop(open);
        // No second has passed: every bucket lacks its token.
        assert_eq!(entries(&addresses), 50_000);
        // One address that goes on coming is enough, since it sweeps every shard in turn.
        for turn in 1..=SHARDS as u64 {
            drop(addresses.admit(turn * 10_000, v4(7), &limits).unwrap());
        }
        assert!(entries(&addresses) <= 1, "{}", entries(&addresses));
        assert!(room(&addresses) <= SHARDS * KEEP, "{}", room(&addresses));
    }

    #[test]
    fn addresses_with_nothing_open_are_bounded() {
        let addresses = Addresses::new();
        let never = Rate { burst: 1, per_second: 0 };
        let limits = Limits { rate_per_address: Some(never), ..Limits::default() };
        let _open = addresses.admit(0, v4(0), &limits).unwrap();
        for number in 1..200_000 {
            drop(addresses.admit(0, v4(number), &limits).unwrap());
        }
        assert!(entries(&addresses) <= SHARDS * MAX_IDLE + 1, "{}", entries(&addresses));
        assert!(entries(&addresses) >= SHARDS * MAX_IDLE / 2);
        // What is open is never forgotten.
        let refused = addresses.admit(0, v4(0), &limits).unwrap_err();
        assert_eq!(refused, Refused::TooFast { retry_after_ms: u64::MAX });
    }

    #[test]
    fn threads_neither_exceed_the_limits_nor_lose_count() {
        let addresses = Addresses::new();
        let limits = Limits {
            max_open: 40,
            max_open_per_address: 4,
            rate_per_address: Some(Rate { burst: 100, per_second: 1_000_000 }),
        };
        thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (addresses, limits) = (&addresses, &limits);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for turn in 0..5_000_u64 {
                        let address = v4((turn * 7 + thread) as u32 % 16);
                        held.extend(addresses.admit(turn, address, limits));
                        assert!(addresses.open() <= 40);
                        if turn % 3 == 0 {
                            held.clear();
                        }
                    }
                });
            }
        });
        assert_eq!(addresses.open(), 0);
        for shard in &addresses.table.shards {
            let mut shard = lock(shard);
            assert!(shard.entries.values().all(|entry| entry.open == 0));
            assert_eq!(shard.idle, shard.entries.len());
            shard.sweep(1_000_000, MAX_IDLE);
            assert_eq!((shard.idle, shard.entries.len()), (0, 0));
        }
    }
}
