//! Users and passwords: lines of `user:password`, compared in constant time.

use std::path::Path;

/// Longest line in bytes.
const LINE_LEN_MAX: usize = 1_024;
/// Most lines, so that a check stays quick.
const USERS_MAX: usize = 4_096;

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read the password file {path}: {reason}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// A line is not `user:password`.
    #[error("{path}:{line}: expected user:password")]
    Line {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
    },
    /// There is nobody in it.
    #[error("{path} names no user: write a line user:password")]
    Empty {
        /// Which file.
        path: String,
    },
    /// There are too many.
    #[error("{path} has more than {USERS_MAX} users")]
    TooMany {
        /// Which file.
        path: String,
    },
}

/// Who may come in.
#[derive(Debug, Default, Clone)]
pub struct Credentials {
    users: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Credentials {
    /// Reads a file of lines `user:password`; empty lines and lines that begin with `#` are left out.
    ///
    /// # Errors
    /// When it cannot be read or a line makes no sense.
    pub fn read(path: &Path) -> Result<Credentials, CredentialsError> {
        let name = path.display().to_string();
        let text = todana_io::files::read_small(path)
            .map_err(|reason| CredentialsError::Read { path: name.clone(), reason })?;
        Credentials::parse(&text, &name)
    }

    fn parse(text: &str, path: &str) -> Result<Credentials, CredentialsError> {
        let mut users = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((user, password)) if !user.is_empty() && line.len() <= LINE_LEN_MAX => {
                    users.push((user.as_bytes().to_vec(), password.as_bytes().to_vec()));
                }
                _ => {
                    return Err(CredentialsError::Line { path: path.into(), line: number + 1 });
                }
            }
        }
        if users.is_empty() {
            return Err(CredentialsError::Empty { path: path.into() });
        }
        if users.len() > USERS_MAX {
            return Err(CredentialsError::TooMany { path: path.into() });
        }
        Ok(Credentials { users })
    }

    /// Whether a user has this password. Takes as long for a wrong one as for a right one.
    pub fn check(&self, user: &[u8], password: &[u8]) -> bool {
        self.users
            .iter()
            .fold(false, |any, (known, secret)| any | (same(known, user) & same(secret, password)))
    }

    /// Checks a SASL PLAIN message: authorization, NUL, user, NUL, password (RFC 4616).
    pub fn check_plain(&self, message: &[u8]) -> bool {
        let mut parts = message.splitn(3, |&byte| byte == 0);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(acts_as), Some(user), Some(password)) => {
                // Nobody acts for somebody else here.
                (acts_as.is_empty() || acts_as == user) && self.check(user, password)
            }
            _ => false,
        }
    }
}

fn same(secret: &[u8], given: &[u8]) -> bool {
    let differing = (0..secret.len().max(given.len())).fold(0u8, |differing, at| {
        let byte = |bytes: &[u8]| bytes.get(at).copied().unwrap_or(0xff);
        differing | (byte(secret) ^ byte(given))
    });
    differing == 0 && secret.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_checks() {
        let text = "# staff\nada:love:lace\r\n\nbob:\n";
        let users = Credentials::parse(text, "f").unwrap();
        assert!(users.check(b"ada", b"love:lace") && users.check(b"bob", b""));
        assert!(!users.check(b"ada", b"") && !users.check(b"bob", b"x") && !users.check(b"", b""));
        assert!(users.check_plain(b"\0ada\0love:lace") && users.check_plain(b"bob\0bob\0"));
        assert!(!users.check_plain(b"ada\0bob\0") && !users.check_plain(b"ada"));
        assert_eq!(
            Credentials::parse("a\n", "f").unwrap_err().to_string(),
            "f:1: expected user:password"
        );
        assert!(Credentials::parse("# nobody\n", "f").is_err());
        assert!(Credentials::parse(":x\n", "f").is_err());
    }
}
