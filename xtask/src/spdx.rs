//! Licence expressions of SPDX (annex D of version 2.3): is one satisfied by a list of licences?
//!
//! `OR` needs one side, `AND` both, `X WITH Y` is one licence, and the old `MIT/Apache-2.0` means
//! `OR`. Nothing is known of the licences themselves: names are compared as text.

/// Whether the licences for which `allowed` holds satisfy the expression.
///
/// # Errors
///
/// When the text is no licence expression.
pub(crate) fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    match parser.any().filter(|_| parser.words.is_empty()) {
        Some(answer) => Ok(answer),
        None => Err(format!("`{expression}` is no licence expression")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        if matches!(*first, "OR" | "AND" | "WITH" | "(" | ")") {
            return None;
        }
        self.words = rest;
        Some(first)
    }

    fn any(&mut self) -> Option<bool> {
        let mut answer = self.all()?;
        while self.take("OR") {
            answer |= self.all()?;
        }
        Some(answer)
    }

    fn all(&mut self) -> Option<bool> {
        let mut answer = self.one()?;
        while self.take("AND") {
            answer &= self.one()?;
        }
        Some(answer)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let answer = self.any()?;
            return self.take(")").then_some(answer);
        }
        let licence = self.name()?;
        if self.take("WITH") {
            let exception = self.name()?;
            return Some((self.allowed)(&format!("{licence} WITH {exception}")));
        }
        Some((self.allowed)(licence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expected: Option<bool>) {
        let allowed = |name: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&name);
        assert_eq!(satisfied(expression, &allowed).ok(), expected, "{expression}");
    }

    #[test]
    fn expressions() {
        check("MIT", Some(true));
        check("GPL-3.0", Some(false));
        check("MIT OR GPL-3.0", Some(true));
        check("GPL-3.0/MIT", Some(true));
        check("GPL-3.0 AND MIT", Some(false));
        check("GPL-3.0 OR MIT AND ISC", Some(true));
        check("(GPL-3.0 OR MIT) AND GPL-2.0", Some(false));
        check("(MIT OR GPL-3.0) AND ISC", Some(true));
        check("Apache-2.0 WITH LLVM-exception OR GPL-2.0", Some(true));
        check("Apache-2.0", Some(false));
    }

    #[test]
    fn refuses_what_is_no_expression() {
        for text in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH"] {
            check(text, None);
        }
    }
}
