//! An error about a command line says which argument it is about, and which key if that is a list.

#![allow(clippy::unwrap_used, clippy::panic)]

use qemu_cmd::{Command, ParseError};

fn error(line: &str) -> ParseError {
    let words = shlex::split(line).unwrap();
    match Command::parse(words.into_iter().map(Into::into)) {
        Ok(command) => panic!("{line}: {command:?}"),
        Err(error) => error,
    }
}

#[test]
fn an_error_points_at_the_argument() {
    for (line, at, key, message) in [
        ("", None, "", "no subcommand: write one of amend, bench, bitmap, check,"),
        ("copy a b", Some(0), "", "`copy` is not a subcommand"),
        ("info -y a", Some(1), "", "there is no option `-y`"),
        ("convert -p -cyO qcow2 a b", Some(2), "", "there is no option `-y`"),
        ("convert a b --nosuch", Some(3), "", "there is no option `--nosuch`"),
        ("convert --target-i -n a b", Some(1), "", "option `--target-i` could be --target-image-opts or"),
        ("convert a b -O", Some(3), "", "option `-O` needs a value"),
        ("convert a --salvage=yes b", Some(2), "", "option `--salvage` takes no value"),
        ("info a b", Some(2), "", "`info` needs one image, and 2 were given"),
        ("info -f raw", None, "", "`info` needs one image, and 0 were given"),
        ("snapshot -c x -l a", Some(3), "", "snapshot does one thing at a time"),
        ("rebase a", None, "", "rebase needs -b: name the new backing file, or write -b ''"),
        ("convert -n a -o size=1M b", Some(3), "", "-n and -o exclude each other"),
        ("convert --target-is-zero a b", Some(1), "", "--target-is-zero needs -n: a new target is known to be zero"),
        ("convert -t sometimes a b", Some(2), "", "`-t` cannot be `sometimes`"),
        ("convert -tsometimes a b", Some(1), "", "`-t` cannot be `sometimes`"),
        ("convert -W a b -m 17", Some(5), "", "number of coroutines 17 must be from 1 to 16"),
        ("convert -m x a b", Some(2), "", "`-m` cannot be `x`: the number of coroutines is a whole"),
        ("convert -S 1000 a b", Some(2), "", "sparse size 1000 must be a multiple of 512 up to 16777216,"),
        ("convert -r 1X a b", Some(2), "", "`-r` cannot be `1X`: a size is a number from 0 to"),
        ("convert -O qcow2 -o cluster_size=64k, a b", Some(4), "", "`-o` cannot be `cluster_size=64k,`"),
        ("convert -c a b", Some(1), "", "compression is not supported for format `raw`"),
        (
            "convert -O qcow2 -B base -l s a b c",
            Some(5),
            "",
            "-l needs a single source: an image made of several has no",
        ),
        ("convert -F raw a b", Some(1), "", "-F needs -B: there is no backing file that has this format"),
        (
            "convert -o backing_file=base a b",
            Some(2),
            "backing_file",
            "a raw image cannot have a backing file: use qcow2",
        ),
        ("convert a ./b b", Some(3), "", "source and target are both `b`"),
        (
            "convert -U --image-opts driver=raw,file.filename=a,force-share=off b",
            Some(3),
            "force-share",
            "-U and force-share=off in a node contradict each other",
        ),
        (
            "convert -O qcow2 -o compat=1.1 -o lazy_refcounts=maybe a b",
            Some(6),
            "lazy_refcounts",
            "`lazy_refcounts` cannot be `maybe`: write on or off",
        ),
        (
            "convert -O qcow2 -o compat=1.1,cluster_size=3x a b",
            Some(4),
            "cluster_size",
            "`cluster_size` cannot be `3x`: write a size, as in 64k",
        ),
        (
            "convert -O qcow2 -o encrypt.format=aes a b",
            Some(4),
            "encrypt.format",
            "encryption other than LUKS of a new image cannot be held by",
        ),
        (
            "convert -O qcow2 -o encrypt.format=luks -o encrypt.key-secret=k a b",
            Some(6),
            "encrypt.key-secret",
            "no --object defines the secret `k`",
        ),
        (
            "convert --object secret,id=k,file=/k -O luks -o key-secret=k,cipher-alg=rot13 a b",
            Some(6),
            "cipher-alg",
            "`cipher-alg` cannot be `rot13`",
        ),
        (
            "convert --object secret,id=k,file=/k -O luks -o key-secret=k -o iter-time=long a b",
            Some(8),
            "iter-time",
            "`iter-time` cannot be `long`: write milliseconds",
        ),
        ("convert -O host_device a b", Some(2), "", "`-O` cannot be `host_device`"),
        ("convert -O dmg a b", Some(2), "", "a new image of format `dmg` cannot be held by the typed"),
        (
            "convert --image-opts driver=qcow2,file.filename=a,key-secret=k b",
            Some(2),
            "key-secret",
            "no --object defines the secret `k`",
        ),
        (
            "convert --image-opts driver=qcow2,file.filename=a,backing=node0 b",
            Some(2),
            "backing",
            "a backing file by the name of a node cannot be held by the",
        ),
        (
            "convert --image-opts driver=qcow2 b",
            Some(2),
            "",
            "an image without a file cannot be held by the typed commands",
        ),
        (
            "info --image-opts file.filename=a,backing.file.filename=b,backing.backing=node0",
            Some(2),
            "backing.backing",
            "a backing file by the name of a node cannot be held by the",
        ),
        (
            "info 'json:{\"driver\":\"http\",\"password\":\"hunter2\"'",
            Some(1),
            "",
            "what follows `json:` is not a JSON object",
        ),
        (
            "info 'json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"a\"},\"encrypt\":{\"key-secret\":\"k\"}}'",
            Some(1),
            "encrypt.key-secret",
            "no --object defines the secret `k`",
        ),
        (
            "info --object secret,id=k,data=hunter2,file=/k a",
            Some(2),
            "",
            "`--object`: `data` and `file` exclude each other",
        ),
        ("info --object=secret,data=hunter2 a", Some(1), "", "`--object`: a secret needs an `id`"),
        (
            "info --object secret,id=0,data=hunter2 a",
            Some(2),
            "",
            "`--object`: secret id `0` must start with a letter and hold",
        ),
        (
            "info a --object secret,id=k,data=aHVudGVyMgA=,format=base64",
            Some(3),
            "",
            "a passphrase must not hold a NUL byte",
        ),
        ("info --help a", Some(1), "", "a request for help cannot be held by the typed commands"),
        ("create -f qcow2 -o help b 1M", Some(4), "help", "a request for help cannot be held by the typed commands"),
        ("create b", None, "", "a new image needs a size: give one, or a backing file that"),
        ("create b 1X", Some(2), "", "`size` cannot be `1X`: a size is a number from 0 to"),
        ("create -o size=1X b", Some(2), "size", "`size` cannot be `1X`: a size is a number from 0 to"),
        ("create -f qcow2 b 1000", Some(4), "", "a qcow2 size must be a multiple of 512 bytes, and 1000 is"),
        ("create -f qcow2 -o size=1M b 1M", Some(6), "", "the size is given twice: as an operand and as -o size="),
        ("create -f qcow2 -b '' b 1M", Some(4), "", "`-b` cannot be ``: leave it out for an image without a"),
        (
            "create -f qcow2 -o backing_file= b 1M",
            Some(4),
            "backing_file",
            "`backing_file` cannot be ``: leave it out for an image without a",
        ),
        ("create -f raw -b a b", Some(4), "", "a raw image cannot have a backing file: use qcow2"),
        ("amend -f raw -o compat=1.1 a", Some(2), "", "the options of this format cannot be changed"),
        ("amend -f luks -o state=active,new-secret=k a", Some(4), "new-secret", "no --object defines the secret `k`"),
        ("amend -f luks -o keyslot=9x a", Some(4), "keyslot", "`keyslot` cannot be `9x`: write a key slot from 0 to 7"),
        ("bench -s 3G a", Some(2), "", "`-s` cannot be `3G`: a request, and a step, has at most"),
        ("bench -w --flush-interval 3 a", Some(3), "", "the flush interval must not be smaller than the depth,"),
        ("bitmap --add -g 1000 a b", Some(3), "", "bitmap granularity 1000 must be a power of two from 512 to"),
        ("bitmap --add a ''", Some(3), "", "bitmap name `` must have from 1 to 1023 bytes and not start"),
        ("bitmap --merge x -b c a b", Some(4), "", "a merge from an image of unknown format cannot be held by"),
        ("bitmap --remove-all a b", Some(3), "", "`bitmap` needs one image if all bitmaps are removed, and 2 were"),
        ("create -f qcow2 -b a -F raw d/a 1M", Some(4), "", "source and target are both `d/a`"),
        ("rebase -u -f qcow2 -b a -F qcow2 ./a", Some(5), "", "source and target are both `a`"),
        (
            "create -f qcow2 -b file:a -F raw d/b 1M",
            Some(4),
            "",
            "a relative name behind `file:`, which is not looked for beside the image, cannot be held by",
        ),
        (
            "convert -O qcow2 -o backing_file=file:a,backing_fmt=raw b c",
            Some(4),
            "backing_file",
            "a relative name behind `file:`",
        ),
        (
            "create -f qcow2 -o backing_fmt=raw a 1M",
            Some(4),
            "backing_fmt",
            "backing_fmt needs backing_file: there is no",
        ),
        ("rebase -b file:a -F raw d/b", Some(2), "", "a relative name behind `file:`"),
        ("convert -n -B a -F raw b c", Some(3), "", "a backing file of an existing target cannot be held by the"),
        (
            "info --object tls-creds-x509,id=t,dir=/d,passwordid=t --image-opts driver=nbd,host=h,tls-creds=t",
            Some(4),
            "tls-creds",
            "no --object defines the secret `t`",
        ),
        (
            "info --object tls-creds-x509,id=t,passwordid=u --object tls-creds-x509,id=u,passwordid=t \
             --image-opts driver=nbd,host=h,tls-creds=t",
            Some(6),
            "tls-creds",
            "no --object defines the secret `u`",
        ),
        ("dd if=a of=b speed=1", Some(3), "", "an operand of dd is one of if=, of=, bs=, count= and skip="),
        ("dd if=a of=b bs=0", Some(3), "", "`bs` cannot be `0`: a block of dd must have from 1 to"),
        ("dd count=many if=a of=b", Some(1), "", "`count` cannot be `many`: a size is a number from 0 to"),
        ("dd if=a of=./a", Some(2), "", "source and target are both `a`"),
        ("measure --size 1M a", Some(3), "", "measure needs either an image or --size, not both"),
        ("measure -O vdi a", Some(2), "", "the size of a vdi image cannot be measured"),
        ("resize a 10GB", Some(2), "", "`size` cannot be `10GB`: the size of a resize is like 10G,"),
        ("resize -f raw a -1G", Some(4), "", "an image shrinks only with --shrink"),
        (
            "resize --preallocation=full --shrink a -1G",
            Some(1),
            "",
            "space is allocated in advance only when an image grows",
        ),
    ] {
        let error = error(line);
        assert_eq!(error.at(), at, "{line}: {error}");
        assert_eq!(error.key().unwrap_or_default(), key, "{line}: {error}");
        assert!(error.kind().to_string().contains(message), "{line}: {error}");
        // A line that lacks something has no argument to blame, and one without a subcommand nothing to count from.
        let place = at.filter(|at| *at > 0).map(|at| format!("argument {at} of `"));
        assert!(error.to_string().starts_with(&place.unwrap_or_else(|| error.kind().to_string())), "{line}: {error}");
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{line}: {error:?}");
    }
}

#[test]
fn a_key_is_found_in_the_list_that_counts() {
    let error = error("convert -O qcow2 -o compat=x -o nocow=on,compat=y -o nocow=off a b");
    assert_eq!((error.at(), error.key()), (Some(6), Some("compat")));
    assert!(error.to_string().contains("`compat` cannot be `y`"), "{error}");
}
