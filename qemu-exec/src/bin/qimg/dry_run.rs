//! What would run, for people and for programs: exactly that, also where a password stands in a name. Only `reads` and
//! `writes` are for people to look at, and show none.

use std::ffi::OsStr;

use qemu_exec::cmd::{Feature, Invocation, Location, SecretId, shell_quote};
use qemu_exec::{Delivery, Plan};
use serde_json::{Value, json};

use crate::term;

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Shell,
    Json,
}

pub(crate) fn show(format: Format, plan: &Plan, invocation: &Invocation, requires: &[Feature]) -> String {
    match format {
        Format::Shell => shell(plan),
        Format::Json => term::json(&object(plan, invocation, requires)),
    }
}

/// The line to paste. The environment that matters stands in front, as a shell takes it.
fn shell(plan: &Plan) -> String {
    let env = &plan.launch.env;
    // To a shell, only a name of its own kind makes it an assignment.
    let by_env = !env.iter().all(|(name, _)| is_shell_name(name));
    let mut line = String::from(if by_env { "env " } else { "" });
    for (name, value) in env {
        line.push_str(&format!("{}={} ", shell_quote(name), shell_quote(value)));
    }
    // It would take such a program for one more variable, and the subcommand for the program.
    if by_env && plan.launch.program.as_os_str().as_encoded_bytes().contains(&b'=') {
        line.push_str("nice -n 0 -- ");
    }
    line.push_str(&plan.launch.to_string());
    line
}

/// What a line needs beside itself to be run, for people.
pub(crate) fn how_to_paste(format: Format, plan: &Plan) -> Option<String> {
    let Format::Shell = format else { return None };
    let mut files = Vec::new();
    for (id, delivery) in &plan.secrets {
        files.push(match delivery {
            Delivery::Descriptor(number) => format!("{number}<FILE for `{id}`"),
            Delivery::Stdin => format!("<FILE for `{id}`"),
            _ => return Some("its secrets are encrypted anew for each run, so that it cannot be pasted".to_owned()),
        });
    }
    (!files.is_empty()).then(|| format!("to paste it, add the file with the secret: {}", files.join(", ")))
}

fn is_shell_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let word = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    word && !name.first().is_some_and(u8::is_ascii_digit)
}

fn object(plan: &Plan, invocation: &Invocation, requires: &[Feature]) -> Value {
    let mut launch = vec![text(plan.launch.program.as_os_str())];
    launch.extend(plan.launch.args.iter().map(|arg| text(arg)));
    let env: serde_json::Map<String, Value> =
        plan.launch.env.iter().map(|(name, value)| (name.to_string_lossy().into_owned(), text(value))).collect();
    let secrets: Vec<Value> =
        plan.secrets.iter().map(|(id, delivery)| json!({"id": id.as_str(), "delivery": delivery.as_str()})).collect();
    let limits = plan.launch.limits.to_resource_limits();
    let limits: serde_json::Map<String, Value> =
        limits.iter().map(|limit| (limit.name.to_owned(), json!({"soft": limit.soft, "hard": limit.hard}))).collect();
    let descriptor = |(id, delivery): &(SecretId, Delivery)| match delivery {
        Delivery::Descriptor(number) => Some((number.to_string(), Value::from(id.as_str()))),
        _ => None,
    };
    let fds: serde_json::Map<String, Value> = plan.secrets.iter().filter_map(descriptor).collect();
    json!({
        "argv": plan.argv.iter().map(|arg| text(arg)).collect::<Vec<_>>(),
        "launch": launch,
        "env": env,
        "limits": limits,
        "fds": fds,
        "secrets": secrets,
        "reads": invocation.reads().iter().map(location).collect::<Vec<_>>(),
        "writes": invocation.writes().iter().map(location).collect::<Vec<_>>(),
        "requires": requires.iter().map(feature).collect::<Vec<_>>(),
    })
}

/// What not every version has. `before` is there if later ones have it no more.
fn feature(feature: &Feature) -> Value {
    let mut object = json!({"feature": feature.name, "since": feature.since.to_string()});
    if let (Some(removed), Some(object)) = (feature.removed, object.as_object_mut()) {
        object.insert("before".to_owned(), removed.to_string().into());
    }
    object
}

fn location(location: &Location) -> Value {
    Value::from(location.to_string())
}

/// JSON has no way to hold bytes that are not UTF-8; the shell form has.
fn text(text: &OsStr) -> Value {
    Value::from(text.to_string_lossy())
}
