//! Commands about the server: figures, listings, switches.

use super::Tokens;
use super::lines::{Line, lifetime, push, refuse};
use crate::memcached::Frame;
use crate::memcached::decoder::Decoder;
use crate::number::{signed, unsigned, unsigned_32};
use crate::{Clock, Crawl, Dump, Fault, Lifetime, Request, WatchKinds};

/// Most words that are looked at.
const WORDS_MAX: usize = 8;

pub(super) fn decode<'a>(
    decoder: &mut Decoder,
    name: &[u8],
    tokens: Tokens<'a>,
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let rest = tokens.rest();
    let words: Vec<&[u8]> = tokens.take(WORDS_MAX).collect();
    let words = &words[..];
    // As memcached: the others answer whatever their last word is.
    let knows_noreply = matches!(name, b"flush_all" | b"verbosity" | b"cache_memlimit");
    let noreply = knows_noreply && words.last() == Some(&&b"noreply"[..]);
    let request = match (name, words) {
        (b"version", _) => Ok(Request::Version),
        (b"quit", _) => Ok(Request::Quit),
        (b"stats", _) => Ok(Request::Stats { argument: trim(rest) }),
        (b"flush_all", _) => flush_all(words),
        (b"verbosity", [_] | [_, _]) => verbosity(words),
        (b"shutdown", []) => Ok(Request::Shutdown { graceful: false }),
        (b"shutdown", [b"graceful"]) => Ok(Request::Shutdown { graceful: true }),
        (b"shutdown", _) => Err(Fault::Client("invalid shutdown mode")),
        (b"cache_memlimit", [megabytes] | [megabytes, b"noreply"]) => memory_limit(megabytes),
        (b"lru_crawler", _) => crawler(words),
        (b"lru", _) => lru(words),
        (b"slabs", _) => slabs(words),
        (b"watch", _) => watch(words),
        (b"debugtime", [word]) if decoder.options.test_clock => clock(word),
        (b"refresh_certs", _) => Err(Fault::Line("Error TLS not enabled")),
        _ => {
            // A browser or a proxy that was led here: no word of it may be taken for a command.
            if words.last().is_some_and(|word| word.starts_with(b"HTTP/")) {
                return Line::Close;
            }
            Err(Fault::UnknownCommand)
        }
    };
    match request {
        Ok(request) => push(frames, request, noreply),
        Err(Fault::UnknownCommand) => refuse(frames, Fault::UnknownCommand, false),
        Err(fault) => refuse(frames, fault, noreply),
    }
    Line::Done
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// `flush_all [DELAY] [noreply]`.
fn flush_all<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    let delay = match words {
        [] | [b"noreply"] => return Ok(Request::FlushAll { after: Lifetime::Gone }),
        [delay] | [delay, _] => lifetime(delay).ok_or(Fault::BadExptime)?,
        _ => return Err(Fault::UnknownCommand),
    };
    // No delay, or a negative one: now.
    let after = if delay == Lifetime::Forever { Lifetime::Gone } else { delay };
    Ok(Request::FlushAll { after })
}

fn verbosity<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    match words {
        [b"noreply"] => Ok(Request::Accepted),
        [level, ..] => Ok(Request::Verbosity { level: unsigned_32(level).ok_or(Fault::BadLine)? }),
        [] => Err(Fault::UnknownCommand),
    }
}

fn memory_limit<'a>(megabytes: &[u8]) -> Result<Request<'a>, Fault> {
    let megabytes = unsigned(megabytes).ok_or(Fault::UnknownCommand)?;
    if megabytes > 1_000_000_000 {
        return Err(Fault::Line("MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes"));
    }
    Ok(Request::MemoryLimit { megabytes })
}

/// There is one class of records as far as listings go, so every class means all of them.
fn classes_are_valid(word: &[u8]) -> bool {
    matches!(word, b"all" | b"hash")
        || word
            .split(|&byte| byte == b',')
            .all(|class| unsigned(class).is_some_and(|class| (1..64).contains(&class)))
}

