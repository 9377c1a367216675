//! Changes of a collection. Everything is checked before anything is committed.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::distance;
use crate::error::{Error, Result};
use crate::storage::Change;
use crate::types::{
    CollectionConfig, Filter, JsonPath, Payload, PayloadIndexParams, Pictures, Point, PointId, VectorParams,
    check_vector, merge_payload,
};

use super::Collection;
use super::payload_index::PayloadIndex;

/// Bytes of payload, roughly, that a change of payloads carries at most; storage takes 64 MiB.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// Payloads that are held at once while an index is made of them.
const READ_AT_ONCE: usize = 4096;
/// Most payload indexes of a collection: each is held in memory and kept up with every write.
const MAX_PAYLOAD_INDEXES: usize = 64;

/// The points that a change is meant for.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Those of these ids that exist.
    Ids(Vec<PointId>),
    /// All that the filter lets through.
    Matching(Filter),
}

/// What becomes of a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadEdit {
    /// These keys are set, each whole, in the payload or in the object at the path; a null
    /// removes its key.
    Merge(Payload, Option<JsonPath>),
    /// This is the payload from now on.
    Overwrite(Payload),
    /// What these paths reach is removed.
    RemoveKeys(Vec<JsonPath>),
    /// The payload is empty from now on.
    Clear,
}

impl PayloadEdit {
    fn apply(&self, payload: &mut Payload) {
        match self {
            PayloadEdit::Merge(more, None) => merge_payload(payload, more),
            PayloadEdit::Merge(more, Some(path)) => path.merge_into(payload, more),
            PayloadEdit::Overwrite(new) => payload.clone_from(new),
            PayloadEdit::RemoveKeys(paths) => paths.iter().for_each(|path| path.remove_from(payload)),
            PayloadEdit::Clear => payload.clear(),
        }
    }
}

impl Collection {
    /// Writes points, replacing those of the same ids; all or none. Under cosine what is stored
    /// is the normalised vector. Returns the sequence number of the change.
    ///
    /// # Errors
    /// `InvalidInput` that names `points[i]` and the vector; those of the volume's commit.
    pub fn upsert(&self, points: Vec<Point>) -> Result<u64> {
        self.upsert_pictured(points, Vec::new())
    }

    /// The same with what is kept of the picture of each, in the order of the points; none where `pictures`
    /// is empty.
    ///
    /// # Errors
    /// As [`Collection::upsert`].
    pub fn upsert_pictured(&self, mut points: Vec<Point>, pictures: Vec<Pictures>) -> Result<u64> {
        let config = self.config();
        for (i, point) in points.iter_mut().enumerate() {
            check_point(point, &config).map_err(|error| error.at(format!("points[{i}]")))?;
        }
        if config.signatures.is_some() {
            self.check_signatures(&points)?;
        }
        self.memory.state.read().check_slots()?;
        let _others_may_write = self.gate.read();
        if pictures.iter().all(Pictures::is_empty) {
            return self.volume.commit(Change::Upsert(points));
        }
        self.volume.commit(Change::Pictured(points, pictures))
    }

    /// Deletes points; absent ids are passed over.
    ///
    /// # Errors
    /// Those of the volume's commit.
    pub fn delete(&self, ids: Vec<PointId>) -> Result<u64> {
        let _others_may_write = self.gate.read();
        self.volume.commit(Change::Delete(ids))
    }

    /// Deletes every point that the filter lets through, in one change.
    ///
    /// # Errors
    /// Those of reading payloads and of the volume's commit.
    pub fn delete_matching(&self, filter: &Filter) -> Result<u64> {
        let _alone = self.gate.write();
        let ids = self.matching_ids(filter)?;
        self.volume.commit(Change::Delete(ids))
    }

    /// Edits the payloads of points, in one change. No edit is lost between two callers.
    ///
    /// # Errors
    /// `TooLarge` where the new payloads come to more than 64 MiB, and nothing is changed; those
    /// of reading payloads and of the volume's commit.
    pub fn change_payload(&self, target: &Target, edit: &PayloadEdit) -> Result<u64> {
        let _alone = self.gate.write();
        let ids: BTreeSet<PointId> = match target {
            Target::Ids(ids) => ids.iter().copied().collect(),
            Target::Matching(filter) => self.matching_ids(filter)?.into_iter().collect(),
        };
        let mut changed = Vec::new();
        let mut total = 0;
        for id in ids {
            let Some(mut payload) = self.volume.payload(id)? else { continue };
            edit.apply(&mut payload);
            total += bytes(&payload);
            if total > MAX_PAYLOAD_BYTES {
                return Err(Error::TooLarge(format!(
                    "the changed payloads come to more than {} MiB, which cannot be written as one change; \
                     nothing was changed: narrow the filter or send fewer ids",
                    MAX_PAYLOAD_BYTES >> 20
                )));
            }
            changed.push((id, payload));
        }
        self.volume.commit(Change::SetPayload(changed))
    }

