//! Files of Tokyo Cabinet, whatever they say they are: every record that is to be had, along the chain
//! of leaves and as they lie.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io;
use todana_import::tokyo::{AnyFile, AnyRecords};
use todana_io::{DiskFile, Mapping};

/// Longest value or page that is inflated, in bytes.
const INFLATED_LEN_MAX: usize = 1 << 16;
/// Header of a file, read into as many bytes however short the file is.
const HEADER_LEN: usize = 256;

#[derive(Debug)]
struct Input(Vec<u8>);

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "an import only reads")
}

impl DiskFile for Input {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(buffer.len() <= self.0.len().max(HEADER_LEN), "more memory than the file warrants");
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..));
        let rest = rest.unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn map(&self, _: usize) -> io::Result<Option<Mapping>> {
        Ok(None)
    }
}

fn drain(records: AnyRecords<'_>) {
    let mut records = match records {
        AnyRecords::Hash(records) => AnyRecords::Hash(records.inflated_len_max(INFLATED_LEN_MAX)),
        AnyRecords::BTree(records) => AnyRecords::BTree(records.inflated_len_max(INFLATED_LEN_MAX)),
        other => other,
    };
    let mut count = 0;
    loop {
        match records.next_record() {
            Ok(Some(_)) => count += 1,
            Ok(None) => break,
            Err(error) if error.is_passed_over() => assert!(!error.to_string().is_empty()),
            Err(error) => {
                let again = records.next_record().err().map(|again| again.to_string());
                assert_eq!(again, Some(error.to_string()), "the end is the end");
                break;
            }
        }
    }
    assert_eq!(records.count_read(), count);
}

fuzz_target!(|input: &[u8]| {
    let Ok(file) = AnyFile::open(Box::new(Input(input.to_vec()))) else { return };
    for warning in file.warnings() {
        assert!(!warning.to_string().is_empty());
    }
    drain(file.records());
    drain(file.records_as_they_lie());
});
