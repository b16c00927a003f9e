//! Transcripts: what is sent and what comes back, in files that read as documentation.
//!
//! # The format
//!
//! A file is a sequence of exchanges and directives, separated by blank lines. A line that begins with
//! `# ` (or is just `#`) is prose. An exchange is what is sent, a line `----`, and what comes back, up
//! to the next blank line; nothing behind the `----` means that nothing comes back.
//!
//! ```text
//! # A value that was stored can be got.
//! set greeting 0 0 5
//! hello
//! ----
//! STORED
//! ```
//!
//! Every line that is sent or expected stands for its bytes and CRLF. Inside one:
//!
//! | written | means |
//! |---|---|
//! | `\xNN` `\\` `\n` `\r` `\0` | a byte |
//! | `\` at the end of the line | no CRLF follows |
//! | `{}` | nothing: alone on a line it is an empty line, which would otherwise end the exchange |
//! | `{TEXT*N}` | TEXT, N times |
//! | `{name}` | expected, for the first time: any decimal number, which then has that name; from then on, and where it is sent: that number |
//! | `{name+N}` `{name-N}` | a number that was named before, and N |
//! | `{*}` | expected: anything up to the end of the line |
//! | `{...}` | expected, alone on a line: any number of whole lines, as few as fit |
//!
//! A brace that is meant is written `\x7b`. Names keep their numbers to the end of the file.
//!
//! Directives, on lines of their own outside of exchanges (right above one is fine):
//!
//! | written | means |
//! |---|---|
//! | `@ options: --LONG-NAME=VALUE …` | options of the server; only as the first directive, before any exchange |
//! | `@ connect` | a new connection takes the place of the present one; the store stays as it is |
//! | `@ advance SECONDS` | the clock moves |
//! | `@ closed` | the connection has been closed by the server |
//! | `@ differs: REASON` | the next exchange, and a `@ closed` behind it, deliberately differ from memcached 1.6.18 and are not shown to it |
//! | `@ differs throughout: REASON` | the whole file does, or cannot be asked of it |
//!
//! # The binary protocol
//!
//! A line that begins with `binary ` stands for a packet instead, without CRLF:
//! `binary COMMAND FIELD=VALUE …`. COMMAND is a name of [`OPCODES`] or a number (`0x40`). Values are
//! text as above, in double quotes when they have a space in them or are empty; numbers are decimal or
//! `0x…`. Fields of a request:
//!
//! | field | means |
//! |---|---|
//! | `key` `value` | the parts of the body |
//! | `flags` `exptime` `level` (32 bits), `delta` `initial` (64 bits) | numbers that make up the extras, in the order in which they are written |
//! | `extras` | bytes of the extras, in hexadecimal |
//! | `opaque` `cas` `vbucket` `datatype` | of the header; 0 when left out |
//! | `magic` `keylen` `extlen` `bodylen` | of the header; right when left out |
//!
//! What comes back is written in the same way, with exactly these fields in this order, those left out
//! that are empty or 0: `status` (always; `0`, or `0xNNNN`), `flags` (extras of 4 bytes) or `extras`
//! (others), `key`, `number` (8 bytes that answer an increment or decrement) or `value`, `cas`,
//! `opaque`, then `magic` and `datatype` if they are wrong.
//!
//! # Updating
//!
//! With `UPDATE_EXPECT=1` in the environment, expectations that are not met are rewritten by what came
//! back. Names, `{*}` and `{...}` have to be put in again by hand: read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

/// Whoever answers a transcript.
pub(crate) trait Driver {
    /// Takes a new connection instead of the present one. The first is there from the beginning.
    fn connect(&mut self);
    /// Sends bytes; gives everything that comes back.
    fn send(&mut self, bytes: &[u8]) -> Vec<u8>;
    /// Moves the clock.
    fn advance(&mut self, seconds: i64);
    /// Whether the server has closed the connection.
    fn is_closed(&mut self) -> bool;
    /// Whether it is the original that answers: then deliberate differences are left out.
    fn is_memcached(&self) -> bool {
        false
    }
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct Transcript {
    name: String,
    lines: Vec<String>,
    options: Vec<String>,
    differs: bool,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// Index of its first line.
    line: usize,
    differs: bool,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Connect,
    Advance(i64),
    Closed,
    /// Lines that are sent, and lines that are expected.
    Exchange(Range<usize>, Range<usize>),
}

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Exchanges that went as expected.
    pub(crate) passed: usize,
    /// Exchanges left out because they differ from memcached.
    pub(crate) skipped: usize,
    /// One text for each that did not, with file and line.
    pub(crate) failures: Vec<String>,
    /// Lines to take the place of expectations that were not met.
    updates: Vec<(Range<usize>, Vec<String>)>,
}

