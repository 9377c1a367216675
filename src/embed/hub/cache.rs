//! The hub's cache: `models--ORG--NAME/{blobs,refs,snapshots}`. A blob is a file under its hash, a snapshot is
//! a commit with links to blobs, a ref is a branch or tag with the commit that it was when it was fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hf_hub::{Cache, Repo};

use crate::error::{Error, Result};

/// How long another process is waited for that fetches the same file.
const WAIT_FOR_LOCK: Duration = Duration::from_secs(600);
/// Most commits and refs of one model that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Where models of the hub are kept unless a setting says otherwise: `$HF_HOME/hub`, or in the home folder.
pub fn default_cache() -> PathBuf {
    Cache::from_env().path().clone()
}

/// The place of one model in the cache; it need not be there.
pub(super) struct CachedModel {
    id: String,
    root: PathBuf,
    folder: PathBuf,
}

/// Held while a file is fetched, or a model; gone with its process.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl CachedModel {
    pub fn new(id: &str, cache: Option<&Path>) -> CachedModel {
        let root = cache.map_or_else(default_cache, Path::to_path_buf);
        let folder = root.join(Repo::model(id.to_owned()).folder_name());
        CachedModel { id: id.to_owned(), root, folder }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The token beside the cache, as `huggingface-cli login` leaves it.
    pub fn token(&self) -> Option<String> {
        Cache::new(self.root.clone()).token()
    }

    /// The commit that a revision is, as far as the cache knows.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) && self.snapshot(revision).is_dir() {
            return Some(revision.to_owned());
        }
        let commit = std::fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = commit.trim().to_owned();
        is_commit(&commit).then_some(commit)
    }

    /// The folder of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// A file of a commit, if it is there.
    pub fn file(&self, commit: &str, name: &str) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(name);
        path.is_file().then_some(path)
    }

    /// The file with that hash.
    pub fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// What there is of a file that is being fetched.
    pub fn part(&self, hash: &str) -> Result<PathBuf> {
        let blobs = self.folder.join("blobs");
        std::fs::create_dir_all(&blobs).map_err(|error| unwritable(&blobs, &error))?;
        Ok(blobs.join(format!("{hash}.incomplete")))
    }

    /// Puts a blob into a commit under its name.
    pub fn link(&self, commit: &str, name: &str, hash: &str) -> Result<PathBuf> {
        let folder = self.snapshot(commit);
        std::fs::create_dir_all(&folder)?;
        let (link, path) = (unique(&folder.join(name)), folder.join(name));
        let linked = link_to(Path::new("../../blobs"), &self.folder.join("blobs"), hash, &link);
        linked.and_then(|()| std::fs::rename(&link, &path)).map_err(|error| unwritable(&path, &error))?;
        Ok(path)
    }

    /// Writes the commit that a branch or tag is.
    pub fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let new = unique(&path);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            std::fs::write(&new, commit)?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error| unwritable(&path, &error))
    }

    /// One process at a time fetches a file.
    pub fn lock_blob(&self, hash: &str) -> Result<Lock> {
        let lock = self.lock_file(hash)?;
        let began = Instant::now();
        while !taken(lock.try_lock())? {
            if began.elapsed() > WAIT_FOR_LOCK {
                return Err(self.busy());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Lock(lock))
    }

    /// Held while files of the model come in: it is not removed meanwhile.
    pub fn lock_shared(&self) -> Result<Lock> {
        let lock = self.lock_file("lookalike")?;
        if taken(lock.try_lock_shared())? { Ok(Lock(lock)) } else { Err(self.busy()) }
    }

    fn lock_exclusive(&self) -> Result<Lock> {
        let lock = self.lock_file("lookalike")?;
        if taken(lock.try_lock())? { Ok(Lock(lock)) } else { Err(self.busy()) }
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let folder = self.root.join(".locks").join(self.folder.file_name().unwrap_or_default());
        let path = folder.join(format!("{name}.lock"));
        std::fs::create_dir_all(&folder)
            .and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(&path))
            .map_err(|error| unwritable(&path, &error))
    }

    fn busy(&self) -> Error {
        Error::Model(format!("{} is being fetched or removed by another process; try again later", self.id))
    }

    /// Every branch and tag with its commit.
    fn refs(&self) -> BTreeMap<String, String> {
        let (mut found, root) = (BTreeMap::new(), self.folder.join("refs"));
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in entries(&folder) {
                match entry.is_dir() {
                    true if open.len() < MAX_ENTRIES => open.push(entry),
                    true => {}
                    false => {
                        let name = entry.strip_prefix(&root).unwrap_or(&entry).to_string_lossy().into_owned();
                        if let Some(commit) = self.commit(&name) {
                            found.insert(name, commit);
                        }
                    }
                }
            }
        }
        found
    }
}

