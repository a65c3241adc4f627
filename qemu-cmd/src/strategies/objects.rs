//! Objects that places name.

use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::World;
use super::names::{secret_id, text};
use super::parts::{half, rarely, with};
use crate::image::references;
use crate::{Object, SecretId, Source};

/// A group of limits. They are numbers, without which there is no limit.
fn throttle_group(id: SecretId) -> BoxedStrategy<Object> {
    let limit = || half((1..1_u64 << 40).prop_map(|number| number.to_string()));
    (limit(), limit())
        .prop_map(move |(bytes, operations)| {
            let group = Object::throttle_group(id.clone());
            let group = with(group, bytes, |group, bytes| group.property("x-bps-total", bytes));
            with(group, operations, |group, operations| group.property("x-iops-total", operations))
        })
        .boxed()
}

impl World {
    /// An object of one of the kinds that places name.
    pub fn object(&self) -> BoxedStrategy<Object> {
        let world = self.clone();
        (select(&["tls-creds", "throttle-group", "password-secret"][..]), secret_id())
            .prop_flat_map(move |(key, id)| world.named(key, id))
            .prop_filter_map("an object", |mut objects| objects.pop())
            .boxed()
    }

    /// The object that a place names under this key of its node, behind those that it names itself.
    fn named(&self, key: &str, id: SecretId) -> BoxedStrategy<Vec<Object>> {
        match key.rsplit('.').next() {
            Some("throttle-group") => throttle_group(id).prop_map(|group| vec![group]).boxed(),
            Some("tls-creds") => self.tls_creds(id),
            _ => self.key().prop_map(move |key| vec![Object::secret(id.clone(), key)]).boxed(),
        }
    }

    /// Credentials, which may have a password.
    fn tls_creds(&self, id: SecretId) -> BoxedStrategy<Vec<Object>> {
        let psk = (self.path.clone(), text()).prop_map({
            let id = id.clone();
            move |(directory, user)| vec![Object::tls_creds_psk(id.clone(), directory, user)]
        });
        let password = SecretId::new(format!("{id}.password")).ok();
        let x509 = (self.path.clone(), half(self.key())).prop_map(move |(directory, key)| {
            let creds = Object::tls_creds_x509(id.clone(), directory);
            match key.zip(password.clone()) {
                Some((key, password)) => {
                    let creds = creds.property("passwordid", password.as_str());
                    vec![Object::secret(password, key), creds]
                }
                None => vec![creds],
            }
        });
        prop_oneof![1 => psk, 2 => x509].boxed()
    }

    /// The source with the objects that its places name and that it does not carry; rarely without.
    pub(super) fn carrying(&self, source: Source) -> BoxedStrategy<Source> {
        let mut named: Vec<(String, SecretId)> = Vec::new();
        for node in source.nodes() {
            for (key, id) in references(&node) {
                // What is no id at all cannot be carried.
                let id = id.to_str().and_then(|id| SecretId::new(id).ok());
                let is_new =
                    |id: &SecretId| !source.carries(id.as_str().as_ref()) && named.iter().all(|(_, other)| other != id);
                if let Some(id) = id.filter(is_new) {
                    named.push((key.to_owned(), id));
                }
            }
        }
        if named.is_empty() {
            return Just(source).boxed();
        }
        let objects: Vec<_> = named.into_iter().map(|(key, id)| self.named(&key, id)).collect();
        (objects, rarely())
            .prop_map(move |(objects, without)| {
                let objects = objects.into_iter().flatten().filter(|_| !without);
                objects.fold(source.clone(), Source::object)
            })
            .boxed()
    }
}
