//! Images that are in use, are no images, or have no end.

use std::path::PathBuf;

use qemu_cmd::{Blkdebug, Info, InjectError, Map, Source};
use qemu_exec::{Error, ErrorKind};
use tests::machine::Writer;
use tests::{Kind, bare, write_fixture};

use crate::scene::{SOON, Scene};

pub fn source_in_use(scene: &Scene) -> Result<(), Error> {
    let used = scene.file("used");
    write_fixture(Kind::Qcow2, &used);
    let _writer = Writer::of(&used);
    scene.client().convert(&scene.convert(Source::qcow2(used))).map(drop)
}

pub fn target_in_use(scene: &Scene) -> Result<(), Error> {
    let old = std::fs::read(scene.b()).unwrap();
    write_fixture(Kind::Qcow2, &scene.b());
    let writer = Writer::of(&scene.b());
    let result = scene.client().convert(&scene.copy()).map(drop);
    drop(writer);
    let info = bare(["info".as_ref(), "-f".as_ref(), "qcow2".as_ref(), scene.b().as_os_str()]);
    assert!(info.status.success(), "{info:?}");
    std::fs::write(scene.b(), old).unwrap();
    result
}

/// The second is told so; the first is ended, and has left nothing.
pub fn written_twice(scene: &Scene) -> Result<(), Error> {
    let (token, second) = (qemu_exec::CancelToken::new().unwrap(), std::cell::Cell::new(Ok(())));
    let first = scene.meanwhile(&scene.client().cancel(token.clone()), false, |_| {
        second.set(scene.client().convert(&scene.copy()).map(drop));
        token.cancel();
    });
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Cancelled);
    second.into_inner()
}

pub fn fifo_info(scene: &Scene) -> Result<(), Error> {
    let fifo = tests::fifo(scene.here());
    scene.client().metadata_timeout(SOON).info(&Info::new(Source::raw(fifo))).map(drop)
}

pub fn fifo_convert(scene: &Scene) -> Result<(), Error> {
    let fifo = tests::fifo(scene.here());
    scene.client().data_timeout(SOON).convert(&scene.convert(Source::raw(fifo))).map(drop)
}

fn its_own_backing_file(scene: &Scene) -> PathBuf {
    let path = scene.file("loop");
    let text = path.to_str().unwrap();
    for line in [format!("create -q -f qcow2 {text} 1M"), format!("rebase -u -f qcow2 -b {text} -F qcow2 {text}")] {
        let output = bare(line.split(' '));
        assert!(output.status.success(), "{output:?}");
    }
    path
}

pub fn loop_chain(scene: &Scene) -> Result<(), Error> {
    let path = its_own_backing_file(scene);
    scene.client().backing_chain(&Info::new(Source::qcow2(path))).map(drop)
}

/// It ends when something runs out: the files that may be open, here.
pub fn loop_convert(scene: &Scene) -> Result<(), Error> {
    let path = its_own_backing_file(scene);
    let limits = qemu_exec::Limits::none().open_files(300);
    scene.client().data_limits(limits).convert(&scene.convert(Source::qcow2(path))).map(drop)
}

pub fn loop_map(scene: &Scene) -> Result<(), Error> {
    let path = its_own_backing_file(scene);
    let limits = qemu_exec::Limits::none().open_files(300);
    scene.client().data_limits(limits).map(&Map::new(Source::qcow2(path))).map(drop)
}

/// A line for each sector: megabytes, of which the end is kept.
pub fn salvage(scene: &Scene) -> Result<(), Error> {
    const LINE: usize = 60;
    let mib = if tests::long() { 64 } else { 10 };
    let source = scene.file("broken");
    std::fs::write(&source, vec![b'x'; mib << 20]).unwrap();
    let source = Source::raw(Blkdebug::new(source).inject_error(InjectError::new("none")));
    let outcome = scene.client().convert(&scene.convert(source).salvage(true))?;
    assert_eq!(outcome.stderr.len(), 64 << 10);
    assert!((mib << 20) / 512 * LINE > 1 << 20);
    assert!(String::from_utf8_lossy(&outcome.stderr).lines().skip(1).all(|line| line.contains("Input/output error")));
    Ok(())
}
