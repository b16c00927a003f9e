//! Names: which are there, which are durable, and the changes between the two.

use super::crash::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Which file a name leads to; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

type Map = BTreeMap<PathBuf, FileId>;

/// A change of names.
#[derive(Clone)]
enum Change {
    Create(PathBuf, FileId),
    Rename { from: PathBuf, to: PathBuf, file: FileId },
    Remove(PathBuf, FileId),
}

impl Change {
    fn file(&self) -> FileId {
        match self {
            Change::Create(_, file) | Change::Remove(_, file) | Change::Rename { file, .. } => {
                *file
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (one, two) = match self {
            Change::Create(path, _) | Change::Remove(path, _) => (path, None),
            Change::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(one).chain(two)
    }

    /// Does it, if it finds what it found when it was called. That is the causality of names: no
    /// rename of a file whose creation is lost, no new file in the place of one whose removal is lost.
    fn apply(&self, names: &mut Map) {
        match self {
            Change::Create(path, file) => {
                names.entry(path.clone()).or_insert(*file);
            }
            Change::Rename { from, to, file } if names.get(from) == Some(file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Change::Remove(path, file) if names.get(path) == Some(file) => {
                names.remove(path);
            }
            Change::Rename { .. } | Change::Remove(..) => {}
        }
    }
}

/// All names of a disk.
///
/// Invariants: `current` is `durable` with all of `pending` applied in order; no path is a file's and a
/// directory's; every directory's parent is there.
#[derive(Clone)]
pub(super) struct Names {
    current: Map,
    durable: Map,
    pending: Vec<Change>,
    /// Directories, and whether their own name is durable.
    directories: BTreeMap<PathBuf, bool>,
}

impl Names {
    /// No file, and the directories that paths start from: the root, and that of relative paths.
    pub(super) fn new() -> Names {
        let directories = BTreeMap::from([(PathBuf::new(), true), (PathBuf::from("/"), true)]);
        Names { current: Map::new(), durable: Map::new(), pending: Vec::new(), directories }
    }

    pub(super) fn get(&self, path: &Path) -> io::Result<FileId> {
        self.current.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Every file a name leads to now.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        self.current.values().copied()
    }

    /// Every file a name may lead to, now or after a crash.
    pub(super) fn mentioned(&self) -> BTreeSet<FileId> {
        let pending = self.pending.iter().map(Change::file);
        self.files().chain(self.durable.values().copied()).chain(pending).collect()
    }

    /// The files in a directory.
    pub(super) fn files_in(&self, directory: &Path) -> impl Iterator<Item = (&Path, FileId)> {
        children(&self.current, directory).map(|(path, file)| (path, *file))
    }

    /// The directories in a directory.
    pub(super) fn directories_in(&self, directory: &Path) -> impl Iterator<Item = &Path> {
        children(&self.directories, directory).map(|(path, _)| path)
    }

    /// `NotFound` unless it is a directory.
    pub(super) fn directory(&self, path: &Path) -> io::Result<()> {
        match self.directories.contains_key(path) {
            true => Ok(()),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Whether a file could have this name.
    fn place(&self, path: &Path) -> io::Result<()> {
        if self.directories.contains_key(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if path.file_name().is_none() {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.directory(path.parent().unwrap_or(Path::new("")))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    pub(super) fn create(&mut self, path: &Path, file: FileId) -> io::Result<()> {
        if self.current.contains_key(path) || self.directories.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.place(path)?;
        self.change(Change::Create(path.to_path_buf(), file));
        Ok(())
    }

    /// Renames; the answer is the file that lost its name by it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<FileId>> {
        if self.directories.contains_key(from) {
            return Err(io::Error::new(ErrorKind::Unsupported, "directories are not renamed here"));
        }
        let file = self.get(from)?;
        self.place(to)?;
        if from == to {
            return Ok(None);
        }
        let replaced = self.current.get(to).copied();
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        self.change(Change::Rename { from, to, file });
        Ok(replaced)
    }

    /// Removes; the answer is the file that lost its name by it.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<FileId> {
        if self.directories.contains_key(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let file = self.get(path)?;
        self.change(Change::Remove(path.to_path_buf(), file));
        Ok(file)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        for directory in from_the_top(path) {
            if self.current.contains_key(directory) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if !self.directories.contains_key(directory) {
                // A file that had this name has to be gone for good: no path is of both kinds.
                self.fold(|changed| changed == directory);
                self.directories.insert(directory.to_path_buf(), false);
            }
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, directory: &Path) -> io::Result<()> {
        self.directory(directory)?;
        self.fold(|changed| changed.parent() == Some(directory));
        for (path, durable) in &mut self.directories {
            *durable |= path.parent() == Some(directory);
        }
        Ok(())
    }

    /// Gives a file that has no name a durable one, and its directories too.
    pub(super) fn plant(&mut self, path: &Path, file: FileId) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.create_dir(parent)?;
            self.keep_dir(parent);
        }
        self.create(path, file)?;
        self.fold(|changed| changed == path);
        Ok(())
    }

    /// Makes the pending changes of the wanted paths durable, and the earlier ones they rest on: those
    /// that share a path with them.
    fn fold(&mut self, wanted: impl Fn(&Path) -> bool) {
        let mut paths = BTreeSet::new();
        let mut folded = Vec::new();
        let mut left = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            if change.paths().any(|path| wanted(path) || paths.contains(path)) {
                paths.extend(change.paths().cloned());
                folded.push(change);
            } else {
                left.push(change);
            }
        }
        left.reverse();
        self.pending = left;
        for change in folded.iter().rev() {
            change.apply(&mut self.durable);
            if let Change::Rename { from, to, .. } = change
                && let Some(parent) = to.parent()
                && from.parent() != Some(parent)
            {
                // The old name is gone for good, so the new one may not go with its directory.
                self.keep_dir(parent);
            }
        }
    }

    /// Makes the names of a directory and of its parents durable.
    fn keep_dir(&mut self, directory: &Path) {
        for path in directory.ancestors() {
            if let Some(durable) = self.directories.get_mut(path) {
                *durable = true;
            }
        }
    }

    /// What a loss of power leaves of the names.
    pub(super) fn after_crash(&self, dice: &mut Dice) -> Names {
        let directories = self.directories_after_crash(dice);
        let is_there = |path: &PathBuf| path.parent().is_some_and(|p| directories.contains_key(p));
        let mut names = self.durable.clone();
        let verdicts = dice.verdicts(self.pending.len());
        for (change, verdict) in self.pending.iter().zip(verdicts) {
            if verdict.whole() && change.paths().all(is_there) {
                change.apply(&mut names);
            }
        }
        names.retain(|path, _| is_there(path));
        Names { current: names.clone(), durable: names, pending: Vec::new(), directories }
    }

    fn directories_after_crash(&self, dice: &mut Dice) -> BTreeMap<PathBuf, bool> {
        let pending = self.directories.values().filter(|durable| !**durable).count();
        let mut verdicts = dice.verdicts(pending).into_iter();
        let mut left: BTreeMap<PathBuf, bool> = BTreeMap::new();
        // Parents come before their children in the order of paths.
        for (path, durable) in &self.directories {
            let survives = *durable || verdicts.next().is_some_and(|verdict| verdict.whole());
            if survives && path.parent().is_none_or(|parent| left.contains_key(parent)) {
                left.insert(path.clone(), true);
            }
        }
        left
    }
}

/// A path and its parents, the topmost first.
fn from_the_top(path: &Path) -> impl Iterator<Item = &Path> {
    let mut paths: Vec<&Path> = path.ancestors().collect();
    paths.reverse();
    paths.into_iter()
}

/// What lies directly in a directory.
fn children<'m, V>(
    map: &'m BTreeMap<PathBuf, V>,
    directory: &Path,
) -> impl Iterator<Item = (&'m Path, &'m V)> {
    // Paths order by component, so everything below a directory stands behind it without a gap; only
    // absolute paths may stand between those of the empty one.
    map.range::<Path, _>((Bound::Excluded(directory), Bound::Unbounded))
        .take_while(move |(path, _)| path.starts_with(directory))
        .filter(move |(path, _)| path.parent() == Some(directory))
        .map(|(path, value)| (path.as_path(), value))
}
