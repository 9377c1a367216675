//! Batches on their way to the server, several at once. Before anything is sent, the server is asked
//! which of a batch's ids it has: an import that was interrupted goes on where it stopped, without a
//! journal that could be lost or disagree with what is stored. Memory: at most `parallel` batches in
//! flight, as many waiting.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::item::{Content, Entry, Ids, Item, content_id, read_picture};
use super::photo;
use super::tally::Tally;
use crate::cli::client::{Client, Refused};
use crate::cli::patience::patiently;
use crate::types::{Payload, PointId};

/// Items of a batch.
const BATCH_ITEMS: usize = 32;
/// Bytes after which a batch is full, whatever its items.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;

/// How items are sent.
#[derive(Clone)]
pub struct SendOptions {
    /// The collection's path, `/collections/<name>`.
    pub collection: String,
    /// The vector's name; empty for the unnamed one.
    pub using: String,
    /// What ids are made from.
    pub ids: Ids,
    /// Added to every payload.
    pub payload: Payload,
    /// Read what the camera wrote.
    pub exif: bool,
    /// Send also what is there already.
    pub overwrite: bool,
    /// Requests at once.
    pub parallel: usize,
}

/// Where items go.
pub struct Sending<'a> {
    pub client: &'a Client,
    pub options: &'a SendOptions,
    pub tally: &'a Tally,
    /// Set by Ctrl-C: what is in flight is finished, the rest is left.
    pub stop: &'a AtomicBool,
    /// Ids of files that are in the collection now, for a watch.
    pub placed: Option<&'a Mutex<Vec<(PathBuf, PointId)>>>,
    seen: Mutex<HashSet<PointId>>,
    fatal: Mutex<Option<anyhow::Error>>,
}

/// An item that is read and has its id.
struct Ready {
    name: String,
    id: PointId,
    payload: Payload,
    content: Content,
}

impl<'a> Sending<'a> {
    /// Nothing sent yet.
    pub fn new(client: &'a Client, options: &'a SendOptions, tally: &'a Tally, stop: &'a AtomicBool) -> Self {
        let (seen, fatal) = (Mutex::default(), Mutex::default());
        Self { client, options, tally, stop, placed: None, seen, fatal }
    }

