//! What a subscriber is told of each command (feature `tracing`).

use std::future::Future;

#[cfg(feature = "tracing")]
use tracing::{Instrument as _, Span, field};

use crate::{Error, Outcome, Request};

/// Runs it in a span of its own, if that is wanted.
#[cfg(not(feature = "tracing"))]
pub(crate) async fn traced(
    _request: &Request<'_>,
    running: impl Future<Output = Result<Outcome, Error>> + Send,
) -> Result<Outcome, Error> {
    running.await
}

/// Runs it in a span `qemu-img`, which is told what came of it.
#[cfg(feature = "tracing")]
pub(crate) async fn traced(
    request: &Request<'_>,
    running: impl Future<Output = Result<Outcome, Error>> + Send,
) -> Result<Outcome, Error> {
    let invocation = request.invocation;
    // As it is displayed, it holds no secret and no password.
    let span = tracing::info_span!(
        target: "qemu_exec",
        "qemu-img",
        subcommand = %invocation.subcommand().display(),
        argv = %invocation,
        end = field::Empty,
        exit_code = field::Empty,
        signal = field::Empty,
        error = field::Empty,
        wall_time = field::Empty,
        user_time = field::Empty,
        system_time = field::Empty,
        peak_memory = field::Empty,
    );
    let result = running.instrument(span.clone()).await;
    if !span.is_disabled() {
        match &result {
            Ok(outcome) => record(&span, outcome, request),
            Err(error) => {
                span.record("error", field::debug(error.kind()));
            }
        }
    }
    result
}

#[cfg(feature = "tracing")]
fn record(span: &Span, outcome: &Outcome, request: &Request<'_>) {
    use crate::End;
    use crate::classify::classify;

    span.record("end", field::debug(outcome.end));
    // What is not an error, though it is not 0 either.
    let mut answer = outcome.success() || outcome.end == End::NotRun;
    match outcome.end {
        End::Exited(code) => {
            span.record("exit_code", code);
            let subcommand = request.invocation.subcommand();
            answer |= (subcommand == "compare" && code == 1) || (subcommand == "check" && matches!(code, 2 | 3));
        }
        End::Signaled(signal) => {
            span.record("signal", signal);
        }
        _ => {}
    }
    if !answer {
        span.record("error", field::debug(classify(outcome, request.invocation, &request.limits).kind()));
    }
    span.record("wall_time", outcome.wall_time.as_secs_f64());
    span.record("user_time", outcome.user_time.as_secs_f64());
    span.record("system_time", outcome.system_time.as_secs_f64());
    if let Some(memory) = outcome.peak_memory {
        span.record("peak_memory", memory.as_u64());
    }
}
