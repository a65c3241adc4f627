//! Hiding passwords in what is shown.
//!
//! A passphrase never gets this far: it is a [`Secret`](crate::Secret), and its place among the arguments is a slot.
//! What can still hold one is what somebody wrote into a name, and qemu-img quotes names in its messages.

use std::ffi::{OsStr, OsString};
use std::ops::Range;

use serde_json::Value;

use crate::{Arg, Invocation};

const HIDDEN: &str = "***";

/// Shorter ones are hidden where they stand in a name, but not searched for: they may be parts of any word.
const LEAST_SEARCHED: usize = 4;

impl Invocation {
    /// What was said while it ran, with `***` in place of every password that is in a name: the ones of its own
    /// arguments, and what looks like one.
    #[must_use]
    pub fn redact(&self, said: &str) -> String {
        let mut said = said.to_owned();
        for arg in self.args() {
            let Arg::Text(text) = arg else { continue };
            let text = text.to_string_lossy();
            let secrets = spans(&text, Within::Argument).into_iter().filter_map(|span| text.get(span));
            for secret in secrets.filter(|secret| secret.len() >= LEAST_SEARCHED) {
                said = said.replace(secret, HIDDEN);
            }
        }
        said.split_inclusive('\n').map(|line| hide(line, Within::Speech)).collect()
    }
}

/// An argument with `***` in place of the passwords in it: that of a URL, the value of a key such as `password`,
/// `cookie` or, in an object, `data`, in a list, a URL's query or JSON, and the key of an rbd name.
pub(crate) fn redact(arg: &OsStr) -> OsString {
    let text = arg.to_string_lossy();
    let hidden = json(&text).unwrap_or_else(|| hide(&text, Within::Argument));
    if hidden == *text { arg.to_owned() } else { hidden.into() }
}

/// Whether there is a password in the argument.
pub(crate) fn holds_password(arg: &OsStr) -> bool {
    redact(arg) != arg
}

/// Whether the value of that key is a password. What ends in `-secret` is the id of an object.
pub(crate) fn is_password(key: &str) -> bool {
    key.ends_with("password") || key.ends_with("cookie")
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// Everything up to its end is one argument.
    Argument,
    /// Names stand in quotation marks, and something follows.
    Speech,
}

impl Within {
    fn ends(self, c: char) -> bool {
        self == Self::Speech && matches!(c, '\'' | '"')
    }
}

/// A JSON node or object, which can spell a character in many ways; `None` if there is nothing to hide in it.
fn json(text: &str) -> Option<String> {
    let (prefix, body) = match text.strip_prefix("json:") {
        Some(body) => ("json:", body),
        None => ("", Some(text).filter(|text| text.starts_with('{'))?),
    };
    let mut value = serde_json::from_str(body).ok()?;
    hide_in(&mut value).then(|| format!("{prefix}{value}"))
}

