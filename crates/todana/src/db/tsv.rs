//! Lines of text with key and value between a tab, for any bytes.
//!
//! `\\`, `\t`, `\n`, `\r` and `\xNN` stand for a backslash, tab, line feed, carriage return and the byte
//! with that hexadecimal number. Written this way are control characters and bytes that are not UTF-8;
//! everything else stands for itself. A carriage return before the end of a line belongs to that end.

/// Appends bytes in printable form.
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = letter.encode_utf8(&mut buffer).as_bytes();
            match letter {
                '\\' => out.extend_from_slice(b"\\\\"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                _ if letter.is_control() => encoded.iter().for_each(|&byte| hex(byte, out)),
                _ => out.extend_from_slice(encoded),
            }
        }
        chunk.invalid().iter().for_each(|&byte| hex(byte, out));
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    let digit = |number: u8| if number < 10 { b'0' + number } else { b'a' + number - 10 };
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

/// Undoes [`escape`], or says what is wrong.
pub(super) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, after) = match rest {
            [b'\\', after @ ..] => (b'\\', after),
            [b't', after @ ..] => (b'\t', after),
            [b'n', after @ ..] => (b'\n', after),
            [b'r', after @ ..] => (b'\r', after),
            [b'x', high, low, after @ ..] => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => return Err(unknown(rest)),
            },
            _ => return Err(unknown(rest)),
        };
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|number| u8::try_from(number).ok())
}

fn unknown(rest: &[u8]) -> String {
    let mut shown = Vec::new();
    escape(rest.get(..rest.len().min(3)).unwrap_or_default(), &mut shown);
    let shown = String::from_utf8_lossy(&shown);
    format!("`\\{shown}` is no escape; there are \\\\ \\t \\n \\r and \\xNN")
}

/// Appends a line.
pub(super) fn encode(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    escape(key, out);
    out.push(b'\t');
    escape(value, out);
    out.push(b'\n');
}

/// Reads a line without its line feed.
pub(super) fn decode(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut columns = line.split(|&byte| byte == b'\t');
    match (columns.next(), columns.next(), columns.next()) {
        (Some(key), Some(value), None) => Ok((unescape(key)?, unescape(value)?)),
        (_, None, _) => Err("there is no tab between key and value".to_owned()),
        _ => Err("there is more than one tab; one within a value is written \\t".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(key: &[u8], value: &[u8]) -> String {
        let mut line = Vec::new();
        encode(key, value, &mut line);
        let body = line.strip_suffix(b"\n").unwrap();
        assert_eq!(decode(body).unwrap(), (key.to_vec(), value.to_vec()));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn any_bytes_come_back() {
        assert_eq!(round(b"a", b"b c"), "a\tb c\n");
        assert_eq!(
            round("é\u{85}".as_bytes(), b"\t\n\r\\\0\xff"),
            "é\\xc2\\x85\t\\t\\n\\r\\\\\\x00\\xff\n"
        );
        let all: Vec<u8> = (0..=255).collect();
        round(&all, &all);
        round(b"", b"");
        assert_eq!(decode(b"a\tb\r").unwrap(), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(decode(b"a\tb\\r").unwrap(), (b"a".to_vec(), b"b\r".to_vec()));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (line, expected) in [
            (&b"key"[..], "no tab"),
            (b"a\tb\tc", "more than one tab"),
            (b"a\t\\q", "`\\q` is no escape"),
            (b"a\t\\xZZ", "is no escape"),
            (b"a\\\t", "`\\` is no escape"),
        ] {
            assert!(decode(line).unwrap_err().contains(expected), "{line:?}");
        }
    }
}
