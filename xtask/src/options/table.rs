//! The option table, as `qimg options` prints it.

use super::probe::{Program, Version};
use crate::run::{self, Error};

/// A spelling of an option.
pub(super) struct Row {
    pub(super) subcommand: String,
    pub(super) option: String,
    pub(super) takes_value: bool,
    since: Version,
    /// Since when outside Debian, where that is later.
    elsewhere: Option<Version>,
    removed: Option<Version>,
}

/// Builds qimg and asks it.
pub(super) fn read() -> Result<Vec<Row>, Error> {
    eprintln!("asking qimg for the table; it is built first if it has not been");
    let mut command = run::cargo();
    command.args(["run", "--quiet", "-p", "qemu-exec", "--features", "cli", "--bin", "qimg", "--", "options"]);
    let text = run::output(&mut command)?;
    text.lines()
        .map(|line| parse(line).ok_or_else(|| Error::Other(format!("`qimg options` printed `{line}`"))))
        .collect()
}

fn parse(line: &str) -> Option<Row> {
    let mut columns = line.split('\t');
    let mut column = || columns.next();
    let (subcommand, _key, option) = (column()?, column()?, column()?);
    let takes_value = match column()? {
        "arg" => true,
        "flag" => false,
        _ => return None,
    };
    let since = Version::parse(column()?)?;
    let mut optional = || match column()? {
        "-" => Some(None),
        text => Version::parse(text).map(Some),
    };
    let (elsewhere, removed) = (optional()?, optional()?);
    Some(Row { subcommand: subcommand.to_owned(), option: option.to_owned(), takes_value, since, elsewhere, removed })
}

impl Row {
    /// Whether the program should have it, if that can be told.
    pub(super) fn is_in(&self, program: &Program) -> Option<bool> {
        if self.removed.is_some_and(|removed| program.version >= removed) {
            return Some(false);
        }
        if program.is_debian {
            return Some(program.version >= self.since);
        }
        match (self.elsewhere, self.removed) {
            // Something that was in Debian for a while.
            (None, Some(_)) if program.version >= self.since => None,
            (elsewhere, _) => Some(program.version >= elsewhere.unwrap_or(self.since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(line: &str, version: &str, is_debian: bool) -> Option<bool> {
        let row = parse(line)?;
        let version = Version::parse(version)?;
        row.is_in(&Program { path: "qemu-img".into(), version, is_debian })
    }

    #[test]
    fn rows_are_read() {
        let long = "amend\tf\t--format\targ\t10.0\t10.1\t-";
        assert_eq!(is_in(long, "10.0.2", true), Some(true));
        assert_eq!(is_in(long, "10.0.2", false), Some(false));
        assert_eq!(is_in(long, "10.1", false), Some(true));
        assert_eq!(is_in(long, "7.2.22", true), Some(false));
        let debian = "info\tbacking-chain\t-b\tflag\t10.0\t-\t10.1";
        assert_eq!(is_in(debian, "10.0.13", true), Some(true));
        assert_eq!(is_in(debian, "10.0", false), None);
        assert_eq!(is_in(debian, "11.1", true), Some(false));
        for bad in ["", "amend\tf\t-f", "amend\tf\t-f\tmaybe\t5.2\t-\t-", "amend\tf\t-f\targ\tx\t-\t-"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
