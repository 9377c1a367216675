//! Tar archives of pictures, also compressed, and WebDataset shards: members that stand together
//! and have the same name up to the first dot are one item. `.json` is its payload, `.txt`,
//! `.cls` and the like are fields of it. Memory: one item at a time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use super::item::{Content, Entry, Item, MAX_PICTURE, is_picture};
use crate::types::Payload;

/// Largest member beside pictures, bytes.
const MAX_FIELD: u64 = 1024 * 1024;
/// Members of text, whose ending is the field's name.
const TEXTS: [&str; 6] = ["txt", "text", "caption", "cls", "label", "url"];

/// What has been read of an item.
#[derive(Default)]
struct Parts {
    key: String,
    picture: Option<(String, Vec<u8>)>,
    payload: Payload,
    problem: Option<String>,
}

/// Hands over the items of an archive.
pub fn each(path: &Path, then: &mut dyn FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let total = file.metadata()?.len();
    let is_compressed = path.extension().is_some_and(|ending| ending != "tar");
    let reader: Box<dyn Read> = if is_compressed {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let mut archive = tar::Archive::new(reader);
    let mut parts = Parts::default();
    // Of a compressed archive the place is not known; an item's share is then its own bytes.
    let (mut place, mut reported) = (0, 0);
    let mut hand = |parts: Parts, place: u64| {
        let weight = place.min(total).saturating_sub(reported);
        reported += weight;
        match parts.entry(path, weight) {
            Some(entry) => then(entry),
            None => Ok(()),
        }
    };
    for member in archive.entries().with_context(|| path.display().to_string())? {
        let mut member = member.with_context(|| format!("{} cannot be read on", path.display()))?;
        if !member.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let key = key(&name);
        if key != parts.key {
            hand(std::mem::replace(&mut parts, Parts { key: key.to_owned(), ..Parts::default() }), place)?;
        }
        parts.take(&name, &mut member).with_context(|| format!("{} cannot be read on", path.display()))?;
        place = member.raw_file_position() + member.size();
    }
    hand(parts, place)
}

/// The name up to the first dot behind the last slash.
fn key(name: &str) -> &str {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    name[base..].find('.').map_or(name, |dot| &name[..base + dot])
}

impl Parts {
    fn take(&mut self, name: &str, member: &mut impl Read) -> anyhow::Result<()> {
        let ending = Path::new(name).extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if is_picture(Path::new(name)) {
            match bounded(member, MAX_PICTURE)? {
                Some(bytes) if self.picture.is_none() => self.picture = Some((name.to_owned(), bytes)),
                Some(_) => self.problem = Some(format!("there is a second picture, {name}")),
                None => self.problem = Some(format!("larger than {} MiB", MAX_PICTURE / (1024 * 1024))),
            }
        } else if ending == "json" || TEXTS.contains(&ending.as_str()) {
            match bounded(member, MAX_FIELD)? {
                Some(bytes) if ending == "json" => match serde_json::from_slice::<Map<String, Value>>(&bytes)
                {
                    Ok(map) => self.payload.extend(super::rows::without_nulls(map)),
                    Err(error) => self.problem = Some(format!("{name}: expected an object as JSON: {error}")),
                },
                Some(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                    let number = (ending == "cls").then(|| text.parse::<i64>().ok()).flatten();
                    let field = if ending == "txt" { "text".to_owned() } else { ending };
                    self.payload.insert(field, number.map_or_else(|| text.into(), Value::from));
                }
                None => {
                    self.problem = Some(format!("{name} is larger than {} MiB", MAX_FIELD / (1024 * 1024)))
                }
            }
        }
        Ok(())
    }

    /// `None` where nothing of the item is a picture: archives hold other files too.
    fn entry(mut self, path: &Path, weight: u64) -> Option<Entry> {
        let name = |inside: &str| format!("{}:{inside}", path.display());
        if let Some(error) = self.problem {
            return Some(Entry::Bad { name: name(&self.key), error, weight });
        }
        let (file, bytes) = self.picture?;
        self.payload.entry("file").or_insert_with(|| file.clone().into());
        let content = Content::Bytes(bytes);
        Some(Entry::Good(Item { name: name(&file), id: None, payload: self.payload, content, weight }))
    }
}

/// All bytes; `None` where there are more than `most`.
fn bounded(reader: &mut impl Read, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        bail!("a member is empty or cut short");
    }
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn archive(path: &Path, members: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap().sync_all().unwrap();
    }

    fn entries(path: &Path) -> Vec<Value> {
        let mut found = Vec::new();
        each(path, &mut |entry| {
            found.push(match entry {
                Entry::Good(item) => {
                    let Content::Bytes(bytes) = item.content else { panic!("no bytes") };
                    json!([item.payload, String::from_utf8(bytes).unwrap()])
                }
                Entry::Bad { error, .. } => json!(error),
            });
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn members_of_one_key_are_one_item_whatever_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        let members: [(&str, &[u8]); 9] = [
            ("a/1.jpg", b"one"),
            ("a/1.txt", b" a cup \n"),
            ("a/1.cls", b"3"),
            ("a/2.json", b"{\"n\": 1, \"x\": null}"),
            ("a/2.png", b"two"),
            ("README", b"read me"),
            ("a/3.jpg", b"three"),
            ("a/3.json", b"[]"),
            ("b/1.jpg", b"again"),
        ];
        archive(&path, &members);
        let found = entries(&path);
        assert_eq!(found[0], json!([{"file": "a/1.jpg", "text": "a cup", "cls": 3}, "one"]));
        assert_eq!(found[1], json!([{"file": "a/2.png", "n": 1}, "two"]));
        assert!(found[2].as_str().unwrap().contains("a/3.json"), "{}", found[2]);
        assert_eq!(found[3], json!([{"file": "b/1.jpg"}, "again"]));
        assert_eq!(found.len(), 4);
        let gzipped = dir.path().join("x.tar.gz");
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(&gzipped).unwrap(), flate2::Compression::fast());
        std::io::copy(&mut File::open(&path).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        assert_eq!(entries(&gzipped), found);
    }

    #[test]
    fn an_archive_that_ends_too_early_is_an_error_and_not_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        archive(&path, &[("1.jpg", &[1; 2000]), ("2.jpg", &[2; 2000])]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..4000]).unwrap();
        let error = format!("{:#}", each(&path, &mut |_| Ok(())).unwrap_err());
        assert!(error.contains("cannot be read on"), "{error}");
    }
}
