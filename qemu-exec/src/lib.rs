//! Runs qemu-img: local, sudo and dry-run executors with limits, secrets that never touch a disk, and typed errors
