//! A directory with images of every format, and the world of those and of hosts that cannot be reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use qemu_cmd::strategies::World;
use qemu_cmd::{
    Backing, Bitmap, BitmapAction, ByteSize, Create, Format, Invocation, Key, Parallels, Qcow, Qcow2, Qed, Snapshot,
    Source, Vdi, Vhdx, Vmdk, Vpc,
};
use tempfile::TempDir;

use crate::{Kind, PASSPHRASE, bare, passphrase, qemu_img, scratch, write_fixture};

/// The images, by their names; `new` and `other` may be missing.
const NAMES: &[&str] = &[
    "raw",
    "qcow2",
    "luks",
    "qcow2-luks",
    "top",
    "middle",
    "vmdk",
    "vdi",
    "vhdx",
    "vpc",
    "qed",
    "parallels",
    "qcow",
    "a,b:c",
    "new",
    "other",
    "key",
];

/// What goes on in the directory; what was there at first is kept beside it.
pub struct Scene {
    directory: TempDir,
}

impl Scene {
    /// The images, made by the reference.
    #[must_use]
    pub fn lay_out() -> Self {
        let scene = Self { directory: scratch() };
        std::fs::create_dir(scene.path("first")).unwrap();
        std::fs::create_dir(scene.path("now")).unwrap();
        for (name, kind) in [
            ("raw", Kind::Raw),
            ("qcow2", Kind::Qcow2),
            ("luks", Kind::Luks),
            ("qcow2-luks", Kind::Qcow2Luks),
            ("middle", Kind::Qcow2),
            ("a,b:c", Kind::Raw),
        ] {
            write_fixture(kind, &scene.first(name));
        }
        std::fs::write(scene.first("key"), PASSPHRASE).unwrap();
        let create = |invocation: Invocation| {
            let args = invocation.argv(|_| unreachable!("there is no secret"));
            let output = Command::new(qemu_img()).args(&args).current_dir(scene.path("first")).output().unwrap();
            assert!(output.status.success(), "{invocation}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let size = ByteSize::mib(1);
        create(Create::new("vmdk", Vmdk::new(), size).invocation().unwrap());
        create(Create::new("vdi", Vdi::new(), size).invocation().unwrap());
        create(Create::new("vhdx", Vhdx::new(), size).invocation().unwrap());
        create(Create::new("vpc", Vpc::new(), size).invocation().unwrap());
        create(Create::new("qed", Qed::new(), size).invocation().unwrap());
        create(Create::new("qcow", Qcow::new(), size).invocation().unwrap());
        create(Create::overlay("top", Qcow2::new(), Backing::new("middle", Format::Qcow2)).invocation().unwrap());
        for name in ["qcow2", "top"] {
            create(Snapshot::create(Source::qcow2(name), "a").invocation().unwrap());
            let add = BitmapAction::Add { granularity: None };
            create(Bitmap::new(Source::qcow2(name), "b", add).invocation().unwrap());
        }
        // Not in every build.
        let parallels = Create::new(scene.first("parallels"), Parallels::new(), size).invocation().unwrap();
        bare(parallels.argv(|_| unreachable!("there is no secret")));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where an image is that the commands see; for `""`, the directory.
    #[must_use]
    pub fn now(&self, name: &str) -> PathBuf {
        self.path("now").join(name)
    }

    fn first(&self, name: &str) -> PathBuf {
        self.path("first").join(name)
    }

    /// Puts everything back.
    pub fn set(&self) {
        let now = self.path("now");
        std::fs::remove_dir_all(&now).unwrap();
        std::fs::create_dir(&now).unwrap();
        for file in std::fs::read_dir(self.path("first")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), now.join(file.file_name())).unwrap();
        }
    }

    /// What is named is here, or nowhere: nothing can connect to the broadcast address by TCP, and nobody has a name
    /// below `.invalid`.
    pub fn world(&self) -> World {
        let hosts = select(&["255.255.255.255", "host.invalid"][..]).prop_map(String::from);
        let sizes = prop_oneof![8 => 1..4096_u64, 1 => Just(0)].prop_map(|sectors| ByteSize::bytes(sectors * 512));
        let world = World::new(select(NAMES).prop_map(PathBuf::from), hosts)
            .sizes(sizes)
            .times((1..20_u64).prop_map(Duration::from_millis));
        let typed = world.location();
        let file = select(NAMES).prop_map(|name| Path::new(name).into());
        let places = prop_oneof![6 => file, 1 => typed.clone()];
        let elsewhere = (typed, select(Format::ALL)).prop_map(|(place, format)| match format {
            Format::Luks => Source::luks(place, passphrase()),
            format => Source::new(place, format),
        });
        world.places(places).images(prop_oneof![8 => images(), 1 => elsewhere])
    }

    /// Runs the qemu-img under test in the directory, for not too long, and lets it write no file of more than 64 MiB.
    #[must_use]
    pub fn run(&self, args: &[OsString]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "4", "prlimit", "--fsize=67108864", "--core=0", "--"]).arg(qemu_img()).args(args);
        command.current_dir(self.path("now")).env("LC_ALL", "C").env_remove("SSH_AUTH_SOCK");
        for name in ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.output().expect("timeout and prlimit are installed")
    }
}

/// The images with their formats and keys, and some with others.
fn images() -> BoxedStrategy<Source> {
    let plain = select(
        &[
            ("raw", Format::Raw),
            ("a,b:c", Format::Raw),
            ("qcow2", Format::Qcow2),
            ("middle", Format::Qcow2),
            ("top", Format::Qcow2),
            ("top", Format::Qcow2),
            ("qcow2", Format::Qcow2),
            ("vmdk", Format::Vmdk),
            ("vdi", Format::Vdi),
            ("vhdx", Format::Vhdx),
            ("vpc", Format::Vpc),
            ("qed", Format::Qed),
            ("parallels", Format::Parallels),
            ("qcow", Format::Qcow),
        ][..],
    );
    let key = prop_oneof![
        2 => Just(Key::Secret(passphrase())),
        1 => Just(Key::File { path: "key".into(), base64: false }),
    ];
    let encrypted = (0..4_u8, key).prop_map(|(kind, key)| match kind {
        0 => Source::luks("luks", key),
        1 => Source::qcow2("qcow2-luks").key(key),
        2 => Source::probing("luks").key(key),
        _ => Source::probing("qcow2-luks").qcow2_key(key),
    });
    let other = (select(NAMES), select(Format::ALL))
        .prop_filter_map("no key needed", |(name, format)| (format != Format::Luks).then(|| Source::new(name, format)));
    prop_oneof![
        12 => plain.prop_map(|(name, format)| Source::new(name, format)),
        6 => encrypted,
        1 => select(NAMES).prop_map(Source::probing),
        1 => other,
    ]
    .boxed()
}