/// Whether anything was hidden.
fn hide_in(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let is_object =
                members.get("qom-type").is_some_and(|kind| kind == "secret") && !members.contains_key("keyid");
            let mut any = false;
            for (key, value) in members {
                if is_password(key) || is_object && key == "data" {
                    *value = HIDDEN.into();
                    any = true;
                } else {
                    any |= hide_in(value);
                }
            }
            any
        }
        // All of them, and not the first only.
        Value::Array(items) => items.iter_mut().filter_map(|item| hide_in(item).then_some(())).count() > 0,
        Value::String(text) => {
            let hidden = redact(text.as_ref()).to_string_lossy().into_owned();
            let any = hidden != *text;
            *text = hidden;
            any
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn hide(text: &str, within: Within) -> String {
    let mut hidden = String::new();
    let mut shown_to = 0;
    for span in spans(text, within) {
        if span.start >= shown_to {
            hidden.push_str(text.get(shown_to..span.start).unwrap_or_default());
            hidden.push_str(HIDDEN);
        }
        shown_to = shown_to.max(span.end);
    }
    hidden.push_str(text.get(shown_to..).unwrap_or_default());
    hidden
}

/// Where the passwords are, in order.
fn spans(text: &str, within: Within) -> Vec<Range<usize>> {
    let urls = text.match_indices("://").filter_map(|(at, _)| in_url(text, at, within));
    let values = text.match_indices('=').filter_map(|(at, _)| in_list(text, at, within));
    let members = text.match_indices("\":").filter_map(|(at, _)| in_member(text, at));
    let mut spans: Vec<_> = urls.chain(values).chain(members).filter(|span| !span.is_empty()).collect();
    spans.sort_by_key(|span| (span.start, span.end));
    spans
}

/// The password of the URL whose scheme ends at `colon`.
fn in_url(text: &str, colon: usize, within: Within) -> Option<Range<usize>> {
    let (before, start) = (text.get(..colon)?, colon + "://".len());
    let rest = text.get(start..)?;
    let ends = |c: char| within == Within::Speech && (c.is_whitespace() || within.ends(c));
    let rest = rest.split(ends).next()?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // In front of a host is a port; what else is there begins a password with a slash in it.
    let is_cut = || {
        let (_, port) = authority.rsplit_once(':')?;
        (!authority.starts_with('[') && !port.chars().all(|c| c.is_ascii_digit())).then_some(rest)
    };
    let (user_info, _) = authority.rsplit_once('@').or_else(|| is_cut()?.rsplit_once('@'))?;
    // Elsewhere `%` begins an escape.
    let is_iscsi = before.ends_with("iscsi") || before.ends_with("iser");
    let separator = user_info.find(|c| c == ':' || (is_iscsi && c == '%'))?;
    Some(start + separator + 1..start + user_info.len())
}

/// The password that is the value of the key before `equals`, in a list, a URL's query or an rbd name.
fn in_list(text: &str, equals: usize, within: Within) -> Option<Range<usize>> {
    let before = text.get(..equals)?;
    let key = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).next()?;
    let front = before.strip_suffix(key)?;
    let is_rbd = key == "key" && front.contains("rbd:") && front.ends_with([':', '\\']);
    let is_object = key == "data" && front.contains("secret,") && front.ends_with(',') && !is_encrypted(text);
    if !(is_password(key) || is_object || is_rbd) {
        return None;
    }
    let start = equals + 1;
    let is_query = front.ends_with(['?', '&']);
    let mut rest = text.get(start..)?.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next = rest.peek().map(|(_, next)| *next);
        match c {
            '\\' if is_rbd => drop(rest.next()),
            ',' if !is_query && !is_rbd && next == Some(',') => drop(rest.next()),
            ',' if !is_query && !is_rbd => return Some(start..start + at),
            ':' if is_rbd => return Some(start..start + at),
            '&' if is_query => return Some(start..start + at),
            _ if within.ends(c) => return Some(start..start + at),
            _ => {}
        }
    }
    Some(start..text.len())
}

/// Whether the data of a secret is encrypted under another: a list with the key `keyid`. Behind a doubled comma it is part
/// of a passphrase.
fn is_encrypted(list: &str) -> bool {
    let commas = |text: &str| text.len() - text.trim_end_matches(',').len();
    list.match_indices("keyid=").any(|(at, _)| list.get(..at).is_some_and(|before| commas(before) % 2 == 1))
}

