//! What qemu-img says, and what kind of error that is.

use crate::ErrorKind;

/// A line on standard error that holds one text, ends with another, and tells this kind.
pub(crate) struct Message(pub(crate) &'static str, pub(crate) &'static str, pub(crate) ErrorKind);

/// What 5.2 to 11.1 say, of which the first that stands there tells the kind. Names of images are taken out before.
///
/// Each has a space or an underscore in it, by which a name is known that could be taken for one.
///
/// The texts of strerror(3) stand at the end of a line, and mean less than what stands before them.
#[rustfmt::skip]
pub(crate) const MESSAGES: &[Message] = {
    use ErrorKind::*;
    &[
        //       holds                                           ends with                                  is
        Message("Failed to get ",                                " lock",                                   Locked),

        Message("Invalid password, cannot unlock any keyslot",   "",                                        WrongPassphrase),
        Message("Data from secret ",                             " is not valid UTF-8",                     WrongPassphrase),
        Message("key-secret' is required",                       "",                                        KeyNeeded),
        Message("No secret with id '",                           "'",                                       KeyNeeded),

        Message("Failed to connect to '",                        "",                                        Unreachable),

        Message("",                                              "No space left on device",                 NoSpace),
        Message("",                                              "Disk quota exceeded",                     NoSpace),
        Message("",                                              "Permission denied",                       PermissionDenied),
        Message("",                                              "Operation not permitted",                 PermissionDenied),
        Message("",                                              "Read-only file system",                   PermissionDenied),
        Message("",                                              "Input/output error",                      InputOutput),
        Message("",                                              "No such file or directory",               NotFound),
        Message("",                                              "Not a directory",                         NotFound),
        Message("Could not delete snapshot ",                    "snapshot not found",                      NotFound),
        Message("Failed to load snapshot",                       "Can't find snapshot",                     NotFound),
        Message("Dirty bitmap '",                                "' not found",                             NotFound),

        Message("output file is smaller than input file",        "",                                        TargetTooSmall),

        Message("Unsupported qcow2 feature(s): ",                "",                                        Unsupported),
        Message("LUKS version ",                                 " is not supported",                       Unsupported),
        Message("Unknown file format '",                         "'",                                       Unsupported),
        Message("Unknown driver '",                              "'",                                       Unsupported),
        Message("Unknown protocol '",                            "'",                                       Unsupported),

        Message("Image is not in qcow2 format",                  "",                                        WrongFormat),
        Message("qcow2 header too short",                        "",                                        WrongFormat),
        Message("Unsupported qcow2 version ",                    "",                                        WrongFormat),
        Message("Unsupported cluster size: ",                    "",                                        WrongFormat),
        Message("not in LUKS format",                            "",                                        WrongFormat),
        Message("invalid VMDK image descriptor",                 "",                                        WrongFormat),
        Message("Image not in VDI format",                       "",                                        WrongFormat),
        Message("Unsupported VDI image size",                    "",                                        WrongFormat),
        Message("invalid VPC image",                             "",                                        WrongFormat),
        Message("Image not in QED format",                       "",                                        WrongFormat),
        Message("Image not in Parallels format",                 "",                                        WrongFormat),
        Message("Image not in qcow format",                      "",                                        WrongFormat),
        Message("Image not in Bochs format",                     "",                                        WrongFormat),
        Message("block_size ",                                   " must be a multiple of 512",              WrongFormat),
        Message("Could not locate UDIF trailer in dmg file",     "",                                        WrongFormat),
        // It may be one that the image does not need after all.
        Message("Unable to load module ",                        "",                                        Unsupported),
    ]
};
