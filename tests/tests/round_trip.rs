//! What is rendered parses back to the same command, and means the same when it is rendered again.
//!
//! `QEMU_TESTS_LONG=1` runs 10,000 accepted commands instead of 512.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qemu_cmd::strategies::{World, command};
use qemu_cmd::{Command, Rebase, Source, Subcommand};
use tests::long;
use tests::property::tries;

#[test]
fn every_command_parses_back() {
    let cases = if long() { 10_000 } else { 512 };
    let config = Config { max_global_rejects: 10 * cases, ..tries(cases) };
    let result = TestRunner::new(config).run(&command(), |command| {
        let Ok(invocation) = command.invocation() else { return Err(TestCaseError::reject("refused")) };
        let argv = tests::argv(&invocation);
        let parsed = Command::parse(argv.clone());
        prop_assert!(parsed.is_ok(), "{invocation}\n{}", parsed.unwrap_err());
        let parsed = parsed.unwrap();
        prop_assert_eq!(&parsed, &command, "{}", invocation);
        let again = parsed.invocation();
        prop_assert!(again.is_ok(), "{invocation}\n{}", again.unwrap_err());
        prop_assert_eq!(tests::argv(&again.unwrap()), argv);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// No backing file is not the directory that an image with that name would be in.
#[test]
fn an_image_in_place_of_the_directory_can_lose_its_backing_file() {
    let rebase = Rebase::drop_backing_and_lose_its_data(Source::qcow2("."));
    assert_eq!(Command::parse(tests::argv(&rebase.invocation().unwrap())), Ok(Command::Rebase(rebase)));
}

/// Strategies that mostly give what is refused would test little, and such as give nothing that is, too.
#[test]
fn a_good_part_of_the_commands_of_every_kind_is_accepted() {
    for kind in Subcommand::ALL {
        let mut runner = TestRunner::deterministic();
        let strategy = World::hostile().command_of(*kind);
        let mut accepted = || strategy.new_tree(&mut runner).unwrap().current().invocation().is_ok();
        let accepted = (0..200).filter(|_| accepted()).count();
        assert!((60..200).contains(&accepted), "{kind:?}: {accepted} of 200 are accepted");
    }
}

/// What the strategies are to reach, by what stands in the arguments then.
#[test]
fn every_part_of_the_model_is_reached() {
    let mut runner = TestRunner::deterministic();
    let (strategy, mut lines) = (command(), Vec::new());
    while lines.len() < 4000 {
        if let Ok(invocation) = strategy.new_tree(&mut runner).unwrap().current().invocation() {
            lines.push(format!(" {invocation} "));
        }
    }
    let drivers = ["nbd", "rbd", "http", "ssh", "iscsi", "nfs", "gluster", "vvfat", "null-co", "host_device"];
    let layers = ["raw,file.offset", "throttle", "blkdebug", "blkverify"];
    let drivers = drivers.iter().chain(&layers).map(|driver| format!("file.driver={driver}"));
    let formats = ["raw", "qcow2", "luks", "vmdk", "vdi", "vhdx", "vpc", "qed", "parallels", "qcow"];
    let made = formats.iter().map(|format| format!(" create -f {format} "));
    let converted = formats.iter().map(|format| format!(" -O {format} "));
    let rest = [
        "header.driver=",
        "backing.file.",
        "backing.backing.file.",
        "\"backing\":null",
        "backing.encrypt.key-secret=sec0.backing",
        "backing.key-secret=sec0.backing",
        "lazy-refcounts=",
        "format=base64",
        "id=sec0-1,",
        "password-secret=",
        "cookie-secret=",
        "throttle-group,id=",
        "tls-creds-psk,id=",
        "tls-creds-x509,id=",
        ",passwordid=",
        " -l snapshot.",
        " --bitmaps",
        " --salvage",
        " -n ",
        " --target-image-opts",
        " --target-is-zero",
        "backing_file=",
        " -m ",
        " -W ",
        " -r ",
        " -S ",
        " -C ",
        " -t ",
        " -T ",
        "keep_data_file=",
        "detached-header=",
        "--limits",
        "--flush-interval",
    ];
    for part in drivers.chain(made).chain(converted).chain(rest.iter().map(|part| (*part).to_owned())) {
        assert!(lines.iter().any(|line| line.contains(&part)), "`{part}` never occurs");
    }
}
