//! A command line taken apart by hand: a command, flags, options with a value, and the rest.

/// The arguments that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Args(Vec<String>);

impl Args {
    /// The arguments of this process, without its name.
    pub(crate) fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Takes the first argument.
    pub(crate) fn command(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Takes `name` when it is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|arg| arg != name);
        self.0.len() != before
    }

    /// Takes `name VALUE` or `name=VALUE`.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<String>, String> {
        let prefix = format!("{name}=");
        let Some(at) = self.0.iter().position(|a| a == name || a.starts_with(&prefix)) else {
            return Ok(None);
        };
        let arg = self.0.remove(at);
        if let Some(value) = arg.strip_prefix(&prefix) {
            return Ok(Some(value.to_owned()));
        }
        if at < self.0.len() {
            return Ok(Some(self.0.remove(at)));
        }
        Err(format!("`{name}` needs a value"))
    }

    /// Takes `name NUMBER`.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.option(name)? else { return Ok(None) };
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("`{name}` needs a number, not `{value}`")),
        }
    }

    /// Takes what is left as names.
    ///
    /// # Errors
    ///
    /// When something that looks like an option is among them.
    pub(crate) fn names(self) -> Result<Vec<String>, String> {
        match self.0.iter().find(|arg| arg.starts_with('-')) {
            Some(unknown) => Err(format!("unknown option `{unknown}`")),
            None => Ok(self.0),
        }
    }

    /// Says that nothing may be left.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some(unknown) => Err(format!("unexpected argument `{unknown}`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn takes_command_flags_options_and_names() {
        let mut args = args("fuzz --smoke --seconds 7 text binary");
        assert_eq!(args.command().as_deref(), Some("fuzz"));
        assert!(args.flag("--smoke") && !args.flag("--smoke"));
        assert_eq!(args.number("--seconds"), Ok(Some(7)));
        assert_eq!(args.names(), Ok(vec!["text".to_owned(), "binary".to_owned()]));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(args("--what").finish().is_err());
        assert!(args("--what").names().is_err());
        assert!(args("--seconds").number("--seconds").is_err());
        assert!(args("--seconds=x").number("--seconds").is_err());
    }
}
