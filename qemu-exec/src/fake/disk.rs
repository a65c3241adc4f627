//! What a disk holds, in blocks of 64 KiB: the cluster of a qcow2 image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// The unit of allocation.
pub(super) const BLOCK: u64 = 64 << 10;

/// The content of a block: always so many bytes, also where the disk ends before them.
pub(super) type Bytes = Arc<[u8]>;

/// A block of nothing but zeros.
pub(super) static ZEROS: LazyLock<Bytes> = LazyLock::new(|| [0; BLOCK as usize].as_slice().into());

/// A block that an image has itself.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Allocated. It can read as zeros all the same.
    Data(Bytes),
    /// Known to read as zeros.
    Zero,
}

/// The disk of one image: a block that is not there is read from the image below, or as zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) size: u64,
    pub(super) blocks: BTreeMap<u64, Block>,
}

impl Layer {
    pub(super) fn new(size: u64) -> Self {
        Self { size, blocks: BTreeMap::new() }
    }

    /// Drops what lies wholly beyond the end.
    pub(super) fn cut(&mut self, size: u64) {
        self.size = size;
        self.blocks.split_off(&size.div_ceil(BLOCK));
    }

    pub(super) fn write(&mut self, index: u64, bytes: Bytes) {
        self.blocks.insert(index, Block::Data(bytes));
    }

    /// How many blocks hold data.
    pub(super) fn allocated(&self) -> u64 {
        self.blocks.values().filter(|block| matches!(block, Block::Data(_))).count() as u64
    }
}

/// Where a block of a chain was found.
pub(super) struct Found<'a> {
    /// In which image: 0 is the top one.
    pub(super) depth: usize,
    /// The block, or `None` where no image has it.
    pub(super) block: Option<&'a Block>,
    /// How far the block is read, since an image on the way to it may end before.
    end: u64,
}

/// The images of a chain as one disk, the top one first.
#[derive(Clone)]
pub(super) struct Stack<'a>(pub(super) Vec<&'a Layer>);

impl<'a> Stack<'a> {
    /// The size of the top image; 0 of no image.
    pub(super) fn size(&self) -> u64 {
        self.0.first().map_or(0, |layer| layer.size)
    }

    /// The blocks that an image of the chain has, up to the end of the top one.
    pub(super) fn indices(&self) -> BTreeSet<u64> {
        let end = self.size().div_ceil(BLOCK);
        self.0.iter().flat_map(|layer| layer.blocks.range(..end).map(|(index, _)| *index)).collect()
    }

    pub(super) fn find(&self, index: u64) -> Found<'a> {
        self.find_byte(index * BLOCK)
    }

    pub(super) fn find_byte(&self, offset: u64) -> Found<'a> {
        let index = offset / BLOCK;
        let mut found = Found { depth: 0, block: None, end: (index + 1) * BLOCK };
        for (depth, layer) in self.0.iter().enumerate() {
            if depth > 0 && layer.size <= offset {
                break;
            }
            found = Found { depth, block: layer.blocks.get(&index), end: found.end.min(layer.size) };
            if found.block.is_some() {
                break;
            }
        }
        found
    }

    /// What a guest reads there; `None` if that is known to be zeros.
    pub(super) fn read(&self, index: u64) -> Option<Bytes> {
        let found = self.find(index);
        let Some(Block::Data(bytes)) = found.block else { return None };
        let length = usize::try_from(found.end.saturating_sub(index * BLOCK)).unwrap_or(usize::MAX);
        match bytes.get(length..) {
            None | Some([]) => Some(bytes.clone()),
            Some(_) => {
                let zeros = ZEROS.iter().skip(length);
                Some(bytes.iter().take(length).chain(zeros).copied().collect())
            }
        }
    }

    /// The same, with zeros spelled out.
    pub(super) fn bytes(&self, index: u64) -> Bytes {
        self.read(index).unwrap_or_else(|| ZEROS.clone())
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The block with `new` in it, beginning at `at`.
pub(super) fn patched(old: &[u8], at: usize, new: &[u8]) -> Bytes {
    let end = at.saturating_add(new.len());
    let before = old.iter().take(at);
    before.chain(new).chain(old.iter().skip(end)).copied().collect()
}