fn crawler<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    const BAD_CLASS: Fault = Fault::Line("BADCLASS invalid class id");
    match words {
        [b"metadump", class] if classes_are_valid(class) => Ok(Request::Dump(Dump::Metadata)),
        [b"mgdump", class] if classes_are_valid(class) => Ok(Request::Dump(Dump::Commands)),
        [b"crawl", class] if classes_are_valid(class) => Ok(Request::Crawl(Crawl::Expired)),
        [b"metadump" | b"mgdump" | b"crawl", _] => Err(BAD_CLASS),
        [b"enable" | b"disable"] => Ok(Request::Accepted),
        [b"tocrawl", count] => unsigned_32(count).map(|_| Request::Accepted).ok_or(Fault::BadLine),
        [b"sleep", micros] => match unsigned_32(micros) {
            Some(0..=1_000_000) => Ok(Request::Accepted),
            Some(_) => Err(Fault::Client("sleep must be one second or less")),
            None => Err(Fault::BadLine),
        },
        _ => Err(Fault::UnknownCommand),
    }
}

/// Settings of lists that this store does not have: checked, then without effect.
fn lru<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    match words {
        [b"mode", b"flat" | b"segmented"] => Ok(Request::Accepted),
        [b"temp_ttl", ttl] if signed(ttl).is_some() => Ok(Request::Accepted),
        [b"tune", hot, warm, hot_age, warm_age] => {
            let percent = |word: &&[u8]| unsigned_32(word).filter(|&percent| percent > 0);
            let factor =
                |word: &&[u8]| -> Option<f64> { std::str::from_utf8(word).ok()?.parse().ok() };
            let (Some(hot), Some(warm)) = (percent(hot), percent(warm)) else {
                return Err(Fault::UnknownCommand);
            };
            let (Some(hot_age), Some(warm_age)) = (factor(hot_age), factor(warm_age)) else {
                return Err(Fault::UnknownCommand);
            };
            if hot.saturating_add(warm) > 80 {
                return Err(Fault::Line("ERROR hot and warm pcts must not exceed 80"));
            }
            if hot_age <= 0.0 || warm_age <= 0.0 {
                return Err(Fault::Line("ERROR hot/warm age factors must be greater than 0"));
            }
            Ok(Request::Accepted)
        }
        _ => Err(Fault::UnknownCommand),
    }
}

fn slabs<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    match words {
        [b"reassign", from, to] => {
            if signed(from).is_none() || signed(to).is_none() {
                return Err(Fault::BadLine);
            }
            if from == to {
                return Err(Fault::Line("SAME src and dst class are identical"));
            }
            Err(Fault::Line("NOSPARE source class has no spare pages"))
        }
        [b"automove", mode] => match unsigned_32(mode) {
            Some(0..=2) => Ok(Request::Accepted),
            Some(_) => Err(Fault::UnknownCommand),
            None => Err(Fault::BadLine),
        },
        _ => Err(Fault::UnknownCommand),
    }
}

/// `watch [fetchers|mutations|evictions|connevents|deletions]…`; fetchers when nothing is named.
fn watch<'a>(words: &[&[u8]]) -> Result<Request<'a>, Fault> {
    let mut kinds = WatchKinds::default();
    for word in words {
        kinds = kinds.with(match *word {
            b"fetchers" => WatchKinds::FETCHERS,
            b"mutations" => WatchKinds::MUTATIONS,
            b"evictions" => WatchKinds::EVICTIONS,
            b"connevents" => WatchKinds::CONNECTIONS,
            b"deletions" => WatchKinds::DELETIONS,
            _ => return Err(Fault::UnknownCommand),
        });
    }
    Ok(Request::Watch(if words.is_empty() { WatchKinds::FETCHERS } else { kinds }))
}

fn clock<'a>(word: &[u8]) -> Result<Request<'a>, Fault> {
    match word {
        b"p" => Ok(Request::Clock(Clock::Pause)),
        b"r" => Ok(Request::Clock(Clock::Resume)),
        _ => Ok(Request::Clock(Clock::Advance(signed(word).ok_or(Fault::UnknownCommand)?))),
    }
}
