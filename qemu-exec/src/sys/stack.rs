//! Memory for a child that shares its parent's.

use std::ffi::c_void;
use std::ptr;

use rustix::io;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// The child's stack, below which nothing is mapped.
pub(super) struct Stack(*mut c_void);

impl Stack {
    const SIZE: usize = 64 << 10;
    /// As large as a page is anywhere.
    const GUARD: usize = 64 << 10;

    pub(super) fn new() -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::STACK;
        // SAFETY: a new mapping, at a place that the kernel chooses, is nobody else's.
        let stack =
            Self(unsafe { mmap_anonymous(ptr::null_mut(), Self::GUARD + Self::SIZE, ProtFlags::empty(), flags) }?);
        // SAFETY: the range is the rest of that mapping.
        unsafe {
            mprotect(stack.0.byte_add(Self::GUARD), Self::SIZE, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(stack)
    }

    pub(super) fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(Self::GUARD + Self::SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and whoever ran on it is gone: see `spawn`. It does not fail.
        let _ = unsafe { munmap(self.0, Self::GUARD + Self::SIZE) };
    }
}
