//! The event log: written by commits, read by the event router.

use domain::event::Event;

use crate::keys::{self, Key};
use crate::record::{Item, Record, ShapeError, from_item};

impl Record for Event {
    const NOUN: &'static str = "event";

    fn key(&self) -> Key {
        keys::event(self.org, self.id)
    }
}

/// The event in an item of the log, as its stream hands it out.
///
/// # Errors
/// [`ShapeError`] if the item is not an event.
pub fn event_from_item(item: Item) -> Result<Event, ShapeError> {
    from_item(item)
}
