#![allow(clippy::unwrap_used)]

use super::*;

fn codes(line: &str, context: &Context<'_>) -> Vec<&'static str> {
    let args = line.split(' ').map(|arg| if arg == "''" { "" } else { arg }.into());
    let line = CommandLine::parse(args).unwrap();
    line.lint_with(context).into_iter().map(|finding| finding.code).collect()
}

/// A code, a line that gives it and nothing else, and one beside it that gives nothing.
const LINES: &[(&str, &str, &str)] = &[
    ("refused", "convert -f raw -t none -O raw -c a b", "convert -f raw -t none -O qcow2 -c a b"),
    (
        "secret-in-arguments",
        "convert -f raw -t none -O luks --object secret,id=k,data=x -o key-secret=k a b",
        "convert -f raw -t none -O luks --object secret,id=k,file=/x -o key-secret=k a b",
    ),
    ("password-in-name", "info -f raw http://u:p@h/a", "info -f raw http://u@h/a"),
    ("password-in-name", "info --image-opts driver=raw,file.driver=iscsi,file.password=p", "info -f raw http://h/a"),
    ("password-in-name", "create -f qcow2 -b http://u:p@h/a -F raw b", "create -f qcow2 -b http://h/a -F raw b"),
    (
        "secret-read-twice",
        "convert --object secret,id=a,file=/dev/fd/3 --object secret,id=b,file=/dev/fd/3 -f raw -t none a b",
        "convert --object secret,id=a,file=/dev/fd/3 --object secret,id=b,file=/dev/fd/4 -f raw -t none a b",
    ),
    ("broken-encryption", "create -f qcow2 -o encryption=on b 1M", "create -f qcow2 -o encryption=off b 1M"),
    (
        "broken-encryption",
        "info --image-opts driver=qcow2,encrypt.format=aes,file.filename=a",
        "info --image-opts driver=qcow2,encrypt.format=luks,file.filename=a",
    ),
    (
        "weak-encryption",
        "create --object secret,id=k,file=/k -f luks -o key-secret=k,iter-time=10 b 1M",
        "create --object secret,id=k,file=/k -f luks -o key-secret=k,iter-time=2000 b 1M",
    ),
    (
        "weak-encryption",
        "create --object secret,id=k,file=/k -f luks -o key-secret=k,cipher-mode=ecb b 1M",
        "create --object secret,id=k,file=/k -f luks -o key-secret=k,cipher-mode=cbc b 1M",
    ),
    ("forced", "amend -f luks --force -o state=inactive,keyslot=0 a", "amend -f luks -o state=inactive,keyslot=0 a"),
    ("host-unchecked", "info -f raw ssh://h/a?host_key_check=no", "info -f raw ssh://h/a?host_key_check=yes"),
    (
        "host-unchecked",
        r#"info json:{"driver":"raw","file":{"driver":"ssh","host-key-check":{"mode":"none"}}}"#,
        r#"info json:{"driver":"raw","file":{"driver":"ssh","host-key-check":{"mode":"known_hosts"}}}"#,
    ),
    (
        "certificate-unchecked",
        r#"info json:{"driver":"raw","file":{"driver":"https","url":"https://h/a","sslverify":false}}"#,
        r#"info json:{"driver":"raw","file":{"driver":"https","url":"https://h/a","sslverify":true}}"#,
    ),
    ("format-probed", "convert -t none -O qcow2 a b", "convert -f raw -t none -O qcow2 a b"),
    ("format-probed", "info --image-opts file.filename=a", "info --image-opts driver=raw,file.filename=a"),
    (
        "format-probed",
        r#"info json:{"file":{"driver":"file","filename":"a"}}"#,
        r#"info -f qcow2 json:{"file":{"driver":"file","filename":"a"}}"#,
    ),
    (
        "format-probed",
        r#"convert -t none json:{"driver":"raw","file.filename":"a"} b c"#,
        r#"convert -t none -f raw json:{"driver":"raw","file.filename":"a"} b c"#,
    ),
    (
        "format-probed",
        "convert -f raw -t none -n --target-image-opts a file.filename=b",
        "convert -f raw -t none -n --target-image-opts a driver=raw,file.filename=b",
    ),
    ("format-probed", "bitmap -f qcow2 --merge s -b b a m", "bitmap -f qcow2 --merge s -b b -F qcow2 a m"),
    ("format-probed", "resize a 1G", "resize -f raw a 1G"),
    ("format-probed", "compare -f raw a b", "compare -f raw -F raw a b"),
    ("format-probed", "dd -O raw if=a of=b", "dd -f raw -O raw if=a of=b"),
    ("backing-format-missing", "create -f qcow2 -b base b", "create -f qcow2 -b base -F raw b"),
    ("backing-format-missing", "rebase -f qcow2 -b c a", "rebase -f qcow2 -b c -F raw a"),
    ("target-format-missing", "convert -f raw -t none -n a b", "convert -f raw -t none -n -O raw a b"),
    ("chain-followed", "info -f qcow2 --backing-chain a", "info -f qcow2 a"),
    ("extents-followed", "info -f vmdk a", "create -f vmdk a 1M"),
    ("extents-followed", "info --image-opts driver=vmdk,file.filename=a", "info -f vdi a"),
    (
        "data-file-kept",
        r#"info json:{"driver":"qcow2","data-file":null,"file":{"driver":"file","filename":"a"}}"#,
        r#"info json:{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"a"}}"#,
    ),
    ("name-is-directory", "convert -f raw -t none fat:a b", "convert -f raw -t none ./fat:a b"),
    ("name-is-protocol", "info -f raw a:b", "info -f raw ./a:b"),
    ("dash-is-file", "convert -f raw -t none a -", "convert -f raw -t none a /dev/shm/a"),
    ("backing-dropped", "rebase -f qcow2 -u -b '' a", "rebase -f qcow2 -b '' a"),
    ("rebase-unchecked", "rebase -f qcow2 -u -b c -F raw a", "rebase -f qcow2 -b c -F raw a"),
    (
        "backing-ignored",
        "convert -f qcow2 -t none -n -O qcow2 -B base -F raw a b",
        "convert -f qcow2 -t none -n -O qcow2 a b",
    ),
    (
        "backing-assumed",
        "convert -f qcow2 -t none -O qcow2 -B base -F raw a b",
        "convert -f qcow2 -t none -O qcow2 a b",
    ),
    ("backing-from-here", "create -f qcow2 -b file:base -F raw a", "create -f qcow2 -b file:/base -F raw a"),
    ("backing-unopened", "create -f qcow2 -u -b base -F raw a 1G", "create -f qcow2 -b base -F raw a 1G"),
    ("commits-past-images", "commit -f qcow2 -b base a", "commit -f qcow2 a"),
    ("cache-unsafe", "convert -f raw -O qcow2 a b", "convert -f raw -t writeback -O qcow2 a b"),
    ("cache-unsafe", "commit -f qcow2 -t unsafe a", "commit -f qcow2 a"),
    ("target-overwritten", "convert -f raw -t none a there", "convert -f raw -t none -n -O raw a there"),
    ("target-overwritten", "create -f raw there 1G", "create -f raw here 1G"),
    ("target-overwritten", "dd -f raw if=a of=there", "dd -f raw if=there of=a"),
    (
        "data-file-overwritten",
        "create -f qcow2 -o data_file=there a 1G",
        "create -f qcow2 -o data_file=there,keep_data_file=on a 1G",
    ),
    ("device-overwritten", "convert -f raw -t none a /dev/vg/lv", "convert -f raw -t none -n -O raw a /dev/vg/lv"),
    ("device-overwritten", "dd -f raw if=a of=/dev/sdb", "dd -f raw if=a of=/dev/stdout"),
    ("target-is-zero", "convert -f raw -t none -n -O raw --target-is-zero a b", "convert -f raw -t none -n -O raw a b"),
    ("shrinks", "resize -f raw --shrink a 1G", "resize -f raw a 1G"),
    ("bench-writes", "bench -f raw -w a", "bench -f raw a"),
    ("repairs", "check -f qcow2 -r leaks a", "check -f qcow2 a"),
    ("state-lost", "snapshot -f qcow2 -a s a", "snapshot -f qcow2 -c s a"),
    ("salvage", "convert -f raw -t none --salvage a b", "convert -f raw -t none a b"),
    ("shared-read", "convert -f raw -t none -U a b", "convert -f raw -t none a b"),
    ("shared-read", "compare -f raw -F raw -U a b", "info -f raw -U a"),
    (
        "bitmaps-skipped",
        "convert -f qcow2 -t none -O qcow2 --bitmaps --skip-broken-bitmaps a b",
        "convert -f qcow2 -t none -O qcow2 --bitmaps a b",
    ),
    ("option-twice", "info -f raw -f qcow2 a", "info -f raw -f raw a"),
    ("option-twice", "convert -f raw -t none -O raw -O qcow2 a b", "convert -f raw -t none -q -q -O qcow2 a b"),
    (
        "key-twice",
        "convert -f raw -t none -O qcow2 -o cluster_size=4k -o cluster_size=8k a b",
        "convert -f raw -t none -O qcow2 -o cluster_size=4k -o compat=1.1 a b",
    ),
    (
        "comma-splits",
        "convert -t none -O qcow2 --image-opts driver=raw,file.filename=/a,/b c",
        "convert -t none -O qcow2 --image-opts driver=raw,file.filename=/a,,/b c",
    ),
    (
        "comma-splits",
        "bitmap --add --image-opts driver=qcow2,file.filename=/a,/b m",
        "bitmap --add --image-opts driver=qcow2,file.filename=/a m/n",
    ),
    ("help-not-done", "create -f qcow2 -o compat=1.1,help a 1G", "create -f qcow2 -o help"),
    ("size-in-bytes", "create -f raw a 20", "create -f raw a 20G"),
    ("size-in-bytes", "resize -f raw a +20", "resize -f raw a +1048576"),
    ("quiet-progress", "convert -f raw -t none -p -q a b", "convert -f raw -t none -p a b"),
    ("out-of-order", "convert -f raw -t none -W -O qcow2 a b", "convert -f raw -t none -W -n -O qcow2 a b"),
    ("out-of-order", "convert -f raw -t none -W -O qcow2 a b", "convert -f raw -t none -W a b"),
    (
        "out-of-order",
        "convert -f raw -t none -W -O qcow2 -o preallocation=off a b",
        "convert -f raw -t none -W -O qcow2 -o preallocation=full a b",
    ),
];

#[test]
fn each_line_gives_its_code_and_the_one_beside_it_none() {
    let exists = |place: &Location| place.path().is_some_and(|path| path == "there" || path == "/dev/stdout");
    let context = Context::new().exists(&exists);
    let mut wrong = Vec::new();
    for (code, given, beside) in LINES {
        for (line, wanted) in [(given, &[*code][..]), (beside, &[])] {
            let found = codes(line, &context);
            if found != wanted {
                wrong.push((line, found));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn address_space_is_counted_by_coroutine() {
    let tight = |line, gib| codes(line, &Context::new().address_space(ByteSize::gib(gib)));
    assert_eq!(tight("convert -f raw -t none -m 16 a b", 1), ["address-space-tight"]);
    assert_eq!(tight("convert -f raw -t none a b", 1), ["address-space-tight"]);
    assert_eq!(tight("convert -f raw -t none a b", 2), [""; 0]);
    assert_eq!(tight("convert -f raw -t none -m 4 a b", 1), ["address-space-tight"]);
    assert_eq!(tight("convert -f raw -t none -m 1 a b", 1), [""; 0]);
    assert_eq!(tight("info -f raw a", 1), [""; 0]);
}

#[test]
fn every_rule_has_a_line() {
    let shown = |rule: &&Rule| LINES.iter().any(|(code, ..)| *code == rule.code);
    let rest: Vec<_> = Rule::ALL.iter().filter(|rule| !shown(rule)).map(|rule| rule.code).collect();
    assert_eq!(rest, ["address-space-tight"]);
}

#[test]
fn what_depends_on_the_world_is_not_found_without_it() {
    for line in ["create -f raw there 1G", "convert -f raw -t none -m 16 a b"] {
        assert_eq!(codes(line, &Context::new()), [""; 0], "{line}");
    }
}

#[test]
fn the_worst_comes_first_and_once() {
    assert_eq!(
        codes("convert -O qcow2 -U --image-opts file.filename=/a,/b,/c c", &Context::new()),
        ["format-probed", "comma-splits", "cache-unsafe", "shared-read"],
    );
}

#[test]
fn no_message_shows_a_password() {
    for line in [
        "info http://u:hunter2@h/a",
        "info --image-opts driver=iscsi,password=hunter2,file.url=http://u:hunter2@h/a,file.url=x",
        "convert -f raw -n -B http://u:hunter2@h/a -o x a http://u:hunter2@h/b",
    ] {
        let line = CommandLine::parse(line.split(' ').map(Into::into)).unwrap();
        let shown: String = line.lint().iter().map(|finding| format!("{finding}{finding:?}")).collect();
        assert!(shown.contains("password-in-name") && !shown.contains("hunter2"), "{shown}");
    }
}
