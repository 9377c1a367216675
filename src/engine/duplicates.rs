//! Groups of points that are nearly the same. Invariant: one page at a time in the whole server, so that
//! the other turns for blocking calls stay for everything else.

use std::sync::Arc;

use super::Engine;
use crate::collection::{DuplicateSearch, Duplicates};
use crate::error::{Error, Result};
use crate::types::CollectionName;

impl Engine {
    /// A page of the groups of a collection.
    ///
    /// # Errors
    /// `Overloaded` while another page is made; those of [`crate::collection::Collection::duplicates`].
    pub async fn duplicates(&self, name: &CollectionName, search: DuplicateSearch) -> Result<Duplicates> {
        self.collection(name)?;
        let Ok(one) = Arc::clone(&self.shared.comparing).try_lock_owned() else {
            return Err(Error::Overloaded {
                what: "other duplicates are being looked for".into(),
                retry_after_secs: 2,
            });
        };
        // The work holds the turn itself: a caller who goes away does not end it.
        self.on(name, move |collection| {
            let found = collection.duplicates(&search);
            drop(one);
            found
        })
        .await
    }
}
