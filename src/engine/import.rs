//! Many points of which each is answered for: a group is written as one change, and where that is refused, its
//! halves, until the items to blame stand alone. A full queue is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::draft::{Draft, OnFailure};
use super::{Cancel, Engine};
use crate::error::{Error, Result};
use crate::types::CollectionName;

/// How often a full queue is asked again before the items are answered with its error.
const BUSY_RETRIES: u32 = 120;

impl Engine {
    /// Embeds and writes what can be; returns the errors of the others by their place.
    ///
    /// # Errors
    /// What no item survives: no such collection, no space, cancelled.
    pub async fn import(
        &self,
        name: &CollectionName,
        drafts: Vec<Draft>,
        cancel: &Cancel,
    ) -> Result<BTreeMap<usize, Error>> {
        let mut failed = BTreeMap::new();
        let mut open = vec![(0, drafts)];
        while let Some((start, mut group)) = open.pop() {
            if group.is_empty() {
                continue;
            }
            match self.patiently(name, &group, cancel).await {
                Ok(failures) => failed.extend(failures.into_iter().map(|(i, error)| (start + i, error))),
                Err(error) if !is_of_an_item(&error) => return Err(error),
                Err(error) if group.len() == 1 => drop(failed.insert(start, error)),
                Err(_) => {
                    let middle = group.len() / 2;
                    let rest = group.split_off(middle);
                    open.push((start + middle, rest));
                    open.push((start, group));
                }
            }
        }
        Ok(failed)
    }

    async fn patiently(
        &self,
        name: &CollectionName,
        group: &[Draft],
        cancel: &Cancel,
    ) -> Result<Vec<(usize, Error)>> {
        let mut tries = 0;
        loop {
            cancel.check()?;
            match self.upsert(name, group.to_vec(), OnFailure::SkipItem).await {
                Ok(done) => return Ok(done.failures.into_iter().map(|f| (f.index, f.error)).collect()),
                Err(error) => match error.retry_after_secs() {
                    Some(seconds) if tries < BUSY_RETRIES => {
                        tries += 1;
                        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                    }
                    _ => return Err(error),
                },
            }
        }
    }
}

/// Whether another item may fare better.
fn is_of_an_item(error: &Error) -> bool {
    matches!(error.code(), 400 | 413 | 422)
}
