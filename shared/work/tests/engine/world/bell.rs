//! A queue that loses, repeats, delays and reorders.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;
use work::{Bell, BellError, Doorbell};

use super::store::SimStore;
use super::{Dice, Faults};

/// A ring on its way to a worker.
#[derive(Debug, Clone)]
pub struct Message {
    /// As it travels: JSON.
    pub body: String,
    /// How often it was received before.
    pub receives: u32,
}

impl Message {
    pub fn doorbell(&self) -> Doorbell {
        serde_json::from_str(&self.body).expect("a body made from a doorbell")
    }
}

#[derive(Clone)]
pub struct SimBell {
    store: SimStore,
    dice: Dice,
    faults: Faults,
    out: UnboundedSender<Message>,
}

impl SimBell {
    /// Heals when `store` does.
    pub fn new(store: SimStore, dice: Dice, faults: Faults, out: UnboundedSender<Message>) -> Self {
        Self {
            store,
            dice,
            faults,
            out,
        }
    }

    pub fn deliver_after(&self, delay: Duration, message: Message) {
        let out = self.out.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // Nobody listens any more once the world ends.
            let _ = out.send(message);
        });
    }
}

#[async_trait]
impl Bell for SimBell {
    async fn ring(&self, doorbell: &Doorbell, delay: Duration) -> Result<(), BellError> {
        self.store.read(|rows| {
            if delay > work::MAX_RING_DELAY || doorbell.lane != rows.jobs[&doorbell.job].lane {
                let text = format!("{doorbell:?} rung after {delay:?}");
                rows.violations.push(text);
            }
        });
        let faults = if self.store.is_healed() {
            Faults::default()
        } else {
            self.faults
        };
        tokio::task::yield_now().await;
        let refused = self.dice.chance(faults.ring_refused);
        let lost = if refused {
            self.dice.chance(0.5)
        } else {
            self.dice.chance(faults.ring_lost)
        };
        let copies = match (lost, self.dice.chance(faults.ring_repeated)) {
            (true, _) => 0,
            (false, true) => self.dice.between(2, 3),
            (false, false) => 1,
        };
        let delay = Duration::from_secs(delay.as_millis().div_ceil(1_000) as u64);
        for _ in 0..copies {
            let late = if self.dice.chance(faults.ring_late) {
                self.dice.millis(100, 120_000)
            } else {
                Duration::ZERO
            };
            let body = serde_json::to_string(doorbell).expect("a doorbell is JSON");
            self.deliver_after(delay + late, Message { body, receives: 0 });
        }
        tokio::task::yield_now().await;
        if refused {
            return Err(BellError::new("simulated refusal"));
        }
        Ok(())
    }
}
