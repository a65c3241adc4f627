//! What only rbd has.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

/// What only an rbd image has (QAPI `ImageInfoSpecificRbd`, since qemu 6.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RbdInfo {
    /// How rbd itself encrypts the image. Absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_format: Option<RbdEncryptionFormat>,
}

open_enum! {
    /// How rbd encrypts an image (QAPI `RbdImageEncryptionFormat`, since qemu 6.1).
    RbdEncryptionFormat {
        /// LUKS, version 1.
        Luks = "luks",
        /// LUKS, version 2.
        Luks2 = "luks2",
        /// LUKS of either version, found out when the image is opened. Since qemu 8.0.
        LuksAny = "luks-any",
    }
}
