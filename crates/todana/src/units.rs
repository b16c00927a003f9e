//! Sizes as people write them.

/// Reads a number of bytes: digits and perhaps `k`, `m`, `g` or `KiB`, `MiB`, `GiB` (in either case,
/// powers of 1024). Without a unit the number is taken times `unit`.
pub(crate) fn bytes(text: &str, unit: u64) -> Result<u64, String> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = text.split_at(digits_len);
    let factor = match suffix.trim().to_ascii_lowercase().as_str() {
        "" => unit,
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("{text:?} is no size: write 512k, 64m, 2g or 64MiB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is no size: write 512k, 64m, 2g or 64MiB"))
}

/// Writes a number of bytes as [`bytes`] reads it.
pub(crate) fn show(bytes: u64) -> String {
    for (factor, suffix) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{suffix}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("64", 1 << 20), Ok(64 << 20));
        assert_eq!(bytes("512k", 1), Ok(512 << 10));
        assert_eq!(bytes("2GiB", 1), Ok(2 << 30));
        assert_eq!(bytes("1000", 1), Ok(1000));
        assert!(bytes("", 1).is_err() && bytes("m", 1).is_err() && bytes("1x", 1).is_err());
        assert!(bytes("99999999999999g", 1).is_err());
        assert_eq!(
            (show(64 << 20), show(1_000), show(1 << 30)),
            ("64MiB".into(), "1000".into(), "1GiB".into())
        );
    }
}