/// Plays a file to a server that is made for its options.
///
/// # Panics
///
/// When the file cannot be read or understood, or something else comes back than it says; unless
/// expectations are to be updated.
#[expect(clippy::disallowed_methods, reason = "transcripts are files beside the tests")]
pub(crate) fn run_file(
    path: &Path,
    make_driver: &mut dyn FnMut(&[String]) -> Box<dyn Driver>,
) -> Report {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let transcript = Transcript::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
    let mut driver = make_driver(&transcript.options);
    let report = transcript.run(&mut *driver);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        std::fs::write(path, transcript.updated(&report))
            .unwrap_or_else(|error| panic!("write {name}: {error}"));
        return report;
    }
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    report
}

impl Transcript {
    /// Reads a file; on failure says where and why.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Transcript, String> {
        let mut transcript = Transcript {
            name: name.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            options: Vec::new(),
            differs: false,
            steps: Vec::new(),
        };
        let (mut at, mut differs) = (0, false);
        while let Some(line) = transcript.lines.get(at) {
            let line = line.clone();
            if let Some(directive) = line.strip_prefix("@ ") {
                let understood = transcript.directive(directive, at, &mut differs);
                understood.map_err(|why| format!("{name}:{}: {why}", at + 1))?;
            } else if !line.is_empty() && line != "#" && !line.starts_with("# ") {
                let end = transcript.exchange(at, differs);
                at = end.map_err(|why| format!("{name}:{}: {why}", at + 1))?;
                differs = false;
                continue;
            }
            at += 1;
        }
        Ok(transcript)
    }

    fn directive(&mut self, text: &str, line: usize, differs: &mut bool) -> Result<(), String> {
        let action = match text.split_once(' ') {
            None if text == "connect" => Action::Connect,
            None if text == "closed" => Action::Closed,
            Some(("advance", seconds)) => {
                Action::Advance(seconds.parse().map_err(|_| format!("no number: {seconds}"))?)
            }
            Some(("options:", options)) if self.steps.is_empty() => {
                self.options = options.split_whitespace().map(str::to_owned).collect();
                return Ok(());
            }
            Some(("differs:", _)) => {
                *differs = true;
                return Ok(());
            }
            Some(("differs", reason)) if reason.starts_with("throughout: ") => {
                self.differs = true;
                return Ok(());
            }
            _ => return Err(format!("unknown directive: @ {text}")),
        };
        // What is said of being closed belongs to the exchange before it.
        let with_last =
            matches!(action, Action::Closed) && self.steps.last().is_some_and(|step| step.differs);
        self.steps.push(Step { line, differs: *differs || with_last, action });
        Ok(())
    }

    /// Takes the exchange that begins at a line; gives the line after it.
    fn exchange(&mut self, start: usize, differs: bool) -> Result<usize, String> {
        let from = |at: usize| self.lines.iter().skip(at).map(String::as_str);
        let sent_len = from(start).take_while(|line| !line.is_empty() && *line != "----").count();
        let middle = start + sent_len;
        if self.lines.get(middle).map(String::as_str) != Some("----") {
            return Err("an exchange without ----".to_owned());
        }
        let end = middle + 1 + from(middle + 1).take_while(|line| !line.is_empty()).count();
        for line in self.lines.get(start..end).unwrap_or_default() {
            tokens(line)?;
        }
        let action = Action::Exchange(start..middle, middle + 1..end);
        self.steps.push(Step { line: start, differs, action });
        Ok(end)
    }

    /// Plays it.
    pub(crate) fn run(&self, driver: &mut dyn Driver) -> Report {
        let mut report = Report::default();
        let mut names = Names::new();
        let memcached = driver.is_memcached();
        for step in &self.steps {
            let skip = memcached && (step.differs || self.differs);
            match &step.action {
                Action::Exchange(..) if skip => report.skipped += 1,
                _ if skip => {}
                Action::Connect => driver.connect(),
                Action::Advance(seconds) => driver.advance(*seconds),
                Action::Closed => {
                    if !driver.is_closed() {
                        report.failures.push(self.failure(step, "the connection is open"));
                    }
                }
                Action::Exchange(sent, expected) => {
                    match self.play(driver, sent, expected, &mut names) {
                        Ok(()) => report.passed += 1,
                        Err((why, got)) => {
                            report.failures.push(self.failure(step, &why));
                            report.updates.extend(got.map(|got| (expected.clone(), got)));
                        }
                    }
                }
            }
        }
        report
    }

    fn failure(&self, step: &Step, why: &str) -> String {
        format!("{}:{}: {why}", self.name, step.line + 1)
    }

    /// Plays one exchange; on failure says why, and what came back.
    fn play(
        &self,
        driver: &mut dyn Driver,
        sent: &Range<usize>,
        expected: &Range<usize>,
        names: &mut Names,
    ) -> Result<(), (String, Option<Vec<String>>)> {
        let lines = |range: &Range<usize>| self.lines.get(range.clone()).unwrap_or_default();
        let mut bytes = Vec::new();
        for line in lines(sent) {
            bytes.extend(sent_bytes(line, names).map_err(|why| (why, None))?);
        }
        let mut pattern = Vec::new();
        for line in lines(expected) {
            pattern.extend(line_tokens(line).map_err(|why| (why, None))?);
        }
        let got = readable(driver.send(&bytes));
        if matches(&pattern, &got, names) {
            return Ok(());
        }
        let got = shown(&got);
        let why = format!(
            "something else came back\n  sent:\n{}  expected:\n{}  got:\n{}",
            indented(lines(sent)),
            indented(lines(expected)),
            indented(&got),
        );
        Err((why, Some(got)))
    }

    /// The text of the file with the expectations that were not met replaced.
    fn updated(&self, report: &Report) -> String {
        let mut lines = self.lines.clone();
        for (range, got) in report.updates.iter().rev() {
            lines.splice(range.clone(), got.iter().cloned());
        }
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "    " + line + "\n")
}

