//! What an image holds, as one number.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use qemu_cmd::{Convert, Info, Nbd, NbdServer, Source, Target};

use super::QemuImg;
use super::checks::unless_dry;
use super::flow::{Flow, Runs};
use crate::digest::Hasher;
use crate::waiting::{Waiting as _, now};
use crate::{ContentDigest, End, Error, ErrorKind, Executor, nbd};

impl<E: Executor> QemuImg<E> {
    /// The SHA-256 of what a guest sees of an image, with what lies below it: the same for the same content in any
    /// format, and what `sha256sum` says of it in raw format.
    ///
    /// qemu-img reads the image once, and this process takes what it reads, over a socket that it inherits; nothing is
    /// stored. Runs of zeros are not read, but they count, as every byte does: how fast that is is a matter of the
    /// processor.
    ///
    /// It runs under the bounds of data, says [how far it is](Self::on_progress), and needs an executor that can hand over
    /// a file, which [`LocalExecutor`](crate::LocalExecutor) is unless it is [portable](crate::LocalExecutor::portable).
    ///
    /// ```no_run
    /// use qemu_exec::cmd::Source;
    /// use qemu_exec::{LocalExecutor, QemuImg};
    ///
    /// println!("{}", QemuImg::new(LocalExecutor::new()).digest(&Source::qcow2("disk.qcow2"))?);
    /// # Ok::<(), qemu_exec::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) by an executor that cannot do it; [`NotRun`](ErrorKind::NotRun) for a dry run; or
    /// whatever kind the failure is.
    pub fn digest(&self, source: &Source) -> Result<ContentDigest, Error> {
        now(self.flow().digest(source, false))
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn digest(&self, source: &Source, share: bool) -> Result<ContentDigest, Error> {
        if self.runs.is_elsewhere() {
            let message = "a socket cannot be handed over to another place: take the digest here";
            return Err(Error::new(ErrorKind::Refused).message(message));
        }
        let size = unless_dry(self.info(&Info::new(source.clone())).await)?.map_or(0, |info| info.virtual_size);
        // It is the first descriptor after the streams.
        let export = Nbd::new(NbdServer::Descriptor { fd: 3 });
        // One coroutine writes in order; and what is zero is not written, since it is said to be zero.
        let convert = Convert::new(source.clone(), Target::existing(Source::raw(export)));
        let convert = convert.coroutines(1).target_is_zero(true).force_share(share);
        let convert = self.watched(&convert, Convert::progress);
        let invocation = convert.invocation()?;
        let failed = |message: &str, source: io::Error| Error::could_not_start(message, source).about(&invocation);
        let (ours, theirs) = UnixStream::pair().map_err(|source| failed("no socket could be made", source))?;
        let server = std::thread::Builder::new().name("digest".to_owned()).spawn(move || {
            let mut hasher = Hasher::default();
            nbd::serve(&ours, size, &mut hasher).map(|()| hasher.finish())
        });
        let server = server.map_err(|source| failed("no thread could be made", source))?;
        let theirs = File::from(OwnedFd::from(theirs));
        let handing = Flow { handed: Some(&theirs), ..self.clone() };
        let result = handing.run_any_version(&invocation, self.data, None).await;
        // With ours, the last of the other end is closed.
        drop(theirs);
        let join = || server.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        let served = self.runs.waiting().blocking(join).await?;
        // Of two failures, qemu-img knows the reason.
        if result?.end == End::NotRun {
            return Err(Error::new(ErrorKind::NotRun)
                .message("it was a dry run, so there is no answer")
                .about(&invocation));
        }
        served.map_err(|source| {
            Error::new(ErrorKind::OutputNotUnderstood)
                .message("qemu-img did not write the content from its beginning to its end")
                .about(&invocation)
                .because(source)
        })
    }
}
