//! Rust source with its comments and literals blanked, so that a rule sees code only.

/// Replaces each comment, string and character by blanks; line ends stay where they are.
pub(super) fn scrub(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !(at > 0 && is_word(chars[at - 1]) && chars[at - 1] != 'b') => raw_end(chars, at),
        '\'' => char_end(chars, at),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| wanted(c)).map_or(chars.len(), |skip| from + skip)
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"..."` or `r##"..."##` from its `r`.
fn raw_end(chars: &[char], start: usize) -> usize {
    let quote = find(chars, start + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let hashes = quote - start - 1;
    let mut at = quote + 1;
    while at < chars.len() {
        let tail = chars.get(at + 1..at + 1 + hashes);
        if chars[at] == '"' && tail.is_some_and(|tail| tail.iter().all(|&c| c == '#')) {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

/// The end of `'x'` or `'\n'`; a lifetime is no literal.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => {
            let end = find(chars, at + 3, |c| c == '\'' || c == '\n');
            (end + 1).min(chars.len())
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Whether the word occurs in the line with no letter, digit or `_` before it or after it.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = word.ends_with(is_word) && after.is_some_and(is_word);
        !goes_on && !before.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        assert_eq!(scrub(source), expected, "{source}");
    }

    #[test]
    fn blanks_comments_and_literals() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"y", z)"#, "f(      , z)");
        check("r#\"a\"b\"# c", "         c");
        check("br\"a\" c", "b     c");
        check("('\"', '\\'', '\\n')", "(   ,     ,     )");
        check("a\"b\nc\"d", "a  \n  d");
    }

    #[test]
    fn leaves_code() {
        for code in ["fn f<'a>(x: &'a str) -> &'a str { x }", "for x in var { r#type }", "a / b"] {
            check(code, code);
        }
        check("\"never closed", "             ");
    }

    #[test]
    fn words() {
        assert!(has_word("x = dbg!(y)", "dbg!"));
        assert!(!has_word("x = my_dbg!(y)", "dbg!"));
        assert!(!has_word("unsafe_code", "unsafe"));
    }
}
