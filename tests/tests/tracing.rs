//! What a subscriber is told of commands, and what it is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qemu_cmd::{ByteSize, CommandLine, Compare, Create, Info, Qcow2, Secret, Source};
use qemu_exec::fake::FakeExecutor;
use qemu_exec::{AsyncExecutor as _, ErrorKind, Executor as _, LocalExecutor, QemuImg, Request};
use tests::{PASSPHRASE, copy, local, passphrase, scratch, slow_copy, sudo, with_source};
use tokio::runtime::Builder;
use tracing::subscriber::with_default;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What was written for people, which is all that there is to be told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A line for each span that begins or ends while this is done, at every level there is.
fn lines(act: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .without_time()
        .with_writer(log.clone())
        .finish();
    with_default(subscriber, act);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| line.contains("qemu_exec")).map(str::to_owned).collect()
}

fn awaited<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
}

#[test]
fn a_command_is_a_span_with_what_came_of_it() {
    let directory = with_source();
    let here = directory.path();
    let blocking = lines(|| drop(QemuImg::new(local()).convert(&copy(here, "b")).unwrap()));
    let asynchronous = lines(|| drop(awaited(QemuImg::new(local()).into_async().convert(&copy(here, "c"))).unwrap()));
    for (name, lines) in [("b", blocking), ("c", asynchronous)] {
        let [begins, ends] = &lines[..] else { panic!("{lines:#?}") };
        // By the name that the image has in the end.
        let command = format!(
            "qemu-img{{subcommand=convert argv=qemu-img convert -t none -O raw -f raw {0}/a {0}/{name}",
            here.display()
        );
        let shown = |line: &String| line.replace("-t writeback", "-t none").contains(&command);
        assert!(begins.ends_with("new") && shown(begins) && shown(ends), "{lines:#?}");
        for field in ["end=Exited(0)", "exit_code=0", "wall_time=", "user_time=", "system_time="] {
            assert!(ends.contains(field), "{field}: {ends}");
        }
        assert!(!ends.contains("error="), "{ends}");
    }
}

#[test]
fn an_error_is_its_kind_and_an_answer_is_none() {
    let directory = with_source();
    let here = directory.path();
    let client = || QemuImg::new(local());
    let one = |act: &dyn Fn()| lines(act).into_iter().rfind(|line| line.contains("close")).unwrap();
    let fails = |kind: &str, act: &dyn Fn()| {
        let line = one(act);
        assert!(line.contains(&format!("error={kind}")), "{kind}: {line}");
    };
    fails("NotFound", &|| drop(client().info(&Info::new(Source::raw(here.join("no")))).unwrap_err()));
    fails("TimedOut", &|| {
        let client = client().data_timeout(Some(Duration::from_millis(300)));
        drop(client.convert(&slow_copy(here, "b")).unwrap_err());
    });
    fails("ProgramMissing", &|| {
        let nobody = QemuImg::new(LocalExecutor::with_program("/no/qemu-img"));
        drop(nobody.info(&Info::new(Source::raw("/a"))).unwrap_err());
    });
    let fake = FakeExecutor::new();
    fails("NoSpace", &|| {
        fake.fail_next(ErrorKind::NoSpace);
        let create = Create::new("/vm/disk", Qcow2::new(), ByteSize::gib(1));
        drop(QemuImg::new(fake.clone()).create(&create).unwrap_err());
    });
    std::fs::write(here.join("other"), [1; 512]).unwrap();
    let differ = one(&|| {
        let compare = Compare::new(Source::raw(here.join("a")), Source::raw(here.join("other")));
        assert!(!client().compare(&compare).unwrap().is_identical());
    });
    assert!(differ.contains("exit_code=1") && !differ.contains("error="), "{differ}");
}

#[test]
fn no_secret_is_told() {
    const PASSWORD: &str = "hunter2-in-a-url";
    let directory = scratch();
    let b = directory.path().join("b");
    std::fs::write(&b, [7; 4096]).unwrap();
    let wrong = "not the passphrase at all";
    // Typed commands refuse a password in a name, but a written line may hold one.
    let url = format!("http://user:{PASSWORD}@127.0.0.1:9/image");
    let line = CommandLine::parse(["info", "-f", "raw", &url].map(Into::into)).unwrap();
    let typed = [Source::luks(&b, passphrase()), Source::qcow2(&b).key(Secret::new(wrong).unwrap())];
    let mut invocations = typed.map(|source| Info::new(source).invocation().unwrap()).to_vec();
    invocations.push(line.invocation().unwrap());
    let lines = lines(|| {
        for invocation in &invocations {
            let request = || Request::new(invocation);
            assert!(!local().run(request()).unwrap().success());
            assert!(!local().portable().run(request()).unwrap().success());
            assert!(!sudo().run(request()).unwrap().success());
            assert!(!awaited(local().run_async(request())).unwrap().success());
        }
    });
    assert_eq!(lines.len(), 3 * 4 * 2, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("user:***@")), "{lines:#?}");
    for line in lines {
        assert!(![PASSPHRASE, wrong, PASSWORD].iter().any(|secret| line.contains(secret)), "{line}");
    }
}
