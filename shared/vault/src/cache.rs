//! Data keys that this instance has unwrapped, for minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{OrgId, Timestamp};

use crate::key::DataKey;

/// How long a key is used without asking the key service again: a key that is cut off there opens
/// nothing here once this time is over.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5 * 60);
const MOST: usize = 1_000;

type Known = HashMap<(OrgId, u32), (Arc<DataKey>, Timestamp)>;

/// Unwrapped keys, by org and version.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Known>);

impl KeyCache {
    pub(crate) fn get(&self, org: OrgId, version: u32, now: Timestamp) -> Option<Arc<DataKey>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, until) = known.get(&(org, version))?;
        if *until > now {
            return Some(Arc::clone(key));
        }
        known.remove(&(org, version));
        None
    }

    pub(crate) fn put(&self, org: OrgId, version: u32, key: &Arc<DataKey>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(place) = oldest.map(|(place, _)| *place) {
                known.remove(&place);
            }
        }
        known.insert((org, version), (Arc::clone(key), now.plus(LIFETIME)));
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::new(&SecretBox::new(Box::new([1; 32]))))
    }

    #[test]
    fn a_key_is_kept_for_its_org_and_version_until_its_time_is_over() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_millis(1_000));
        let (mine, theirs) = (OrgId::from_u128(1), OrgId::from_u128(2));
        cache.put(mine, 1, &key(), now);
        assert!(cache.get(mine, 1, now).is_some());
        assert!(cache.get(theirs, 1, now).is_none());
        assert!(cache.get(mine, 2, now).is_none());
        let end = now.plus(LIFETIME);
        assert!(
            cache
                .get(mine, 1, end.minus(Duration::from_millis(1)))
                .is_some()
        );
        assert!(cache.get(mine, 1, end).is_none());
        assert!(cache.get(mine, 1, now).is_none(), "it is gone");
    }

    #[test]
    fn the_oldest_make_room() {
        let (cache, start) = (KeyCache::default(), Timestamp::from_millis(1_000));
        let at = |number: usize| start.plus(Duration::from_millis(number as u64));
        for number in 0..=MOST {
            cache.put(OrgId::from_u128(number as u128), 1, &key(), at(number));
        }
        let now = at(MOST);
        assert!(cache.get(OrgId::from_u128(0), 1, now).is_none());
        assert!(cache.get(OrgId::from_u128(1), 1, now).is_some());
        assert!(cache.get(OrgId::from_u128(MOST as u128), 1, now).is_some());
    }
}
