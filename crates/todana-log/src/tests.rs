//! The log under an engine that has nothing but a checkpoint: it counts. Its records are the numbers from 0 on,
//! some of them in units; a checkpoint says up to where it has counted. After any loss of power what the log
//! replays has to go on there, without a gap, and with everything that was acknowledged.

use crate::check::Survey;
use crate::layout::identity::StoreKind;
use crate::layout::record::{Fields, Operation, Record};
use crate::layout::reference::Reference;
use crate::{Change, Log, LogOptions, LogStream, LogWriter, Meaning, Mode, Owner, Pins, Recovered};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Effect, Error, Level, StreamError, UpdateStream};
use todana_io::disk::replace;
use todana_io::{Disk, Generator, Open};
use todana_record::{Meta, PartitionId, Position, Timestamp};
use todana_sim::{Fault, SimDisk};

const STORE: &str = "/store";
const CHECKPOINT: &str = "checkpoint";
const PARTITION: PartitionId = PartitionId(0);

struct Counting {
    disk: SimDisk,
    log: Log,
    writer: Mutex<LogWriter>,
    /// The next number.
    next: u64,
    /// Every number below it was acknowledged as safe.
    safe: u64,
}

fn options() -> LogOptions {
    LogOptions { least_segment_bytes: 4 << 10, ..LogOptions::of(StoreKind::TREE) }
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// Up to which sequence and number was counted.
fn checkpoint(disk: &SimDisk) -> Result<(u64, u64), Error> {
    let path = Path::new(STORE).join(CHECKPOINT);
    let failed = |error: std::io::Error| Error::Open(error.to_string());
    let file = match disk.open(&path, Open::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
        file => file.map_err(failed)?,
    };
    let mut bytes = [0; 16];
    file.read_exact_at(0, &mut bytes).map_err(failed)?;
    Ok((number_of(&bytes), number_of(&bytes[8..])))
}

impl Counting {
    fn open_with(disk: &SimDisk, options: LogOptions) -> Result<Counting, Error> {
        let (recovered, _) =
            Recovered::open(Arc::new(disk.clone()), Path::new(STORE), options, None)?;
        let (after, mut next) = checkpoint(disk)?;
        let (mut left_of_unit, mut last) = (0, after);
        recovered.replay(after, &mut |entry| {
            assert!(entry.sequence > last, "sequences rise");
            last = entry.sequence;
            match entry.record.operation {
                Operation::Unit => left_of_unit = entry.record.number,
                _ => {
                    assert_eq!(number_of(entry.record.key), next, "no gap");
                    next += 1;
                    left_of_unit = u64::saturating_sub(left_of_unit, 1);
                }
            }
            Ok(())
        })?;
        assert_eq!(left_of_unit, 0, "a unit is there whole or not at all");
        let (log, writer) = recovered.begin(0)?;
        Ok(Counting { disk: disk.clone(), log, writer: Mutex::new(writer), next, safe: 0 })
    }

    fn open(disk: &SimDisk) -> Result<Counting, Error> {
        Counting::open_with(disk, options())
    }

    /// Appends `count` numbers as one unit.
    fn count(&mut self, count: u64, value_len: usize) -> Result<u64, Error> {
        self.log.check_poison()?;
        let now = self.log.clock.advance(1);
        let value = vec![7; value_len];
        let appended = {
            let mut writer = self.writer.lock();
            let keys: Vec<_> = (self.next..self.next + count).map(u64::to_le_bytes).collect();
            let own = Fields { number: 5, ..Fields::of(Operation::Own) };
            let changes = keys.iter().map(|key| {
                let is_own = number_of(key).is_multiple_of(5);
                let fields = if is_own { own } else { Fields::put(&Meta::default()) };
                Change { key, value: [&value, &[]], ..Change::of_store(fields) }
            });
            let mark = Change::unit(count);
            let changes: Vec<_> = (count > 1).then_some(mark).into_iter().chain(changes).collect();
            let len_max = changes.iter().map(Change::len_max).sum();
            let done = writer.reserve(len_max, changes.len(), now).and_then(|()| {
                let mut last = 0;
                for change in &changes {
                    last = writer.append(change)?.sequence;
                }
                Ok(last)
            });
            let last = self.log.stop_on_poison(done)?;
            self.log.show(&mut writer, last);
            (last, writer.wants_writing(), writer.retired.len())
        };
        self.next += count;
        let (last, wants, behind) = appended;
        self.log.after_append(&self.writer, wants, behind)?;
        Ok(last)
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.log.sync_up_to(&self.writer, self.log.applied())?;
        self.safe = self.next;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<usize, Error> {
        let applied = self.log.applied();
        self.sync()?;
        let bytes = [applied.to_le_bytes(), self.next.to_le_bytes()].concat();
        let replaced = replace(&self.disk, Path::new(STORE), CHECKPOINT, &bytes);
        replaced.map_err(|error| self.log.poison(error.to_string()))?;
        self.log.give_up_to(&self.writer, applied)
    }

    fn live(&mut self, seed: u64, steps: u32) -> Result<usize, Error> {
        let mut random = Generator::new(seed);
        let mut given_up = 0;
        for _ in 0..steps {
            let value_len = usize::try_from(random.below(900)).unwrap();
            let count = if random.one_in(3) { 1 + random.below(5) } else { 1 };
            self.count(count, value_len)?;
            match random.below(12) {
                0..3 => self.sync()?,
                3 => given_up += self.checkpoint()?,
                4 => drop(self.log.flush_job(&self.writer, Timestamp::from_ms(1))),
                5 => self.log.write_out(&self.writer, false)?,
                _ => {}
            }
            self.log.check_poison()?;
        }
        Ok(given_up)
    }
}

/// Has every operation of a workload go wrong in this way, looks at what is left, and at what is left of a
/// short life after that; gives how many operations there were and logs given up.
fn every_operation(seed: u64, fault: Fault) -> (u64, usize) {
    let disk = SimDisk::new(seed);
    let given_up = Counting::open(&disk).unwrap().live(seed, 60).unwrap();
    let operations = disk.operations();
    for at in 0..operations {
        let what = format!("seed {seed}, {fault:?} at {at}");
        let disk = SimDisk::new(seed);
        disk.fail_at(at, fault);
        let (mut safe, mut next) = (0, 0);
        if let Ok(mut counting) = Counting::open(&disk) {
            let _ = counting.live(seed, 60);
            (safe, next) = (counting.safe, counting.next);
        }
        let left = match fault {
            Fault::PowerOff => disk.crash(at),
            _ if at % 2 == 0 => disk.crash(at),
            _ => disk.kill(),
        };
        let mut counting = Counting::open(&left).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = counting.next;
        assert!(found >= safe && found <= next, "{what}: {safe} <= {found} <= {next}");
        counting.live(seed + 1, 5).unwrap();
        counting.sync().unwrap();
        let next = counting.next;
        let again = Counting::open(&left.crash(at + 1)).unwrap();
        assert_eq!(again.next, next, "{what}, a second time");
    }
    (operations, given_up)
}

#[test]
fn every_loss_of_power_leaves_a_prefix_with_everything_acknowledged() {
    let (mut points, mut given_up) = (0, 0);
    for seed in 0..4 {
        let of_seed = every_operation(seed, Fault::PowerOff);
        (points, given_up) = (points + of_seed.0, given_up + of_seed.1);
    }
    println!("{points} crash points, {given_up} logs given up");
    assert!(points > 300 && given_up > 10);
}

#[test]
fn every_operation_that_fails_leaves_a_prefix_with_everything_acknowledged() {
    for seed in 4..7 {
        every_operation(seed, Fault::Error);
        every_operation(seed, Fault::Full);
    }
}

#[test]
fn a_closed_log_is_clean_and_goes_on() {
    let disk = SimDisk::new(9);
    let mut counting = Counting::open(&disk).unwrap();
    counting.live(9, 40).unwrap();
    counting.log.close(&counting.writer).unwrap();
    assert!(counting.count(1, 1).is_err(), "nothing is appended to a closed log");
    let (next, applied) = (counting.next, counting.log.applied());
    drop(counting);
    let counting = Counting::open(&disk).unwrap();
    assert_eq!((counting.next, counting.log.applied()), (next, applied));
    assert_eq!(counting.log.watermark(Level::Durable).incarnation, 1);
    let busy = Recovered::open(Arc::new(disk.clone()), Path::new(STORE), options(), None);
    assert!(matches!(busy, Err(Error::Open(_))), "it is locked");
    let wrong = LogOptions { of: StoreKind::HASH, mode: Mode::ReadOnly, ..options() };
    let another = Recovered::open(Arc::new(disk), Path::new(STORE), wrong, None);
    assert!(matches!(another, Err(Error::Corrupt(_))), "it is another engine's");
}

#[test]
fn a_failed_sync_stops_the_log_for_good() {
    let disk = SimDisk::new(10);
    let mut counting = Counting::open(&disk).unwrap();
    counting.count(1, 1).unwrap();
    disk.fail_all_syncs(true);
    assert!(matches!(counting.sync(), Err(Error::Poisoned(_))));
    disk.fail_all_syncs(false);
    assert!(matches!(counting.sync(), Err(Error::Poisoned(_))));
    assert!(matches!(counting.count(1, 1), Err(Error::Poisoned(_))));
    assert!(matches!(counting.log.close(&counting.writer), Err(Error::Poisoned(_))));
}

/// Every fifth number is an entry of the engine's own.
struct Numbers;

impl Meaning for Numbers {
    fn long_value(&self, _: Reference) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn own<'e>(
        &self,
        entry: &Record<'e>,
        sequence: u64,
        _: PartitionId,
        _: &'e Pins,
    ) -> Result<Option<Effect<'e>>, Error> {
        assert_eq!(entry.number, 5);
        let meta = entry.meta(sequence, true);
        Ok(Some(Effect::Put { key: entry.key, meta, value: entry.value }))
    }
}

