//! How many bytes of an image are allocated: `qemu-img map --output=json -f FORMAT IMAGE | allocated`.

use std::io::{self, BufReader};

use qemu_info::{Error, ExtentsExt as _, MapExtents};

fn main() -> Result<(), Error> {
    let map = MapExtents::new(BufReader::with_capacity(64 << 10, io::stdin().lock()));
    let mut ranges = 0_u64;
    let mut bytes = 0_u64;
    for range in map.allocated() {
        let range = range?;
        ranges += 1;
        bytes += range.end - range.start;
    }
    println!("{bytes} bytes in {ranges} ranges");
    Ok(())
}
