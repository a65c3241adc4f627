//! Maps of any length.

use std::io::{self, PipeWriter};
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;

use qemu_cmd::{Invocation, Map};
use qemu_info::MapExtents;

use super::QemuImg;
use super::flow::Flow;
#[cfg(feature = "tokio")]
use crate::asynchronous::Tokio;
#[cfg(feature = "tokio")]
use crate::waiting::Waiting as _;
use crate::waiting::now;
use crate::{Error, Executor, OutputReader, output_pipe};

impl<E: Executor> QemuImg<E> {
    /// Has `read` look at the parts of an image while `qemu-img map` finds them, in constant memory: see
    /// [`ExtentsExt`](qemu_info::ExtentsExt) for what can be made of them.
    ///
    /// `read` runs in a thread of its own. Whatever it leaves is read and thrown away; a map that it gave up as malformed
    /// is its own result. That the command failed, which it can do after it has printed a whole map, is an error in any
    /// case.
    ///
    /// ```no_run
    /// use qemu_exec::cmd::{Map, Source};
    /// use qemu_exec::info::ExtentsExt as _;
    /// use qemu_exec::{LocalExecutor, QemuImg};
    ///
    /// let qemu_img = QemuImg::new(LocalExecutor::new());
    /// let allocated = qemu_img.read_map(&Map::new(Source::qcow2("disk.qcow2")), |extents| {
    ///     extents.allocated().try_fold(0, |sum, range| range.map(|range| sum + range.end - range.start))
    /// })??;
    /// println!("{allocated} bytes of data");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`info`](Self::info), but for what `read` makes of the output.
    pub fn read_map<T: Send>(
        &self,
        map: &Map,
        read: impl FnOnce(&mut MapExtents<&mut OutputReader>) -> T + Send,
    ) -> Result<T, Error> {
        let invocation = map.invocation()?;
        let (reader, writer) = pipe(&invocation)?;
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || read_all(reader, read));
            let flow = Flow { stdout: Some(writer.as_fd()), ..self.flow() };
            let outcome = now(flow.run(&invocation, flow.data));
            // The command has its own; with ours gone, the reader comes to the end.
            drop(writer);
            let value = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
            outcome.map(|_| value)
        })
    }
}

#[cfg(feature = "tokio")]
impl<E: crate::AsyncExecutor> super::AsyncQemuImg<E> {
    /// See [`QemuImg::read_map`]. `read` runs in a thread of its own here, too; if the future is dropped, that comes to the
    /// end of what was printed.
    ///
    /// # Errors
    /// The same.
    pub async fn read_map<T: Send + 'static>(
        &self,
        map: &Map,
        read: impl FnOnce(&mut MapExtents<&mut OutputReader>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let invocation = map.invocation()?;
        let (reader, writer) = pipe(&invocation)?;
        let reading = std::thread::Builder::new().name("map".to_owned()).spawn(move || read_all(reader, read));
        let reading =
            reading.map_err(|source| Error::could_not_start("no thread could be made", source).about(&invocation))?;
        let flow = Flow { stdout: Some(writer.as_fd()), ..self.flow() };
        let outcome = flow.run(&invocation, flow.data).await;
        drop(flow);
        drop(writer);
        let join = || reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        let value = Tokio.blocking(join).await?;
        outcome.map(|_| value)
    }
}

fn pipe(invocation: &Invocation) -> Result<(OutputReader, PipeWriter), Error> {
    output_pipe().map_err(|source| Error::could_not_start("there is no pipe to be had", source).about(invocation))
}

fn read_all<T>(mut reader: OutputReader, read: impl FnOnce(&mut MapExtents<&mut OutputReader>) -> T) -> T {
    let value = read(&mut MapExtents::new(&mut reader));
    // Nobody may be left who writes, but if qemu-img is cut off it does not notice and goes on.
    let _ = io::copy(&mut reader, &mut io::sink());
    value
}