    /// Creates a payload index, or builds one anew with another kind.
    ///
    /// # Errors
    /// `InvalidInput` where there are too many; those of storage.
    pub fn create_payload_index(&self, path: JsonPath, params: impl Into<PayloadIndexParams>) -> Result<u64> {
        let params = params.into();
        let _alone = self.gate.write(); // nothing is written while the points are read
        let mut config = self.config();
        let key = path.as_str().to_owned();
        if config.payload_indexes.len() >= MAX_PAYLOAD_INDEXES && !config.payload_indexes.contains_key(&key) {
            return Err(Error::InvalidInput(format!(
                "the collection has {MAX_PAYLOAD_INDEXES} payload indexes, more are not allowed"
            )));
        }
        let field = [path.field().to_owned()];
        let mut index = PayloadIndex::new(path, params.clone());
        let slots: Vec<_> = self.memory.state.read().slots.iter().map(|(&id, &slot)| (id, slot)).collect();
        for some in slots.chunks(READ_AT_ONCE) {
            let read = |&(id, slot): &(PointId, u32)| Ok((slot, self.volume.payload_fields(id, &field)?));
            let read: Vec<(u32, Option<Payload>)> = some.par_iter().map(read).collect::<Result<_>>()?;
            for (slot, payload) in read {
                if let Some(payload) = payload {
                    index.insert(slot, &payload);
                }
            }
        }
        config.payload_indexes.insert(key.clone(), params);
        let version = self.volume.commit(Change::Configure(config))?;
        self.memory.state.write().payload_indexes.insert(key, index);
        Ok(version)
    }

    /// Drops a payload index; where there is none nothing changes.
    ///
    /// # Errors
    /// Those of the volume's commit.
    pub fn delete_payload_index(&self, path: &JsonPath) -> Result<u64> {
        let _alone = self.gate.write();
        let mut config = self.config();
        config.payload_indexes.remove(path.as_str());
        let version = self.volume.commit(Change::Configure(config))?;
        self.memory.state.write().payload_indexes.remove(path.as_str());
        Ok(version)
    }

    /// Changes the configuration apart from the vectors' sizes and distances and the payload
    /// indexes, which stay as they are. Where a graph's parameters or what it is walked by change, it is
    /// built anew in the background; where vectors are held (`on_disk`) changes when the collection is opened next.
    ///
    /// # Errors
    /// That of `edit`; `Validation` where a value is out of range; those of the volume's commit.
    pub fn configure(&self, edit: impl FnOnce(&mut CollectionConfig) -> Result<()>) -> Result<u64> {
        let _alone = self.gate.write();
        let old = self.config();
        let mut config = old.clone();
        edit(&mut config)?;
        config.payload_indexes = old.payload_indexes;
        let same_vectors = config.vectors.len() == old.vectors.len()
            && config.vectors.iter().zip(&old.vectors).all(|((name, new), (old_name, old))| {
                let of = |params: &VectorParams| (params.size, params.distance, params.datatype);
                name == old_name && of(new) == of(old)
            });
        if !same_vectors {
            return Err(Error::InvalidInput(
                "the names, sizes, distances and datatypes of a collection's vectors cannot be changed"
                    .into(),
            ));
        }
        config.validate()?;
        let version = self.volume.commit(Change::Configure(config.clone()))?;
        for (name, params) in &config.vectors {
            if let Some(index) = self.memory.indexes.get(name) {
                index.retune(&config.resolved(params), config.hnsw);
            }
        }
        Ok(version)
    }
}

/// Checks a point's vectors, and makes them what is stored: normalised under cosine, rounded to their datatype.
fn check_point(point: &mut Point, config: &CollectionConfig) -> Result<()> {
    for (name, vector) in &mut point.vectors {
        let params = config
            .vectors
            .get(name)
            .ok_or_else(|| Error::InvalidInput(format!("Not existing vector name error: {name}")))?;
        check_vector(vector, params.size, params.distance)
            .and_then(|()| distance::prepare(vector, params.distance, params.datatype))
            .map_err(|error| {
                if name.is_empty() { error.at("vector") } else { error.at(format!("vector `{name}`")) }
            })?;
    }
    Ok(())
}

/// What a payload takes in JSON, roughly.
fn bytes(payload: &Payload) -> usize {
    fn of(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::String(text) => text.len() + 2,
            serde_json::Value::Array(items) => items.iter().map(|item| of(item) + 1).sum(),
            serde_json::Value::Object(map) => bytes(map),
            _ => 16,
        }
    }
    payload.iter().map(|(key, value)| key.len() + of(value) + 4).sum()
}
