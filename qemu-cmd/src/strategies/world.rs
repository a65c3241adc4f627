//! What generated values name.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};

use super::{names, places};
use crate::{ByteSize, Location, Source};

/// The files, hosts, images, sizes and times that generated values have in them.
///
/// In the [hostile](Self::hostile) world they are whatever the types allow. Commands that are to be **run** need a
/// world of their own, of files that may be overwritten and of hosts that nobody has:
///
/// ```
/// use proptest::prelude::*;
/// use qemu_cmd::strategies::World;
/// use qemu_cmd::{ByteSize, Format, Source};
///
/// let names = proptest::sample::select(vec!["/tmp/test/a", "/tmp/test/b"]);
/// let world = World::new(names.clone().prop_map(Into::into), Just("host.invalid".to_owned()))
///     .images(names.prop_map(|name| Source::new(name, Format::Qcow2)))
///     .sizes((1..100_u64).prop_map(ByteSize::mib));
/// # let mut runner = proptest::test_runner::TestRunner::deterministic();
/// # let resize = world.resize().new_tree(&mut runner).unwrap().current();
/// # assert!(resize.invocation().is_err() || resize.invocation().unwrap().to_string().contains("/tmp/test/"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct World {
    pub(super) path: BoxedStrategy<PathBuf>,
    pub(super) host: BoxedStrategy<String>,
    pub(super) place: BoxedStrategy<Location>,
    pub(super) image: Option<BoxedStrategy<Source>>,
    pub(super) size: BoxedStrategy<ByteSize>,
    pub(super) time: BoxedStrategy<Duration>,
}

impl World {
    /// Anything that the types allow, with much of what commands refuse.
    pub fn hostile() -> Self {
        let world = Self::new(names::path(), names::host());
        let device = "[a-z][a-z0-9,=: ]{0,8}".prop_map(|name| Location::HostDevice(format!("/dev/{name}").into()));
        let place = prop_oneof![
            16 => world.path.clone().prop_map(Location::from),
            2 => device,
            3 => world.place.clone(),
            1 => places::protocol(),
            1 => places::open_node(),
        ];
        world.places(place)
    }

    /// These files, and every kind of place that can be made of them and of these hosts. Nothing else is named, but
    /// devices in a directory of `/dev` that does not exist.
    pub fn new(
        paths: impl Strategy<Value = PathBuf> + 'static,
        hosts: impl Strategy<Value = String> + 'static,
    ) -> Self {
        let mut world = Self {
            path: paths.boxed(),
            host: hosts.boxed(),
            place: Just(Location::from("")).boxed(),
            image: None,
            size: names::byte_size(),
            time: names::time(),
        };
        world.place = world.typed();
        world
    }

    /// Images are at these places.
    pub fn places(mut self, places: impl Strategy<Value = Location> + 'static) -> Self {
        self.place = places.boxed();
        self
    }

    /// These are the images that exist, with their formats and keys. Otherwise any place may hold any format.
    pub fn images(mut self, images: impl Strategy<Value = Source> + 'static) -> Self {
        self.image = Some(images.boxed());
        self
    }

    /// Images, and parts of them, have these sizes.
    pub fn sizes(mut self, sizes: impl Strategy<Value = ByteSize> + 'static) -> Self {
        self.size = sizes.boxed();
        self
    }

    /// Key derivations take these times.
    pub fn times(mut self, times: impl Strategy<Value = Duration> + 'static) -> Self {
        self.time = times.boxed();
        self
    }
}
