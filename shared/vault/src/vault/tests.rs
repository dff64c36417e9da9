use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ManualClock;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::cache;
use crate::wrap::{KeyBytes, SecretWrap};

const CANARY: &[u8] = b"Bearer canary-9f2e";

/// Rows in memory.
#[derive(Default)]
struct Rows(Mutex<BTreeMap<u32, WrappedKey>>);

#[async_trait]
impl DataKeyRows for Rows {
    async fn newest(&self) -> Result<Option<WrappedKey>, RowError> {
        Ok(self.0.lock().unwrap().values().next_back().cloned())
    }

    async fn version(&self, version: u32) -> Result<Option<WrappedKey>, RowError> {
        Ok(self.0.lock().unwrap().get(&version).cloned())
    }

    async fn insert(&self, key: &WrappedKey) -> Result<bool, RowError> {
        let mut rows = self.0.lock().unwrap();
        if rows.contains_key(&key.version) {
            return Ok(false);
        }
        rows.insert(key.version, key.clone());
        Ok(true)
    }
}

/// A wrap that counts how often it is asked, and can be cut off.
#[derive(Debug)]
struct Counting {
    inner: SecretWrap,
    generated: AtomicUsize,
    unwrapped: AtomicUsize,
    cut_off: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl KeyWrap for Counting {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn generate(&self, context: &KeyContext) -> Result<(KeyBytes, Vec<u8>), WrapError> {
        self.generated.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        self.inner.generate(context).await
    }

    async fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<KeyBytes, WrapError> {
        self.unwrapped.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        self.inner.unwrap(context, wrapped).await
    }
}

impl Counting {
    fn check(&self) -> Result<(), WrapError> {
        if self.cut_off.load(Ordering::SeqCst) {
            return Err(WrapError::Refused("DisabledException".to_owned()));
        }
        Ok(())
    }
}

struct World {
    rows: Rows,
    wrap: Arc<Counting>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let inner = SecretWrap::from_base64(&STANDARD.encode([5; 32])).unwrap();
        Self {
            rows: Rows::default(),
            wrap: Arc::new(Counting {
                inner,
                generated: AtomicUsize::new(0),
                unwrapped: AtomicUsize::new(0),
                cut_off: false.into(),
            }),
            clock: ManualClock::at(Timestamp::from_millis(1_767_225_600_000)),
        }
    }

    /// A process as it starts: it has unwrapped nothing yet.
    fn vault(&self) -> Vault {
        Vault::new(
            Arc::clone(&self.wrap) as Arc<dyn KeyWrap>,
            Arc::new(self.clock.clone()),
        )
    }
}

fn mine() -> OrgId {
    OrgId::from_u128(1)
}

fn place() -> Place<'static> {
    Place {
        org: mine(),
        kind: "tool_credential",
        id: "tol_0000000000000000000000000a",
        version: 1,
        facts: b"bearer https://api.example.com",
    }
}

