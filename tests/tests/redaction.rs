//! A password that somebody wrote into a name is in no error and in no log, and in what runs exactly as it was written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

use qemu_cmd::{CommandLine, Convert, Error as Refusal, Info, Location, Raw, Source, Target};
use qemu_exec::{DryRunExecutor, ErrorKind, Executor, Request};
use tests::{client, local, scratch};

/// Nothing listens on port 1.
const URL: &str = "http://user:hunter2@127.0.0.1:1/x";

fn line(args: &[&str]) -> CommandLine {
    CommandLine::parse(args.iter().map(Into::into)).unwrap()
}

fn qimg(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qimg-under-test")).args(args).output().unwrap()
}

#[test]
fn a_failure_does_not_repeat_the_password_that_qemu_img_quotes() {
    let directory = scratch();
    let target = directory.path().join("b");
    let node = format!("driver=raw,file.driver=http,file.url={URL}");
    for source in [&["-f", "raw", URL][..], &["--image-opts", &node]] {
        let args = [&["convert", "-t", "none", "-O", "raw"], source, &[target.to_str().unwrap()]].concat();
        let invocation = line(&args).invocation().unwrap();
        let outcome = local().run(Request::new(&invocation)).unwrap();
        let quoted = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let error = outcome.ok(&invocation, &qemu_exec::Limits::none()).unwrap_err();
        assert_eq!(error.exit_code(), Some(1), "{error}");
        // Were it not for this the test would say nothing, where qemu-img has no curl as elsewhere.
        assert!(quoted.contains("hunter2") || quoted.contains("Unknown"), "{quoted}");
        for shown in [format!("{error}"), format!("{error:?}"), error.command().into(), error.stderr().into()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(error.command().contains("http://user:***@127.0.0.1:1/x"), "{}", error.command());
        assert_eq!(error.stderr().contains("user:***@"), quoted.contains("hunter2"));
    }
}

#[test]
fn what_is_printed_of_a_command_has_none_and_what_runs_is_exact() {
    for arg in [
        URL,
        "ftp://user:hunter2@h/x",
        "iscsi://user%hunter2@h/iqn.a:b/0",
        "rbd:pool/image:id=user:key=hunter2",
        r#"json:{"driver":"raw","file":{"driver":"http","url":"http:\/\/user:hunter2@h/x"}}"#,
        r#"json:{"driver":"raw","file":{"driver":"iscsi","password":"hunter2"}}"#,
    ] {
        let line = line(&["info", "-f", "raw", arg]);
        let invocation = line.invocation().unwrap();
        let explained = line.explain();
        let places: Vec<_> = invocation.reads().iter().map(ToString::to_string).collect();
        for shown in [
            format!("{invocation}"),
            format!("{invocation:?}"),
            format!("{line:?}"),
            format!("{explained:?}"),
            format!("{:?}", line.lint()),
            places.join(" "),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(invocation.argv(|_| unreachable!()), ["info", "-f", "raw", arg]);
        let plan = DryRunExecutor::new(local()).plan(&Request::new(&invocation)).unwrap();
        assert_eq!(plan.argv, ["qemu-img", "info", "-f", "raw", arg]);
        assert_eq!(plan.launch.args.last().unwrap(), arg);
    }
}

#[test]
fn a_typed_command_refuses_it_and_says_how_else() {
    let place = Location::from_plain_name(URL.as_ref());
    assert_eq!(place, Location::Protocol(URL.into()), "it is kept, so that it can be replaced");
    let directory = scratch();
    let target = || Target::new(directory.path().join("b"), Raw::new());
    let convert = Convert::new(Source::raw(place.clone()), target());
    let error = client().convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    for shown in [format!("{error:?}"), format!("{place} {place:?}"), format!("{convert:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let refusal = Info::new(Source::raw(place)).invocation().unwrap_err();
    assert!(matches!(refusal, Refusal::SecretInLocation { .. }) && refusal.to_string().contains("password-secret"));
}

#[test]
fn a_dry_run_is_exact_and_warns() {
    let output = qimg(&["--dry-run", "info", "-f", "raw", URL]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).ends_with(&format!(" info -f raw {URL}\n")), "{output:?}");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.starts_with("qimg: danger password-in-name: ") && !warning.contains("hunter2"), "{warning}");

    let output = qimg(&["--dry-run=json", "info", "-f", "raw", URL]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["argv"][4], URL);
    assert_eq!(json["reads"][0], URL.replace("hunter2", "***"));

    let output = qimg(&["--dry-run", "info", "-f", "raw", "http://user@127.0.0.1:1/x"]);
    assert_eq!((output.status.success(), output.stderr.is_empty()), (true, true));
}

#[test]
fn what_qimg_says_about_a_command_shows_none() {
    for about in ["explain", "lint"] {
        for format in ["human", "json"] {
            let output = qimg(&[about, &format!("--output={format}"), "--", "qemu-img", "info", URL]);
            assert!(!output.stdout.is_empty());
            assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"), "{output:?}");
        }
    }
    for args in
        [&["info", URL, URL][..], &[URL], &["convert", "-c", "-O", "raw", URL, URL], &["info", "--output", URL, "a"]]
    {
        let output = qimg(args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"), "{output:?}");
    }
}
