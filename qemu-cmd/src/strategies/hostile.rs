//! The strategies of the hostile world, each by its name alone, and commands of any kind.

use proptest::prelude::{BoxedStrategy, Strategy};
use proptest::strategy::Union;

use super::World;
use crate::{
    Amend, Backing, Bench, Bitmap, Blkdebug, Blkverify, Check, Command, Commit, Compare, Convert, Create, Dd, Gluster,
    GlusterServer, Info, Iscsi, Key, KeyslotChange, Location, Luks, LuksImage, Map, Measure, Nbd, NbdServer, NewImage,
    Nfs, NullCo, Object, Qcow2, Qcow2Amend, Raw, Rbd, Rebase, Resize, ResizeTo, Snapshot, Source, Ssh, Subcommand,
    Target, Throttle, Url, Vvfat, Window,
};

macro_rules! of_the_hostile_world {
    ($($name:ident: $type:ty;)+) => {
        $(
            #[doc = concat!("[`World::", stringify!($name), "`] of the [hostile](World::hostile) world.")]
            pub fn $name() -> BoxedStrategy<$type> {
                World::hostile().$name()
            }
        )+
    };
}

of_the_hostile_world! {
    location: Location; nbd: Nbd; nbd_server: NbdServer; rbd: Rbd; url: Url; ssh: Ssh; iscsi: Iscsi; nfs: Nfs;
    gluster: Gluster; gluster_server: GlusterServer; vvfat: Vvfat; null_co: NullCo; window: Window;
    throttle: Throttle; blkdebug: Blkdebug; blkverify: Blkverify;
    key: Key; object: Object; source: Source; target: Target; backing: Backing;
    luks: Luks; raw: Raw; qcow2: Qcow2; luks_image: LuksImage; new_image: NewImage;
    convert: Convert; create: Create; dd: Dd; measure: Measure;
    info: Info; check: Check; map: Map; compare: Compare; bench: Bench;
    amend: Amend; qcow2_amend: Qcow2Amend; keyslot_change: KeyslotChange; bitmap: Bitmap; commit: Commit;
    rebase: Rebase; resize: Resize; resize_to: ResizeTo; snapshot: Snapshot;
    command: Command;
}

impl World {
    /// A command of this subcommand.
    pub fn command_of(&self, subcommand: Subcommand) -> BoxedStrategy<Command> {
        match subcommand {
            Subcommand::Amend => self.amend().prop_map(Command::from).boxed(),
            Subcommand::Bench => self.bench().prop_map(Command::from).boxed(),
            Subcommand::Bitmap => self.bitmap().prop_map(Command::from).boxed(),
            Subcommand::Check => self.check().prop_map(Command::from).boxed(),
            Subcommand::Commit => self.commit().prop_map(Command::from).boxed(),
            Subcommand::Compare => self.compare().prop_map(Command::from).boxed(),
            Subcommand::Convert => self.convert().prop_map(Command::from).boxed(),
            Subcommand::Create => self.create().prop_map(Command::from).boxed(),
            Subcommand::Dd => self.dd().prop_map(Command::from).boxed(),
            Subcommand::Info => self.info().prop_map(Command::from).boxed(),
            Subcommand::Map => self.map().prop_map(Command::from).boxed(),
            Subcommand::Measure => self.measure().prop_map(Command::from).boxed(),
            Subcommand::Rebase => self.rebase().prop_map(Command::from).boxed(),
            Subcommand::Resize => self.resize().prop_map(Command::from).boxed(),
            Subcommand::Snapshot => self.snapshot().prop_map(Command::from).boxed(),
        }
    }

    /// A command of any subcommand; those that most is to be said of come more often.
    pub fn command(&self) -> BoxedStrategy<Command> {
        let weighted = Subcommand::ALL.iter().map(|subcommand| {
            let weight = if matches!(subcommand, Subcommand::Convert | Subcommand::Create) { 4 } else { 1 };
            (weight, self.command_of(*subcommand))
        });
        Union::new_weighted(weighted.collect()).boxed()
    }
}
