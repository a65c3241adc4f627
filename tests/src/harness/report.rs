//! What came of it, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use qemu_cmd::QemuVersion;
use serde_json::json;

use super::generated::Generated;
use super::{Image, OPERATIONS};

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done, and is right.
    Accepted,
    /// It was refused, by the model or by qemu-img, which was built without it: this says why.
    Refused(String),
    /// It was done wrongly, or not at all: this says what differs.
    Wrong(String),
    /// There was nothing to try it with.
    Untried(String),
}

/// An operation on an image.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The image.
    pub image: Image,
    /// One of the [`OPERATIONS`].
    pub operation: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// Everything that was found. `Display` is the table for people.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which qemu-img it is.
    pub version: Option<QemuVersion>,
    /// Each operation on each image.
    pub cells: Vec<Cell>,
    /// The generated commands.
    pub generated: Vec<Generated>,
    /// What they were generated from.
    pub seed: u64,
}

impl Report {
    /// How much is wrong.
    #[must_use]
    pub fn wrong(&self) -> usize {
        let cells = self.cells.iter().filter(|cell| matches!(cell.verdict, Verdict::Wrong(_))).count();
        cells + self.generated.iter().map(|generated| generated.wrong.len()).sum::<usize>()
    }

    fn version(&self) -> String {
        self.version.map_or_else(|| "of an unknown version".to_owned(), |version| version.to_string())
    }

    /// As JSON: `version`, `seed`, `cells` and `generated`, and how many are `wrong`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|cell| {
                let (verdict, why) = match &cell.verdict {
                    Verdict::Accepted => ("accepted", None),
                    Verdict::Refused(why) => ("refused", Some(why)),
                    Verdict::Wrong(why) => ("wrong", Some(why)),
                    Verdict::Untried(why) => ("untried", Some(why)),
                };
                json!({
                    "format": cell.image.format.as_str(),
                    "encrypted": cell.image.encrypted,
                    "operation": cell.operation,
                    "verdict": verdict,
                    "why": why,
                })
            })
            .collect();
        let generated: Vec<_> = self
            .generated
            .iter()
            .map(|one| json!({"subcommand": one.subcommand.as_str(), "verdicts": one.verdicts, "wrong": one.wrong}))
            .collect();
        json!({
            "version": self.version.map(|version| version.to_string()),
            "seed": self.seed,
            "cells": cells,
            "generated": generated,
            "wrong": self.wrong(),
        })
    }

    fn fmt_cells(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:12}", "")?;
        for image in self.images() {
            write!(f, "{:>12}", image.to_string())?;
        }
        writeln!(f)?;
        // A reason is said once, by its number.
        let mut reasons: Vec<String> = Vec::new();
        for operation in OPERATIONS {
            write!(f, "{operation:12}")?;
            for cell in self.cells.iter().filter(|cell| cell.operation == operation) {
                let mark = match &cell.verdict {
                    Verdict::Accepted => "✓".to_owned(),
                    Verdict::Wrong(_) => "WRONG".to_owned(),
                    Verdict::Untried(why) | Verdict::Refused(why) => {
                        let known = reasons.iter().position(|other| other == why);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(why.clone());
                            reasons.len() - 1
                        });
                        format!("no {}", number + 1)
                    }
                };
                write!(f, "{mark:>12}")?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        for (number, reason) in reasons.iter().enumerate() {
            writeln!(f, "no {:2}  {reason}", number + 1)?;
        }
        Ok(())
    }

    fn images(&self) -> Vec<Image> {
        let mut images: Vec<Image> = self.cells.iter().map(|cell| cell.image).collect();
        images.dedup();
        images
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "qemu-img {}\n", self.version())?;
        self.fmt_cells(f)?;
        if !self.generated.is_empty() {
            writeln!(f, "\ngenerated commands, from seed {}", self.seed)?;
        }
        for one in &self.generated {
            let counts: Vec<String> =
                one.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            writeln!(f, "{:12}{}", one.subcommand.as_str(), counts.join(", "))?;
        }
        writeln!(f)?;
        for Cell { image, operation, verdict } in &self.cells {
            if let Verdict::Wrong(why) = verdict {
                writeln!(f, "WRONG  {operation} of {image}: {why}")?;
            }
        }
        for why in self.generated.iter().flat_map(|one| &one.wrong) {
            writeln!(f, "WRONG  {}", why.trim_end())?;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for cell in &self.cells {
            let name = match cell.verdict {
                Verdict::Accepted => "accepted",
                Verdict::Refused(_) => "refused",
                Verdict::Wrong(_) => "wrong",
                Verdict::Untried(_) => "untried",
            };
            *counts.entry(name).or_insert(0) += 1;
        }
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        writeln!(
            f,
            "{} operations: {} accepted, {} refused, {} untried, {} wrong; {} generated commands, {} wrong",
            self.cells.len(),
            count("accepted"),
            count("refused"),
            count("untried"),
            count("wrong"),
            self.generated.iter().flat_map(|one| one.verdicts.values()).sum::<usize>(),
            self.generated.iter().map(|one| one.wrong.len()).sum::<usize>(),
        )
    }
}
