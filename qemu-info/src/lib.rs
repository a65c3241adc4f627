//! Typed structs for what qemu-img prints