#[tokio::test]
async fn a_secret_opens_where_it_was_sealed_and_nowhere_else() {
    let world = World::new();
    let vault = world.vault();
    let sealed = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    assert!(!contains(&sealed, b"canary"));
    let opened = vault.open(&world.rows, &place(), &sealed).await.unwrap();
    assert_eq!(opened.expose_secret(), CANARY);
    let elsewhere = [
        Place {
            id: "tol_0000000000000000000000000b",
            ..place()
        },
        Place {
            kind: "connection",
            ..place()
        },
        Place {
            version: 2,
            ..place()
        },
        Place {
            facts: b"bearer https://evil.example.com",
            ..place()
        },
        Place {
            facts: b"",
            ..place()
        },
    ];
    for other in elsewhere {
        let refused = vault.open(&world.rows, &other, &sealed).await;
        assert!(matches!(refused, Err(VaultError::DoesNotOpen)), "{other:?}");
    }
    // A process that knows nothing yet opens it all the same.
    world
        .vault()
        .open(&world.rows, &place(), &sealed)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_org_opens_it_neither_with_its_own_keys_nor_with_ours() {
    let world = World::new();
    let sealed = world
        .vault()
        .seal(&world.rows, &place(), CANARY)
        .await
        .unwrap();
    let theirs = Place {
        org: OrgId::from_u128(2),
        ..place()
    };
    // The sealed row alone was moved.
    let their_rows = Rows::default();
    let their_vault = world.vault();
    their_vault.seal(&their_rows, &theirs, b"x").await.unwrap();
    let refused = their_vault.open(&their_rows, &theirs, &sealed).await;
    assert!(
        matches!(refused, Err(VaultError::DoesNotOpen)),
        "{refused:?}"
    );
    // The row of the data key was moved with it.
    let refused = world.vault().open(&world.rows, &theirs, &sealed).await;
    let expected = matches!(refused, Err(VaultError::Wrap(WrapError::DoesNotUnwrap)));
    assert!(expected, "{refused:?}");
    // Nor does a process that has our key in memory use it for them.
    let warm = world.vault();
    warm.open(&world.rows, &place(), &sealed).await.unwrap();
    assert!(warm.open(&world.rows, &theirs, &sealed).await.is_err());
    let sealing = world.vault().seal(&world.rows, &theirs, CANARY).await;
    assert!(
        matches!(sealing, Err(VaultError::Wrap(WrapError::DoesNotUnwrap))),
        "{sealing:?}"
    );
}

#[tokio::test]
async fn every_flipped_bit_and_every_lost_byte_is_noticed() {
    let world = World::new();
    let vault = world.vault();
    let sealed = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let opened = vault.open(&world.rows, &place(), &changed).await;
        assert!(opened.is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        let opened = vault.open(&world.rows, &place(), &sealed[..length]).await;
        assert!(opened.is_err(), "{length} bytes");
    }
    let mut longer = sealed.clone();
    longer.push(0);
    assert!(vault.open(&world.rows, &place(), &longer).await.is_err());
}

#[tokio::test]
async fn a_new_version_of_the_key_seals_and_old_ones_go_on_opening() {
    let world = World::new();
    let vault = world.vault();
    let old = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    assert_eq!(vault.rotate(&world.rows, mine()).await.unwrap(), 2);
    let new = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    assert_eq!(
        (old[..5].to_vec(), new[..5].to_vec()),
        (vec![1, 0, 0, 0, 1], vec![1, 0, 0, 0, 2])
    );
    for sealed in [&old, &new] {
        world
            .vault()
            .open(&world.rows, &place(), sealed)
            .await
            .unwrap();
    }
    // What says another version than the one that sealed it is refused.
    let mut relabelled = old;
    relabelled[4] = 2;
    let refused = vault.open(&world.rows, &place(), &relabelled).await;
    assert!(
        matches!(refused, Err(VaultError::DoesNotOpen)),
        "{refused:?}"
    );
    relabelled[4] = 9;
    let refused = vault.open(&world.rows, &place(), &relabelled).await;
    assert!(
        matches!(refused, Err(VaultError::NoSuchKey(9))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_key_that_is_too_old_is_followed_by_the_next() {
    let world = World::new();
    let vault = world.vault();
    vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    world.clock.advance(KEY_AGE - Duration::from_millis(1));
    let sealed = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    assert_eq!(sealed[4], 1);
    world.clock.advance(Duration::from_millis(1));
    let sealed = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    assert_eq!(sealed[4], 2);
    assert_eq!(world.rows.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_key_service_is_asked_once_in_five_minutes_and_then_again() {
    let world = World::new();
    let sealed = world
        .vault()
        .seal(&world.rows, &place(), CANARY)
        .await
        .unwrap();
    let vault = world.vault();
    for _ in 0..10 {
        vault.open(&world.rows, &place(), &sealed).await.unwrap();
    }
    assert_eq!(world.wrap.generated.load(Ordering::SeqCst), 1);
    assert_eq!(world.wrap.unwrapped.load(Ordering::SeqCst), 1);
    // A key that was cut off serves until its time is over, and not beyond.
    world.wrap.cut_off.store(true, Ordering::SeqCst);
    vault.open(&world.rows, &place(), &sealed).await.unwrap();
    world.clock.advance(cache::LIFETIME);
    let refused = vault
        .open(&world.rows, &place(), &sealed)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, VaultError::Wrap(WrapError::Refused(_))),
        "{refused}"
    );
    assert!(!refused.is_transient());
}

/// Rows whose first insertion comes second.
struct Raced {
    rows: Rows,
    winner: Mutex<Option<WrappedKey>>,
}

#[async_trait]
impl DataKeyRows for Raced {
    async fn newest(&self) -> Result<Option<WrappedKey>, RowError> {
        self.rows.newest().await
    }

    async fn version(&self, version: u32) -> Result<Option<WrappedKey>, RowError> {
        self.rows.version(version).await
    }

    async fn insert(&self, key: &WrappedKey) -> Result<bool, RowError> {
        if let Some(winner) = self.winner.lock().unwrap().take() {
            self.rows.0.lock().unwrap().insert(winner.version, winner);
        }
        self.rows.insert(key).await
    }
}

#[tokio::test]
async fn of_two_that_make_the_first_key_at_once_both_use_the_one_that_was_kept() {
    let world = World::new();
    world
        .vault()
        .seal(&world.rows, &place(), CANARY)
        .await
        .unwrap();
    let kept = world.rows.newest().await.unwrap().unwrap();
    let raced = Raced {
        rows: Rows::default(),
        winner: Mutex::new(Some(kept.clone())),
    };
    let sealed = world.vault().seal(&raced, &place(), CANARY).await.unwrap();
    assert_eq!(
        raced.rows.0.lock().unwrap().values().collect::<Vec<_>>(),
        [&kept]
    );
    world
        .vault()
        .open(&world.rows, &place(), &sealed)
        .await
        .unwrap();
}

#[tokio::test]
async fn rows_that_another_kind_of_host_wrote_are_told_apart() {
    let world = World::new();
    let sealed = world
        .vault()
        .seal(&world.rows, &place(), CANARY)
        .await
        .unwrap();
    world.rows.0.lock().unwrap().get_mut(&1).unwrap().wrapped_by = "kms".to_owned();
    let refused = world.vault().open(&world.rows, &place(), &sealed).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("`kms`") && refused.contains("`secret`"),
        "{refused}"
    );
}

#[tokio::test]
async fn without_a_key_nothing_is_sealed_and_what_is_endless_is_refused() {
    let world = World::new();
    let refused = Vault::none().seal(&world.rows, &place(), CANARY).await;
    assert!(matches!(refused, Err(VaultError::NotConfigured)));
    let endless = vec![b'x'; MAX_SECRET_BYTES + 1];
    let refused = world.vault().seal(&world.rows, &place(), &endless).await;
    assert!(matches!(refused, Err(VaultError::TooLarge(_))));
}

#[tokio::test]
async fn nothing_shows_a_secret_or_a_key() {
    let world = World::new();
    let vault = world.vault();
    let sealed = vault.seal(&world.rows, &place(), CANARY).await.unwrap();
    let opened = vault.open(&world.rows, &place(), &sealed).await.unwrap();
    let row = world.rows.newest().await.unwrap().unwrap();
    let shown = format!("{vault:?} {opened:?} {row:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("wrapped:"),
        "{shown}"
    );
    assert!(!contains(&row.wrapped, b"canary"));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

proptest! {
    #[test]
    fn whatever_is_sealed_comes_back_as_it_was(
        secret in proptest::collection::vec(any::<u8>(), 0..2_000),
        version in any::<u64>(),
        id in "[a-z0-9_]{0,40}",
        facts in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let place = Place { org: mine(), kind: "test", id: &id, version, facts: &facts };
            let sealed = world.vault().seal(&world.rows, &place, &secret).await.unwrap();
            let opened = world.vault().open(&world.rows, &place, &sealed).await.unwrap();
            prop_assert_eq!(opened.expose_secret(), &secret[..]);
            let other = Place { version: version.wrapping_add(1), ..place };
            prop_assert!(world.vault().open(&world.rows, &other, &sealed).await.is_err());
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            world.vault().seal(&world.rows, &place(), CANARY).await.unwrap();
            prop_assert!(world.vault().open(&world.rows, &place(), &bytes).await.is_err());
            Ok(())
        })?;
    }
}
