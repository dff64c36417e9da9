//! What Linux tells of processes and threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// Numbers of fields of `stat`, counted from the state, which follows the name in parentheses.
const PARENT: usize = 1;
const UTIME: usize = 11;
const STIME: usize = 12;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All that is in memory, pages of its program included.
    pub resident: u64,
    /// What of it no file backs: heap and stacks.
    pub private: u64,
}

/// The processor time that a process has had, of all its threads, in the kernel as well.
pub fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let tasks = format!("/proc/{process}/task");
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        sum += cpu_of_task(&task?.path()).unwrap_or_default();
    }
    Ok(sum)
}

/// The processor time that a process has had, of threads that have ended as well, in ticks of ten
/// milliseconds.
pub fn total_cpu_of(process: u32) -> Option<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let ticks = |field| stat_field(process, field)?.parse::<u32>().ok();
    Some(TICK * ticks(UTIME)? + TICK * ticks(STIME)?)
}

/// The parent of every process.
pub fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, stat_field(process, PARENT)?.parse().ok()?))
        })
        .collect()
}

fn stat_field(process: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    field_after_name(&stat, field).map(str::to_owned)
}

/// A name may hold spaces and parentheses itself.
fn field_after_name(stat: &str, field: usize) -> Option<&str> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(field)
}

/// The processor time that the threads of this process have had, by their names.
pub fn cpu_by_thread() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let time = cpu_of_task(&task.path()).unwrap_or_default();
        *times.entry(name.trim().to_owned()).or_default() += time;
    }
    times
}

/// The scheduler's own account, in nanoseconds. The fields of `stat` count ticks of ten
/// milliseconds, which is longer than a function takes to start.
fn cpu_of_task(task: &Path) -> Option<Duration> {
    let account = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds = account.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The memory of a process.
pub fn memory_of(process: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| {
        kilobytes(&status, name)
            .map(|kilobytes| kilobytes * 1024)
            .with_context(|| format!("{path} has no {name}"))
    };
    Ok(Memory {
        resident: field("VmRSS")?,
        private: field("RssAnon")?,
    })
}

/// The amount of `name` in a file of lines such as `VmRSS:    1234 kB`.
pub fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let amount = line.strip_prefix(':')?.trim().strip_suffix("kB")?;
    amount.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_by_their_whole_name() {
        let text = "VmRSSx:\t 1 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(
            kilobytes(text, "VmRSS"),
            None,
            "the first line has another name"
        );
        assert_eq!(
            kilobytes("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS"),
            Some(1234)
        );
        assert_eq!(kilobytes(text, "VmSwap"), None);
    }

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 1 2 3 4 55 66 0 0 20";
        assert_eq!(field_after_name(stat, PARENT), Some("1"));
        assert_eq!(field_after_name(stat, UTIME), Some("55"));
        assert_eq!(field_after_name(stat, STIME), Some("66"));
        assert_eq!(field_after_name("", PARENT), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_works_has_had_time_and_memory() {
        let before = cpu_of(std::process::id()).unwrap();
        let mut number = 1u64;
        // Threads of other tests end meanwhile, and take their time out of the sum.
        while cpu_of(std::process::id()).unwrap().saturating_sub(before) < Duration::from_millis(5)
        {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
        assert_ne!(number, 0);
        let memory = memory_of(std::process::id()).unwrap();
        assert!(memory.resident >= memory.private && memory.private > 0);
        assert!(!cpu_by_thread().is_empty());
        assert!(total_cpu_of(std::process::id()).is_some());
        assert!(parents().contains_key(&std::process::id()));
    }
}
