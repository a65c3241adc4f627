//! Maps of any length.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;

use qemu_cmd::Map;
use qemu_info::MapExtents;

use super::QemuImg;
use super::flow::Flow;
use crate::waiting::now;
use crate::{Error, ErrorKind, Executor, OutputReader, output_pipe};

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
        let (mut reader, writer) = output_pipe().map_err(|source| {
            Error::new(ErrorKind::CouldNotStart)
                .message("there is no pipe to be had")
                .about(&invocation)
                .because(source)
        })?;
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let value = read(&mut MapExtents::new(&mut reader));
                // Nobody may be left who writes, but if qemu-img is cut off it does not notice and goes on.
                let _ = io::copy(&mut reader.by_ref(), &mut io::sink());
                value
            });
            let flow = Flow { stdout: Some(writer.as_fd()), ..self.flow() };
            let outcome = now(flow.run(&invocation, flow.data));
            // The command has its own; with ours gone, the reader comes to the end.
            drop(writer);
            let value = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
            outcome.map(|_| value)
        })
    }
}