/// Numbers that have a name.
type Names = BTreeMap<String, u64>;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Bytes(Vec<u8>),
    /// A number by its name, and what is added to it.
    Number(String, i64),
    /// Anything up to the end of the line.
    Rest,
    /// Any number of lines.
    Lines,
}

/// Reads a line; true when no CRLF follows it.
fn tokens(line: &str) -> Result<(Vec<Token>, bool), String> {
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    let mut rest = line;
    while let Some(char) = rest.chars().next() {
        let (_, after) = rest.split_at(char.len_utf8());
        rest = after;
        match char {
            '\\' if rest.is_empty() => {
                all.push(Token::Bytes(bytes));
                return Ok((all, true));
            }
            '\\' => {
                let (byte, len) = escape(rest).ok_or_else(|| format!("bad escape: \\{rest}"))?;
                bytes.push(byte);
                rest = rest.get(len..).unwrap_or_default();
            }
            '{' => {
                let (inside, after) = rest.split_once('}').ok_or("a brace without its end")?;
                rest = after;
                let token = braces(inside)?;
                if let Token::Bytes(more) = token {
                    bytes.extend(more);
                } else {
                    all.push(Token::Bytes(std::mem::take(&mut bytes)));
                    all.push(token);
                }
            }
            _ => bytes.extend(char.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    all.push(Token::Bytes(bytes));
    Ok((all, false))
}

/// The byte that an escape stands for, and the length of what is behind its backslash.
fn escape(rest: &str) -> Option<(u8, usize)> {
    match rest.as_bytes().first()? {
        b'x' => Some((u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3)),
        b'\\' => Some((b'\\', 1)),
        b'n' => Some((b'\n', 1)),
        b'r' => Some((b'\r', 1)),
        b'0' => Some((0, 1)),
        _ => None,
    }
}

/// What stands between braces.
fn braces(inside: &str) -> Result<Token, String> {
    let bad = || format!("not understood: {{{inside}}}");
    match inside {
        "" => return Ok(Token::Bytes(Vec::new())),
        "*" => return Ok(Token::Rest),
        "..." => return Ok(Token::Lines),
        _ => {}
    }
    if let Some((text, count)) = inside.rsplit_once('*') {
        return Ok(Token::Bytes(text.repeat(count.parse().map_err(|_| bad())?).into_bytes()));
    }
    let end = inside.find(['+', '-']).unwrap_or(inside.len());
    let (name, plus) = inside.split_at(end);
    let plus = if plus.is_empty() { 0 } else { plus.parse().map_err(|_| bad())? };
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if named { Ok(Token::Number(name.to_owned(), plus)) } else { Err(bad()) }
}

/// The tokens of an expected line, its end included.
fn line_tokens(line: &str) -> Result<Vec<Token>, String> {
    let (mut all, open) = tokens(line)?;
    let lines = all.contains(&Token::Lines);
    if !open && !lines {
        all.push(Token::Bytes(b"\r\n".to_vec()));
    }
    Ok(all)
}

fn number(names: &Names, name: &str, plus: i64) -> Result<u64, String> {
    let number = names.get(name).and_then(|number| number.checked_add_signed(plus));
    number.ok_or_else(|| format!("no number {{{name}}}"))
}

/// The bytes of text that is sent.
fn text_bytes(text: &str, names: &Names) -> Result<(Vec<u8>, bool), String> {
    let (all, open) = tokens(text)?;
    let mut bytes = Vec::new();
    for token in all {
        match token {
            Token::Bytes(more) => bytes.extend(more),
            Token::Number(name, plus) => {
                bytes.extend(number(names, &name, plus)?.to_string().into_bytes());
            }
            Token::Rest | Token::Lines => return Err("a wildcard is sent".to_owned()),
        }
    }
    Ok((bytes, open))
}

/// The bytes of a line that is sent.
fn sent_bytes(line: &str, names: &Names) -> Result<Vec<u8>, String> {
    if let Some(packet) = line.strip_prefix("binary ") {
        return packet_bytes(packet, names).map_err(|why| format!("{why} in: {line}"));
    }
    let (mut bytes, open) = text_bytes(line, names)?;
    if !open {
        bytes.extend(b"\r\n");
    }
    Ok(bytes)
}

/// Whether the input is what the pattern says; the names that it gives are kept if it is.
fn matches(pattern: &[Token], input: &[u8], names: &mut Names) -> bool {
    let Some((token, pattern)) = pattern.split_first() else { return input.is_empty() };
    match token {
        Token::Bytes(bytes) => {
            input.strip_prefix(&bytes[..]).is_some_and(|rest| matches(pattern, rest, names))
        }
        Token::Rest => {
            let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (_, rest) = input.split_at(end.unwrap_or(input.len()));
            matches(pattern, rest, names)
        }
        Token::Lines => {
            let mut rest = input;
            loop {
                if matches(pattern, rest, names) {
                    return true;
                }
                let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return false };
                (_, rest) = rest.split_at(end + 1);
            }
        }
        Token::Number(name, plus) => {
            let len = input.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, rest) = input.split_at(len);
            let Ok(value) = String::from_utf8_lossy(digits).parse::<u64>() else { return false };
            if names.contains_key(name) {
                return number(names, name, *plus) == Ok(value) && matches(pattern, rest, names);
            }
            names.insert(name.clone(), value);
            let matched = *plus == 0 && matches(pattern, rest, names);
            if !matched {
                names.remove(name);
            }
            matched
        }
    }
}

/// Bytes as lines of a transcript.
fn shown(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        let mut text = shown_line(line);
        if end.is_none() {
            text.push('\\');
        } else if text.is_empty() {
            text.push_str("{}");
        }
        lines.push(text);
        rest = after.get(2..).unwrap_or_default();
    }
    lines
}

