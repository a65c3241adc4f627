//! What explain knows of lists, against the qemu-img under test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use qemu_cmd::CommandLine;
use tests::bare;

/// The keys that a list of help begins its lines with.
fn listed(args: &[&str]) -> Vec<String> {
    let output = bare(args);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let keys: Vec<String> = text.lines().filter_map(|line| Some(line.trim().split_once('=')?.0.to_owned())).collect();
    assert!(!keys.is_empty(), "{args:?}: {text}");
    keys
}

/// What is not known of an argument's list.
fn unknown(args: &[&str]) -> Vec<String> {
    let explained = CommandLine::parse(args.iter().map(Into::into)).unwrap().explain();
    let parts: Vec<_> = explained.into_iter().flat_map(|explained| explained.parts).collect();
    assert!(!parts.is_empty(), "{args:?}");
    parts.into_iter().filter(|part| part.meaning.contains("known")).map(|part| format!("{part:?}")).collect()
}

#[test]
fn every_create_option_is_known() {
    for format in ["raw", "qcow2", "luks", "vmdk", "vdi", "vpc", "vhdx", "qed", "qcow"] {
        for key in listed(&["create", "-f", format, "-o", "help", "a"]) {
            assert_eq!(unknown(&["create", "-f", format, "-o", &format!("{key}=x"), "a"]), [""; 0]);
        }
    }
    for format in ["qcow2", "luks"] {
        for key in listed(&["amend", "-f", format, "-o", "help"]) {
            assert_eq!(unknown(&["amend", "-f", format, "-o", &format!("{key}=x"), "a"]), [""; 0]);
        }
    }
}

#[test]
fn every_property_is_known() {
    for kind in ["secret", "throttle-group", "tls-creds-x509", "tls-creds-psk", "tls-creds-anon"] {
        for key in listed(&["info", "--object", &format!("{kind},help"), "a"]) {
            // Without its secret a secret is none.
            let source = if kind == "secret" && !["data", "file"].contains(&&*key) { ",file=/k" } else { "" };
            assert_eq!(unknown(&["info", "--object", &format!("{kind},id=k,{key}=x{source}"), "a"]), [""; 0]);
        }
    }
}

#[test]
fn qimg_shows_what_is_in_a_list() {
    let qimg = |format: &str| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        program.args(["explain", &format!("--output={format}"), "--", "qemu-img", "create", "-f", "raw"]);
        let output = program.args(["-o", "nocow=on,zzz=1", "a", "1M"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let rows: Vec<String> = qimg("human").lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect();
    assert_eq!(rows, ["create", "-f raw", "-o nocow=on,zzz=1", "", "", "a", "1M"], "the items are indented");
    assert!(qimg("human").contains("\n  nocow=on         whether copy-on-write is switched off"), "{}", qimg("human"));
    let json: serde_json::Value = serde_json::from_str(&qimg("json")).unwrap();
    assert_eq!(json[2]["parts"][1]["args"][0], "zzz=1");
    assert_eq!(json[2]["parts"][1]["meaning"], "no option of raw that is known here");
    assert_eq!(json[1].get("parts"), None);
}
