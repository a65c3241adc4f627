//! What the parsers fill in.

use super::bytes::Stop;
use super::{Code, Facts, Finding, ImageFormat, Policy};

/// What is known so far. It only grows, so what is refused once stays refused.
pub(super) struct Report<'a> {
    policy: &'a Policy,
    /// The formats as which the image is valid, the one it is taken for first.
    pub(super) formats: Vec<ImageFormat>,
    pub(super) virtual_size: Option<u64>,
    pub(super) facts: Facts,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, formats: Vec::new(), virtual_size: None, facts: Facts::default(), findings: Vec::new() }
    }

    pub(super) const fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Holds something against the image, if the policy does not grant it. `offset` is where the field stands.
    ///
    /// A table of a thousand wrong entries needs no thousand sentences.
    pub(super) fn find(&mut self, code: Code, offset: u64, message: impl Into<String>) {
        if !self.policy.grants(code) && self.findings.len() < super::limits::FINDINGS {
            self.findings.push(Finding { code, message: message.into(), offset });
        }
    }

    /// Holds something against the image after which nothing more can be said about it.
    pub(super) fn broken(&mut self, code: Code, offset: u64, message: impl Into<String>) -> Stop {
        self.find(code, offset, message);
        Stop::Broken
    }

    /// The virtual size in bytes, and where it stands.
    pub(super) fn size(&mut self, bytes: u64, offset: u64) {
        self.virtual_size = Some(bytes);
        let most = self.policy.max_virtual_size;
        if bytes > most {
            self.find(
                Code::VirtualSizeTooLarge,
                offset,
                format!("its virtual size is {bytes} bytes, and at most {most} are accepted"),
            );
        }
    }

    /// A table that is loaded when the image is opened: its size in bytes, and where that stands.
    pub(super) fn table(&mut self, what: &str, bytes: u64, offset: u64) {
        if bytes > super::limits::TABLE {
            self.find(
                Code::TableTooLarge,
                offset,
                format!("its {what} is {bytes} bytes large, more than {}", super::limits::TABLE),
            );
        }
    }

    /// A part of the image that must lie in a file of `size` bytes: where it starts and how long it is, and where
    /// that stands. Nothing needs to be said if `end` overflows: then it does not lie in it either.
    pub(super) fn inside(&mut self, what: &str, (start, length): (u64, u64), size: u64, offset: u64) {
        if start.checked_add(length).is_none_or(|end| end > size) {
            self.find(
                Code::Truncated,
                offset,
                format!("its {what} of {length} bytes at {start} is not inside the file of {size} bytes"),
            );
        }
    }
}