/// The numbers of the changes after a position.
fn follow(log: &Log, after: Position) -> Result<Vec<u64>, StreamError> {
    let mut stream = LogStream::open(log.state.clone(), PARTITION, after, Box::new(Numbers))?;
    let mut numbers = Vec::new();
    let mut add = |effect: &Effect<'_>| match effect {
        Effect::Put { key, .. } => numbers.push(number_of(key)),
        effect => panic!("{effect:?}"),
    };
    while stream.next(3, &mut |_, _, effect| match effect {
        Effect::Unit(parts) => parts.iter().for_each(&mut add),
        effect => add(effect),
    })? > 0
    {}
    Ok(numbers)
}

#[test]
fn the_stream_has_what_retention_keeps() {
    let disk = SimDisk::new(11);
    let kept = LogOptions { stream_bytes: 20 << 10, ..options() };
    let mut counting = Counting::open_with(&disk, kept).unwrap();
    let mut positions = Vec::new();
    for step in 0..200 {
        let sequence = counting.count(1 + step % 3, 300).unwrap();
        positions.push((counting.log.position(sequence), counting.next));
        if step == 20 {
            let all: Vec<u64> = (0..counting.next).collect();
            assert_eq!(follow(&counting.log, Position::START), Ok(all));
        }
        if step % 10 == 9 {
            counting.checkpoint().unwrap();
        }
    }
    let follows = |counting: &Counting, (after, first): (Position, u64)| {
        let expected: Vec<u64> = (first..counting.next).collect();
        follow(&counting.log, after).map(|numbers| assert_eq!(numbers, expected)).is_ok()
    };
    assert!(!follows(&counting, positions[5]), "it was given up");
    assert!(follows(&counting, positions[175]), "it is within what is kept");
    // A snapshot that is being read keeps what comes after it.
    let hold = counting.log.state.hold();
    let held = (counting.log.position(hold.sequence()), counting.next);
    for _ in 0..100 {
        counting.count(2, 300).unwrap();
    }
    counting.checkpoint().unwrap();
    assert!(follows(&counting, held));
    drop(hold);
    assert!(counting.checkpoint().unwrap() > 0);
    assert!(!follows(&counting, held));
}

