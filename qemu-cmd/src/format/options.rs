//! Create options as data: one line an option says its name, its type and its documentation.

use std::ffi::OsStr;

use crate::{ByteSize, KeyVal};

/// A value of a create option.
pub(crate) trait OptionValue: Sized {
    /// What can be written.
    const WANTED: &'static str;

    fn render(&self) -> String;
    /// `None` if it is not a value that this type can hold.
    fn read(text: &str) -> Option<Self>;
}

impl OptionValue for bool {
    const WANTED: &'static str = "write on or off";

    fn render(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "on" | "yes" | "true" | "y" => Some(true),
            "off" | "no" | "false" | "n" => Some(false),
            _ => None,
        }
    }
}

impl OptionValue for u8 {
    const WANTED: &'static str = "write a whole number up to 255";

    fn render(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl OptionValue for ByteSize {
    const WANTED: &'static str = "write a size, as in 64k";

    fn render(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl OptionValue for String {
    const WANTED: &'static str = "write text in UTF-8";

    fn render(&self) -> String {
        self.clone()
    }

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Takes the option out of the list if its value can be read; what cannot is left there.
pub(crate) fn take<T: OptionValue>(list: &mut KeyVal, key: &str) -> Option<T> {
    let value = list.get(key).and_then(OsStr::to_str).and_then(T::read)?;
    list.take(key);
    Some(value)
}

/// Values that are words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal $(| $alias:literal)*,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = concat!("`", $text, "`: ")] $(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl $crate::format::options::OptionValue for $name {
            const WANTED: &'static str = concat!("write one of", $(" ", $text),+);

            fn render(&self) -> String {
                self.as_str().to_owned()
            }

            fn read(text: &str) -> Option<Self> {
                match text { $($text $(| $alias)* => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

/// A struct of options that are absent unless given, with a builder method each.
macro_rules! options {
    (
        $(#[$meta:meta])*
        $name:ident $(with { $($(#[$xmeta:meta])* $extra:ident: $xtype:ty,)+ })? {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty $(as $argument:ty)? = $key:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[must_use]
        pub struct $name {
            $($($extra: Option<$xtype>,)+)?
            $($field: Option<$type>,)*
            other: $crate::KeyVal,
        }

        impl $name {
            /// The options that have methods, with the documentation of those.
            pub(crate) const KEYS: &[$crate::option_table::KeySpec] =
                &[$($crate::option_table::KeySpec { name: $key, doc: concat!($($doc),*) },)*];

            /// No options given.
            pub const fn new() -> Self {
                Self { $($($extra: None,)+)? $($field: None,)* other: $crate::KeyVal::new() }
            }

            $($(
                $(#[$xmeta])*
                pub fn $extra(mut self, value: $xtype) -> Self {
                    self.$extra = Some(value);
                    self
                }
            )+)?

            $(
                $(#[doc = $doc])*
                pub fn $field(mut self, value: $crate::format::options::argument!($type $(, $argument)?)) -> Self {
                    self.$field = Some(<$type>::from(value));
                    self
                }
            )*

            /// An option that has no method here, such as one of a later qemu-img. One that has is refused.
            pub fn option(mut self, key: impl Into<String>, value: impl Into<std::ffi::OsString>) -> Self {
                self.other = self.other.with(key, value);
                self
            }

            /// Reads them from a list. What has no method is kept as an option by name.
            #[allow(unused_mut, reason = "there may be none to take")]
            pub(crate) fn read(mut list: $crate::KeyVal) -> Result<Self, $crate::ParseError> {
                let mut options = Self::new();
                $(
                    options.$field = $crate::format::options::take(&mut list, $key);
                    if let Some(value) = list.get($key) {
                        let wanted = <$type as $crate::format::options::OptionValue>::WANTED;
                        return Err($crate::ParseError::value($key, value, wanted).of_key($key));
                    }
                )*
                options.other = list;
                Ok(options)
            }

            /// The options that have methods, in the order of this page, and then the others.
            fn pairs(&self) -> Result<$crate::KeyVal, $crate::Error> {
                let mut pairs = $crate::KeyVal::new();
                $(
                    if let Some(value) = &self.$field {
                        pairs.push($key, $crate::format::options::OptionValue::render(value));
                    }
                )*
                for (key, value) in self.other.iter() {
                    $crate::rules::check_key(key)?;
                    if Self::KEYS.iter().any(|known| known.name == key) {
                        return Err($crate::Error::OptionGivenTwice { key: key.to_owned() });
                    }
                    pairs.push(key, value);
                }
                Ok(pairs)
            }
        }
    };
}

/// What a builder method takes: the option's type, unless something is said to become it.
macro_rules! argument {
    ($type:ty) => {
        $type
    };
    ($type:ty, $argument:ty) => {
        $argument
    };
}

pub(crate) use {argument, options, words};