/// Runs of one character from here on are written with a count.
const RUN_LEN_MIN: usize = 20;

fn shown_line(line: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(&byte) = rest.first() {
        let run = rest.iter().take_while(|&&other| other == byte).count();
        let plain = (b' '..0x7f).contains(&byte) && !b"\\{}".contains(&byte);
        // Spaces at the end of a line are not seen, and editors remove them.
        let trailing = byte == b' ' && run == rest.len();
        let escaped = match byte {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\\' => "\\\\".to_owned(),
            _ if plain => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        if plain && (trailing || run >= RUN_LEN_MIN) {
            write!(text, "{{{escaped}*{run}}}").expect("a string takes everything");
        } else {
            text.push_str(&escaped.repeat(run));
        }
        (_, rest) = rest.split_at(run);
    }
    text
}

/// Commands of the binary protocol by their names.
const OPCODES: &[(&str, u8)] = &[
    ("get", 0x00),
    ("set", 0x01),
    ("add", 0x02),
    ("replace", 0x03),
    ("delete", 0x04),
    ("increment", 0x05),
    ("decrement", 0x06),
    ("quit", 0x07),
    ("flush", 0x08),
    ("getq", 0x09),
    ("noop", 0x0a),
    ("version", 0x0b),
    ("getk", 0x0c),
    ("getkq", 0x0d),
    ("append", 0x0e),
    ("prepend", 0x0f),
    ("stat", 0x10),
    ("setq", 0x11),
    ("addq", 0x12),
    ("replaceq", 0x13),
    ("deleteq", 0x14),
    ("incrementq", 0x15),
    ("decrementq", 0x16),
    ("quitq", 0x17),
    ("flushq", 0x18),
    ("appendq", 0x19),
    ("prependq", 0x1a),
    ("verbosity", 0x1b),
    ("touch", 0x1c),
    ("gat", 0x1d),
    ("gatq", 0x1e),
    ("sasl_list", 0x20),
    ("sasl_auth", 0x21),
    ("sasl_step", 0x22),
    ("gatk", 0x23),
    ("gatkq", 0x24),
];

/// A number, decimal or hexadecimal, within a bound.
fn parse_number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = number.ok().and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("bad number: {text}"))
}

