//! A stream is seen as the file is, however it comes.

use qemu_info::inspect::{Code, Inspection, Inspector, Policy, Verdict, inspect};

use crate::bounds::in_time;
use crate::formats::sound;
use crate::image::Image;

/// More than a stream's first four mebibytes and what is kept behind them.
const LONGEST: u64 = 10 << 20;

/// The last byte of the input says how large the pieces are.
pub(crate) fn stream(input: &[u8]) {
    let mut image = Image::new(input);
    image.truncate(LONGEST);
    let sizes: [u64; 8] = [1, 3, 512, 1000, 4093, 65_536, 1 << 20, LONGEST];
    let piece = sizes[usize::from(input.last().copied().unwrap_or_default()) % sizes.len()];
    // Small pieces of a large image would only take long.
    let piece = piece.max(image.size() / 4096);

    let file = in_time(|| inspect(image.clone(), &Policy::untrusted())).expect("nothing here cannot be read");
    let mut inspector = Inspector::new(Policy::untrusted());
    let mut verdict = None;
    let mut buffer = vec![0; usize::try_from(piece.min(image.size())).expect("a few mebibytes")];
    let mut so_far = 0;
    for at in (0..image.size()).step_by(buffer.len().max(1)) {
        let length = usize::try_from(image.size() - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        image.copy(at, &mut buffer[..length]);
        let next = in_time(|| inspector.push(&buffer[..length]));
        assert!(verdict <= next && next != Some(Verdict::Accept), "{verdict:?} became {next:?}");
        if next != verdict {
            so_far = inspector.so_far().findings().len();
            assert!(so_far > 0, "refused for nothing");
        }
        verdict = next;
    }
    let findings = inspector.so_far().findings().to_vec();
    assert!(findings.len() >= so_far);
    let streamed = inspector.finish();
    sound(&streamed);
    assert!(streamed.findings().starts_with(&findings), "{findings:?} became {streamed:?}");
    if verdict == Some(Verdict::Refuse) {
        assert_eq!(streamed.verdict(), Verdict::Refuse);
    }
    // What was missed is a finding: nothing is accepted that the file is refused for.
    if !missed(&streamed) && !missed(&file) {
        assert_eq!(streamed, file);
    }
    assert!(streamed.verdict() >= file.verdict(), "{streamed:?} and {file:?}");
}

fn missed(found: &Inspection) -> bool {
    found.findings().iter().any(|finding| finding.code == Code::Unreadable)
}
