//! `qimg chain`: what images are based on, as a tree.

mod draw;
mod json;
mod walk;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

pub(crate) use walk::{Link, Reach, Trouble, walk};

use crate::term::Terminal;
use crate::{Error, own, term};

/// What `qimg chain` was asked to do.
pub(crate) struct Chain {
    json: bool,
    format: Option<String>,
    reach: Reach,
    images: Vec<PathBuf>,
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Chain, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut chain = Chain { json: false, format: None, reach: Reach::Directory, images: Vec::new() };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("output") => chain.json = own::is_json(&parser.value()?)?,
            Short('f') | Long("format") => chain.format = Some(parser.value()?.string()?),
            Long("follow") => chain.reach = Reach::Anywhere,
            Value(image) => chain.images.push(image.into()),
            other => return Err(own::unexpected(other, "chain")),
        }
    }
    if chain.images.is_empty() {
        return Err("chain takes the names of images".into());
    }
    Ok(chain)
}

impl Chain {
    /// Exits with 1 unless every image of every chain was seen, and is what it is said to be.
    pub(crate) fn run(&self) -> Result<ExitCode, Error> {
        let terminal = Terminal::new();
        let mut whole = true;
        for (index, image) in self.images.iter().enumerate() {
            let links = walk(image, self.format.as_deref(), self.reach);
            whole &= links.iter().all(is_fine);
            let text = if self.json {
                format!("{}\n", term::json(&json::object(image, &links)))
            } else {
                let gap = if index > 0 { "\n" } else { "" };
                format!("{gap}{}", draw::tree(&links, terminal))
            };
            io::stdout().write_all(text.as_bytes())?;
        }
        Ok(ExitCode::from(u8::from(!whole)))
    }
}

/// Whether an image and its files are there, and it is what it is said to be.
fn is_fine(link: &Link) -> bool {
    link.trouble().is_none() && link.mismatch().is_none() && link.files.iter().all(|part| part.found.is_ok())
}