/// The password that is the value of the JSON key before `quote`, which ends it.
fn in_member(text: &str, quote: usize) -> Option<Range<usize>> {
    let key = text.get(..quote)?.rsplit('"').next()?;
    let is_object = key == "data" && text.contains("\"secret\"");
    if !(is_password(key) || is_object) {
        return None;
    }
    let value = text.get(quote + 2..)?;
    let string = value.trim_start().strip_prefix('"')?;
    let start = text.len() - string.len();
    let mut rest = string.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            '"' => return Some(start..start + at),
            _ => {}
        }
    }
    Some(start..text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments, each with its password instead of `PW`; what is shown has `***` there.
    const ARGUMENTS: &[&str] = &[
        "http://me:PW@host/x",
        "if=https://me:PW@host:80/a@b?c=d",
        "ftp://me:PW@host",
        "ssh://me:PW@host/x",
        "iscsi://me%PW@host/iqn.a:b/0",
        "iscsi://host/iqn.a:b/0?target_user=me&target_password=PW&x=y",
        "blkdebug:/c:http://me:PW@host/x",
        "http://me:PW/with a slash@host/x",
        "rbd:pool/image:id=me:key=PW:conf=/c",
        r"rbd:pool/image:\key=P\:W:conf=/c",
        "driver=http,url=http://me:PW@h/,,x,timeout=1",
        "driver=iscsi,file.password=PW,,with,,commas,lun=0",
        "driver=https,cookie=PW&a=b'c",
        "secret,id=a,data=PW,format=raw",
        "secret,id=a,data=PW,,keyid=m",
        r#"json:{"driver":"iscsi","password":"PW"}"#,
        r#"json:{"driver":"http","url":"http://me:PW@h/"}"#,
        r#"{"data":"PW","id":"a","qom-type":"secret"}"#,
        r#"json:{"password": "PW\"", broken"#,
    ];

    fn without_escapes(arg: &str) -> String {
        arg.replace("PW,,with,,commas", "***")
            .replace("PW,,keyid=m", "***")
            .replace("PW&a=b'c", "***")
            .replace("PW/with a slash", "***")
    }

    #[test]
    fn the_password_is_hidden_and_nothing_else() {
        for arg in ARGUMENTS {
            let wanted = without_escapes(arg).replace("PW\\\"", "***").replace(r"P\:W", "***").replace("PW", "***");
            assert_eq!(redact(arg.as_ref()), OsStr::new(&wanted));
            assert_eq!(redact(wanted.as_ref()), OsStr::new(&wanted), "hiding twice changes nothing");
        }
    }

    #[test]
    fn json_spells_a_password_in_many_ways() {
        for arg in [
            r#"json:{"url":"http:\/\/me:hunter2@h\/"}"#,
            r#"json:{"file":{"\u0070assword":"hunter2"}}"#,
            r#"json:{"file":"json:{\"password\":\"hunter2\"}"}"#,
            r#"json:{"password":"hunter2","password":"x"}"#,
            r#"json:{"url":"http://me:hunter2@h/","url":"x"}"#,
        ] {
            let shown = redact(arg.as_ref()).to_string_lossy().into_owned();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_holds_no_password_stays_as_it_is() {
        for arg in [
            "https://me@host/x:y@z",
            "http://me%40corp@host/",
            "http://host:80/?a=b:c@d",
            "nbd://[::1]:10809/a@b",
            "driver=http,username=me,password-secret=s,cookie-secret=c",
            "rbd:pool/key=a",
            "secret,id=a,file=/data=x",
            "secret,id=a,keyid=m,iv=i,data=c2VjcmV0",
            "a=b",
            r#"json:{ "driver" : "raw", "password-secret": "s" }"#,
        ] {
            assert_eq!(redact(arg.as_ref()), OsStr::new(arg));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_hidden_too() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = OsStr::from_bytes(b"http://me:hunter2@host/\xff");
        assert!(!format!("{:?}", redact(name)).contains("hunter2"));
        assert_eq!(redact(OsStr::from_bytes(b"/\xff")), OsStr::from_bytes(b"/\xff"));
    }

    #[test]
    fn what_was_said_keeps_its_sense() {
        let command = |arg: &str| Invocation::from_args(vec!["info".into(), arg.into()]);
        for (arg, said, wanted) in [
            (
                "http://me:it's 2@h/x",
                "qemu-img: Could not open 'http://me:it's 2@h/x': no\n",
                "qemu-img: Could not open 'http://me:***@h/x': no\n",
            ),
            ("a", "a backing file 'https://u:p@h/b': gone\nb@c\n", "a backing file 'https://u:***@h/b': gone\nb@c\n"),
            ("a", "'driver=iscsi,password=p': no", "'driver=iscsi,password=***': no"),
            (
                "http://h:1/x",
                "'http://h:1/x': Connection refused (a:b@c)",
                "'http://h:1/x': Connection refused (a:b@c)",
            ),
            ("http://u:no@h/x", "not a node 'http://u:no@h/x'", "not a node 'http://u:***@h/x'"),
        ] {
            assert_eq!(command(arg).redact(said), wanted);
        }
    }
}
