//! Everything a simulated disk knows, and what each operation does to it.

use super::Fault;
use super::crash::Dice;
use super::image::Image;
use super::names::{FileId, Names};
use super::stored::{Change, Stored};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use todana_io::Generator;

/// What Unix calls EIO.
const IO_ERROR: i32 = 5;
/// The longest file.
const FILE_LEN_MAX: u64 = i64::MAX as u64;

/// Whether a disk still answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    On,
    /// The process that used it is dead; the machine went on as another `SimDisk`.
    Killed,
    Off,
}

pub(super) struct State {
    pub(super) names: Names,
    files: BTreeMap<FileId, Stored>,
    file_next: u64,
    /// Held locks and the notes of their holders.
    pub(super) locks: BTreeMap<FileId, String>,
    pub(super) power: Power,
    pub(super) operation_count: u64,
    pub(super) faults: BTreeMap<u64, Fault>,
    pub(super) syncs_fail: bool,
    pub(super) capacity: Option<u64>,
    random: Generator,
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State::of(Names::new(), BTreeMap::new(), Generator::new(seed))
    }

    fn of(names: Names, files: BTreeMap<FileId, Stored>, random: Generator) -> State {
        State {
            names,
            files,
            file_next: 0,
            locks: BTreeMap::new(),
            power: Power::On,
            operation_count: 0,
            faults: BTreeMap::new(),
            syncs_fail: false,
            capacity: None,
            random,
        }
    }

    /// The machine after a loss of power.
    pub(super) fn after_crash(&self, seed: u64) -> State {
        let mut dice = Dice::new(seed);
        let names = self.names.after_crash(&mut dice);
        let files = names
            .mentioned()
            .into_iter()
            .map(|id| (id, Stored::of(self.file(id).after_crash(&mut dice))))
            .collect();
        let state = State::of(names, files, Generator::new(seed));
        State { file_next: self.file_next, capacity: self.capacity, ..state }
    }

    /// The machine after the end of the process.
    pub(super) fn after_kill(&self) -> State {
        let state = State::of(self.names.clone(), self.files.clone(), self.random.clone());
        let mut state = State { file_next: self.file_next, capacity: self.capacity, ..state };
        for file in state.files.values_mut() {
            file.handle_count = 0;
        }
        state.collect();
        state
    }

    /// # Errors
    /// Once the power is off or the process dead.
    pub(super) fn alive(&self) -> io::Result<()> {
        match self.power {
            Power::On => Ok(()),
            Power::Killed => Err(io::Error::other("the process was killed")),
            Power::Off => Err(io::Error::other("power is off")),
        }
    }

    pub(super) fn file(&self, id: FileId) -> &Stored {
        self.files.get(&id).expect("a file with a name or a handle is kept")
    }

    pub(super) fn file_mut(&mut self, id: FileId) -> &mut Stored {
        self.files.get_mut(&id).expect("a file with a name or a handle is kept")
    }

    // --- Operations: each is counted, then does what it does or what a fault makes of it.

    pub(super) fn create(&mut self, path: &Path) -> io::Result<()> {
        self.step(|state| state.new_file(path))
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.step(|state| state.names.create_dir(path))
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let fault = self.begin()?;
        let done = match fault {
            None => self.names.sync_dir(path),
            Some(_) => Ok(()),
        };
        self.collect();
        end(fault, &mut self.power)?;
        done
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|state| {
            let replaced = state.names.rename(from, to)?;
            state.unname(replaced);
            Ok(())
        })
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step(|state| {
            let removed = state.names.remove(path)?;
            state.unname(Some(removed));
            Ok(())
        })
    }

    /// `SetLen` or `Grow`.
    pub(super) fn change_len(&mut self, id: FileId, change: Change) -> io::Result<()> {
        self.step(|state| state.change(id, change))
    }

    pub(super) fn write(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.begin()?;
        let written = match fault {
            None | Some(Fault::PowerOff) => bytes,
            Some(Fault::Error) => {
                let len = self.random.below((bytes.len() as u64).saturating_add(1));
                &bytes[..usize::try_from(len).unwrap_or(0)]
            }
            Some(Fault::Full) => &[],
        };
        let done = self.change(id, Change::Write(offset, written.into()));
        end(fault, &mut self.power)?;
        done
    }

    pub(super) fn sync(&mut self, id: FileId) -> io::Result<()> {
        let fault = match self.begin()? {
            None if self.syncs_fail => Some(Fault::Error),
            fault => fault,
        };
        match fault {
            None => self.file_mut(id).sync(),
            Some(Fault::Error | Fault::Full) => self.file_mut(id).doom(),
            Some(Fault::PowerOff) => {}
        }
        end(fault, &mut self.power)
    }

    /// An operation that a fault leaves undone, or whole if the power goes off meanwhile: then the
    /// crash decides.
    fn step(&mut self, apply: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let fault = self.begin()?;
        let done = match fault {
            None | Some(Fault::PowerOff) => apply(self),
            Some(Fault::Error | Fault::Full) => Ok(()),
        };
        end(fault, &mut self.power)?;
        done
    }

    /// Counts an operation; the answer is what shall happen to it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        self.alive()?;
        let fault = self.faults.remove(&self.operation_count);
        self.operation_count += 1;
        Ok(fault)
    }

    // --- Parts of operations.

    /// Makes an empty file, not counted.
    pub(super) fn new_file(&mut self, path: &Path) -> io::Result<()> {
        let id = FileId(self.file_next);
        self.names.create(path, id)?;
        self.file_next += 1;
        self.files.insert(id, Stored::of(Image::default()));
        Ok(())
    }

    /// Makes a file as if it had been there for long, in place of what has the name.
    pub(super) fn plant(&mut self, path: &Path, content: Image) -> io::Result<()> {
        if let Ok(id) = self.names.get(path) {
            self.file_mut(id).replace(content);
            return Ok(());
        }
        let id = FileId(self.file_next);
        self.names.plant(path, id)?;
        self.file_next += 1;
        self.files.insert(id, Stored::of(content));
        Ok(())
    }

    /// Changes a file's content if the length is allowed, not counted.
    pub(super) fn change(&mut self, id: FileId, change: Change) -> io::Result<()> {
        let len = self.file(id).current().len();
        let new_len = change.len_after(len);
        if new_len > FILE_LEN_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if let Some(capacity) = self.capacity
            && new_len > len
            && self.used().saturating_add(new_len - len) > capacity
        {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file_mut(id).change(change);
        Ok(())
    }

    /// Bytes of all files that somebody can still read.
    fn used(&self) -> u64 {
        let live = self.files.values().filter(|file| file.named || file.handle_count > 0);
        live.fold(0, |sum, file| sum.saturating_add(file.current().len()))
    }

    fn unname(&mut self, id: Option<FileId>) {
        if let Some(id) = id {
            self.file_mut(id).named = false;
            self.collect();
        }
    }

    /// Forgets a handle.
    pub(super) fn close(&mut self, id: FileId) {
        let file = self.file_mut(id);
        file.handle_count -= 1;
        if file.handle_count == 0 && !file.named {
            self.collect();
        }
    }

    /// Frees the files that no handle holds and no name leads to, now or after a crash.
    fn collect(&mut self) {
        let mentioned = self.names.mentioned();
        self.files.retain(|id, file| file.handle_count > 0 || mentioned.contains(id));
    }
}

/// The error that a fault gives; a loss of power lasts.
fn end(fault: Option<Fault>, power: &mut Power) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Error) => Err(io::Error::from_raw_os_error(IO_ERROR)),
        Some(Fault::Full) => Err(ErrorKind::StorageFull.into()),
        Some(Fault::PowerOff) => {
            *power = Power::Off;
            Err(io::Error::other("power is off"))
        }
    }
}