/// The words of a line, which are separated by spaces outside of double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for char in line.chars() {
        match char {
            ' ' if !quoted => all.push(String::new()),
            _ => {
                quoted ^= char == '"';
                all.last_mut().expect("never empty").push(char);
            }
        }
    }
    all
}

/// The bytes of a request that is written as `COMMAND FIELD=VALUE …`.
fn packet_bytes(line: &str, names: &Names) -> Result<Vec<u8>, String> {
    let words = words(line);
    let (command, fields) = words.split_first().ok_or("no command")?;
    let known = OPCODES.iter().find(|(name, _)| name == command).map(|(_, code)| *code);
    let opcode: u8 = known.map_or_else(|| parse_number(command), Ok)?;
    let (mut extras, mut key, mut value) = (Vec::new(), Vec::new(), Vec::new());
    let mut header: BTreeMap<&str, u64> = BTreeMap::new();
    for field in fields {
        let (name, text) = field.split_once('=').ok_or_else(|| format!("bad field: {field}"))?;
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let (bytes, _) = text_bytes(text, names)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match name {
            "key" => key = bytes,
            "value" => value = bytes,
            "extras" => {
                let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap_or(""), 16);
                for at in (0..text.len()).step_by(2) {
                    extras.push(digit(at).map_err(|_| format!("bad extras: {text}"))?);
                }
            }
            "flags" | "exptime" | "level" => {
                extras.extend(parse_number::<u32>(&text)?.to_be_bytes());
            }
            "delta" | "initial" => extras.extend(parse_number::<u64>(&text)?.to_be_bytes()),
            "opaque" | "cas" | "vbucket" | "datatype" | "magic" | "keylen" | "extlen"
            | "bodylen" => {
                header.insert(name, parse_number(&text)?);
            }
            _ => return Err(format!("unknown field: {field}")),
        }
    }
    let body_len = key.len() + extras.len() + value.len();
    let mut bytes = Vec::new();
    let mut push = |name: &str, default: usize, width: usize| {
        let default = u64::try_from(default).expect("64 bits");
        let number = header.get(name).copied().unwrap_or(default).to_be_bytes();
        bytes.extend(number.iter().skip(8 - width));
    };
    push("magic", 0x80, 1);
    push("opcode", usize::from(opcode), 1);
    push("keylen", key.len(), 2);
    push("extlen", extras.len(), 1);
    push("datatype", 0, 1);
    push("vbucket", 0, 2);
    push("bodylen", body_len, 4);
    push("opaque", 0, 4);
    push("cas", 0, 8);
    Ok([bytes, extras, key, value].concat())
}

