//! Maps of collections. Invariant: one at a time in the whole server, so that the other turns for blocking
//! calls stay for everything else.

use std::sync::Arc;

use super::Engine;
use crate::collection::{Map, MapRequest};
use crate::error::{Error, Result};
use crate::types::CollectionName;

impl Engine {
    /// Draws a map of a collection.
    ///
    /// # Errors
    /// `Overloaded` while another is drawn; those of [`crate::collection::Collection::map`].
    pub async fn map(&self, name: &CollectionName, request: MapRequest) -> Result<Map> {
        self.collection(name)?;
        let Ok(one) = Arc::clone(&self.shared.mapping).try_lock_owned() else {
            return Err(Error::Overloaded { what: "another map is being drawn".into(), retry_after_secs: 2 });
        };
        // The work holds the turn itself: a caller who goes away does not end it.
        self.on(name, move |collection| {
            let drawn = collection.map(&request);
            drop(one);
            drawn
        })
        .await
    }
}
