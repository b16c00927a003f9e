//! A session without a socket, for transcripts and for tests of replies that wait.

use crate::transcript::{self, Driver};
use std::path::PathBuf;
use std::sync::Arc;
use todana_engine::Engine;
use todana_io::AdjustableClock;
use todana_protocol::memcached::Protocol;
use todana_server::auth::Credentials;
use todana_server::{Context, Executor, Session, Settings};
use todana_store::{Cache, CacheOptions};

/// One connection at a time over an engine, with a clock that stands still.
pub(crate) struct InProcess {
    context: Arc<Context>,
    clock: Arc<AdjustableClock>,
    executor: Executor,
    session: Session,
    input: Vec<u8>,
    protocol: Protocol,
    /// Bytes that arrive at a time.
    piece_len: usize,
}

impl InProcess {
    pub(crate) fn over(engine: Arc<dyn Engine>, settings: Settings) -> InProcess {
        InProcess::with(engine, settings, Protocol::Auto, usize::MAX)
    }

    fn with(
        engine: Arc<dyn Engine>,
        settings: Settings,
        protocol: Protocol,
        piece_len: usize,
    ) -> InProcess {
        let clock = Arc::new(AdjustableClock::new());
        clock.pause();
        let credentials = settings.auth_file.as_ref().map(|path| Credentials::read(path).unwrap());
        let test_clock = Some(clock.clone());
        let context = Context::new(settings, engine, clock.clone(), test_clock, credentials, None);
        let executor = Executor::new(context.clone(), 0);
        let session = Session::new(&context, protocol, 1, Arc::new(|| ()));
        InProcess { context, clock, executor, session, input: Vec::new(), protocol, piece_len }
    }

    /// What a worker does when the token that the session waits for has completed.
    pub(crate) fn wake(&mut self) {
        self.session.unblock();
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Driver for InProcess {
    fn connect(&mut self) {
        self.input.clear();
        self.session = Session::new(&self.context, self.protocol, 2, Arc::new(|| ()));
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.executor.tick();
        // A long value byte by byte would show nothing new and take long.
        let piece_len = if bytes.len() > 20_000 { usize::MAX } else { self.piece_len };
        let pieces: Vec<&[u8]> =
            if bytes.is_empty() { vec![b""] } else { bytes.chunks(piece_len).collect() };
        for piece in pieces {
            self.input.extend_from_slice(piece);
            loop {
                let before = (self.input.len(), out.len());
                self.executor.run_one(&mut self.session, &mut self.input, &mut out);
                if before == (self.input.len(), out.len()) {
                    break;
                }
            }
        }
        out
    }

    fn advance(&mut self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
        self.executor.tick();
    }

    fn is_closed(&mut self) -> bool {
        self.session.is_closing()
    }
}

fn driver(options: &[String], piece_len: usize) -> Box<dyn Driver> {
    let mut settings = Settings::default();
    let mut cache = CacheOptions { seed: 7, ..CacheOptions::default() };
    let mut protocol = Protocol::Auto;
    for option in options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "--auth-file" => settings.auth_file = Some(value.into()),
            "--enable-sasl" => settings.sasl = true,
            "--enable-shutdown" => settings.shutdown_enabled = true,
            "--disable-flush-all" => settings.flush_enabled = false,
            "--disable-dumping" => settings.dump_enabled = false,
            "--disable-watch" => settings.watch_enabled = false,
            "--disable-cas" => cache.versions = false,
            "--disable-evictions" => cache.evictions = false,
            "--memory-limit" => cache.memory_limit_bytes = value.parse::<u64>().unwrap() << 20,
            "--conn-limit" => settings.connections_max = value.parse().unwrap(),
            "--max-item-size" => {
                assert_eq!(value, "2m");
                settings.value_len_max = 2 << 20;
                cache.value_len_max = 2 << 20;
            }
            "--protocol" if value == "ascii" => protocol = Protocol::Text,
            "--protocol" => protocol = Protocol::Binary,
            "--test-clock" => {}
            _ => panic!("the driver does not know {option}"),
        }
    }
    let engine = Arc::new(Cache::new(cache).unwrap());
    Box::new(InProcess::with(engine, settings, protocol, piece_len))
}

/// Every transcript, with its input whole and in pieces: no cut may change an answer.
#[test]
fn transcripts() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/memcached");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30, "transcripts are missing");
    for piece_len in [usize::MAX, 1, 7] {
        for file in &files {
            transcript::run_file(file, &mut |options| driver(options, piece_len));
        }
    }
}
