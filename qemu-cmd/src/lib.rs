//! A side-effect-free, typed model of qemu-img commands: exact argv plus the secrets that must exist before it runs
