//! Content: what is read, what is durable, what is lost, torn and reordered.

use super::*;
use todana_io::Generator;

#[test]
fn reads_see_writes_at_once() {
    let (disk, file) = with_file(b"hello");
    let other = disk.clone().open(path("/f"), Open::Read).unwrap();
    file.write_at(8, b"there").unwrap();
    let mut bytes = [0; 13];
    other.read_exact_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello\0\0\0there");
    assert_eq!((other.read_at(10, &mut bytes).unwrap(), other.len().unwrap()), (3, 13));
    assert_eq!(other.read_at(13, &mut bytes).unwrap(), 0);
    assert!(other.map(5).unwrap().is_none());
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    file.allocate(6).unwrap();
    file.allocate(1).unwrap();
    file.write_at(9, b"").unwrap();
    assert_eq!(disk.content("/f").unwrap(), b"he\0\0\0\0");
    let refused = other.write_at(0, b"x").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    let too_far = file.write_at(u64::MAX, b"x").unwrap_err();
    assert_eq!(too_far.kind(), std::io::ErrorKind::FileTooLarge);
}

#[test]
fn pending_writes_are_lost_torn_and_reordered() {
    let (disk, file) = with_file(&[b'.'; 4_096]);
    file.write_at(0, &[b'a'; 1_024]).unwrap();
    file.write_at(2_048, &[b'b'; 1_024]).unwrap();
    let sectors = |disk: &SimDisk| -> String {
        let content = disk.content("/f").unwrap();
        assert!(content.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        content.chunks(512).map(|sector| char::from(sector[0])).collect()
    };
    for wanted in
        ["........", "aa..bb..", "aa......", "....bb..", "a...bb..", ".a......", "aa...b.."]
    {
        assert!(some(&disk, |disk| sectors(disk) == wanted), "{wanted}");
    }
    assert!(all(&disk, |disk| sectors(disk)
        .chars()
        .zip("aa..bb..".chars())
        .all(|(is, new)| { is == new || is == '.' })));
}

#[test]
fn a_write_within_a_sector_is_not_torn() {
    let (disk, file) = with_file(&[b'.'; 2_048]);
    file.write_at(500, &[b'a'; 600]).unwrap();
    let parts = |disk: &SimDisk| -> [String; 3] {
        let content = disk.content("/f").unwrap();
        [500..512, 512..1_024, 1_024..1_100]
            .map(|range| String::from_utf8(content[range].to_vec()).unwrap())
    };
    assert!(all(&disk, |disk| {
        parts(disk).iter().all(|part| !part.contains('a') || !part.contains('.'))
    }));
    assert!(some(&disk, |disk| parts(disk)[0].contains('a') && parts(disk)[1].contains('.')));
    assert!(some(&disk, |disk| parts(disk)[0].contains('.') && parts(disk)[2].contains('a')));
}

#[test]
fn a_length_may_come_without_its_bytes() {
    let (disk, file) = with_file(b"");
    file.write_at(0, b"abc").unwrap();
    let content = |disk: &SimDisk| disk.content("/f").unwrap();
    assert!(some(&disk, |disk| content(disk) == b"\0\0\0"));
    assert!(some(&disk, |disk| content(disk) == b""));
    assert!(some(&disk, |disk| content(disk) == b"abc"));
    file_lengths_are_pending(|file| file.set_len(1));
    file_lengths_are_pending(|file| file.allocate(8));
}

fn file_lengths_are_pending(change: fn(&dyn DiskFile) -> std::io::Result<()>) {
    let (disk, file) = with_file(b"abc");
    change(&*file).unwrap();
    let new = disk.content("/f");
    assert!(some(&disk, |disk| disk.content("/f") == new));
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"abc"));
    let (disk, file) = with_file(b"abc");
    change(&*file).unwrap();
    file.sync().unwrap();
    assert!(all(&disk, |disk| disk.content("/f") == new));
}

#[test]
fn the_same_seed_leaves_the_same_disk_and_old_handles_are_dead() {
    let (disk, file) = with_file(&[1; 3_000]);
    for at in 0..40 {
        file.write_at(at * 777, &[at.to_le_bytes()[0]; 1_000]).unwrap();
    }
    let dumps: Vec<_> = SEEDS.map(|seed| dump(&disk.crash(seed))).collect();
    assert!(SEEDS.zip(&dumps).all(|(seed, left)| dump(&disk.crash(seed)) == *left));
    assert!(dumps.iter().any(|left| *left != dumps[0]));
    for error in [
        file.read_at(0, &mut [0]).unwrap_err(),
        file.write_at(0, b"x").unwrap_err(),
        file.len().unwrap_err(),
        file.sync().unwrap_err(),
        disk.list(path("/")).unwrap_err(),
        disk.remove(path("/f")).unwrap_err(),
        disk.open(path("/f"), Open::Read).unwrap_err(),
        disk.lock(path("/l"), "").unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "power is off");
        assert_eq!(error.kind(), std::io::ErrorKind::Other);
    }
}

#[test]
fn what_a_crash_left_is_durable_and_apart() {
    let (disk, file) = with_file(&[1; 9_000]);
    file.write_at(0, &[2; 9_000]).unwrap();
    for seed in SEEDS.step_by(10) {
        let left = disk.crash(seed);
        let content = left.content("/f");
        let file = left.open(path("/f"), Open::Write).unwrap();
        assert!(left.crash(seed).content("/f") == content);
        assert!(file.write_at(0, &[3; 9_000]).is_err());
    }
    let left = disk.crash(1);
    left.open(path("/f"), Open::Write).unwrap().write_at(0, &[3; 9_000]).unwrap();
    assert_eq!(left.content("/f").unwrap(), [3; 9_000]);
    assert_eq!(disk.content("/f").unwrap(), [2; 9_000]);
}

