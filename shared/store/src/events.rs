//! The event log: written by commits, read by the event router.

use domain::event::Event;

use crate::keys::{self, Key};
use crate::record::{Record, ShapeError};

impl Record for Event {
    const NOUN: &'static str = "event";

    fn key(&self) -> Key {
        keys::event(self.org, self.id)
    }
}

/// The event in a new image of the log's stream.
///
/// # Errors
/// [`ShapeError`] if the image is not an event.
pub fn event_from_image(image: serde_dynamo::Item) -> Result<Event, ShapeError> {
    serde_dynamo::from_item(image).map_err(|source| ShapeError::new(Event::NOUN, source))
}