    /// Sends all that `source` hands over; ends early where it is stopped.
    ///
    /// # Errors
    /// Of the source, or what no further item would survive: no server, no key, no space.
    pub fn run(
        &self,
        source: impl FnOnce(&mut dyn FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (batches, waiting) = sync_channel(self.options.parallel);
        let waiting = Mutex::new(waiting);
        let read = std::thread::scope(|scope| {
            for _ in 0..self.options.parallel {
                scope.spawn(|| self.work(&waiting));
            }
            self.read(source, batches)
        });
        match self.fatal.lock().take() {
            Some(error) => Err(error),
            None if self.stop.load(Relaxed) => Ok(()),
            None => read,
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Relaxed) || self.fatal.lock().is_some()
    }

    fn read(
        &self,
        source: impl FnOnce(&mut dyn FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()>,
        batches: SyncSender<Vec<Item>>,
    ) -> anyhow::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        source(&mut |entry| {
            if self.is_over() {
                bail!("stopped");
            }
            match entry {
                Entry::Bad { name, error, weight } => {
                    self.tally.fail(&name, &error)?;
                    self.tally.advance(weight);
                }
                Entry::Good(item) => {
                    bytes += item.size();
                    batch.push(item);
                    if batch.len() == BATCH_ITEMS || bytes >= BATCH_BYTES {
                        bytes = 0;
                        // No worker is left only where one failed for good.
                        batches.send(std::mem::take(&mut batch)).ok().context("stopped")?;
                    }
                }
            }
            Ok(())
        })?;
        if !batch.is_empty() {
            batches.send(batch).ok().context("stopped")?;
        }
        Ok(())
    }

    fn work(&self, batches: &Mutex<Receiver<Vec<Item>>>) {
        loop {
            let next = batches.lock().recv();
            let Ok(batch) = next else { return };
            // What is left is taken and dropped, so that the reader never waits for nobody.
            if self.is_over() {
                continue;
            }
            let weight = batch.iter().map(|item| item.weight).sum();
            match self.batch(batch) {
                Ok(()) => self.tally.advance(weight),
                Err(error) => {
                    self.fatal.lock().get_or_insert(error);
                }
            }
        }
    }

    fn batch(&self, items: Vec<Item>) -> anyhow::Result<()> {
        let (mut known, mut ready) = (Vec::new(), Vec::new());
        for item in items {
            match item.known_id(self.options.ids) {
                // A path that is there already is not read at all.
                Some(id) => known.push((id, item)),
                None => ready.extend(self.read_item(item, None)?),
            }
        }
        let ids: Vec<PointId> =
            known.iter().map(|(id, _)| *id).chain(ready.iter().map(|item| item.id)).collect();
        let there = if self.options.overwrite { BTreeSet::new() } else { self.there(&ids)? };
        for (id, item) in known {
            if there.contains(&id) {
                self.place(&item.content, id);
                self.tally.there.fetch_add(1, Relaxed);
            } else {
                ready.extend(self.read_item(item, Some(id))?);
            }
        }
        ready.retain(|item| {
            let is_there = there.contains(&item.id);
            if is_there {
                self.tally.there.fetch_add(1, Relaxed);
            }
            !is_there
        });
        let (texts, pictures): (Vec<_>, Vec<_>) =
            ready.into_iter().partition(|item| matches!(item.content, Content::Text(_)));
        self.send(texts, &Self::texts)?;
        self.send(pictures, &Self::pictures)
    }

    /// The item with its bytes; `None` where it cannot be read, which is reported, or was seen before.
    fn read_item(&self, item: Item, id: Option<PointId>) -> anyhow::Result<Option<Ready>> {
        let Item { name, mut payload, content, .. } = item;
        let path = if let Content::File(path) = &content { Some(path.clone()) } else { None };
        let content = match content {
            Content::File(path) => match read_picture(&path) {
                Ok(bytes) => Content::Bytes(bytes),
                Err(error) => {
                    self.tally.fail(&name, &format!("{error:#}"))?;
                    return Ok(None);
                }
            },
            content => content,
        };
        let bytes = match &content {
            Content::Bytes(bytes) => bytes.as_slice(),
            Content::Text(text) => text.as_bytes(),
            Content::File(_) => &[],
        };
        let derived = id.unwrap_or_else(|| content_id(bytes));
        if self.options.exif && !matches!(content, Content::Text(_)) {
            photo::describe(bytes, &mut payload);
        }
        if let Some(path) = path {
            self.place(&Content::File(path), derived);
        }
        if id.is_none() && !self.seen.lock().insert(derived) {
            self.tally.copies.fetch_add(1, Relaxed);
            return Ok(None);
        }
        payload.extend(self.options.payload.clone());
        Ok(Some(Ready { name, id: derived, payload, content }))
    }

    fn place(&self, content: &Content, id: PointId) {
        if let (Some(placed), Content::File(path)) = (self.placed, content) {
            placed.lock().push((path.clone(), id));
        }
    }

    /// Which of these the collection has.
    fn there(&self, ids: &[PointId]) -> anyhow::Result<BTreeSet<PointId>> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let body = json!({"ids": ids, "with_payload": false, "with_vector": false});
        let path = format!("{}/points", self.options.collection);
        let found = patiently(self.stop, || self.client.call("POST", &path, Some(&body)))?;
        let ids =
            found.as_array().into_iter().flatten().map(|point| serde_json::from_value(point["id"].clone()));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Sends items; where the request as a whole is refused, its halves, so that the one that is
    /// to blame is named and the others are written.
    fn send(
        &self,
        items: Vec<Ready>,
        how: &impl Fn(&Self, &[Ready]) -> anyhow::Result<Vec<(usize, String)>>,
    ) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        match how(self, &items) {
            Ok(failures) => {
                self.tally.sent.fetch_add((items.len() - failures.len()) as u64, Relaxed);
                failures.iter().try_for_each(|(i, error)| self.tally.fail(&items[*i].name, error))
            }
            Err(error) => {
                let is_of_an_item = error
                    .downcast_ref::<Refused>()
                    .is_some_and(|refused| matches!(refused.status, 400 | 413 | 422));
                match items.as_slice() {
                    [item] if is_of_an_item => self.tally.fail(&item.name, &format!("{error:#}")),
                    _ if is_of_an_item => {
                        let mut first = items;
                        let second = first.split_off(first.len() / 2);
                        self.send(first, how)?;
                        self.send(second, how)
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// Texts, as points for the model; returns what failed, by place.
    fn texts(&self, items: &[Ready]) -> anyhow::Result<Vec<(usize, String)>> {
        let point = |item: &Ready| {
            let Content::Text(text) = &item.content else { return Value::Null };
            let text = json!({"text": text});
            let vector =
                if self.options.using.is_empty() { text } else { json!({&self.options.using: text}) };
            json!({"id": item.id, "vector": vector, "payload": item.payload})
        };
        let body = serde_json::to_vec(&json!({"points": items.iter().map(point).collect::<Vec<_>>()}))?;
        let headers = [("content-type", "application/json"), ("x-lookalike-partial", "true")];
        let path = format!("{}/points?wait=true", self.options.collection);
        let answer = patiently(self.stop, || self.client.send("PUT", &path, &headers, &body))?;
        let answer: Value = serde_json::from_str(&answer)?;
        let failed = answer["result"]["failed"].as_array().into_iter().flatten();
        Ok(failed.filter_map(|failure| place_and_error(failure, items.len())).collect())
    }

    /// Pictures, as one upload; returns what failed, by place.
    fn pictures(&self, items: &[Ready]) -> anyhow::Result<Vec<(usize, String)>> {
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let mut body = Vec::new();
        let ids: Vec<_> = items.iter().map(|item| item.id).collect();
        let payloads: Vec<_> = items.iter().map(|item| &item.payload).collect();
        for (name, part) in [("ids", serde_json::to_vec(&ids)?), ("payloads", serde_json::to_vec(&payloads)?)]
        {
            body.extend(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes(),
            );
            body.extend(part);
            body.extend(b"\r\n");
        }
        for (i, item) in items.iter().enumerate() {
            // The payload names the file; here its place is enough, and needs no quoting.
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{i}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            body.extend(head.bytes());
            if let Content::Bytes(bytes) = &item.content {
                body.extend(bytes);
            }
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let using = if self.options.using.is_empty() {
            String::new()
        } else {
            format!("?using={}", self.options.using)
        };
        let path = format!("{}/images{using}", self.options.collection);
        let headers = [("content-type", content_type.as_str())];
        let answer = patiently(self.stop, || self.client.send("POST", &path, &headers, &body))?;
        let mut open: BTreeSet<usize> = (0..items.len()).collect();
        let mut failures = Vec::new();
        for line in answer.lines() {
            let line: Value = serde_json::from_str(line).context("the server's answer to an upload")?;
            if line["status"] == "ok" {
                open.remove(&usize::try_from(line["index"].as_u64().unwrap_or(u64::MAX))?);
            } else if let Some((i, error)) = place_and_error(&line, items.len())
                && open.remove(&i)
            {
                failures.push((i, error));
            }
        }
        failures.extend(open.into_iter().map(|i| (i, "the server did not answer for it".to_owned())));
        Ok(failures)
    }
}

fn place_and_error(failure: &Value, count: usize) -> Option<(usize, String)> {
    let i = usize::try_from(failure["index"].as_u64()?).ok().filter(|i| *i < count)?;
    Some((i, failure["error"].as_str().unwrap_or("refused").to_owned()))
}

impl Item {
    /// Bytes that a batch holds because of it.
    fn size(&self) -> u64 {
        match &self.content {
            Content::File(_) => self.weight,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Text(text) => text.len() as u64,
        }
    }
}
