//! A program that tells what it was started with, in place of qemu-img.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In C, since what Rust does before `main` changes the signals that are to be seen.
const SOURCE: &str = r#"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void copy(const char *title, const char *path)
{
    char buffer[4096];
    ssize_t count;
    int fd = open(path, O_RDONLY);
    printf("\n== %s\n", title);
    fflush(stdout);
    while ((count = read(fd, buffer, sizeof buffer)) > 0)
        write(1, buffer, count);
    close(fd);
}

int main(void)
{
    char path[64], link[4096];
    struct dirent *entry;
    DIR *fds = opendir("/proc/self/fd");
    printf("\n== fds\n");
    while ((entry = readdir(fds))) {
        int fd = atoi(entry->d_name);
        ssize_t length = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1);
        if (length >= 0 && fd != dirfd(fds))
            printf("%d %.*s\n", fd, (int)length, link);
    }
    closedir(fds);
    copy("status", "/proc/self/status");
    copy("limits", "/proc/self/limits");
    copy("environ", "/proc/self/environ");
    for (int fd = 3; fcntl(fd, F_GETFD) >= 0; fd++) {
        snprintf(path, sizeof path, "/dev/fd/%d", fd);
        copy(path, path);
    }
    return 0;
}
"#;

/// Compiles the program.
///
/// The compiler is the one that links Rust's programs.
#[must_use]
pub fn reporter(directory: &Path) -> PathBuf {
    let (source, program) = (directory.join("report.c"), directory.join("qemu-img"));
    std::fs::write(&source, SOURCE).unwrap();
    let output = Command::new("cc").args(["-O1", "-w", "-o"]).arg(&program).arg(&source).output();
    let output = output.expect("this test needs a C compiler: install gcc, and the headers of libc");
    assert!(output.status.success(), "{output:?}");
    program
}

/// What the program told.
#[derive(Debug)]
pub struct Report {
    /// What each of its descriptors is.
    pub fds: BTreeMap<u32, String>,
    /// What those from 3 on hold.
    pub secrets: Vec<String>,
    /// `NAME=VALUE`, in order.
    pub environment: Vec<String>,
    status: String,
    limits: String,
}

impl Report {
    /// From its output.
    #[must_use]
    pub fn parse(stdout: &[u8]) -> Self {
        let text = std::str::from_utf8(stdout).unwrap();
        let parts: Vec<(&str, &str)> = text.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap()).collect();
        let part = |title: &str| parts.iter().find(|(other, _)| *other == title).unwrap().1.to_owned();
        let fds = part("fds");
        let fds = fds.lines().map(|line| line.split_once(' ').unwrap());
        Self {
            fds: fds.map(|(fd, target)| (fd.parse().unwrap(), target.to_owned())).collect(),
            secrets: parts
                .iter()
                .filter(|(title, _)| title.starts_with("/dev/fd/"))
                .map(|(_, text)| (*text).to_owned())
                .collect(),
            environment: part("environ").split_terminator('\0').map(str::to_owned).collect(),
            status: part("status"),
            limits: part("limits"),
        }
    }

    /// A line of `/proc/PID/status`.
    #[must_use]
    pub fn status(&self, name: &str) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim()
    }

    /// The lines of `/proc/PID/limits`, but for those with these titles.
    #[must_use]
    pub fn other_limits(&self, titles: &[&str]) -> Vec<&str> {
        self.limits.lines().filter(|line| !titles.iter().any(|title| line.starts_with(title))).collect()
    }

    /// The soft and the hard value of a line of `/proc/PID/limits`.
    #[must_use]
    pub fn limit(&self, title: &str) -> [&str; 2] {
        let line = self.limits.lines().find_map(|line| line.strip_prefix(title)).unwrap();
        let mut values = line.split_whitespace();
        [(); 2].map(|()| values.next().unwrap())
    }
}