#[test]
fn a_killed_process_loses_nothing_and_nothing_gets_more_durable() {
    let (disk, file) = with_file(b"old");
    file.write_at(0, b"new").unwrap();
    create(&disk, "/g", b"g");
    let next = disk.kill();
    assert_eq!(file.len().unwrap_err().to_string(), "the process was killed");
    drop(file);
    assert_eq!((next.content("/f").unwrap(), next.operations()), (b"new".to_vec(), 0));
    let crashed = next.kill();
    assert!(some(&crashed, |disk| disk.content("/f").unwrap() == b"old"));
    assert!(some(&crashed, |disk| disk.content("/f").unwrap() == b"new"));
    assert!(some(&crashed, |disk| disk.content("/g").is_none()));
    let after = disk.kill();
    after.open(path("/f"), Open::Read).unwrap().sync().unwrap();
    assert!(all(&after, |disk| disk.content("/f").unwrap() == b"new"));
}

#[test]
#[should_panic(expected = "the power is off")]
fn there_is_no_kill_without_power() {
    let (disk, _file) = with_file(b"");
    let _left = disk.crash(1);
    let _left = disk.kill();
}

#[test]
fn flipped_bits_stay() {
    let (disk, file) = with_file(b"aaa");
    file.write_at(2, b"bb").unwrap();
    disk.flip_bit("/f", 0, 1);
    disk.flip_bit("/f", 3, 0);
    assert_eq!(disk.content("/f").unwrap(), b"cabc");
    assert!(all(&disk, |disk| {
        let content = disk.content("/f").unwrap();
        content[0] == b'c' && matches!(content.get(3), None | Some(b'c' | 0))
    }));
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"cabc"));
}

#[test]
fn replaced_content_is_durable_and_makes_its_directories() {
    let (disk, file) = with_file(b"old");
    file.write_at(0, b"pending").unwrap();
    disk.replace_content("/f", b"golden");
    disk.replace_content("/a/b/g", b"g");
    assert_eq!(disk.files("/a/b"), [("g".to_owned(), 1)]);
    assert!(all(&disk, |disk| {
        disk.content("/f").unwrap() == b"golden" && disk.content("/a/b/g").unwrap() == b"g"
    }));
}

/// A file, and what its bytes may be after a crash.
struct Model {
    file: Box<dyn DiskFile>,
    name: String,
    content: Vec<u8>,
    /// Each byte's values since the last sync.
    values: Vec<Vec<u8>>,
    len_min: usize,
    len_max: usize,
}

impl Model {
    fn new(disk: &SimDisk, name: String) -> Model {
        disk.replace_content(&name, b"");
        let file = disk.open(path(&name), Open::Write).unwrap();
        Model { file, name, content: vec![], values: vec![vec![]; 2_800], len_min: 0, len_max: 0 }
    }

    fn step(&mut self, random: &mut Generator) {
        let mut below = |bound| usize::try_from(random.below(bound)).unwrap();
        let (kind, at, len, byte) = (below(10), below(1_500), below(1_300), below(256));
        match kind {
            0 | 1 => self.sync(),
            2 => {
                self.file.set_len(at as u64).unwrap();
                self.content.resize(at, 0);
            }
            3 => {
                self.file.allocate(at as u64).unwrap();
                self.content.resize(at.max(self.content.len()), 0);
            }
            _ if len == 0 => {}
            _ => {
                let bytes = vec![u8::try_from(byte).unwrap(); len];
                self.file.write_at(at as u64, &bytes).unwrap();
                self.content.resize((at + len).max(self.content.len()), 0);
                self.content[at..at + len].copy_from_slice(&bytes);
                self.values[at..at + len].iter_mut().for_each(|values| values.push(bytes[0]));
            }
        }
        self.len_min = self.len_min.min(self.content.len());
        self.len_max = self.len_max.max(self.content.len());
    }

    fn sync(&mut self) {
        self.file.sync().unwrap();
        (self.len_min, self.len_max) = (self.content.len(), self.content.len());
        for (index, values) in self.values.iter_mut().enumerate() {
            *values = self.content.get(index).copied().into_iter().collect();
        }
    }

    fn check(&self, left: &SimDisk, seed: u64) {
        let content = left.content(&self.name).unwrap();
        assert!((self.len_min..=self.len_max).contains(&content.len()), "seed {seed}");
        for (index, byte) in content.iter().enumerate() {
            let is_gap = *byte == 0 && index >= self.len_min;
            assert!(is_gap || self.values[index].contains(byte), "seed {seed}, byte {index}");
        }
    }
}

#[test]
fn synced_bytes_survive_and_no_others_appear() {
    for seed in SEEDS {
        let disk = SimDisk::new(seed);
        let mut random = Generator::new(seed);
        let mut models: Vec<Model> = (0..3).map(|n| Model::new(&disk, format!("/d/{n}"))).collect();
        for _ in 0..30 {
            let index = usize::try_from(random.below(3)).unwrap();
            models[index].step(&mut random);
        }
        for model in &models {
            assert_eq!(disk.content(&model.name).unwrap(), model.content, "seed {seed}");
        }
        for crash in 0..3 {
            let left = disk.crash(seed * 3 + crash);
            models.iter().for_each(|model| model.check(&left, seed));
        }
        let left = disk.crash(seed);
        drop(disk);
        models.clear();
        assert!(!left.list(path("/d")).unwrap().is_empty());
    }
}
