//! A small cache per instance, whose entries end by the clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{Clock, Timestamp};

/// Keeps values for a while. Holds a bounded number of entries: when full, those that have ended
/// go first, and if none has, all do.
pub(crate) struct TtlCache<K, V> {
    entries: Mutex<HashMap<K, (Timestamp, V)>>,
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    most: usize,
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    pub(crate) fn new(clock: Arc<dyn Clock>, lifetime: Duration, most: usize) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            clock,
            lifetime,
            most,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(key)
            .filter(|(ends, _)| now < *ends)
            .map(|(_, value)| value.clone())
    }

    pub(crate) fn put(&self, key: K, value: V) {
        let now = self.clock.now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most {
            entries.retain(|_, (ends, _)| now < *ends);
        }
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, (now.plus(self.lifetime), value));
    }

    pub(crate) fn retain(&self, keep: impl Fn(&V) -> bool) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (_, value)| keep(value));
    }

    pub(crate) fn remove_where(&self, matches: impl Fn(&K) -> bool) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, _| !matches(key));
    }
}

#[cfg(test)]
mod tests {
    use kernel::ManualClock;

    use super::*;

    #[test]
    fn an_entry_ends_by_the_clock_and_the_number_is_bounded() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let cache = TtlCache::new(Arc::new(clock.clone()), Duration::from_secs(30), 2);
        cache.put(1, "one");
        assert_eq!(cache.get(&1), Some("one"));
        clock.advance(Duration::from_secs(30));
        assert_eq!(cache.get(&1), None);
        cache.put(2, "two");
        cache.put(3, "three");
        assert_eq!((cache.get(&2), cache.get(&3)), (Some("two"), Some("three")));
        cache.put(4, "four");
        assert_eq!((cache.get(&2), cache.get(&4)), (None, Some("four")));
    }
}
