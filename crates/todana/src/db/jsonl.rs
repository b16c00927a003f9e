//! JSON Lines: an object a record.
//!
//! `{"key":"user:7","value":"Ada","flags":0,"expiry_ms":0}`; bytes that are not UTF-8 stand under
//! `key_base64` and `value_base64` instead. Flags and expiry (milliseconds since 1970, 0 for never) may
//! be left out when they are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use todana_record::{Expiry, Meta};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    expiry_ms: u64,
}

type Text<'a> = Option<Cow<'a, str>>;

/// Bytes as text where they are, else in base 64.
fn text_of(bytes: &[u8]) -> (Text<'_>, Text<'_>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes).into())),
    }
}

fn bytes_of(name: &str, text: Text<'_>, base64: Text<'_>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_owned().into_bytes()),
        (None, Some(base64)) => {
            STANDARD.decode(&*base64).map_err(|error| format!("`{name}_base64`: {error}"))
        }
        (None, None) => Err(format!("neither `{name}` nor `{name}_base64` is there")),
        (Some(_), Some(_)) => Err(format!("both `{name}` and `{name}_base64` are there")),
    }
}

/// Appends a line.
pub(super) fn encode(
    key: &[u8],
    value: &[u8],
    meta: &Meta,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let ((key, key_base64), (value, value_base64)) = (text_of(key), text_of(value));
    let (flags, expiry_ms) = (meta.flags, meta.expiry.ms());
    let line = Line { key, key_base64, value, value_base64, flags, expiry_ms };
    serde_json::to_writer(&mut *out, &line).map_err(|error| error.to_string())?;
    out.push(b'\n');
    Ok(())
}

/// Whether a line has nothing in it.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Reads a line: key, value, metadata.
pub(super) fn decode(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Meta), String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        // The line is counted by the caller; the reader knows but one.
        error.to_string().replace(" at line 1 column ", " at column ")
    })?;
    let key = bytes_of("key", line.key, line.key_base64)?;
    let value = bytes_of("value", line.value, line.value_base64)?;
    let expiry = Expiry::at_ms(line.expiry_ms);
    Ok((key, value, Meta { flags: line.flags, expiry, ..Meta::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(key: &[u8], value: &[u8], flags: u32, expiry_ms: u64) -> String {
        let meta = Meta { flags, expiry: Expiry::at_ms(expiry_ms), ..Meta::default() };
        let mut line = Vec::new();
        encode(key, value, &meta, &mut line).unwrap();
        assert_eq!(decode(&line).unwrap(), (key.to_vec(), value.to_vec(), meta));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn any_bytes_come_back() {
        assert_eq!(
            round("é".as_bytes(), b"\n\"\xff", 7, 9),
            "{\"key\":\"é\",\"value_base64\":\"CiL/\",\"flags\":7,\"expiry_ms\":9}\n"
        );
        assert!(round(b"a", b"\0\n\"", 0, 0).contains("\"value\":\"\\u0000\\n\\\"\""));
        let all: Vec<u8> = (0..=255).collect();
        round(&all, &all, u32::MAX, u64::MAX);
        round(b"", b"", 0, 0);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (line, expected) in [
            ("{\"value\":\"\"}", "neither `key` nor `key_base64`"),
            ("{\"key\":\"\",\"key_base64\":\"\",\"value\":\"\"}", "both `key`"),
            ("{\"key\":\"\",\"value_base64\":\"?\"}", "`value_base64`: "),
            ("{\"key\":\"\",\"value\":\"\",\"ttl\":1}", "unknown field `ttl`"),
            ("{\"key\":", "at column 7"),
            ("[]", "neither `key`"),
        ] {
            let error = decode(line.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
