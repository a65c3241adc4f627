//! What is run as qemu-img is something else.

use std::time::Duration;

use qemu_cmd::{Info, Map, Source};
use qemu_exec::{Error, ErrorKind};
use tests::Kind;

use crate::scene::{SOON, Scene};

fn info(scene: &Scene, script: &str) -> Result<(), Error> {
    scene.fake(script).metadata_timeout(Some(Duration::from_secs(30))).info(&Info::new(Source::raw("/a"))).map(drop)
}

/// In the script, `$target` is the image that it should make.
fn convert(scene: &Scene, script: &str) -> Result<(), Error> {
    let client = scene.fake(&format!("for target; do :; done\n{script}"));
    client.data_timeout(Some(Duration::from_secs(30))).convert(&scene.copy()).map(drop)
}

pub fn hangs(scene: &Scene) -> Result<(), Error> {
    scene.fake("exec sleep 1000").data_timeout(SOON).convert(&scene.copy()).map(drop)
}

pub fn ignores_term(scene: &Scene) -> Result<(), Error> {
    let client = scene.fake("trap '' TERM; sh -c 'while :; do sleep 1; done' & while :; do sleep 1; done");
    client.data_timeout(SOON).convert(&scene.copy()).map(drop)
}

const ANSWER: &str = r#"echo '{"virtual-size": 512, "filename": "a", "format": "raw", "dirty-flag": false}'"#;

/// It has no clock: timeout(1), which keeps that under sudo, makes a process group of its own, out of our reach once it
/// is gone.
pub fn leaves_a_child(scene: &Scene) -> Result<(), Error> {
    let child = scene.file("child");
    std::fs::write(&child, "while :; do sleep 1; done").unwrap();
    let client = scene.fake(&format!("sh {} & {ANSWER}", child.display())).metadata_timeout(None);
    let started = std::time::Instant::now();
    let result = client.info(&Info::new(Source::raw("/a"))).map(drop);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    result
}

pub fn says_nothing(scene: &Scene) -> Result<(), Error> {
    info(scene, "exit 0")
}

pub fn lies(scene: &Scene) -> Result<(), Error> {
    info(scene, r#"echo '{"virtual-size": "much", "filename": "a", "format": "raw"}'"#)
}

pub fn half(scene: &Scene) -> Result<(), Error> {
    let client = scene.fake(r#"printf '[{ "start": 0, "length": 512, "depth": 0, "present": tr'"#);
    client.map(&Map::new(Source::raw("/a"))).map(drop)
}

pub fn endless(scene: &Scene) -> Result<(), Error> {
    info(scene, "exec yes")
}

pub fn complains(scene: &Scene) -> Result<(), Error> {
    let error = convert(scene, "yes 'it is broken' | head -c 5000000 >&2; echo the end >&2; exit 1").unwrap_err();
    assert!(error.stderr().len() <= 64 << 10 && error.stderr().ends_with("the end"));
    Err(error)
}

pub fn does_nothing(scene: &Scene) -> Result<(), Error> {
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.encrypted()) {
        let copy = qemu_cmd::Convert::new(Source::raw(scene.file("a")), kind.target(&scene.b()));
        let error = scene.fake("exit 0").convert(&copy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPublished, "{kind:?}");
    }
    convert(scene, "exit 0")
}

pub fn says_it_failed(scene: &Scene) -> Result<(), Error> {
    let a = scene.file("a");
    convert(scene, &format!("cat {} > $target; echo 'qemu-img: it is broken' >&2; exit 1", a.display()))
}

pub fn takes_away(scene: &Scene) -> Result<(), Error> {
    convert(scene, "rm $target")
}

pub fn makes_another(scene: &Scene) -> Result<(), Error> {
    let a = scene.file("a");
    convert(scene, &format!("rm $target; cat {} > $target", a.display()))
}

pub fn crashes(scene: &Scene) -> Result<(), Error> {
    convert(scene, "ulimit -c 0; kill -s SEGV $$")
}

pub fn no_program(scene: &Scene) -> Result<(), Error> {
    let client = scene.fake("");
    tests::executable(scene.here(), "#!/nonexistent/interpreter\n");
    client.convert(&scene.copy()).map(drop)
}
