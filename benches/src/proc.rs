//! What the kernel knows of a process: the core it runs on, its CPU time, its memory, its limits.

use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A process id as the kernel's files name it: a number, or `self`.
pub type Pid<'a> = &'a str;

/// The cores that this thread may run on.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Confines this thread, and every process it starts from now on, to `core`.
pub fn pin_to(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// CPU seconds, in user and in kernel mode, that all threads of `pid` have used so far, from
/// `/proc/PID/stat`. The kernel counts in ticks, mostly of 10 ms.
pub fn cpu_seconds(pid: Pid) -> io::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path)?;
    // The second field, the program's name in parentheses, may hold anything.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    // utime and stime are fields 14 and 15; field 3 is the first here.
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => {
            Ok((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
        }
        _ => Err(io::Error::other(format!("{path} has no times"))),
    }
}

/// Resident memory of `pid` in bytes, from `/proc/PID/status`.
pub fn resident_bytes(pid: Pid) -> io::Result<u64> {
    let path = format!("/proc/{pid}/status");
    fs::read_to_string(&path)?
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
        .map(|kib: u64| kib * 1024)
        .ok_or_else(|| io::Error::other(format!("{path} has no VmRSS")))
}

/// Raises the limit of open files as far as the system lets this process, for itself and for the
/// processes it starts; returns it.
pub fn raise_open_files() -> io::Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}