/// A model in the cache that has all its weights and its configuration.
#[derive(Debug, Clone)]
pub struct Cached {
    /// `org/name`.
    pub id: String,
    /// What of it is there whole.
    pub revisions: Vec<Revision>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Its folder.
    pub place: PathBuf,
}

/// A commit of a model in the cache.
#[derive(Debug, Clone)]
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// Branches and tags that were this commit when they were fetched.
    pub names: Vec<String>,
}

/// Every model of a cache that is there whole, by name.
pub fn cached(cache: &Path) -> Vec<Cached> {
    let mut found = Vec::new();
    for place in entries(cache) {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix("models--") else { continue };
        let id = id.replacen("--", "/", 1);
        let model = CachedModel { id: id.clone(), root: cache.to_path_buf(), folder: place.clone() };
        let refs = model.refs();
        let is_whole = |snapshot: &PathBuf| {
            let has = |file: &str| snapshot.join(file).is_file();
            has(super::CONFIG) && super::WEIGHTS.iter().any(|name| has(name))
        };
        let revision = |snapshot: PathBuf| {
            let commit = snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let names = refs.iter().filter(|(_, of)| **of == commit).map(|(name, _)| name.clone()).collect();
            Revision { commit, names }
        };
        let snapshots = entries(&place.join("snapshots")).into_iter().filter(is_whole);
        let revisions: Vec<_> = snapshots.map(revision).collect();
        if !revisions.is_empty() {
            let bytes = entries(&place.join("blobs")).iter().map(|blob| size(blob)).sum();
            found.push(Cached { id, revisions, bytes, place });
        }
    }
    found
}

/// What was removed.
#[derive(Debug, Clone)]
pub struct Removed {
    /// Bytes of the files that are gone.
    pub bytes: u64,
    /// The commits that are gone.
    pub commits: Vec<String>,
}

/// Removes a revision of a model with the files that no other of its revisions has, or the whole model.
///
/// # Errors
/// `NotFound` where it is not in the cache; `Model` while it is being fetched; `Io`.
pub fn remove(id: &str, revision: Option<&str>, cache: Option<&Path>) -> Result<Removed> {
    let model = CachedModel::new(id, cache);
    let absent = |what: String| {
        Error::NotFound(format!(
            "{what} is not in the cache at {}; see `lookalike models list`",
            model.root.display()
        ))
    };
    // A link in place of the folder could lead anywhere.
    if !model.folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(absent(id.to_owned()));
    }
    let _alone = model.lock_exclusive()?;
    let (snapshots, blobs) = (model.folder.join("snapshots"), model.folder.join("blobs"));
    let Some(revision) = revision else {
        let bytes = entries(&blobs).iter().map(|blob| size(blob)).sum();
        let commits = entries(&snapshots).iter().filter_map(|path| name_of(path)).collect();
        std::fs::remove_dir_all(&model.folder).map_err(|error| unwritable(&model.folder, &error))?;
        return Ok(Removed { bytes, commits });
    };
    let commit = model.commit(revision).ok_or_else(|| absent(format!("{id}@{revision}")))?;
    let refs = model.refs();
    // A branch goes alone where another is the same commit; a commit goes with all its branches.
    let gone = |name: &str| name == revision || revision == commit;
    let stays = refs.iter().any(|(name, of)| *of == commit && !gone(name));
    for (name, _) in refs.iter().filter(|(name, of)| **of == commit && gone(name)) {
        std::fs::remove_file(model.folder.join("refs").join(name))?;
    }
    if stays {
        return Ok(Removed { bytes: 0, commits: Vec::new() });
    }
    let snapshot = model.snapshot(&commit);
    if snapshot.is_dir() {
        std::fs::remove_dir_all(&snapshot).map_err(|error| unwritable(&snapshot, &error))?;
    }
    let used: BTreeSet<_> = entries(&snapshots)
        .iter()
        .flat_map(|snapshot| entries(snapshot))
        .filter_map(|link| std::fs::canonicalize(link).ok())
        .collect();
    let mut bytes = 0;
    for blob in entries(&blobs) {
        if blob.canonicalize().is_ok_and(|path| !used.contains(&path)) {
            bytes += size(&blob);
            std::fs::remove_file(&blob)?;
        }
    }
    if entries(&snapshots).is_empty() {
        std::fs::remove_dir_all(&model.folder).map_err(|error| unwritable(&model.folder, &error))?;
    }
    Ok(Removed { bytes, commits: vec![commit] })
}

