//! What is risky about a command line that qemu-img would take.

mod images;
mod lists;
mod rule;
mod secrets;
mod target;

use std::fmt;

pub use rule::Rule;

use crate::redact::redact;
use crate::{ByteSize, CommandLine, Location, Subcommand};

/// How bad it can get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It can go wrong.
    Warning,
    /// Data or a secret can be lost, or a stranger decides what is opened.
    Danger,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

/// Something that is risky about a command line. What it can be is listed at [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// A name that does not change: the one of its [`Rule`].
    pub code: &'static str,
    /// How bad it can get, which for some subcommands is less than its [`Rule`] says.
    pub severity: Severity,
    /// The reason, in one sentence, without passwords.
    pub message: String,
    /// What to write instead.
    pub instead: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.severity.as_str(), self.code, self.message, self.instead)
    }
}

/// What a command line does not say, and whoever is about to run it knows: this crate looks at nothing.
#[derive(Clone, Copy, Default)]
#[must_use]
pub struct Context<'a> {
    address_space: Option<ByteSize>,
    exists: Option<&'a dyn Fn(&Location) -> bool>,
}

impl<'a> Context<'a> {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self { address_space: None, exists: None }
    }

    /// The limit on the address space that qemu-img will run under (`ulimit -v`), with `MALLOC_ARENA_MAX` not set.
    pub const fn address_space(mut self, limit: ByteSize) -> Self {
        self.address_space = Some(limit);
        self
    }

    /// Tells whether there is something at a place.
    pub const fn exists(mut self, exists: &'a dyn Fn(&Location) -> bool) -> Self {
        self.exists = Some(exists);
        self
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exists = self.exists.map(|_| "…");
        f.debug_struct("Context").field("address_space", &self.address_space).field("exists", &exists).finish()
    }
}

/// What is always so about an option.
const OF_OPTIONS: &[(Subcommand, &str, Rule)] = {
    use Subcommand::{Amend, Bench, Check, Commit, Compare, Convert, Create, Dd, Info, Map, Resize, Snapshot};
    &[
        (Convert, "U", Rule::SHARED_READ),
        (Dd, "U", Rule::SHARED_READ),
        (Check, "U", Rule::SHARED_READ.but(Severity::Note)),
        (Compare, "U", Rule::SHARED_READ.but(Severity::Note)),
        (Map, "U", Rule::SHARED_READ.but(Severity::Note)),
        (Convert, "salvage", Rule::SALVAGE),
        (Convert, "target-is-zero", Rule::TARGET_IS_ZERO),
        (Convert, "skip-broken-bitmaps", Rule::BITMAPS_SKIPPED),
        (Info, "backing-chain", Rule::CHAIN_FOLLOWED),
        (Create, "u", Rule::BACKING_UNOPENED),
        (Amend, "force", Rule::FORCED),
        (Resize, "shrink", Rule::SHRINKS),
        (Commit, "b", Rule::COMMITS_PAST_IMAGES),
        (Bench, "w", Rule::BENCH_WRITES),
        (Check, "r", Rule::REPAIRS),
        (Snapshot, "a", Rule::STATE_LOST),
    ]
};

/// What is being looked at, and what has been found.
struct Lint<'a> {
    line: &'a CommandLine,
    context: Context<'a>,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn add(&mut self, rule: Rule) {
        self.push(rule, rule.message.to_owned());
    }

    /// Says in front what it is about.
    fn add_about(&mut self, what: &str, rule: Rule) {
        let what = redact(what.as_ref()).to_string_lossy().into_owned();
        self.push(rule, format!("`{what}`: {}", rule.message));
    }

    fn add_if(&mut self, is_so: bool, rule: Rule) {
        if is_so {
            self.add(rule);
        }
    }

    fn push(&mut self, rule: Rule, message: String) {
        let finding = Finding { code: rule.code, severity: rule.severity, message, instead: rule.instead };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Whether it is that subcommand.
    fn is(&self, subcommand: Subcommand) -> bool {
        self.line.subcommand() == subcommand
    }

    fn options(&mut self) {
        for (subcommand, option, rule) in OF_OPTIONS {
            self.add_if(self.is(*subcommand) && self.line.has(option), *rule);
        }
    }
}

/// Whether a flat key is that one, of whichever node.
fn is_key(key: &str, name: &str) -> bool {
    key.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

impl CommandLine {
    /// What is risky about it, as far as it says so itself; the worst first. An empty list is no promise.
    ///
    /// ```
    /// use qemu_cmd::CommandLine;
    /// let line = CommandLine::parse(["resize", "disk.img", "20G"].map(Into::into))?;
    /// assert_eq!(line.lint()[0].code, "format-probed");
    /// # Ok::<(), qemu_cmd::ParseError>(())
    /// ```
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        self.lint_with(&Context::new())
    }

    /// What is risky about it in these circumstances; the worst first. An empty list is no promise.
    ///
    /// ```
    /// use qemu_cmd::{CommandLine, LintContext, Location};
    /// let line = CommandLine::parse(["create", "-f", "raw", "disk.img", "20G"].map(Into::into))?;
    /// let exists = |place: &Location| place.path().is_some_and(|path| path == "disk.img");
    /// assert_eq!(line.lint_with(&LintContext::new().exists(&exists))[0].code, "target-overwritten");
    /// # Ok::<(), qemu_cmd::ParseError>(())
    /// ```
    #[must_use]
    pub fn lint_with(&self, context: &Context<'_>) -> Vec<Finding> {
        if self.asks_for_help() {
            return Vec::new();
        }
        let mut lint = Lint { line: self, context: *context, findings: Vec::new() };
        if let Err(refusal) = self.invocation() {
            lint.push(Rule::REFUSED, refusal.to_string());
        }
        lint.secrets();
        lint.images();
        lint.backing();
        lint.lists();
        lint.target();
        lint.options();
        lint.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        lint.findings
    }
}

#[cfg(test)]
mod tests;
