//! Reading the files of other stores, so that their data can be brought over.
//!
//! Every file is taken for bytes from a stranger: each length is held against the file before anything
//! is allocated or read, and damage is an [`ImportError`] that says where and what, never a panic. The
//! crate reads through [`todana_io::DiskFile`] with a window of its own, so that files of many gigabytes
//! need little memory: no more than a window and the longest record, of a B+ tree the longest leaf.
//!
//! It does *not* write those formats, repair their files, lock them against the programs they belong
//! to, or store anything: what becomes of a record is the caller's business. Keys and values may be
//! longer than Todana takes ([`todana_record::KEY_LEN_MAX`], [`todana_record::VALUE_LEN_MAX`]).
//!
//! ```no_run
//! use std::path::Path;
//! use todana_import::tokyo::AnyFile;
//! use todana_io::{Disk, Open, SystemDisk};
//!
//! let file = AnyFile::open(SystemDisk::new().open(Path::new("casket.tch"), Open::Read)?)?;
//! for warning in file.warnings() {
//!     eprintln!("casket.tch: {warning}");
//! }
//! let mut records = file.records();
//! while let Some(record) = records.next_record()? {
//!     println!("{} bytes under {:?}", record.value.len(), record.key);
//! }
//! assert_eq!(records.count_read(), file.record_count());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Modules: [`tokyo`] (hash, B+ tree and fixed-length files of Tokyo Cabinet: `.tch`, `.tcb`, `.tcf`),
//! [`error`].
//!
//! Limits: a value or page that is stored compressed may be [`tokyo::INFLATED_LEN_MAX_DEFAULT`] bytes long
//! unless the caller says otherwise.
#![forbid(unsafe_code)]

pub mod error;
pub mod tokyo;

pub use error::{ChainFault, Damage, ImportError, LeafDamage};