/// What a commit looks like: 40 hex digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn taken(locked: std::result::Result<(), TryLockError>) -> Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = listed.take(MAX_ENTRIES).map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn size(file: &Path) -> u64 {
    file.symlink_metadata().map_or(0, |metadata| metadata.len())
}

fn unique(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    path.with_file_name(name)
}

#[cfg(unix)]
fn link_to(relative: &Path, _blobs: &Path, hash: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(relative.join(hash), link)
}

#[cfg(not(unix))]
fn link_to(_relative: &Path, blobs: &Path, hash: &str, link: &Path) -> std::io::Result<()> {
    std::fs::hard_link(blobs.join(hash), link)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITS: [&str; 2] =
        ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];

    /// Two commits that share their configuration; `main` is the second.
    fn cache_with(id: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let model = CachedModel::new(id, Some(dir.path()));
        for (commit, weights) in COMMITS.iter().zip(["w1", "w2"]) {
            for (name, hash) in [("config.json", "c"), ("model.safetensors", weights)] {
                let part = model.part(hash).unwrap();
                std::fs::write(&part, hash.repeat(100)).unwrap();
                std::fs::rename(part, model.blob(hash)).unwrap();
                model.link(commit, name, hash).unwrap();
            }
        }
        model.set_commit("main", COMMITS[1]).unwrap();
        model.set_commit("refs/pr/1", COMMITS[0]).unwrap();
        dir
    }

    #[test]
    fn models_of_the_cache_are_listed_when_they_are_whole() {
        let dir = cache_with("openai/clip");
        for (folder, files) in [
            ("models--half--there", &["config.json"][..]),
            ("datasets--x--y", &["config.json", "model.safetensors"]),
        ] {
            let snapshot = dir.path().join(folder).join("snapshots/abc");
            std::fs::create_dir_all(&snapshot).unwrap();
            files.iter().for_each(|file| std::fs::write(snapshot.join(file), "x").unwrap());
        }
        let found = cached(dir.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].id.as_str(), found[0].bytes), ("openai/clip", 500));
        let names: Vec<_> = found[0].revisions.iter().map(|r| r.names.join(",")).collect();
        assert_eq!(names, ["refs/pr/1", "main"]);
        assert!(cached(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn a_removed_revision_takes_only_its_own_files_along() {
        let dir = cache_with("a/b");
        let removed = remove("a/b", Some("main"), Some(dir.path())).unwrap();
        assert_eq!((removed.bytes, removed.commits), (200, vec![COMMITS[1].to_owned()]));
        let model = CachedModel::new("a/b", Some(dir.path()));
        assert!(model.file(COMMITS[0], "config.json").is_some());
        assert!(matches!(remove("a/b", Some("main"), Some(dir.path())), Err(Error::NotFound(_))));
        let removed = remove("a/b", Some(COMMITS[0]), Some(dir.path())).unwrap();
        assert_eq!(removed.bytes, 300);
        assert!(!dir.path().join("models--a--b").exists());
        assert!(matches!(remove("a/b", None, Some(dir.path())), Err(Error::NotFound(_))));
    }

    #[test]
    fn a_branch_leaves_a_commit_that_another_branch_is() {
        let dir = cache_with("a/b");
        CachedModel::new("a/b", Some(dir.path())).set_commit("v1", COMMITS[1]).unwrap();
        let removed = remove("a/b", Some("v1"), Some(dir.path())).unwrap();
        assert!(removed.bytes == 0 && removed.commits.is_empty());
        assert!(CachedModel::new("a/b", Some(dir.path())).commit("main").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_a_model_is_not_followed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), cache_with("a/b"));
        std::os::unix::fs::symlink(other.path().join("models--a--b"), dir.path().join("models--a--b"))
            .unwrap();
        assert!(matches!(remove("a/b", None, Some(dir.path())), Err(Error::NotFound(_))));
        assert_eq!(cached(other.path()).len(), 1);
    }

    #[test]
    fn a_model_that_is_being_fetched_is_not_removed() {
        let dir = cache_with("a/b");
        let _fetching = CachedModel::new("a/b", Some(dir.path())).lock_shared().unwrap();
        let error = remove("a/b", None, Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
    }
}
