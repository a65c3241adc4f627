//! The reports of progress of one child: who is told, and when it stalls.

use std::time::{Duration, Instant};

use crate::{OnProgress, Progress, ProgressParser, Request};

pub(crate) struct Reports<'a> {
    parser: ProgressParser,
    listener: Option<&'a dyn OnProgress>,
    stall_timeout: Option<Duration>,
    started: Instant,
    /// The last report, and when the child last came further or said something.
    last: Option<(u16, Instant)>,
}

impl<'a> Reports<'a> {
    /// `None` if nobody asks for them.
    pub(crate) fn of(request: &Request<'a>, started: Instant) -> Option<Self> {
        let &Request { progress: listener, stall_timeout, .. } = request;
        (listener.is_some() || stall_timeout.is_some()).then_some(Self {
            parser: if request.progress_by_signal.is_some() {
                ProgressParser::of_answers()
            } else {
                ProgressParser::new()
            },
            listener,
            stall_timeout,
            started,
            last: None,
        })
    }

    /// Takes what was printed on standard output, and leaves the text of it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Self { parser, listener, started, last, .. } = self;
        let mut text = Vec::new();
        parser.feed(bytes, &mut text, |hundredths| {
            if let Some(listener) = listener {
                listener.progress(Progress::new(hundredths, started.elapsed()));
            }
            // To say the same again is not to come further.
            if last.is_none_or(|(before, _)| before != hundredths) {
                *last = Some((hundredths, Instant::now()));
            }
        });
        if !text.is_empty() {
            self.spoke();
        }
        text
    }

    /// Tells that all is done, if that was not told: nobody may have asked in the end.
    pub(crate) fn complete(&self) {
        let end = Progress::new(u16::MAX, self.started.elapsed());
        if let Some(listener) = self.listener.filter(|_| self.last.is_none_or(|(last, _)| last < 10_000)) {
            listener.progress(end);
        }
    }

    /// Takes the end of it.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.parser.finish(&mut text);
        text
    }

    /// Notes that the child said something else than a report.
    pub(crate) fn spoke(&mut self) {
        if let Some((_, moved)) = &mut self.last {
            *moved = Instant::now();
        }
    }

    pub(crate) fn stalls_at(&self) -> Option<Instant> {
        let (_, moved) = self.last?;
        moved.checked_add(self.stall_timeout?)
    }
}
