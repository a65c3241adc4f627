//! Many jobs at once, in a tokio runtime.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tests::{Kind, content, guest_content, local, names, scratch, write_fixture};

use crate::tokio_service::{JobError, Service};

const LONG: Duration = Duration::from_secs(120);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn no_more_jobs_than_there_are_places_run_at_once_and_all_are_done() {
    let (disks, archive) = (scratch(), scratch());
    let disks: Vec<_> = (0..6).map(|number| disks.path().join(format!("disk{number}"))).collect();
    for disk in &disks {
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        write_fixture(Kind::Raw, disk);
    }
    let service = Arc::new(Service::new(local(), NonZero::new(2).unwrap(), archive.path().to_owned()));
    let most_waiting = runtime().block_on(async {
        let jobs: Vec<_> = disks
            .iter()
            .cloned()
            .map(|disk| {
                let service = Arc::clone(&service);
                tokio::spawn(async move { service.archive(&disk, LONG).await })
            })
            .collect();
        let mut most_waiting = 0;
        while !jobs.iter().all(tokio::task::JoinHandle::is_finished) {
            most_waiting = most_waiting.max(service.semaphore.waiting());
            // What is written is what runs.
            let begun = names(archive.path()).iter().filter(|name| name.as_encoded_bytes().starts_with(b".")).count();
            assert!(begun <= 2, "{begun} run at once");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for job in jobs {
            assert!(job.await.unwrap().unwrap() > 0);
        }
        most_waiting
    });
    assert!(most_waiting > 0, "nobody has waited");
    assert_eq!(names(archive.path()).len(), disks.len());
    for disk in &disks {
        let name = format!("{}.qcow2", disk.file_name().unwrap().to_str().unwrap());
        assert!(guest_content(Kind::Qcow2, &archive.path().join(name)) == content());
    }
}

#[test]
fn a_job_that_is_given_up_leaves_nothing_and_makes_room_for_the_next() {
    let directory = scratch();
    let archive = scratch();
    let endless = tests::fifo(directory.path());
    let disk = directory.path().join("disk");
    write_fixture(Kind::Raw, &disk);
    let service = Service::new(local(), NonZero::new(1).unwrap(), archive.path().to_owned());
    runtime().block_on(async {
        // qemu-img opens the FIFO and waits; nobody writes to it.
        let late = service.archive(&endless, Duration::from_millis(300)).await;
        assert!(matches!(late, Err(JobError::TooLate)), "{late:?}");
        assert!(!tests::processes::is_running(&endless));
        assert_eq!(names(archive.path()), [""; 0]);
        service.archive(&disk, LONG).await.unwrap();
    });
    assert!(guest_content(Kind::Qcow2, &archive.path().join("disk.qcow2")) == content());
}