/// What came back, with binary packets as lines.
fn readable(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.first() != Some(&0x81) {
        return bytes;
    }
    let (mut lines, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((line, after)) = packet_line(rest) {
        lines.extend(line);
        rest = after;
    }
    lines.extend(rest);
    lines
}

/// The response packet at the beginning, as a line, and what is behind it.
fn packet_line(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let header: &[u8; 24] = bytes.first_chunk()?;
    let field = |range: Range<usize>| {
        header.get(range).unwrap_or_default().iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte))
    };
    let len = |range| usize::try_from(field(range)).ok();
    let body = bytes.get(24..24 + len(8..12)?)?;
    let (extras, rest) = body.split_at_checked(len(4..5)?)?;
    let (key, value) = rest.split_at_checked(len(2..4)?)?;
    let (opcode, status) = (field(1..2), field(6..8));
    let name = OPCODES.iter().find(|(_, code)| u64::from(*code) == opcode);
    let name = name.map_or_else(|| format!("{opcode:#04x}"), |(name, _)| (*name).to_owned());
    let mut line = format!("binary {name} status=").into_bytes();
    line.extend(if status == 0 { "0".to_owned() } else { format!("{status:#06x}") }.bytes());
    let mut push = |field: &str, text: &[u8]| {
        let quote: &[u8] = if text.is_empty() || text.contains(&b' ') { b"\"" } else { b"" };
        line.extend([b" ", field.as_bytes(), b"=", quote, text, quote].concat());
    };
    let decimal = |bytes: &[u8]| {
        bytes.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte)).to_string().into_bytes()
    };
    match extras.len() {
        0 => {}
        4 => push("flags", &decimal(extras)),
        _ => {
            let hex: String = extras.iter().map(|byte| format!("{byte:02x}")).collect();
            push("extras", hex.as_bytes());
        }
    }
    if !key.is_empty() {
        push("key", key);
    }
    if matches!(opcode, 5 | 6 | 0x15 | 0x16) && status == 0 && value.len() == 8 {
        push("number", &decimal(value));
    } else if !value.is_empty() {
        push("value", value);
    }
    for (name, range, usual) in
        [("cas", 16..24, 0), ("opaque", 12..16, 0), ("magic", 0..1, 0x81), ("datatype", 5..6, 0)]
    {
        let number = field(range);
        if number != usual {
            push(name, number.to_string().as_bytes());
        }
    }
    line.extend(b"\r\n");
    Some((line, bytes.get(24 + body.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives prepared answers, and remembers what it was sent.
    #[derive(Default)]
    struct Script {
        answers: Vec<&'static [u8]>,
        sent: Vec<Vec<u8>>,
        advanced: i64,
        memcached: bool,
    }

    impl Driver for Script {
        fn connect(&mut self) {
            self.sent.push(b"<connect>".to_vec());
        }
        fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
            self.sent.push(bytes.to_vec());
            self.answers.remove(0).to_vec()
        }
        fn advance(&mut self, seconds: i64) {
            self.advanced += seconds;
        }
        fn is_closed(&mut self) -> bool {
            true
        }
        fn is_memcached(&self) -> bool {
            self.memcached
        }
    }

    fn check(pattern: &[&str], input: &[u8]) -> Option<Names> {
        let mut names = Names::new();
        let pattern: Vec<Token> =
            pattern.iter().flat_map(|line| line_tokens(line).unwrap()).collect();
        matches(&pattern, input, &mut names).then_some(names)
    }

    #[test]
    fn lines_escapes_and_repetitions() {
        assert!(
            check(&["a\\x00\\\\", "{x*3}{}", "{}", "end\\"], b"a\0\\\r\nxxx\r\n\r\nend").is_some()
        );
        assert!(check(&["END"], b"END").is_none() && check(&[], b"").is_some());
        assert!(check(&["{*}", "b"], b"anything\r\nb\r\n").is_some());
        assert!(check(&["{...}", "b", "{...}", "d"], b"a\r\nb\r\nc\r\nd\r\n").is_some());
        assert!(tokens("{a").is_err() && tokens("\\q").is_err() && tokens("{a b}").is_err());
    }

    #[test]
    fn names_are_kept_and_compared() {
        let names = check(&["c{c} d{d}", "{c+1} {d-1}"], b"c7 d9\r\n8 8\r\n").unwrap();
        assert_eq!((names["c"], names["d"]), (7, 9));
        assert_eq!(sent_bytes("cas {c} {d+1}\\", &names).unwrap(), b"cas 7 10");
        assert!(check(&["{c} {c}"], b"1 2\r\n").is_none());
        assert!(sent_bytes("{e}", &names).is_err());
    }

    #[test]
    fn packets_are_lines() {
        let line = "binary set key=foo flags=1 exptime=0x02 value=\"a b\" opaque=9 cas={c}";
        let sent = sent_bytes(line, &Names::from([("c".to_owned(), 5)])).unwrap();
        let header = b"\x80\x01\0\x03\x08\0\0\0\0\0\0\x0e\0\0\0\x09\0\0\0\0\0\0\0\x05";
        assert_eq!(sent, [&header[..], b"\0\0\0\x01\0\0\0\x02fooa b"].concat());
        let got = b"\x81\0\0\0\x04\0\0\x01\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0\x05\0\0\0\x03a b";
        let line = "binary get status=0x0001 flags=3 value=\"a b\" cas={c} opaque=9";
        assert_eq!(check(&[line], &readable(got.to_vec())).unwrap()["c"], 5);
    }

    #[test]
    fn what_is_shown_reads_back_as_itself() {
        for bytes in [&b"a\r\n\r\nb"[..], b"  \r\n", b"{}\\\0\xff\n\r\r\n", &[b'x'; 99]] {
            let lines = shown(bytes);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert!(check(&lines, bytes).is_some(), "{lines:?}");
        }
    }

    const FILE: &str = "# Prose.\n@ options: --a=1 --b\n\nget a\n----\nEND\n\n@ differs: because\n\
                        get b\n----\nEND\n@ closed\n\n@ connect\n@ advance 3\nget c\n----\nEND\n";

    #[test]
    fn a_file_is_played_and_updated() {
        // A directive right behind an expectation would be taken for one: there has to be a line between.
        let file = FILE.replace("END\n@ closed", "END\n\n@ closed");
        let transcript = Transcript::parse("file", &file).unwrap();
        assert_eq!(transcript.options, ["--a=1", "--b"]);
        let mut script =
            Script { answers: vec![b"END\r\n", b"ERROR\r\n", b"END\r\n"], ..Script::default() };
        let report = transcript.run(&mut script);
        assert_eq!((report.passed, report.skipped, report.failures.len()), (2, 0, 1));
        assert!(report.failures[0].starts_with("file:9: "), "{:?}", report.failures);
        assert_eq!((script.sent.len(), script.advanced), (4, 3));
        assert_eq!(
            transcript.updated(&report),
            file.replace("get b\n----\nEND", "get b\n----\nERROR")
        );
        let mut script =
            Script { answers: vec![b"END\r\n", b"END\r\n"], memcached: true, ..Script::default() };
        let report = transcript.run(&mut script);
        assert_eq!((report.passed, report.skipped, report.failures.len()), (2, 1, 0));
    }

    #[test]
    fn files_that_make_no_sense_are_refused() {
        for (text, line) in [("get a\n\n", 1), ("\n@ dance\n", 2), ("a\n----\n{\n", 1)] {
            let why = Transcript::parse("file", text).unwrap_err();
            assert!(why.starts_with(&format!("file:{line}: ")), "{why}");
        }
    }
}
