//! An executor that a test tells what to expect.

use crate::{Error, Outcome, Plan, Request};

mockall::mock! {
    /// An executor made by [mockall](https://docs.rs/mockall): it expects the calls that a test names, and answers as
    /// the test says. Where it is the state of images that matters, and not which commands are run, use the
    /// `FakeExecutor` of feature `fake`.
    ///
    /// ```
    /// use qemu_exec::cmd::{Info, Source};
    /// use qemu_exec::{End, MockExecutor, Outcome, QemuImg};
    ///
    /// let mut executor = MockExecutor::new();
    /// executor
    ///     .expect_run()
    ///     .withf(|request| request.invocation.subcommand() == "info")
    ///     .times(1)
    ///     .returning(|_| Ok(Outcome::new(End::Exited(1), "", "qemu-img: Could not open '/a': Permission denied\n")));
    ///
    /// let error = QemuImg::new(executor).info(&Info::new(Source::raw("/a"))).unwrap_err();
    /// assert_eq!(error.kind(), qemu_exec::ErrorKind::PermissionDenied);
    /// ```
    #[derive(Debug)]
    pub Executor {}

    impl crate::Executor for Executor {
        fn plan<'a>(&self, request: &Request<'a>) -> Result<Plan, Error>;
        fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error>;
    }
}