#[test]
fn a_log_that_is_missing_is_noticed() {
    let disk = SimDisk::new(12);
    let mut counting = Counting::open(&disk).unwrap();
    for _ in 0..40 {
        counting.count(1, 500).unwrap();
        counting.sync().unwrap();
    }
    counting.log.close(&counting.writer).unwrap();
    let logs = counting.writer.with(|writer| {
        let logs = writer.accounts.iter().filter(|account| account.complete);
        logs.map(|account| account.id).collect::<Vec<_>>()
    });
    drop(counting);
    assert!(logs.len() > 2);
    let name = crate::file_name(logs[1], crate::layout::header::SegmentKind::Log);
    disk.remove(&Path::new(STORE).join(name)).unwrap();
    assert!(matches!(Counting::open(&disk), Err(Error::Corrupt(_))));
}

#[test]
fn a_check_finds_flips_and_nothing_else() {
    let disk = SimDisk::new(14);
    let mut counting = Counting::open(&disk).unwrap();
    counting.live(14, 60).unwrap();
    counting.log.close(&counting.writer).unwrap();
    drop(counting);
    let check = || {
        let directory = Path::new(STORE);
        let survey = Survey::of(StoreKind::TREE, &disk, directory, None, None, &mut |_, _| {});
        survey.unwrap().checked
    };
    let checked = check();
    assert!(checked.is_closed && checked.findings.is_empty(), "{:?}", checked.findings);
    let files = disk.files(STORE);
    let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
    for (number, (name, len)) in (1..).zip(logs) {
        let bytes = disk.content(Path::new(STORE).join(name)).unwrap();
        disk.flip_bit(Path::new(STORE).join(name), number * 97 % len, 3);
        let checked = check();
        assert!(checked.is_damaged() && checked.findings[0].file == *name, "{name}");
        disk.replace_content(Path::new(STORE).join(name), &bytes);
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = SimDisk::new(13);
    let mut counting = Counting::open(&disk).unwrap();
    counting.count(1, 100).unwrap();
    counting.sync().unwrap();
    disk.set_capacity(Some(0));
    let mut refused = 0;
    for _ in 0..40 {
        match counting.count(1, 500) {
            Ok(_) => counting.sync().unwrap(),
            Err(error) => {
                assert_eq!(error, Error::NoSpace);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    disk.set_capacity(None);
    counting.count(1, 500).unwrap();
    counting.sync().unwrap();
    let next = counting.next;
    drop(counting);
    assert_eq!(Counting::open(&disk.crash(13)).unwrap().next, next);
}
